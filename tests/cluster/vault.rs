//! Runners whose credential lies in a real OpenBao, with the jobspec, the policies and the role that we ship: each
//! reads its own, and none is left.

use crate::support;

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use support::parts::{Part, is_missing};
use support::until;
use support::vault_and_nomad::{self, Both, FOLDER};
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
    vault.bao.seal().await.unwrap();
    let jobs = world.queue(world.app, 5, 200);
    let why = async || {
        let all = world.daemon.api("/api/v1/jobs").await;
        let all = all.as_array().unwrap().iter();
        all.map(|job| job["reason"].to_string()).collect::<Vec<_>>()
    };
    until("the jobs say why", LIMIT, async || {
        let why = why().await;
        why.len() == 5
            && why.iter().all(|why| why.contains("credential not written: ") && why.contains("503"))
    })
    .await;
    assert!(world.children().await.is_empty());
    vault.bao.unseal().await.unwrap();
    all_succeed_and_nothing_is_left(&world, &vault, jobs).await;
    // One at a time after the first that failed.
    let failed = world.daemon.log().matches("credential not written").count();
    assert!((1..=5).contains(&failed), "{failed}");
}
