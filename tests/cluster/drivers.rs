//! The runner jobspecs that we ship, each on its driver: a stranger's job that GitHub
//! gives to one of our runners has no step run, and our own is served by the next runner.

use crate::support;

use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use simulated::github::{Conclusion, GitHub, Head, Job, JobSpec, RunSpec, Status};
use support::cluster;
use support::daemon::here;
use support::only_nomad::OnlyNomad;
use support::parts::{self, Part};
use support::root::{Docker, IMAGE, Root};
use support::world::{Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(120);
const DRIVERS: [&str; 4] = ["raw-exec", "exec", "docker", "podman"];

fn jobspec(driver: &str) -> String {
    std::fs::read_to_string(here(&format!("deploy/nomad/runner-{driver}.nomad.hcl"))).unwrap()
}

/// A world with a pool for `octo/app` alone, in organization scope, on that jobspec.
async fn world(parts: Parts, driver: &str, variables: &str) -> World {
    let place = parts.nomad.place();
    let (id, arch) = (format!("runner-{driver}"), goarch());
    let common =
        format!("job = {id:?}\narch = {arch:?}\ncpu = 100\nmemory = 128\ndisk = 101\n{variables}");
    let job = parts.nomad.parse_hcl(place, &jobspec(driver), &common).await.unwrap();
    parts.nomad.register(place, &job).await.unwrap();
    let pool = format!(
        "delivery = \"payload\"\n\n[[pools]]\nname = {driver:?}\nnomad_job = {id:?}\n\
         labels = [\"self-hosted\", {driver:?}]\nrepositories = [\"octo/app\"]\n\
         scope = \"organization\"\ndelivery = \"payload\"\n\
         events = [\"push\", \"pull_request\"]\nactors = [\"*\", \"!mallory\"]\n"
    );
    let mut world = World::around(parts, Plan { pool, ..Plan::default() }).await;
    world.daemon.start().await;
    world
}

fn goarch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// As the archive's variables want it.
async fn archive_of(parts: &Parts) -> String {
    let url = parts.github.runner_archive_url();
    let archive = reqwest::get(&url).await.unwrap().bytes().await.unwrap();
    let checksum = hex::encode(Sha256::digest(&archive));
    format!("runner_archive = {url:?}\nrunner_checksum = \"sha256:{checksum}\"\n")
}

/// A job with a step that runs always.
fn queue(world: &World, repository: u64, driver: &str, spec: RunSpec) -> u64 {
    let job = JobSpec::new("job", &["self-hosted", driver]).lasting(200).cleaning_up();
    world.github.with(|github, now| {
        let run = github.add_run(repository, spec, vec![job], now);
        github.run(run).unwrap().jobs[0]
    })
}

/// A runner of ours is given the stranger's job before any other, and it comes to nothing.
async fn is_refused(world: &World, stranger: u64) {
    let ended = |github: &GitHub| github.job(stranger).unwrap().status == Status::Completed;
    world.github.until(LIMIT, ended).await.unwrap();
    let stranger = job(world, stranger);
    assert_eq!(stranger.conclusion, Some(Conclusion::Failure));
    assert!(stranger.runner.unwrap().name.starts_with("roustabout-"));
    assert_eq!(stranger.steps_begun, [""; 0], "a stranger's step was run");
}

fn first(world: &World, job: u64) {
    world.github.with(|github, _| github.knobs.first_job = Some(job));
}

fn job(world: &World, id: u64) -> Job {
    world.github.with(|github, _| github.job(id).unwrap().clone())
}

async fn our_own_is_served(world: &World, ours: u64, children: usize) {
    world.until_nothing_is_left(LIMIT).await;
    let ours = job(world, ours);
    assert_eq!(ours.conclusion, Some(Conclusion::Success));
    assert_eq!(ours.steps_begun, ["Run", "Clean up"]);
    assert_eq!(world.children().await.len(), children);
}

async fn a_stranger_is_refused_and_our_own_served(world: World, driver: &str) {
    let stranger = queue(&world, world.lib, driver, RunSpec::default());
    first(&world, stranger);
    let ours = queue(&world, world.app, driver, RunSpec::default());
    is_refused(&world, stranger).await;
    our_own_is_served(&world, ours, 2).await;
    world.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_exec_refuses_other_repositories_and_forks_and_serves_our_own() {
    let parts = Parts::start().await;
    let variables = format!("run_as_root = true\n{}", archive_of(&parts).await);
    let world = world(parts, "raw-exec", &variables).await;
    let stranger = queue(&world, world.lib, "raw-exec", RunSpec::default());
    first(&world, stranger);
    let ours = queue(&world, world.app, "raw-exec", RunSpec::default());
    is_refused(&world, stranger).await;
    for head in [Head::Fork { id: 77, full_name: "mallory/app".to_owned() }, Head::DeletedFork] {
        let spec = RunSpec { event: "pull_request".to_owned(), head, ..RunSpec::default() };
        let fork = queue(&world, world.app, "raw-exec", spec);
        first(&world, fork);
        is_refused(&world, fork).await;
    }
    for (event, actor) in [("issue_comment", "octocat"), ("push", "mallory")] {
        let (event, actor) = (event.to_owned(), actor.to_owned());
        let refused =
            queue(&world, world.app, "raw-exec", RunSpec { event, actor, ..RunSpec::default() });
        first(&world, refused);
        is_refused(&world, refused).await;
    }
    our_own_is_served(&world, ours, 6).await;
    // One of its own, by a pull request from a branch.
    let spec = RunSpec { event: "pull_request".to_owned(), ..RunSpec::default() };
    let branch = queue(&world, world.app, "raw-exec", spec);
    our_own_is_served(&world, branch, 7).await;
    world.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_refuses_a_stranger_and_serves_our_own() {
    if OnlyNomad::Exec.nomad().is_none()
        || parts::is_missing(Part::Root, "the runner jobspec for exec")
    {
        return;
    }
    let root = Root::make();
    let chroot = root.chroot();
    let parts = Parts::with(|options| {
        options.extra_config = Some(json!({ "client": { "chroot_env": chroot } }))
    })
    .await;
    if !OnlyNomad::Exec.has_driver(&parts.agent).await {
        return;
    }
    parts.github.set_runner_binary(support::root::BINARY);
    let variables = archive_of(&parts).await;
    let world = world(parts, "exec", &variables).await;
    a_stranger_is_refused_and_our_own_served(world, "exec").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_refuses_a_stranger_and_serves_our_own() {
    if OnlyNomad::Docker.nomad().is_none()
        || parts::is_missing(Part::Docker, "the runner jobspec for docker")
    {
        return;
    }
    let docker = tokio::task::spawn_blocking(|| Docker::start(&Root::make())).await.unwrap();
    let config = json!({ "plugin": [{ "docker": [{ "config": [{
        "endpoint": docker.address(), "gc": [{ "image": false }],
    }] }] }] });
    let parts = Parts::with(|options| options.extra_config = Some(config)).await;
    if !OnlyNomad::Docker.has_driver(&parts.agent).await {
        return;
    }
    let variables = format!("image = {IMAGE:?}\nnetwork_mode = \"host\"\nrun_as_root = true\n");
    let world = world(parts, "docker", &variables).await;
    a_stranger_is_refused_and_our_own_served(world, "docker").await;
    tokio::task::spawn_blocking(move || drop(docker)).await.unwrap();
}

#[tokio::test]
async fn every_jobspec_has_one_and_the_same_hook_and_is_valid_for_both_architectures() {
    let agent = cluster::start().await;
    let nomad = support::world::client(&agent);
    let hook = support::hook_of(&jobspec("raw-exec"));
    assert!(hook.contains("kill -INT"));
    for driver in DRIVERS {
        let text = jobspec(driver);
        assert_eq!(support::hook_of(&text), hook, "{driver}");
        for arch in ["amd64", "arm64"] {
            let variables = format!("arch = {arch:?}");
            let job = nomad.parse_hcl(nomad.place(), &text, &variables).await.unwrap();
            let constraints = job["Constraints"].as_array().unwrap();
            let of_arch = ["LTarget", "RTarget", "Operand"].map(|key| {
                let first = constraints.iter().find(|it| it["LTarget"] == "${attr.cpu.arch}");
                first.map(|it| it[key].as_str().unwrap().to_owned()).unwrap_or_default()
            });
            assert_eq!(of_arch, ["${attr.cpu.arch}", arch, "="], "{driver}: {constraints:?}");
        }
    }
    agent.stop().await;
}
