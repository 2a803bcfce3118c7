//! A pool whose runners keep ending unused hires one now and then, until one gets a job.

use super::*;
use crate::Class;
use crate::state::Gate;

fn gate(ledger: &Ledger) -> Option<&Gate> {
    ledger.state.breakers.get(&"x64".into()).and_then(|breaker| breaker.gate.as_ref())
}

fn number(key: &ClassKey) -> u64 {
    let ScopeKey::Repository(id) = key.scope else { panic!() };
    id.0
}

/// The runner of a class ends, and GitHub says that its job still waits.
fn ends_unused(ledger: &mut Ledger, runner: &RunnerName) {
    let key = ledger.runner(runner).class.clone();
    let _ = ledger.child(runner, ended());
    answers(ledger, &key, &[runner]);
}

fn answers(ledger: &mut Ledger, key: &ClassKey, names: &[&RunnerName]) {
    let names: Vec<RunnerName> = names.iter().map(|name| (*name).clone()).collect();
    let waiting = ledger.state.classes[key].waiting.iter();
    let reports = waiting.map(|id| ledger.state.jobs[id].report.clone()).collect();
    let _ = ledger.step(Event::JobsSeen {
        class: key.clone(),
        names: names.clone(),
        answer: Ok(JobsOfRuns { reports, ..JobsOfRuns::default() }),
    });
    for name in &names {
        let _ = ledger.at_forge(name, AtForge::Nowhere);
    }
}

/// Time passes until somebody is dispatched.
fn next(ledger: &mut Ledger) -> RunnerName {
    loop {
        ledger.now = ledger.state.next_timer().expect("a timer");
        let effects = ledger.step(Event::Tick);
        for request in &effects.requests {
            if let Request::Mint { scope, .. } = request {
                let _ = ledger.minted(scope.clone());
            }
        }
        if let Some(runner) = dispatched(&effects).first().cloned() {
            let _ = ledger.accepted(&runner);
            return runner;
        }
    }
}

fn open() -> Ledger {
    let mut ledger = Ledger::ready(20);
    let mut runner = ledger.hires_at_nomad(1);
    ends_unused(&mut ledger, &runner);
    for _ in 0..2 {
        assert!(gate(&ledger).is_none());
        runner = next(&mut ledger);
        ends_unused(&mut ledger, &runner);
    }
    assert!(gate(&ledger).is_some());
    ledger
}

fn queued_in(ledger: &mut Ledger, number: u64) -> Effects {
    let name = format!("octo/r{number}");
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(number)));
    ledger.hears_of(repository(number, &name), report(number * 100, JobStatus::Queued))
}

#[test]
fn the_third_end_without_a_job_opens_it_with_the_reason() {
    let mut ledger = open();
    assert_eq!(gate(&ledger).unwrap().reason, "exit code 1");
    let other = queued_in(&mut ledger, 2);
    assert!(words(&other).is_empty(), "for no repository of the pool");
    let key = ClassKey { scope: ScopeKey::Repository(RepositoryId(2)), ..class() };
    let why = crate::why::class_waits(&ledger.state, &key, ledger.now).unwrap();
    assert!(why.contains("one runner at a time") && why.contains("exit code 1"), "{why}");
}

#[test]
fn runners_of_several_classes_that_end_together_count_once() {
    let mut ledger = Ledger::ready(20);
    let runners: Vec<RunnerName> = (2..8)
        .map(|number| {
            let runner = dispatched(&queued_in(&mut ledger, number))[0].clone();
            let _ = ledger.accepted(&runner);
            runner
        })
        .collect();
    ledger.now = ledger.now + MINUTE;
    for runner in &runners {
        ends_unused(&mut ledger, runner);
        ledger.now = ledger.now + Duration::from_secs(1);
    }
    assert_eq!(ledger.state.breakers[&"x64".into()].ends, 1);
    assert!(ledger.state.classes.values().all(|class: &Class| class.ended_unseen == 1));
}

