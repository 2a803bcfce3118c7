//! The daemon's own secrets in a real OpenBao: it reads them at its start, takes up another version while
//! webhooks come, and goes on with what it has while Vault is unreachable.

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, SECRET, here, roustabout, signal};
use support::parts::{Part, is_missing};
use support::senders::Senders;
use support::until;
use support::vault::Vault;
use support::webhook::{NOBODY_THERE, Request, queued};

const SOON: Duration = Duration::from_secs(60);
const SECOND: &str = "the secret after the first";

/// The policy that we ship.
fn shipped() -> String {
    std::fs::read_to_string(here("deploy/vault/secrets.hcl")).unwrap()
}

fn job(id: u64, secret: &str) -> Request {
    Request::job(&format!("{id} {}", secret.len()), &queued(id)).signed(secret)
}

async fn status(daemon: &Daemon, id: u64, secret: &str) -> u16 {
    job(id, secret).send(daemon.door).await.status
}

/// A Vault with `kv/github`, and a daemon that reads it, not started.
async fn prepared(data: Value) -> (Vault, Daemon) {
    let vault = Vault::start().await;
    vault.put("github", data).await;
    vault.policy("roustabout", &shipped()).await;
    let (role_id, secret_id) = vault.approle("roustabout", "roustabout", json!({})).await;
    let rest =
        NOBODY_THERE.replace("token = \"ghp_x\"", "token_vault = \"kv/data/github#org_scope\"");
    let rest = format!(
        "{rest}[vault]\naddress = \"{}\"\nrole_id = \"{role_id}\"\nsecret_id = \"{secret_id}\"\n",
        vault.bao.address()
    );
    let daemon = Daemon::prepare(&rest);
    let said = format!("secret = \"{SECRET}\"");
    daemon.configure(|config| config.replace(&said, "secret_vault = \"kv/data/github#hook\""));
    (vault, daemon)
}

