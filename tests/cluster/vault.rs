//! Runners whose credential lies in a real OpenBao, with the jobspec, the policies and the role that we ship: each
//! reads its own, and none is left.

use crate::support;

use std::collections::BTreeMap;
use std::time::Duration;

use roustabout::nomad::DispatchRequest;
use roustabout::vault::Error;
use secrecy::ExposeSecret;
use serde_json::json;
use support::daemon::roustabout;
use support::parents::parameterized;
use support::parts::{Part, is_missing};
use support::until;
use support::vault::by_token;
use support::vault_and_nomad::{self, Both, FOLDER, shipped};
use support::world::{Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

async fn plan(both: &Both, pool: &str) -> Plan {
    Plan {
        before_pools: both.vault.section_with("roustabout").await,
        pool: format!("delivery = \"vault\"\n{pool}"),
        ..Plan::default()
    }
}

/// Every job has run, and nothing of what its runner needed is anywhere.
async fn all_succeed_and_nothing_is_left(world: &World, both: &Vaults, jobs: Vec<u64>) {
    world.until_nothing_is_left(LIMIT).await;
    for job in jobs {
        let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
        assert_eq!(conclusion.unwrap().as_str(), "success");
    }
    until("no entry is left", LIMIT, async || both.names(FOLDER).await.is_empty()).await;
    for child in world.children().await {
        let job = world.nomad.job(world.nomad.place(), &child.id).await.unwrap();
        let name = job.meta["runner_name"].expose_secret();
        assert_eq!(job.meta["vault_path"].expose_secret(), format!("kv/data/{FOLDER}/{name}"));
        assert!(!job.meta.contains_key("runner_token"));
    }
}

type Vaults = support::vault::Vault;

async fn world(pool: &str) -> (World, Vaults) {
    let both = vault_and_nomad::start().await;
    let plan = plan(&both, pool).await;
    (World::around(both.parts, plan).await, both.vault)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_runner_reads_its_token_in_an_entry_that_is_gone_afterwards() {
    if is_missing(Part::OpenBao, "credentials in Vault") {
        return;
    }
    let (mut world, vault) = world("").await;
    world.daemon.start().await;
    let jobs = [world.queue(world.app, 3, 200), world.queue(world.lib, 1, 200)].concat();
    all_succeed_and_nothing_is_left(&world, &vault, jobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_its_configuration() {
    if is_missing(Part::OpenBao, "configurations in Vault") {
        return;
    }
    let (mut world, vault) = world("credential = \"jit\"").await;
    world.daemon.start().await;
    let jobs = world.queue(world.app, 2, 200);
    all_succeed_and_nothing_is_left(&world, &vault, jobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_removed_and_what_is_anothers_stays() {
    if is_missing(Part::OpenBao, "credentials that a crash left in Vault") {
        return;
    }
    let (mut world, vault) = world("").await;
    for name in ["roustabout-x64-0123456789abc", "notes", "roustabout2-x64-0123456789abc"] {
        vault.put(&format!("{FOLDER}/{name}"), json!({ "token": "left behind" })).await;
    }
    // Only what is known of it is there: the crash was between the two requests.
    let half = format!("kv/metadata/{FOLDER}/roustabout-x64-0123456789abd");
    vault.ask("POST", &half, json!({ "max_versions": 1 })).await;
    world.daemon.start().await;
    let others = ["notes", "roustabout2-x64-0123456789abc"];
    until("it is removed", LIMIT, async || vault.names(FOLDER).await == others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_vault_is_away_jobs_wait_with_that_reason_and_then_run() {
    if is_missing(Part::OpenBao, "a Vault that is away") {
        return;
    }
    let (mut world, vault) = world("").await;
    world.daemon.start().await;
    // Its SecretID is good for one login, which a seal in the middle of it would use up.
    let first = world.queue(world.app, 1, 200);
    all_succeed_and_nothing_is_left(&world, &vault, first).await;
    let before = world.children().await.len();
    vault.bao.seal().await.unwrap();
    let jobs = world.queue(world.app, 5, 200);
    let why = async || {
        let all = world.daemon.api("/api/v1/jobs").await;
        let waiting = all.as_array().unwrap().iter().filter(|job| job["status"] == "queued");
        waiting.map(|job| job["reason"].to_string()).collect::<Vec<_>>()
    };
    until("the jobs say why", LIMIT, async || {
        let why = why().await;
        why.len() == 5
            && why.iter().all(|why| why.contains("credential not written: ") && why.contains("503"))
    })
    .await;
    assert_eq!(world.children().await.len(), before);
    vault.bao.unseal().await.unwrap();
    all_succeed_and_nothing_is_left(&world, &vault, jobs).await;
    // One at a time after the first that failed.
    let failed = world.daemon.log().matches("credential not written").count();
    assert!((1..=5).contains(&failed), "{failed}");
}

/// Whose token ends, and is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_is_told_and_another_in_its_file_is_taken_up() {
    if is_missing(Part::OpenBao, "a token of Vault that has ended") {
        return;
    }
    let (mut world, vault) = world("").await;
    let file = world.daemon.folder.path().join("token-of-vault");
    let first = vault.token("roustabout", "1h").await;
    std::fs::write(&file, &first).unwrap();
    world.daemon.configure(|text| {
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some(("role_id", _)) => format!("token_file = {file:?}"),
            _ => line.to_owned(),
        });
        let lines = lines.filter(|line| !line.starts_with("secret_id = "));
        lines.collect::<Vec<_>>().join("\n")
    });
    world.daemon.start().await;
    vault.ask("POST", "auth/token/revoke", json!({ "token": first })).await;
    let degraded = async || world.daemon.api("/readyz").await["degraded"].to_string();
    let reason = format!(
        "vault: the token in {} has expired or was revoked; create another one",
        file.display()
    );
    until("it is told", LIMIT, async || degraded().await.contains(&reason)).await;
    let status = roustabout().arg("status").arg("--config").arg(world.daemon.config()).output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    assert!(status.contains(&format!("degraded: {reason}")), "{status}");
    assert!(said_by_check(&world).contains("fail  vault"), "{}", said_by_check(&world));
    let jobs = world.queue(world.app, 2, 200);
    std::fs::write(&file, vault.token("roustabout", "1h").await).unwrap();
    all_succeed_and_nothing_is_left(&world, &vault, jobs).await;
    until("nothing is in trouble", LIMIT, async || degraded().await == "[]").await;
}

/// What `check` says of a daemon with that policy in Vault and no other.
async fn checked(world: &World, vault: &Vaults, policy: &str) -> String {
    checked_with(world, &vault.section_with(policy).await)
}

fn checked_with(world: &World, section: &str) -> String {
    world.daemon.configure(|text| {
        let (before, rest) = text.split_once("[vault]").unwrap();
        let (_, pools) = rest.split_once("[[pools]]").unwrap();
        format!("{before}{section}[[pools]]{pools}")
    });
    said_by_check(world)
}

fn said_by_check(world: &World) -> String {
    let checked = roustabout().arg("check").arg("--config").arg(world.daemon.config()).output();
    String::from_utf8(checked.unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named_by_check() {
    if is_missing(Part::OpenBao, "what check says about Vault") {
        return;
    }
    let (world, vault) = world("").await;
    let whole = shipped("daemon.hcl");
    let all = "the token may write, list and destroy the credentials of its runners in Vault";
    let said = checked(&world, &vault, "roustabout").await;
    assert!(said.contains(all) && !said.contains("lacks"), "{said}");
    assert!(said.contains("is reachable and accepts the token"), "{said}");
    for right in ["update", "create", "delete", "list"] {
        let rules = whole.replace(&format!("\"{right}\""), "\"deny-nothing\"");
        assert_ne!(rules, whole);
        let rules = rules.replace("\"deny-nothing\", ", "").replace(", \"deny-nothing\"", "");
        let rules = rules.replace("\"deny-nothing\"", "");
        vault.policy(right, &rules).await;
        let said = checked(&world, &vault, right).await;
        let lacks = format!("the token lacks {right} on kv/");
        assert!(said.contains(&lacks) && said.matches("lacks").count() == 1, "{right}: {said}");
        assert!(!said.contains(all), "{right}: {said}");
    }
    // An engine of version 1 that it may write to is of no use.
    let old = json!({ "type": "kv", "options": { "version": "1" } });
    vault.ask("POST", "sys/mounts/old", old).await;
    vault.policy("old", &whole.replace("\"kv/", "\"old/")).await;
    let section = vault.section_with("old").await;
    let section = section.replace("mount = \"kv\"", "mount = \"old\"");
    let said = checked_with(&world, &section);
    assert!(said.contains("old is kv version 1, not KV version 2"), "{said}");
    assert!(!said.contains("the token may write") && !said.contains("lacks"), "{said}");
    vault.bao.seal().await.unwrap();
    let said = said_by_check(&world);
    assert!(
        said.contains("POST /auth/approle/login: 503 Vault is sealed; check vault.address"),
        "{said}"
    );
}

/// With what a task of Nomad logs in with.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_reads_the_credentials_of_its_own_job_and_nothing_else() {
    if is_missing(Part::OpenBao, "what a task may read in Vault") {
        return;
    }
    let Both { vault, parts } = vault_and_nomad::start().await;
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let script = format!(
        "printf %s \"$NOMAD_TOKEN_vault\" >{0}.new && mv {0}.new {0} && exec sleep 600",
        told.display()
    );
    let mut job = parameterized("teller", "optional", &[]);
    job["Constraints"] = json!([]);
    job["TaskGroups"][0]["RestartPolicy"] = json!({ "Attempts": 0, "Mode": "fail" });
    job["TaskGroups"][0]["Tasks"][0] = json!({
        "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/sh", "args": ["-c", script] },
        "Resources": { "CPU": 50, "MemoryMB": 32 },
        "Identities": [
            { "Name": "vault", "Audience": ["vault.io"], "Env": true, "TTL": 3_600_000_000_000_i64 },
        ],
    });
    let nomad = &parts.nomad;
    nomad.register(nomad.place(), &job).await.unwrap();
    for path in ["default/teller/a", "default/teller2/a", "other/teller/a", "github"] {
        vault.put(path, json!({ "token": "t" })).await;
    }
    let request = DispatchRequest { idempotency_token: "a", payload: None, meta: &BTreeMap::new() };
    let child = nomad.dispatch(nomad.place(), "teller", &request).await.unwrap().child;
    until("the task tells its identity", LIMIT, async || told.exists()).await;
    let jwt = std::fs::read_to_string(&told).unwrap();
    let login = json!({ "role": "runner", "jwt": jwt });
    let login = vault.ask("POST", "auth/jwt-nomad/login", login).await;
    let client = vault.client(by_token(login["auth"]["client_token"].as_str().unwrap()));
    let own = client.read("kv", "default/teller/a", None).await.unwrap();
    assert_eq!(own.fields.get("token").unwrap().expose_secret(), "t");
    for path in ["default/teller2/a", "other/teller/a", "github"] {
        let read = client.read("kv", path, None).await;
        assert!(matches!(read, Err(Error::Denied { .. })), "{path}: {read:?}");
    }
    let destroyed = client.destroy("kv", "default/teller/a").await;
    assert!(matches!(destroyed, Err(Error::Denied { .. })), "{destroyed:?}");
    let listed = client.list("kv", "default/teller").await;
    assert!(matches!(listed, Err(Error::Denied { .. })), "{listed:?}");
    nomad.stop(nomad.place(), &child).await.unwrap();
}
