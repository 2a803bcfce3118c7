//! `hooks` against a real Gitea: what is made there tells the door, what is wrong is changed and keeps its
//! secret.

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::roustabout;
use support::gitea_world::{GiteaWorld, REPOSITORIES};
use support::parts::{self, Part};

async fn hooks(world: &GiteaWorld, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = roustabout();
    command.arg("hooks").args(arguments).arg("--json").arg("--config").arg(world.daemon.config());
    command.args(["--url", &world.daemon.url()]).stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code(), said)
}

fn states(said: &Value) -> Vec<(&str, &str)> {
    let entries = said.as_array().unwrap().iter();
    entries.map(|it| (it["scope"].as_str().unwrap(), it["state"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_made_changed_and_removed() {
    if parts::is_missing(Part::Gitea, "the command hooks on a Gitea") {
        return;
    }
    let world = GiteaWorld::start("max = 6").await;
    let [app, lib, _] = REPOSITORIES;
    let all = |state: &'static str| [("octo", state), (app, state), (lib, state)];

    let (code, said) = hooks(&world, &["list"]).await;
    assert_eq!((code, states(&said)), (Some(0), all("ok").to_vec()), "the world has made them");

    let url = format!("{}/repos/{app}/hooks", world.parts.gitea.api_url());
    let token = secrecy::ExposeSecret::expose_secret(world.parts.gitea.token()).to_owned();
    let id = said[1]["hook_id"].as_u64().unwrap();
    let change = json!({"active": false, "events": ["push"], "config": {"content_type": "form"}});
    let changed = reqwest::Client::new().patch(format!("{url}/{id}")).bearer_auth(&token);
    changed.json(&change).send().await.unwrap().error_for_status().unwrap();
    let (code, said) = hooks(&world, &["sync", "--yes", "--repository", app]).await;
    assert_eq!((code, states(&said)), (Some(0), vec![(app, "update")]));
    assert_eq!(said[0]["differs"], json!(["events", "content_type", "active"]));
    let (_, said) = hooks(&world, &["list"]).await;
    assert_eq!(states(&said), all("ok"));

    let (code, said) = hooks(&world, &["sync", "--yes", "--set-secret", "--repository", app]).await;
    assert_eq!((code, states(&said)), (Some(1), vec![(app, "failed")]), "its API cannot");

    let (code, said) = hooks(&world, &["remove", "--yes"]).await;
    assert_eq!((code, states(&said)), (Some(0), all("remove").to_vec()));
    let (code, said) = hooks(&world, &["sync", "--yes"]).await;
    assert_eq!((code, states(&said)), (Some(0), all("create").to_vec()));

    // What was made is signed as the door wants it, and a runner comes for it.
    let run =
        world.push(app, &support::gitea::workflow(&[("one", &world.says("one", "true"))])).await;
    world.ended_as(app, run, "success", 1).await;
    // A busy Gitea sends them late, and the sweep is there before.
    support::until("a webhook of the new hook is accepted", Duration::from_secs(60), async || {
        let status = world.daemon.api("/api/v1/status").await;
        status["deliveries"]["outcomes"]["accepted"].as_u64() > Some(0)
    })
    .await;
    world.until_nothing_is_left().await;
}
