//! The rules of registration, assignment and deletion.
//! In the model alone: no server, time is a number.

use super::*;
use crate::github::model::tests::World;
use crate::github::model::{HOUR, MINUTE, SECOND};
use crate::github::repositories::Visibility;
use crate::github::runs::{JobSpec, RunSpec};

#[test]
fn a_token_registers_many_runners_until_its_hour_is_over() {
    let mut world = World::new();
    let asked = world.registration("one", &["x64"], 0);
    assert!(world.gh.register(&asked, 1).is_ok());
    let again = Registration { name: "two".to_owned(), ..asked.clone() };
    assert!(world.gh.register(&again, HOUR - 1).is_ok());
    let late = Registration { name: "three".to_owned(), ..asked.clone() };
    assert_eq!(world.gh.register(&late, HOUR).unwrap_err().status, 401);
    let unknown = Registration { token: "X".to_owned(), ..asked };
    assert_eq!(world.gh.register(&unknown, 1).unwrap_err().status, 404);
}

#[test]
fn a_token_of_another_scope_is_refused() {
    let mut world = World::new();
    let mut asked = world.registration("one", &["x64"], 0);
    world.gh.add_repository("octocat/other", Visibility::Private, 0);
    asked.url = "http://github.test/octocat/other".to_owned();
    assert_eq!(world.gh.register(&asked, 1).unwrap_err().status, 404);
}

#[test]
fn a_name_is_taken_once_in_its_scope() {
    let mut world = World::new();
    world.runner("r", &["x64"], 0);
    let mut asked = world.registration("r", &["x64"], 1);
    let refusal = world.gh.register(&asked, 1).unwrap_err();
    assert_eq!(refusal.status, 409);
    assert_eq!(refusal.message, "Already exists - A runner with the name r already exists.");
    asked.replace = true;
    assert!(world.gh.register(&asked, 2).is_ok());
    assert_eq!(world.gh.runners_of(world.scope).count(), 1);
}

#[test]
fn labels_cover_a_job_whatever_their_case() {
    let mut world = World::new();
    let job = world.job("build", &["Self-Hosted", "GPU"], 0);
    world.job("nowhere", &[], 0);
    let lacking = world.runner("a", &["self-hosted"], 1);
    assert_eq!(world.take(&lacking, 1), None);
    let covering = world.runner("b", &["self-hosted", "linux", "gpu"], 1);
    assert_eq!(world.take(&covering, 1), Some(job));
}

#[test]
fn any_of_the_waiting_jobs_may_be_drawn() {
    let mut drawn = std::collections::BTreeSet::new();
    let mut world = World::new();
    let jobs: Vec<u64> = (0..3).map(|_| world.job("build", &["x64"], 0)).collect();
    for n in 0..30 {
        let runner = world.runner(&format!("r{n}"), &["x64"], n);
        let job = world.take(&runner, n).unwrap();
        drawn.insert(job);
        world.gh.take_back(job, n);
        world.gh.drop_runner(runner.id, "test", n);
    }
    assert_eq!(drawn.len(), jobs.len());
}