fn first() -> Value {
    json!({ "hook": SECRET, "org_scope": "ghp_x" })
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_taken_up_and_no_webhook_is_refused() {
    if is_missing(Part::OpenBao, "the daemon's secrets in Vault") {
        return;
    }
    let (vault, mut daemon) = prepared(first()).await;
    daemon.start().await;
    let senders = Senders::start(daemon.door);
    senders.until_accepted(10).await;
    assert_eq!(status(&daemon, 1, SECOND).await, 401);
    // First another field, then the secret, then another field again: the value before is found all the same.
    vault.put("github", json!({ "hook": SECRET, "org_scope": "ghp_y" })).await;
    vault.put("github", json!({ "hook": SECOND, "org_scope": "ghp_y" })).await;
    vault.put("github", json!({ "hook": SECOND, "org_scope": "ghp_z" })).await;
    until("the new secret is valid", SOON, async || status(&daemon, 2, SECOND).await == 202).await;
    senders.until_accepted(10).await;
    let (_, failed) = senders.end().await;
    assert_eq!(failed, [""; 0], "the old one stays valid for a day");
    assert!(daemon.log().contains("a secret in Vault has changed"));
    let log = daemon.log();
    let tells = |line: &&str| line.contains("ghp_") || line.contains(SECOND);
    assert_eq!(log.lines().filter(tells).collect::<Vec<_>>(), [""; 0]);
    // After a restart it is known too.
    assert_eq!(daemon.terminate().await, Some(0));
    daemon.start().await;
    assert_eq!((status(&daemon, 3, SECRET).await, status(&daemon, 4, SECOND).await), (202, 202));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_vault_takes_nothing_from_a_daemon_that_runs() {
    if is_missing(Part::OpenBao, "an unreachable Vault") {
        return;
    }
    let (vault, mut daemon) = prepared(first()).await;
    daemon.start().await;
    vault.bao.seal().await.unwrap();
    let degraded = async || {
        let ready = daemon.api("/readyz").await;
        ready["degraded"].to_string().contains("vault: ")
    };
    until("it is told", SOON, async || degraded().await).await;
    assert_eq!(status(&daemon, 1, SECRET).await, 202);
    // A reload keeps what was read.
    daemon.reload().await;
    assert_eq!(status(&daemon, 2, SECRET).await, 202);
    assert!(degraded().await);
    vault.bao.unseal().await.unwrap();
    vault.put("github", json!({ "hook": SECOND, "org_scope": "ghp_x" })).await;
    until("the new secret is valid", SOON, async || status(&daemon, 3, SECOND).await == 202).await;
    assert!(!degraded().await);
    // What is wrong there changes nothing here.
    vault.put("github", json!({ "org_scope": "ghp_x" })).await;
    let complaint = "has no field \\\"hook\\\" that is a text; it has org_scope";
    until("it complains", SOON, async || daemon.log().contains(complaint)).await;
    assert_eq!(status(&daemon, 4, SECOND).await, 202);
    // At once on SIGHUP.
    vault
        .put("github", json!({ "hook": "a third secret, and a long one", "org_scope": "ghp_x" }))
        .await;
    signal(daemon.process(), "HUP");
    until("the third is valid", Duration::from_secs(10), async || {
        status(&daemon, 5, "a third secret, and a long one").await == 202
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_takes_nothing_either_and_the_one_before_a_reload_is_revoked() {
    if is_missing(Part::OpenBao, "a token of Vault that has ended") {
        return;
    }
    let (vault, mut daemon) = prepared(first()).await;
    let token = vault.token("roustabout", "1h").await;
    let by_role = std::fs::read_to_string(daemon.config()).unwrap();
    let (before, _) = by_role.split_once("[vault]").unwrap();
    let by_token = format!("{before}{}", vault.section(&token));
    daemon.start().await;
    let of_daemon = async || {
        let list = vault.ask("LIST", "auth/token/accessors", Value::Null).await;
        let mut of_role = 0;
        for accessor in list["data"]["keys"].as_array().unwrap() {
            let body = json!({ "accessor": accessor });
            let about = vault.bao.ask("POST", "auth/token/lookup-accessor", Some(&body)).await;
            let path = about.map(|about| about["data"]["path"].clone()).unwrap_or_default();
            of_role += usize::from(path == "auth/approle/login");
        }
        of_role
    };
    assert_eq!(of_daemon().await, 1);
    daemon.configure(|_| by_token);
    daemon.reload().await;
    until("the token of the role is revoked", SOON, async || of_daemon().await == 0).await;

    vault.ask("POST", "auth/token/revoke", json!({ "token": token })).await;
    let degraded = async || daemon.api("/readyz").await["degraded"].to_string();
    until("it is told", SOON, async || degraded().await.contains("the token has ended")).await;
    // A reload keeps what was read.
    daemon.reload().await;
    assert_eq!(status(&daemon, 1, SECRET).await, 202);
    daemon.configure(|_| by_role);
    daemon.reload().await;
    assert!(!degraded().await.contains("vault"));
    assert_eq!(status(&daemon, 2, SECRET).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_vault_and_tells_at_once_what_is_wrong() {
    if is_missing(Part::OpenBao, "a start without Vault") {
        return;
    }
    let (mut vault, mut daemon) = prepared(first()).await;
    vault.bao.kill_hard();
    let back = async {
        // After the daemon has met nobody there, once at least.
        tokio::time::sleep(Duration::from_millis(500)).await;
        vault.bao.restart().await.unwrap();
    };
    tokio::join!(daemon.start(), back);
    assert!(daemon.log().contains("waiting for Vault"), "{}", daemon.log());
    assert_eq!(status(&daemon, 1, SECRET).await, 202);
    assert_eq!(daemon.terminate().await, Some(0));

    daemon.configure(|config| config.replace("#hook", "#hok").replace("#org_scope", "#token"));
    let told = roustabout().arg("serve").arg("--config").arg(daemon.config()).output().unwrap();
    let text = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(2), "{text}");
    for part in [
        "webhook.secret_vault: cannot be read: version 1 has no field \"hok\" that is a text; it has hook, org_scope",
        "github.credentials[#1].token_vault: cannot be read: version 1 has no field \"token\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
    daemon.configure(|config| config.replace("kv/data/github#hok", "kv/data/other#hook"));
    let told = roustabout().arg("check").arg("--config").arg(daemon.config()).output().unwrap();
    let text = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(2), "{text}");
    assert!(text.contains("GET /kv/data/other: 403 permission denied"), "{text}");
    // Nobody is asked.
    let mut offline = roustabout();
    offline.args(["check", "--config-only", "--config"]).arg(daemon.config());
    assert!(offline.output().unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_token_is_read_by_the_daemon_and_by_its_commands() {
    if is_missing(Part::OpenBao, "an admin token in Vault") {
        return;
    }
    let data = json!({ "hook": SECRET, "org_scope": "ghp_x", "admin": "an-admin-token\n" });
    let (_vault, mut daemon) = prepared(data).await;
    daemon.configure(|config| {
        config.replace("[admin]\n", "[admin]\ntoken_vault = \"kv/data/github#admin\"\n")
    });
    daemon.start().await;
    let mut command = roustabout();
    command.args(["status", "--json", "--config"]).arg(daemon.config());
    let told = command.output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let url = format!("http://127.0.0.1:{}/api/v1/status", daemon.admin);
    let by = |token: &str| reqwest::Client::new().get(&url).bearer_auth(token).send();
    assert_eq!(by("an-admin-token").await.unwrap().status(), 200);
    assert_eq!(by("a-systemd-credential-taken-as-given").await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_wants_a_new_secret_of_an_unreachable_vault_is_tried_again() {
    if is_missing(Part::OpenBao, "a reload without Vault") {
        return;
    }
    let data = json!({ "hook": SECRET, "org_scope": "ghp_x", "admin": "an-admin-token" });
    let (vault, mut daemon) = prepared(data).await;
    daemon.start().await;
    vault.bao.seal().await.unwrap();
    daemon.configure(|config| {
        config.replace("[admin]\n", "[admin]\ntoken_vault = \"kv/data/github#admin\"\n")
    });
    signal(daemon.process(), "HUP");
    let waits = "cannot read a secret from Vault; trying again";
    until("it waits", SOON, async || daemon.log().contains(waits)).await;
    assert_eq!(status(&daemon, 1, SECRET).await, 202);
    vault.bao.unseal().await.unwrap();
    until("the new config is in effect", SOON, async || {
        daemon.log().contains("the new config is in effect")
    })
    .await;
    let url = format!("http://127.0.0.1:{}/api/v1/status", daemon.admin);
    let by = reqwest::Client::new().get(&url).bearer_auth("an-admin-token").send();
    assert_eq!(by.await.unwrap().status(), 200);
    assert_eq!(daemon.log().matches(waits).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named() {
    if is_missing(Part::OpenBao, "what check says about the daemon's secrets in Vault") {
        return;
    }
    let (vault, daemon) = prepared(first()).await;
    let check = || {
        let told = roustabout().arg("check").arg("--config").arg(daemon.config()).output().unwrap();
        (told.status.code(), String::from_utf8([told.stdout, told.stderr].concat()).unwrap())
    };
    let (_, text) = check();
    let all = "the token may read the daemon's secrets and look for new versions";
    assert!(text.contains(all), "{text}");
    vault.policy("roustabout", &shipped().replace("kv/metadata", "kv/other")).await;
    let (_, text) = check();
    assert!(text.contains("the token lacks read on kv/metadata/github, "), "{text}");
    vault.policy("roustabout", &shipped().replace("kv/data", "kv/other")).await;
    let (code, text) = check();
    assert_eq!(code, Some(2), "{text}");
    assert_eq!(text.matches("GET /kv/data/github: 403 permission denied").count(), 2, "{text}");
    let right = "the token lacks read on kv/data/github, so the daemon does not start without";
    assert!(text.contains(right), "{text}");
}
