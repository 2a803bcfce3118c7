//! SIGHUP: the daemon reads its config and every secret again. What is wrong changes nothing,
//! what is bound to its start is named, everything else holds from then on; no webhook is lost.

use crate::support;

use std::time::Duration;

use support::daemon::{Daemon, SECRET, roustabout, signal};
use support::until;
use support::webhook::{NOBODY_THERE, Raw, Request, assert_accepts, door, queued};

const SOON: Duration = Duration::from_secs(30);

const SECOND: &str = "the secret after the first";

fn job(id: u64, secret: &str) -> Request {
    Request::job(&format!("{id} {secret}"), &queued(id)).signed(secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_is_changed_without_a_gap() {
    let daemon = door().await;
    // A connection that stays open follows too.
    let mut open = Raw::open(daemon.door).await;
    let status = async |open: &mut Raw, request: Request| {
        open.say(request.bytes()).await;
        open.reply().await.status
    };
    assert_eq!(status(&mut open, job(1, SECRET)).await, 202);
    assert_eq!(status(&mut open, job(2, SECOND)).await, 401);

    let first = format!("secret = \"{SECRET}\"");
    let both = format!("secret = \"{SECOND}\"\nprevious_secret = \"{SECRET}\"");
    daemon.configure(|config| config.replace(&first, &both));
    daemon.reload().await;
    assert_eq!(status(&mut open, job(3, SECRET)).await, 202);
    assert_eq!(status(&mut open, job(4, SECOND)).await, 202);

    daemon.configure(|config| config.replace(&both, &format!("secret = \"{SECOND}\"")));
    daemon.reload().await;
    assert_eq!(status(&mut open, job(5, SECRET)).await, 401);
    assert_eq!(status(&mut open, job(6, SECOND)).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_file_is_read_again() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let file = daemon.folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    daemon.configure(|config| {
        config.replace(
            &format!("secret = \"{SECRET}\""),
            &format!("secret_file = \"{}\"", file.display()),
        )
    });
    daemon.start().await;
    std::fs::write(&file, format!("{SECOND}\n")).unwrap();
    daemon.reload().await;
    assert_eq!(job(1, SECOND).send(daemon.door).await.status, 202);
    assert_eq!(job(2, SECRET).send(daemon.door).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_file_is_taken_up_without_a_signal() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let file = |name: &str| daemon.folder.path().join(name);
    let (now, before) = (file("secret"), file("previous"));
    std::fs::write(&now, SECRET).unwrap();
    std::fs::write(&before, SECRET).unwrap();
    daemon.configure(|config| {
        let files = format!(
            "secret_file = \"{}\"\nprevious_secret_file = \"{}\"",
            now.display(),
            before.display()
        );
        config.replace(&format!("secret = \"{SECRET}\""), &files)
    });
    daemon.start().await;
    let mut number = 0;
    let mut sends = async |secret: &str| {
        number += 1;
        job(number, secret).send(daemon.door).await.status
    };
    std::fs::write(&now, SECOND).unwrap();
    until("the new one is accepted", SOON, async || {
        // Meanwhile GitHub signs with the one before.
        assert_eq!(sends(SECRET).await, 202);
        sends(SECOND).await == 202
    })
    .await;
    assert_eq!(daemon.count_of("a file with a secret has changed; reloading the secrets"), 1);
    // What is no secret changes nothing, and is told.
    let degraded = async || daemon.api("/readyz").await["degraded"].to_string();
    std::fs::write(&now, "").unwrap();
    let told = async || degraded().await.contains("secrets: a file has changed");
    until("it is told", SOON, told).await;
    assert_eq!(daemon.count_of("the new config is invalid"), 1);
    let metrics = daemon.at_private_door("GET", "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("roustabout_degraded{part=\"secrets\"} 1\n"), "{metrics}");
    assert_eq!(sends(SECOND).await, 202);
    std::fs::write(&now, SECOND).unwrap();
    until("it is well again", SOON, async || !degraded().await.contains("secrets:")).await;
    // An empty one ends the rotation.
    std::fs::write(&before, "").unwrap();
    until("the one before is refused", SOON, async || sends(SECRET).await == 401).await;
    assert_eq!(sends(SECOND).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_config_is_told_whole_and_the_one_before_stays() {
    let daemon = door().await;
    let good = std::fs::read_to_string(daemon.config()).unwrap();
    daemon.configure(|config| {
        let config = config.replace("name = \"x64\"", "name = \"x64\"\nmax_runers = 3");
        config.replace(SECRET, SECOND).replace("[admin]", "[admin]\ncolour = \"red\"")
    });
    let complaint = "the new config is invalid; the current one stays in effect";
    signal(daemon.process(), "HUP");
    until("it complains", SOON, async || daemon.count_of(complaint) == 1).await;
    let log = daemon.log();
    for key in ["max_runers", "admin.colour"] {
        assert!(log.contains(key), "{key}");
    }
    assert_accepts(daemon.door).await;
    // A secret's file that cannot be read is a wrong config too.
    std::fs::write(
        daemon.config(),
        good.replace(&format!("secret = \"{SECRET}\""), "secret_file = \"/nowhere/secret\""),
    )
    .unwrap();
    signal(daemon.process(), "HUP");
    until("it complains", SOON, async || daemon.count_of(complaint) == 2).await;
    assert!(daemon.log().contains("/nowhere/secret"));
    assert_accepts(daemon.door).await;
    // And no config at all.
    std::fs::remove_file(daemon.config()).unwrap();
    signal(daemon.process(), "HUP");
    until("it complains", SOON, async || daemon.count_of(complaint) == 3).await;
    assert_accepts(daemon.door).await;
    std::fs::write(daemon.config(), good).unwrap();
    daemon.reload().await;
    assert_accepts(daemon.door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_stays() {
    let mut daemon = door().await;
    let (door, admin) = (daemon.door, daemon.admin);
    let (new_door, new_admin) = (support::free_port(), support::free_port());
    daemon.configure(|config| {
        let config = config.replace(&format!("127.0.0.1:{door}"), &format!("127.0.0.1:{new_door}"));
        let config =
            config.replace(&format!("127.0.0.1:{admin}"), &format!("127.0.0.1:{new_admin}"));
        config.replace("roustabout.db", "another.db").replace("\"json\"", "\"text\"")
    });
    daemon.reload().await;
    let log = daemon.log();
    for key in ["webhook.listen", "admin.listen", "store.url", "log.format"] {
        let line = log.lines().find(|line| line.contains("takes effect after a restart"));
        assert!(line.is_some());
        assert!(log.contains(&format!("\"key\":\"{key}\"")), "{key}\n{log}");
    }
    assert_accepts(door).await;
    assert!(!daemon.folder.path().join("another.db").exists());
    assert_eq!(daemon.terminate().await, Some(0));
    daemon.admin = new_admin;
    daemon.start().await;
    assert_accepts(new_door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_told_by_name_and_the_doors_answer_by_them() {
    let daemon = door().await;
    let mut windows = queued(7);
    windows["workflow_job"]["labels"] = serde_json::json!(["windows"]);
    let ask = async |delivery: &str| Request::job(delivery, &windows).send(daemon.door).await;
    assert_eq!(ask("before").await.outcome(), (202, "ignored".into()));
    daemon.configure(|config| {
        config.replace("name = \"x64\"", "name = \"x86\"")
            + "[[pools]]\nname = \"windows\"\nnomad_job = \"w\"\ndelivery = \"payload\"\n\
               labels = [\"windows\"]\nrepositories = [\"octo/*\"]\n"
    });
    daemon.reload().await;
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("the new config is in effect")).unwrap();
    assert!(
        line.contains("\"added\":\"x86, windows\"") && line.contains("\"gone\":\"x64\""),
        "{line}"
    );
    // The ledger has taken up what it was told of before, and the door says what it will do.
    let known = daemon.job(7).await;
    assert_eq!(known["pool"], "windows", "{known}");
    assert_eq!(ask("after").await.outcome(), (202, "accepted".into()));
    let pools = daemon.api("/api/v1/pools").await;
    let names: Vec<&str> =
        pools.as_array().unwrap().iter().map(|pool| pool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["x86", "windows"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_door_asks_for_the_token_of_today() {
    let daemon = door().await;
    let status = async |token: Option<&str>| {
        let request =
            reqwest::Client::new().get(format!("http://127.0.0.1:{}/api/v1/status", daemon.admin));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap().status().as_u16()
    };
    let made = std::fs::read_to_string(daemon.folder.path().join("admin-token")).unwrap();
    assert_eq!((status(None).await, status(Some(made.trim())).await), (401, 200));
    daemon.configure(|config| config.replace("[admin]", "[admin]\ntoken = \"first\""));
    daemon.reload().await;
    assert_eq!((status(None).await, status(Some("first")).await), (401, 200));
    daemon.configure(|config| config.replace("token = \"first\"", "token = \"second\""));
    daemon.reload().await;
    assert_eq!((status(Some("first")).await, status(Some("second")).await), (401, 200));
    // Without one in the config it is that of the daemon's own file, and not of the start.
    daemon.configure(|config| config.replace("\ntoken = \"second\"", ""));
    std::fs::write(daemon.folder.path().join("admin-token"), "third\n").unwrap();
    daemon.reload().await;
    assert_eq!((status(Some(made.trim())).await, status(Some("third")).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_follows_unless_rust_log_says_it() {
    let mut daemon = door().await;
    assert_accepts(daemon.door).await;
    assert_eq!(daemon.count_of("webhook kept"), 0);
    daemon.configure(|config| config.replace("[log]", "[log]\nlevel = \"debug\""));
    daemon.reload().await;
    assert_accepts(daemon.door).await;
    until("it is told", SOON, async || daemon.count_of("webhook kept") == 1).await;
    assert_eq!(daemon.terminate().await, Some(0));
    daemon.configure(|config| config.replace("level = \"debug\"", "level = \"error\""));
    let info = |command: &mut std::process::Command| {
        command.env("RUST_LOG", "info");
    };
    daemon.start_with(&[], info).await;
    daemon.reload().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_judges_by_the_rules_of_today() {
    let daemon = door().await;
    let mut other = queued(8);
    other["repository"]["full_name"] = "elsewhere/app".into();
    Request::job("one", &other).send(daemon.door).await;
    let explain = async || {
        let mut command = roustabout();
        command.args(["explain", "8", "--config"]).arg(daemon.config());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    until("it is known", SOON, async || daemon.job(8).await["id"] == 8).await;
    let text = explain().await;
    assert!(text.contains("no pool serves the repository elsewhere/app"), "{text}");
    daemon.configure(|config| config.replace("[\"octo/*\"]", "[\"octo/*\", \"elsewhere/*\"]"));
    daemon.reload().await;
    let text = explain().await;
    assert!(!text.lines().next().unwrap().contains("no pool"), "{text}");
}
