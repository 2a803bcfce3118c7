//! Questions about a class's jobs: every hold ends, absence moves nothing.

use super::*;
use crate::class::Hold;

fn with_one_ended(id: u64) -> (Ledger, RunnerName) {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(id);
    let _ = ledger.child(&runner, ended());
    (ledger, runner)
}

#[test]
fn a_question_that_fails_is_asked_again() {
    let (mut ledger, runner) = with_one_ended(1);
    let names = vec![runner.clone()];
    let answer = Err(failure("502"));
    let _ = ledger.step(Event::JobsSeen { class: class(), names, answer });
    let _ = ledger.queued(2);
    assert_eq!(ledger.words_within(MINUTE), ["ask jobs after 1 ended"]);
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Completed)]);
    assert!(words(&effects).contains(&"dispatch".into()), "for job 2, of which it says nothing");
}

#[test]
fn a_job_that_is_missing_in_the_answer_is_asked_for_by_id() {
    let (mut ledger, runner) = with_one_ended(1);
    let effects = ledger.jobs_seen(&[&runner], Vec::new());
    assert_eq!(words(&effects), ["find at forge in octo/app", "ask job 1"]);
    assert!(ledger.state.jobs.contains_key(&JobId(1)), "absence moves nothing");
}

#[test]
fn an_answer_may_name_a_runner_of_another_class() {
    let pools = vec![pool("x64", &["linux"]), pool("big", &["big"])];
    let mut ledger = Ledger::with(rules(20, pools)).made_ready();
    let big = JobReport { labels: vec!["big".into()], ..report(2, JobStatus::Queued) };
    let other = dispatched(&ledger.hears(big))[0].clone();
    let _ = ledger.accepted(&other);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.jobs_seen(&[&runner], vec![report_by(1, JobStatus::InProgress, &other)]);
    assert_eq!(ledger.runner(&other).took.unwrap().job, Some(JobId(1)));
    assert!(words(&effects).contains(&"dispatch".into()), "the big job needs another");
}

#[test]
fn an_answer_about_a_class_that_is_gone_is_folded_all_the_same() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(101);
    let gone = ClassKey { run: Some(crate::RunId(1)), ..class() };
    let reports = vec![report_by(101, JobStatus::InProgress, &runner)];
    let answer = Ok(JobsOfRuns { reports, ..JobsOfRuns::default() });
    let _ = ledger.step(Event::JobsSeen { class: gone, names: vec![], answer });
    assert!(ledger.runner(&runner).took.is_some());
}

#[test]
fn a_hold_outlives_the_last_job_so_that_a_new_one_does_not_slip_past_it() {
    let (mut ledger, runner) = with_one_ended(1);
    let _ = ledger.cancelled(1);
    assert!(matches!(ledger.state.classes[&class()].hold, Some(Hold::Asking { sent: true })));
    assert!(words(&ledger.queued(2)).is_empty());
    let _ = ledger.cancelled(2);
    let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Completed)]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    assert!(ledger.words_within(HOUR).is_empty());
    ledger.is_empty();
}

#[test]
fn nobody_looks_for_a_runner_that_is_not_accounted_for_by_an_old_timer() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let answer = Err(failure("500"));
    let _ = ledger.step(Event::ChildLookedUp { runner: runner.clone(), answer });
    let _ = ledger.words_within(MINUTE);
    let _ = ledger.looked_up(&runner, true);
    let timer = crate::state::Timer::Runner(runner.clone());
    ledger.state.set_timer(ledger.now + MINUTE, timer);
    let _ = ledger.child(&runner, ended());
    assert!(ledger.words_within(HOUR).is_empty());
}

#[test]
fn the_first_runs_asked_about_are_those_that_the_ended_were_hired_for() {
    let mut ledger = Ledger::ready(2);
    let _ = ledger.hires_at_nomad(1);
    let late = ledger.hires_at_nomad(501);
    let effects = ledger.child(&late, ended());
    let Some(Request::AskJobs { runs, .. }) = effects.requests.first() else { panic!() };
    let jobs: Vec<_> = runs.iter().flat_map(|run| run.jobs.clone()).collect();
    assert_eq!(jobs, [JobId(501), JobId(1)]);
}

#[test]
fn a_run_that_was_not_looked_at_says_nothing_of_its_jobs() {
    let mut ledger = Ledger::ready(1);
    let runner = ledger.hires_at_nomad(1);
    for id in 2..200 {
        let run = crate::RunId(1_000 + id);
        let _ = ledger.hears(JobReport { run, ..report(id, JobStatus::Queued) });
    }
    let _ = ledger.child(&runner, ended());
    let answer = Ok(JobsOfRuns {
        reports: vec![report_by(1, JobStatus::Completed, &runner)],
        looked_at: vec![report(1, JobStatus::Queued).run],
        removed: Vec::new(),
    });
    let effects = ledger.step(Event::JobsSeen { class: class(), names: vec![runner], answer });
    let asked = words(&effects).into_iter().filter(|word| word.starts_with("ask job")).count();
    assert_eq!(asked, 0, "one listing, and no request for each of 198 other jobs");
}
