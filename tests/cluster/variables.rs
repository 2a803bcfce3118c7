//! Runners whose credential lies in a Nomad Variable, on a Nomad with the jobspec that we ship: each reads
//! its own, and none is left.

use crate::support;

use std::collections::BTreeMap;
use std::time::Duration;

use roustabout::nomad::{Client, Written};
use secrecy::{ExposeSecret, SecretString};
use support::until;
use support::world::{Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

fn plan(pool: &str) -> Plan {
    Plan { pool: format!("delivery = \"variable\"\n{pool}"), ..Plan::default() }
}

async fn paths(nomad: &Client) -> Vec<String> {
    nomad.variable_paths(nomad.place(), "").await.unwrap()
}

async fn put(nomad: &Client, path: &str) {
    let secret = SecretString::from("left behind");
    let items = BTreeMap::from([("token", &secret)]);
    let written = nomad.put_variable(nomad.place(), path, &items, 0).await.unwrap();
    assert_eq!(written, Written::Done);
}

/// Every job has run, and nothing of what its runner needed is anywhere in Nomad.
async fn all_succeed_and_nothing_is_left(world: &World, jobs: Vec<u64>) {
    world.until_nothing_is_left(LIMIT).await;
    for job in jobs {
        let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
        assert_eq!(conclusion.unwrap().as_str(), "success");
    }
    until("no variable is left", LIMIT, async || paths(&world.nomad).await.is_empty()).await;
    for child in world.children().await {
        let job = world.nomad.job(world.nomad.place(), &child.id).await.unwrap();
        let path = job.meta["credential_path"].expose_secret();
        let name = job.meta["runner_name"].expose_secret();
        assert_eq!(path, format!("roustabout/x64/{name}"));
        assert!(!job.meta.contains_key("runner_token"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_runner_reads_its_token_in_a_variable_that_is_gone_afterwards() {
    let world = World::planned(plan("")).await;
    let jobs = [world.queue(world.app, 3, 200), world.queue(world.lib, 1, 200)].concat();
    all_succeed_and_nothing_is_left(&world, jobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_its_configuration() {
    let world = World::planned(plan("credential = \"jit\"")).await;
    let jobs = world.queue(world.app, 2, 200);
    all_succeed_and_nothing_is_left(&world, jobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_removed_and_what_is_anothers_stays() {
    let parts = Parts::start().await;
    let left = "roustabout/x64/roustabout-x64-0123456789abc";
    let others = ["roustabout/notes", "roustabout2/x64/roustabout2-x64-0123456789abc"];
    for path in [left].iter().chain(&others) {
        put(&parts.nomad, path).await;
    }
    let mut world = World::around(parts, plan("")).await;
    world.daemon.start().await;
    until("it is removed", LIMIT, async || paths(&world.nomad).await == others).await;
}
