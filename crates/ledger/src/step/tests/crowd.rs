//! Ten thousand jobs of one repository: an event costs no more than with a hundred, and whoever
//! else has a job is served next.

use super::*;
use crate::{RunId, work};

const MANY: u64 = 10_000;
/// Pieces of work that one event may cost, however many jobs wait. A question about ended runners
/// looks at 256 jobs; the rest is the twenty runners, some of them more than once.
const BOUND: usize = 400;

fn queued_job(id: u64, per_run: bool) -> JobReport {
    let run = RunId(1 + id / 5);
    let labels = if per_run { vec![format!("run-{run}")] } else { vec!["linux".to_owned()] };
    JobReport { run, labels, ..report(id, JobStatus::Queued) }
}

fn bounded(effects: Effects, what: &str) -> Effects {
    let done = work::done();
    assert!(done <= BOUND, "{what}: {done}");
    effects
}

fn crowd(per_run: bool) -> Ledger {
    let labels: &[&str] = if per_run { &["run-{run_id}"] } else { &["linux"] };
    let mut one = pool("x64", labels);
    one.robots_per_repository = Some(2);
    let mut ledger = Ledger::with(rules(20, vec![one])).made_ready();
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    for id in 1..=MANY {
        let effects = bounded(ledger.hears(queued_job(id, per_run)), "one more");
        for runner in dispatched(&effects) {
            let _ = ledger.accepted(&runner);
        }
    }
    assert_eq!((ledger.state.jobs.len(), ledger.state.runners.alive()), (MANY as usize, 20));
    ledger
}

/// A runner takes the job that it was launched for, does it and ends.
fn does_its_job(ledger: &mut Ledger, runner: &RunnerName, per_run: bool) -> Effects {
    let id = ledger.runner(runner).cause.unwrap().0;
    let said = |status| JobReport {
        status,
        runner_name: Some(runner.0.clone()),
        ..queued_job(id, per_run)
    };
    let _ = bounded(ledger.hears(said(JobStatus::InProgress)), "at work");
    let _ = bounded(ledger.hears(said(JobStatus::Completed)), "done");
    bounded(ledger.child(runner, ended()), "its child ended")
}

/// Somebody of repository 1 who has no job.
fn one_of_theirs(ledger: &Ledger) -> RunnerName {
    let mut runners = ledger.state.runners.values();
    let theirs = runners.find(|runner| runner.class.scope == scope() && runner.is_supply());
    theirs.unwrap().name.clone()
}

fn each_event_is_bounded(per_run: bool) {
    let mut ledger = crowd(per_run);
    for _ in 0..10 {
        let runner = one_of_theirs(&ledger);
        let next = dispatched(&does_its_job(&mut ledger, &runner, per_run));
        let [next] = &next[..] else { panic!("{next:?}") };
        let _ = bounded(ledger.accepted(next), "accepted");
    }
    let other = queued_job(1_000_000, per_run);
    let effects = ledger.hears_of(repository(2, "octo/two"), other);
    assert!(dispatched(&bounded(effects, "another's job")).is_empty(), "the room is full");
    let runner = one_of_theirs(&ledger);
    let next = dispatched(&does_its_job(&mut ledger, &runner, per_run));
    let [next] = &next[..] else { panic!("{next:?}") };
    let theirs = ScopeKey::Repository(RepositoryId(2));
    assert_eq!(ledger.runner(next).class.scope, theirs, "whoever else has a job is next");
    let _ = ledger.accepted(next);
    // One ends unseen, and GitHub is asked.
    let runner = one_of_theirs(&ledger);
    let class = ledger.runner(&runner).class.clone();
    let effects = bounded(ledger.child(&runner, ended()), "ended unseen");
    let asked = effects.requests.iter().find_map(|request| match request {
        Request::AskJobs { runs, .. } => Some(runs.clone()),
        _ => None,
    });
    let asked = asked.unwrap();
    let jobs = asked.iter().flat_map(|run| run.jobs.iter());
    let reports: Vec<JobReport> = jobs.map(|id| ledger.state.jobs[id].report.clone()).collect();
    let told = reports.len();
    let looked_at = asked.iter().map(|run| run.run).collect();
    let names = vec![runner.clone()];
    let answer = Ok(JobsOfRuns { reports, looked_at, removed: Vec::new() });
    let _ = ledger.step(Event::JobsSeen { class, names, answer });
    assert!(work::done() <= BOUND + 3 * told, "as much as the answer tells");
    let _ = bounded(ledger.at_forge(&runner, AtForge::Nowhere), "nothing is left of it");
    let _ = bounded(ledger.passes(MINUTE), "its job is tried again");
}

#[test]
fn an_event_costs_no_more_with_ten_thousand_jobs_of_one_repository() {
    each_event_is_bounded(false);
}

#[test]
fn nor_where_each_of_their_runs_is_a_class() {
    each_event_is_bounded(true);
}
