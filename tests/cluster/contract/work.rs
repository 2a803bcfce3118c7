//! The daemon at work, and `check`: what they ask of GitHub goes through the judge.

use std::collections::BTreeSet;
use std::time::Duration;

use simulated::github::{HookSpec, Scope};

use crate::contract::description::{Api, Description};
use crate::contract::judge::Judge;
use crate::support::daemon::{SECRET, roustabout};
use crate::support::parts::{self, Part};
use crate::support::until;
use crate::support::world::{Parts, Plan, World};

#[tokio::test]
async fn a_daemon_at_work_keeps_to_githubs_description() {
    if parts::is_missing(Part::Descriptions, "a daemon at work by GitHub's description") {
        return;
    }
    let parts = Parts::start().await;
    let judge = Judge::before(&parts.github.url(), Api::GitHubCom).await;
    let plan = Plan {
        github: Some(judge.url()),
        github_keys: "sweep_interval = \"2s\"\nfull_sweep_interval = \"4s\"".to_owned(),
        pool: "delivery = \"payload\"\n\
               [[pools]]\nname = \"shared\"\nnomad_job = \"github-runner-x64\"\n\
               delivery = \"payload\"\nscope = \"organization\"\n\
               labels = [\"self-hosted\", \"shared\"]\nrepositories = [\"octo/*\"]"
            .to_owned(),
        ..Plan::default()
    };
    let mut world = World::around(parts, plan).await;
    let url = world.daemon.url();
    world.github.with(|github, now| {
        let organization = github.account("octo").unwrap().id;
        github.add_hook(Scope::Organization(organization), HookSpec::new(url, SECRET), now);
    });
    // While nobody is there: a delivery that fails and is fetched later.
    world.queue(world.lib, 1, 200);
    let failed = |github: &simulated::github::GitHub| {
        github.events().iter().any(|one| format!("{:?}", one.what).contains("Delivered"))
    };
    world.github.until(Duration::from_secs(30), failed).await.unwrap();

    world.daemon.start().await;
    world.queue(world.app, 2, 500);
    world.queue_for("shared", world.app, 1);
    world.until_nothing_is_left(Duration::from_secs(120)).await;
    let description = Description::read(Api::GitHubCom);
    let operations = || -> BTreeSet<String> {
        let seen = judge.seen();
        seen.iter().filter_map(|one| description.operation(&one.method, &one.path)).collect()
    };
    let deliveries = "GET /orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}";
    until("a failed delivery is fetched", Duration::from_secs(60), async || {
        operations().contains(deliveries)
    })
    .await;
    let config = world.daemon.config();
    let mut check = roustabout();
    check.arg("check").arg("--config").arg(config);
    let checked = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(world.daemon.terminate().await, Some(0));
    // What went past the judge never would be.
    until("all that was asked is judged", Duration::from_secs(30), async || {
        judge.seen().len() == world.github.with(|github, _| github.requests().len())
    })
    .await;

    let breaches = judge.breaches();
    assert!(breaches.is_empty(), "{breaches:#?}");
    for expected in [
        "POST /repos/{owner}/{repo}/actions/runners/registration-token",
        "POST /orgs/{org}/actions/runners/registration-token",
        "GET /repos/{owner}/{repo}/actions/runs",
        "GET /repos/{owner}/{repo}/actions/runners",
        "GET /orgs/{org}/actions/runners",
        "GET /user/repos",
        "GET /user",
        "GET /rate_limit",
        deliveries,
    ] {
        assert!(operations().contains(expected), "{expected} is not in {:#?}", operations());
    }
}
