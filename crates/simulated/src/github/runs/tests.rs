//! The rules of runs and jobs, told by the events that are sent.
//! In the model alone: no server, time is a number.

use serde_json::Value;

use super::*;
use crate::github::hooks::HookSpec;
use crate::github::model::HOUR;
use crate::github::model::tests::World;

/// A world with a hook; pings are dropped.
fn hooked() -> World {
    let mut world = World::new();
    let spec = HookSpec::new("http://127.0.0.1:9/webhook", "s");
    world.gh.add_hook(world.scope, spec, 0);
    world.gh.take_deliveries(0);
    world
}

/// `action/status/conclusion` of each event since the last look.
fn sent(world: &mut World, now: Millis) -> Vec<String> {
    payloads(world, now)
        .iter()
        .map(|event| {
            let job = &event["workflow_job"];
            let words = [&event["action"], &job["status"], &job["conclusion"]];
            words.map(|word| word.as_str().unwrap_or("-")).join("/")
        })
        .collect()
}

fn payloads(world: &mut World, now: Millis) -> Vec<Value> {
    let deliveries = world.gh.take_deliveries(now);
    deliveries.iter().map(|one| serde_json::from_str(&one.body).unwrap()).collect()
}

#[test]
fn a_job_with_an_environment_is_queued_twice_under_one_id() {
    let mut world = hooked();
    let job = world.jobs(vec![JobSpec::new("deploy", &["x64"]).waiting()], 0)[0];
    assert_eq!(sent(&mut world, 0), ["queued/waiting/-", "waiting/waiting/-"]);
    let runner = world.runner("r", &["x64"], 1);
    assert_eq!(world.take(&runner, 1), None);
    world.gh.approve_job(job, 2);
    assert_eq!(sent(&mut world, 2), ["queued/queued/-"]);
    assert_eq!(world.take(&runner, 3), Some(job));
}

#[test]
fn a_cancelled_queued_job_completes_without_a_runner() {
    let mut world = hooked();
    let jobs: Vec<u64> = (0..20).map(|n| world.job("build", &["x64"], n)).collect();
    world.gh.take_deliveries(20);
    for job in jobs {
        world.gh.cancel_job(job, 30);
    }
    let events = payloads(&mut world, 30);
    let names: Vec<&Value> = events.iter().map(|one| &one["workflow_job"]["runner_name"]).collect();
    assert!(names.contains(&&Value::Null) && names.contains(&&Value::from("")), "{names:?}");
    assert!(events.iter().all(|one| one["workflow_job"]["conclusion"] == "cancelled"));
}

#[test]
fn a_cancelled_running_job_ends_when_its_runner_has_heard_of_it() {
    let mut world = hooked();
    let job = world.job("build", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    assert_eq!(world.start(&runner, 2), Some(job));
    world.gh.cancel_job(job, 3);
    assert_eq!(world.gh.job(job).unwrap().status, Status::InProgress);
    let beat = world.gh.beat(runner.id, &runner.secret, job, 4);
    assert_eq!(beat, crate::protocol::Beat::Cancelled);
    world.gh.finished(runner.id, &runner.secret, job, Conclusion::Success, 5);
    assert_eq!(
        sent(&mut world, 5),
        ["queued/queued/-", "in_progress/in_progress/-", "completed/completed/cancelled"]
    );
}

#[test]
fn a_job_cancelled_before_its_start_leaves_its_runner_idle() {
    let mut world = hooked();
    let job = world.job("build", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    assert_eq!(world.take(&runner, 2), Some(job));
    world.gh.cancel_job(job, 3);
    assert!(!world.gh.started(runner.id, &runner.secret, job, 4));
    let next = world.job("test", &["x64"], 5);
    assert_eq!(world.take(&runner, 5), Some(next));
}

#[test]
fn a_skipped_job_only_completes() {
    let mut world = hooked();
    world.jobs(vec![JobSpec::new("build", &["x64"]).concluding(Conclusion::Skipped)], 0);
    assert_eq!(sent(&mut world, 0), ["completed/completed/skipped"]);
}

#[test]
fn a_rerun_of_failed_jobs_completes_the_others_anew() {
    let mut world = hooked();
    let specs = vec![
        JobSpec::new("good", &["a"]),
        JobSpec::new("bad", &["b"]).concluding(Conclusion::Failure),
    ];
    let jobs = world.jobs(specs, 0);
    for (label, conclusion) in [("a", Conclusion::Success), ("b", Conclusion::Failure)] {
        let runner = world.runner(label, &[label], 1);
        let job = world.start(&runner, 1).unwrap();
        world.gh.finished(runner.id, &runner.secret, job, conclusion, 2);
    }
    world.gh.take_deliveries(2);
    let run = world.gh.job(jobs[0]).unwrap().run;
    world.gh.rerun(run, true, 3);
    let mut events = sent(&mut world, 3);
    events.sort();
    assert_eq!(events, ["completed/completed/success", "queued/queued/-"]);
    let run = world.gh.run(run).unwrap();
    assert_eq!((run.attempt, run.jobs.len()), (2, 4));
    let copy = world.gh.jobs_of(run, 2)[0];
    assert_eq!(copy.runner.as_ref().unwrap().name, "a");
    assert!(!jobs.contains(&copy.id));
    assert_eq!(world.gh.run_status(run), (Status::InProgress, None));
}

#[test]
fn an_unapproved_run_has_no_jobs_and_sends_nothing() {
    let mut world = hooked();
    let spec = RunSpec { needs_approval: true, ..RunSpec::default() };
    let run = world.gh.add_run(world.repository, spec, vec![JobSpec::new("t", &["x64"])], 0);
    let found = world.gh.run(run).unwrap();
    let status = world.gh.run_status(found);
    assert_eq!(status, (Status::Completed, Some(Conclusion::ActionRequired)));
    assert!(sent(&mut world, 0).is_empty());
    world.gh.approve_run(run, 1);
    assert_eq!(sent(&mut world, 1), ["queued/queued/-"]);
}

#[test]
fn a_job_is_cancelled_after_a_day_in_the_queue() {
    let mut world = hooked();
    let job = world.job("build", &["nobody-has-this"], 0);
    world.gh.tick(24 * HOUR - 1);
    assert_eq!(world.gh.job(job).unwrap().status, Status::Queued);
    world.gh.tick(24 * HOUR);
    assert_eq!(world.gh.job(job).unwrap().conclusion, Some(Conclusion::Cancelled));
}

#[test]
fn ids_are_as_large_as_the_real_ones() {
    let mut world = World::new();
    assert!(world.job("build", &["x64"], 0) > 1 << 32);
}