#[test]
fn while_it_is_open_one_at_a_time_is_tried_with_longer_waits() {
    let mut ledger = open();
    let _ = queued_in(&mut ledger, 2);
    let _ = queued_in(&mut ledger, 3);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let since = ledger.now;
        let probe = next(&mut ledger);
        waits.push(ledger.now.since(since).as_secs());
        assert_eq!(gate(&ledger).unwrap().probe, Some(probe.clone()));
        assert!(ledger.words_within(MINUTE).is_empty(), "one at a time");
        ends_unused(&mut ledger, &probe);
    }
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(waits[4] >= 320 && waits[4] <= 660, "{waits:?}");
}

#[test]
fn any_runner_of_the_pool_that_takes_a_job_closes_it() {
    let mut ledger = Ledger::ready(20);
    let other = dispatched(&queued_in(&mut ledger, 2))[0].clone();
    let _ = ledger.accepted(&other);
    let mut runner = ledger.hires_at_nomad(1);
    for _ in 0..3 {
        ends_unused(&mut ledger, &runner);
        if gate(&ledger).is_none() {
            runner = next(&mut ledger);
        }
    }
    assert!(gate(&ledger).is_some());
    let _ =
        ledger.hears_of(repository(2, "octo/r2"), report_by(200, JobStatus::InProgress, &other));
    assert!(gate(&ledger).is_none());
    assert_eq!(number(&ledger.runner(&other).class), 2);
}

#[test]
fn a_job_that_was_taken_long_ago_and_ends_now_does_not_close_it() {
    let mut ledger = Ledger::ready(20);
    let other = dispatched(&queued_in(&mut ledger, 2))[0].clone();
    let _ = ledger.accepted(&other);
    let told = |status| report_by(200, status, &other);
    let _ = ledger.hears_of(repository(2, "octo/r2"), told(JobStatus::InProgress));
    let mut runner = ledger.hires_at_nomad(1);
    for _ in 0..3 {
        ends_unused(&mut ledger, &runner);
        if gate(&ledger).is_none() {
            runner = next(&mut ledger);
        }
    }
    let _ = ledger.hears_of(repository(2, "octo/r2"), told(JobStatus::Completed));
    assert!(gate(&ledger).is_some());
}

#[test]
fn the_next_may_try_when_the_one_that_tries_is_let_go() {
    let mut ledger = open();
    let probe = next(&mut ledger);
    assert!(words(&queued_in(&mut ledger, 2)).is_empty());
    assert_eq!(words(&ledger.cancelled(1)), ["look at placement", "dispatch"]);
    assert_ne!(gate(&ledger).unwrap().probe, Some(probe));
}

#[test]
fn the_next_may_try_when_the_one_that_tries_is_not_placed_in_time() {
    let mut ledger = open();
    let probe = next(&mut ledger);
    let _ = ledger.words_within(19 * MINUTE);
    let _ = ledger.minted(scope());
    assert_eq!(ledger.words_within(2 * MINUTE), ["look at placement", "dispatch"]);
    assert_ne!(gate(&ledger).unwrap().probe, Some(probe));
}

#[test]
fn one_of_unknown_outcome_still_tries() {
    let mut ledger = open();
    let _ = queued_in(&mut ledger, 2);
    let probe = loop {
        ledger.now = ledger.state.next_timer().unwrap();
        let effects = ledger.step(Event::Tick);
        if let Some(runner) = dispatched(&effects).first().cloned() {
            break runner;
        }
    };
    assert_eq!(words(&ledger.unknown(&probe)), ["find child"]);
    assert_eq!(gate(&ledger).unwrap().probe, Some(probe));
}

#[test]
fn ends_of_which_nothing_waits_any_more_do_not_count() {
    let mut ledger = Ledger::ready(20);
    for id in 1..9 {
        let runner = ledger.hires_at_nomad(id);
        let _ = ledger.child(&runner, ended());
        let _ = ledger.jobs_seen(&[&runner], vec![report(id, JobStatus::Completed)]);
        let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    }
    assert!(ledger.state.breakers.is_empty());
}