#[test]
fn an_ephemeral_runner_is_gone_after_one_job() {
    let mut world = World::new();
    let job = world.job("build", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    assert_eq!(world.start(&runner, 2), Some(job));
    assert_eq!(world.gh.job(job).unwrap().runner.as_ref().unwrap().name, "r");
    assert!(world.gh.finished(runner.id, &runner.secret, job, Conclusion::Success, 3));
    assert_eq!(world.poll(&runner, 4), Poll::Gone);
    assert!(world.gh.leftovers().is_empty());
}

#[test]
fn busy_lags_and_a_deletion_meanwhile_succeeds_though_the_job_goes_on() {
    let mut world = World::new();
    world.gh.knobs.busy_lag_max = MINUTE;
    let job = world.job("build", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    world.start(&runner, 2).unwrap();
    if let Some(given) = &mut world.gh.runners.get_mut(&runner.id).unwrap().job {
        given.lag = 30 * SECOND;
    }
    assert!(!world.gh.runner(runner.id).unwrap().shows_busy(10 * SECOND));
    let deleted = world.gh.delete_runner(world.scope, runner.id, 10 * SECOND);
    assert_eq!(deleted, Deletion::Deleted);
    assert_eq!(world.gh.runners_of(world.scope).count(), 0);
    assert_eq!(world.gh.delete_runner(world.scope, runner.id, MINUTE), Deletion::Unknown);
    assert!(world.gh.finished(runner.id, &runner.secret, job, Conclusion::Success, MINUTE));
    assert_eq!(world.gh.job(job).unwrap().conclusion, Some(Conclusion::Success));
    assert!(world.gh.leftovers().is_empty());
}

#[test]
fn a_runner_that_shows_busy_cannot_be_deleted() {
    let mut world = World::new();
    world.job("build", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    world.start(&runner, 2).unwrap();
    assert_eq!(world.gh.delete_runner(world.scope, runner.id, 2), Deletion::Busy);
}

#[test]
fn an_idle_runner_that_was_deleted_is_told_so() {
    let mut world = World::new();
    let runner = world.runner("r", &["x64"], 1);
    assert_eq!(world.gh.delete_runner(world.scope, runner.id, 2), Deletion::Deleted);
    assert_eq!(world.poll(&runner, 3), Poll::Gone);
    assert_eq!(world.gh.delete_runner(world.scope, runner.id, 4), Deletion::Unknown);
}

#[test]
fn a_job_that_is_not_picked_up_is_queued_again() {
    let mut world = World::new();
    let job = world.job("build", &["x64"], 0);
    world.runner("dead", &["x64"], 1);
    world.gh.assign(2);
    assert!(world.gh.queue.is_empty());
    world.gh.tick(2 + MINUTE);
    assert!(world.gh.queue.contains(&job));
    let alive = world.runner("alive", &["x64"], 2 + MINUTE);
    assert_eq!(world.take(&alive, 2 + MINUTE), Some(job));
}

#[test]
fn a_job_fails_when_its_runner_shows_no_sign_of_life() {
    let mut world = World::new();
    let job = world.job("build", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    world.start(&runner, 2).unwrap();
    world.gh.tick(2 + world.gh.knobs.lost_after - 1);
    assert_eq!(world.gh.job(job).unwrap().status, Status::InProgress);
    world.gh.tick(2 + world.gh.knobs.lost_after);
    assert_eq!(world.gh.job(job).unwrap().conclusion, Some(Conclusion::Failure));
    assert!(world.gh.leftovers().is_empty());
}

#[test]
fn an_offline_ephemeral_runner_goes_after_a_day() {
    let mut world = World::new();
    world.runner("r", &["x64"], 0);
    world.gh.tick(DAY - 1);
    assert_eq!(world.gh.runners_of(world.scope).count(), 1);
    world.gh.tick(DAY);
    assert_eq!(world.gh.runners_of(world.scope).count(), 0);
}

#[test]
fn an_outdated_runner_gets_no_job() {
    let mut world = World::new();
    world.job("build", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    world.gh.knobs.runner_deprecated = true;
    world.gh.assign(2);
    assert_eq!(world.poll(&runner, 2), Poll::Deprecated);
}

#[test]
fn an_organizations_runner_serves_its_private_repositories_and_public_ones_only_if_allowed() {
    let mut world = World::new();
    let organization = world.gh.add_organization("octo", &[world.user]);
    world.scope = Scope::Organization(organization);
    world.repository = world.gh.add_repository("octo/site", Visibility::Public, 0);
    let public = world.job("public", &["x64"], 0);
    let runner = world.runner("r", &["x64"], 1);
    assert_eq!(world.take(&runner, 1), None);
    world.gh.allow_public_repositories(organization, true);
    assert_eq!(world.take(&runner, 1), Some(public));

    world.gh.allow_public_repositories(organization, false);
    let secret = world.gh.add_repository("octo/secret", Visibility::Private, 0);
    let jobs = vec![JobSpec::new("private", &["x64"])];
    world.gh.add_run(secret, RunSpec::default(), jobs, 2);
    let other = world.runner("s", &["x64"], 2);
    assert!(world.take(&other, 2).is_some());
}

#[test]
fn a_removal_token_unregisters_and_a_registration_token_does_not() {
    let mut world = World::new();
    let runner = world.runner("r", &["x64"], 0);
    let (wrong, _) = world.gh.mint_runner_token(world.scope, Purpose::Register, 1);
    assert_eq!(world.gh.unregister(runner.id, &wrong, 1).unwrap_err().status, 404);
    let (token, _) = world.gh.mint_runner_token(world.scope, Purpose::Remove, 1);
    assert_eq!(world.gh.unregister(runner.id, &token, 1), Ok(()));
    assert!(world.gh.leftovers().is_empty());
}
