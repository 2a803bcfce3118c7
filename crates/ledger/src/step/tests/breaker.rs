//! Ends without a job count against what they follow from: one job, one scope, or the pool.

use super::*;
use crate::breaker::Source;
use crate::state::Gate;

fn of(scope: Option<u64>) -> BreakerKey {
    let scope = scope.map(|number| ScopeKey::Repository(RepositoryId(number)));
    BreakerKey { pool: "x64".into(), scope }
}

fn pools(ledger: &Ledger) -> Option<&Gate> {
    ledger.state.breakers.get(&of(None)).and_then(|breaker| breaker.gate.as_ref())
}

fn scopes(ledger: &Ledger, number: u64) -> Option<&Gate> {
    ledger.state.breakers.get(&of(Some(number))).and_then(|breaker| breaker.gate.as_ref())
}

fn class_of(number: u64) -> ClassKey {
    ClassKey { scope: ScopeKey::Repository(RepositoryId(number)), ..class() }
}

/// These runners of a class end, and GitHub says that its jobs still wait.
fn end_unused(ledger: &mut Ledger, runners: &[&RunnerName]) {
    let key = ledger.runner(runners[0]).class.clone();
    let ends = runners.iter().map(|runner| ((*runner).clone(), ended())).collect();
    let _ = ledger.step(children_seen(ends));
    let waiting = ledger.state.classes[&key].waiting.iter();
    let reports = waiting.map(|id| ledger.state.jobs[id].report.clone()).collect();
    let names: Vec<RunnerName> = runners.iter().map(|name| (*name).clone()).collect();
    let answer = Ok(JobsOfRuns { reports, ..JobsOfRuns::default() });
    let _ = ledger.step(Event::JobsSeen { class: key, names: names.clone(), answer });
    for name in &names {
        let _ = ledger.at_forge(name, AtForge::Nowhere);
    }
}

fn ends_unused(ledger: &mut Ledger, runner: &RunnerName) {
    end_unused(ledger, &[runner]);
}

/// Time passes until somebody is dispatched, and Nomad has it.
fn next(ledger: &mut Ledger) -> RunnerName {
    let runners = sent_next(ledger);
    for runner in &runners {
        let _ = ledger.accepted(runner);
    }
    runners[0].clone()
}

/// Time passes until requests are sent.
fn sent_next(ledger: &mut Ledger) -> Vec<RunnerName> {
    loop {
        ledger.now = ledger.now.max(ledger.state.next_timer().expect("a timer"));
        let effects = ledger.step(Event::Tick);
        for request in &effects.requests {
            if let Request::Mint { scope, .. } = request {
                let _ = ledger.minted(scope.clone());
            }
        }
        let runners = dispatched(&effects);
        if !runners.is_empty() {
            return runners;
        }
    }
}

/// One more job of a repository, and who is dispatched for it.
fn queued_in(ledger: &mut Ledger, number: u64, job: u64) -> Vec<RunnerName> {
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(number)));
    let report = report(number * 1000 + job, JobStatus::Queued);
    let effects = ledger.hears_of(repository(number, &format!("octo/r{number}")), report);
    let runners = dispatched(&effects);
    for runner in &runners {
        let _ = ledger.accepted(runner);
    }
    runners
}

fn hired_in(ledger: &mut Ledger, number: u64, job: u64) -> RunnerName {
    let runners = queued_in(ledger, number, job);
    let [runner] = &runners[..] else { panic!("{runners:?} for {number}") };
    runner.clone()
}

fn takes(ledger: &mut Ledger, runner: &RunnerName, number: u64, job: u64) {
    let report = report_by(number * 1000 + job, JobStatus::InProgress, runner);
    let _ = ledger.hears_of(repository(number, &format!("octo/r{number}")), report);
}

/// The runners of three repositories have ended, one after the other.
fn open() -> Ledger {
    let mut ledger = Ledger::ready(20);
    for number in 1..=3 {
        assert!(pools(&ledger).is_none());
        ledger.now = ledger.now + Duration::from_secs(1);
        let runner = hired_in(&mut ledger, number, 1);
        ledger.now = ledger.now + Duration::from_secs(1);
        ends_unused(&mut ledger, &runner);
    }
    assert!(pools(&ledger).is_some());
    ledger
}

#[test]
fn a_job_whose_runners_keep_ending_holds_up_nobody_else() {
    let mut ledger = Ledger::ready(20);
    let mut runner = hired_in(&mut ledger, 1, 1);
    let mut waits = Vec::new();
    for round in 2..8 {
        ends_unused(&mut ledger, &runner);
        // The next job of the same repository, and one of another.
        for number in [1, 2] {
            let other = hired_in(&mut ledger, number, round);
            takes(&mut ledger, &other, number, round);
        }
        let since = ledger.now;
        runner = next(&mut ledger);
        assert_eq!(ledger.runner(&runner).cause, Some(JobId(1001)));
        waits.push(ledger.now.since(since).as_secs());
    }
    assert!(waits.is_sorted() && waits[0] >= 10 && waits[5] >= 320, "{waits:?}");
    assert!(pools(&ledger).is_none() && scopes(&ledger, 1).is_none());
}

#[test]
fn it_says_why_it_gives_up_its_place() {
    let mut ledger = Ledger::ready(20);
    let runner = hired_in(&mut ledger, 1, 1);
    ends_unused(&mut ledger, &runner);
    let why = ledger.waits();
    assert!(why.contains("launched for this job") && why.contains("exit code 1"), "{why}");
    let _ = hired_in(&mut ledger, 1, 2);
    let job_of = |ledger: &Ledger| ledger.state.jobs[&JobId(1001)].clone();
    let own = |ledger: &Ledger| {
        crate::why::job_waits(&ledger.state, &class(), &job_of(ledger), ledger.now).unwrap()
    };
    assert!(own(&ledger).contains("other jobs go first"), "{}", own(&ledger));
    let _ = ledger.step(Event::Pause { pool: "x64".into(), until: None });
    assert_eq!(own(&ledger), "pool x64 is paused", "and no time is promised");
}

#[test]
fn a_runner_that_takes_another_job_clears_the_one_it_was_launched_for() {
    let mut ledger = Ledger::ready(20);
    let runner = hired_in(&mut ledger, 1, 1);
    ends_unused(&mut ledger, &runner);
    let runner = next(&mut ledger);
    takes(&mut ledger, &runner, 1, 2);
    assert_eq!(ledger.state.jobs[&JobId(1001)].in_vain, None);
}

#[test]
fn runners_of_two_jobs_that_end_are_their_repositorys_trouble_and_nobody_elses() {
    let mut ledger = Ledger::ready(20);
    let one = hired_in(&mut ledger, 1, 1);
    let two = hired_in(&mut ledger, 1, 2);
    end_unused(&mut ledger, &[&one, &two]);
    assert!(scopes(&ledger, 1).is_some() && pools(&ledger).is_none());
    assert!(queued_in(&mut ledger, 1, 3).is_empty(), "no job of the repository");
    let _ = hired_in(&mut ledger, 2, 1);
    let why = ledger.waits();
    assert!(why.contains("octo/r1 in pool x64") && why.contains("exit code 1"), "{why}");
}

#[test]
fn a_repository_whose_runners_go_on_ending_gets_one_at_a_time() {
    let mut ledger = Ledger::ready(20);
    let runners: Vec<RunnerName> = (1..=5).map(|job| hired_in(&mut ledger, 1, job)).collect();
    end_unused(&mut ledger, &runners.iter().collect::<Vec<_>>());
    for _ in 0..2 {
        let _ = next(&mut ledger);
        ledger.now = ledger.now + Duration::from_secs(5);
        let _ = ledger.step(Event::Tick);
        let all: Vec<RunnerName> = ledger.state.runners.keys().cloned().collect();
        for name in &all {
            if ledger.runner(name).child.is_none() {
                let _ = ledger.accepted(name);
            }
        }
        end_unused(&mut ledger, &all.iter().collect::<Vec<_>>());
    }
    assert!(ledger.state.breakers[&of(Some(1))].is_open());
    let mut waits = Vec::new();
    for _ in 0..4 {
        let since = ledger.now;
        let probe = next(&mut ledger);
        waits.push(ledger.now.since(since).as_secs());
        assert!(ledger.words_within(MINUTE).is_empty(), "one at a time");
        ends_unused(&mut ledger, &probe);
    }
    assert!(waits.is_sorted() && waits[3] >= 320 && waits[3] <= 660, "{waits:?}");
    assert!(pools(&ledger).is_none());
    // And all that waited goes on as soon as one works.
    let probe = next(&mut ledger);
    let cause = ledger.runner(&probe).cause.unwrap().0 - 1000;
    takes(&mut ledger, &probe, 1, cause);
    assert!(scopes(&ledger, 1).is_none());
    assert_eq!(ledger.state.runners.counts(&class()).supply, 4);
}

#[test]
fn the_runners_of_a_third_repository_that_end_open_the_pools_with_the_reason() {
    let mut ledger = open();
    assert_eq!(pools(&ledger).unwrap().reason, "exit code 1");
    let why = crate::why::class_waits(&ledger.state, &class_of(2), ledger.now).unwrap();
    assert!(why.contains("launched for this job"), "{why}");
    let _ = queued_in(&mut ledger, 2, 2);
    let why = crate::why::class_waits(&ledger.state, &class_of(2), ledger.now).unwrap();
    assert!(why.contains("one runner at a time") && why.contains("exit code 1"), "{why}");
}

#[test]
fn a_repository_that_has_not_failed_is_tried_at_once_and_closes_it() {
    let mut ledger = open();
    assert!(queued_in(&mut ledger, 2, 2).is_empty(), "it has failed");
    let fourth = hired_in(&mut ledger, 4, 1);
    assert!(queued_in(&mut ledger, 5, 1).is_empty(), "one at a time");
    takes(&mut ledger, &fourth, 4, 1);
    assert!(pools(&ledger).is_none());
    let supply = |number| ledger.state.runners.counts(&class_of(number)).supply;
    assert_eq!((supply(5), supply(2)), (1, 2), "everybody goes on");
}

#[test]
fn runners_of_several_classes_that_end_together_count_once() {
    let mut ledger = Ledger::ready(20);
    let runners: Vec<RunnerName> = (2..8).map(|number| hired_in(&mut ledger, number, 1)).collect();
    ledger.now = ledger.now + MINUTE;
    for runner in &runners {
        ends_unused(&mut ledger, runner);
        ledger.now = ledger.now + Duration::from_secs(1);
    }
    assert_eq!(ledger.state.breakers[&of(None)].ends, 1);
    assert!(pools(&ledger).is_none());
}

#[test]
fn while_it_is_open_one_at_a_time_is_tried_with_longer_waits() {
    let mut ledger = open();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let since = ledger.now;
        let probe = next(&mut ledger);
        waits.push(ledger.now.since(since).as_secs());
        assert_eq!(pools(&ledger).unwrap().probe, Some(probe.clone()));
        assert!(ledger.words_within(MINUTE).is_empty(), "one at a time");
        ends_unused(&mut ledger, &probe);
    }
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(waits[4] >= 320 && waits[4] <= 660, "{waits:?}");
}

#[test]
fn a_job_that_was_taken_long_ago_and_ends_now_does_not_close_it() {
    let mut ledger = Ledger::ready(20);
    let other = hired_in(&mut ledger, 9, 1);
    takes(&mut ledger, &other, 9, 1);
    for number in 1..=3 {
        ledger.now = ledger.now + Duration::from_secs(1);
        let runner = hired_in(&mut ledger, number, 1);
        ledger.now = ledger.now + Duration::from_secs(1);
        ends_unused(&mut ledger, &runner);
    }
    let done = report_by(9001, JobStatus::Completed, &other);
    let _ = ledger.hears_of(repository(9, "octo/r9"), done);
    assert!(pools(&ledger).is_some());
}

#[test]
fn the_next_may_try_when_the_one_that_tries_is_let_go() {
    let mut ledger = open();
    let probe = next(&mut ledger);
    let (number, job) = match ledger.runner(&probe).class.scope {
        ScopeKey::Repository(id) => (id.0, id.0 * 1000 + 1),
        ScopeKey::Organization(_) => panic!(),
    };
    assert!(queued_in(&mut ledger, 8, 1).is_empty());
    let cancelled = report(job, JobStatus::Completed);
    let effects = ledger.hears_of(repository(number, &format!("octo/r{number}")), cancelled);
    assert_eq!(words(&effects), ["look at placement", "dispatch"]);
    assert_ne!(pools(&ledger).unwrap().probe, Some(probe));
}

#[test]
fn the_next_may_try_when_the_one_that_tries_is_not_placed_in_time() {
    let mut ledger = open();
    let probe = next(&mut ledger);
    let _ = ledger.words_within(19 * MINUTE);
    for number in 1..=3 {
        let _ = ledger.minted(ScopeKey::Repository(RepositoryId(number)));
    }
    assert_eq!(ledger.words_within(2 * MINUTE), ["look at placement", "dispatch"]);
    assert_ne!(pools(&ledger).unwrap().probe, Some(probe));
}

#[test]
fn one_of_unknown_outcome_still_tries() {
    let mut ledger = open();
    let probe = loop {
        ledger.now = ledger.state.next_timer().unwrap();
        let effects = ledger.step(Event::Tick);
        if let Some(runner) = dispatched(&effects).first().cloned() {
            break runner;
        }
    };
    assert_eq!(words(&ledger.unknown(&probe)), ["find child"]);
    assert_eq!(pools(&ledger).unwrap().probe, Some(probe));
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

#[test]
fn nothing_is_remembered_of_a_repository_where_nothing_waits() {
    let mut ledger = Ledger::ready(20);
    let one = hired_in(&mut ledger, 1, 1);
    let two = hired_in(&mut ledger, 1, 2);
    end_unused(&mut ledger, &[&one, &two]);
    for job in [1001, 1002] {
        let _ = ledger.hears_of(repository(1, "octo/r1"), report(job, JobStatus::Completed));
    }
    assert!(scopes(&ledger, 1).is_some(), "a new job does not slip past it");
    assert!(queued_in(&mut ledger, 1, 3).is_empty());
    let _ = ledger.hears_of(repository(1, "octo/r1"), report(1003, JobStatus::Completed));
    let _ = ledger.words_within(HOUR);
    assert!(!ledger.state.breakers.contains_key(&of(Some(1))));
    assert!(!ledger.rows.breakers.contains_key(&of(Some(1))));
}

/// Whatever has failed is not tried sooner because the daemon was started again.
#[test]
fn a_restart_forgets_no_pause() {
    let mut one = Ledger::ready(20);
    let runner = hired_in(&mut one, 1, 1);
    ends_unused(&mut one, &runner);
    let mut scope = Ledger::ready(20);
    let two = [hired_in(&mut scope, 1, 1), hired_in(&mut scope, 1, 2)];
    end_unused(&mut scope, &[&two[0], &two[1]]);
    for (what, mut ledger) in [("job", one), ("scope", scope), ("pool", open())] {
        let launched = |ledger: &mut Ledger| {
            let mut effects = ledger.restart();
            effects.requests.extend(ledger.step(children_seen(Vec::new())).requests);
            for number in 1..=3 {
                let minted = ledger.minted(ScopeKey::Repository(RepositoryId(number)));
                effects.requests.extend(minted.requests);
            }
            dispatched(&effects).len()
        };
        assert_eq!(launched(&mut ledger), 0, "{what}");
        let _ = ledger.words_within(Duration::from_secs(5));
        assert_eq!(launched(&mut ledger), 0, "{what}");
        let runner = next(&mut ledger);
        assert!(ledger.runner(&runner).cause.is_some(), "{what}");
    }
}

#[test]
fn after_a_restart_the_one_that_tries_still_tries_alone() {
    let mut ledger = open();
    let probe = next(&mut ledger);
    let _ = ledger.restart();
    let _ = ledger.step(children_seen(Vec::new()));
    assert_eq!(pools(&ledger).unwrap().probe, Some(probe));
    assert!(queued_in(&mut ledger, 7, 1).is_empty());
}

#[test]
fn a_pause_that_was_written_under_a_clock_far_ahead_is_not_believed() {
    let mut ledger = open();
    ledger.now = Time(ledger.now.0 - 40 * 24 * 3_600_000);
    let _ = ledger.restart();
    let _ = ledger.step(children_seen(Vec::new()));
    let since = ledger.now;
    let minted = ledger.minted(scope());
    assert!(dispatched(&minted).is_empty());
    let _ = next(&mut ledger);
    assert!(ledger.now.since(since) <= 12 * MINUTE, "{:?}", ledger.now.since(since));
}

#[test]
fn what_another_parameterized_job_did_says_nothing() {
    let mut ledger = open();
    let mut rules = ledger.state.rules.clone();
    rules.pools[0].nomad_job = "github-runner-new".into();
    let effects = ledger.step(Event::Rules(Box::new(rules)));
    assert_eq!(dispatched(&effects).len(), 3, "all are tried at once");
    assert!(ledger.state.breakers.is_empty() && ledger.rows.breakers.is_empty());
}

#[test]
fn no_more_sources_are_kept_than_matter() {
    let mut ledger = Ledger::ready(20);
    let runners: Vec<RunnerName> = (1..=15).map(|job| hired_in(&mut ledger, 1, job)).collect();
    end_unused(&mut ledger, &runners.iter().collect::<Vec<_>>());
    let from = &ledger.state.breakers[&of(Some(1))].from;
    assert!(from.len() == 3 && from.iter().all(|source| matches!(source, Source::Job(_))));
}

#[test]
fn one_job_that_fails_again_and_again_counts_once_against_its_repository() {
    let mut ledger = Ledger::ready(20);
    let mut runner = hired_in(&mut ledger, 1, 1);
    for _ in 0..4 {
        ends_unused(&mut ledger, &runner);
        runner = next(&mut ledger);
    }
    let other = hired_in(&mut ledger, 1, 2);
    ledger.now = ledger.now + Duration::from_secs(1);
    ends_unused(&mut ledger, &other);
    let breaker = &ledger.state.breakers[&of(Some(1))];
    assert_eq!(breaker.ends, 2);
    assert!(breaker.gate.is_some() && !breaker.is_open());
}

#[test]
fn two_repositories_in_trouble_do_not_close_the_pool_to_a_third() {
    let mut ledger = Ledger::ready(20);
    let mut runners: Vec<RunnerName> =
        [1, 2].into_iter().map(|number| hired_in(&mut ledger, number, 1)).collect();
    for _ in 0..8 {
        let runner = runners.remove(0);
        ledger.now = ledger.now + Duration::from_secs(1);
        ends_unused(&mut ledger, &runner);
        runners.push(next(&mut ledger));
    }
    assert!(ledger.state.breakers[&of(None)].ends >= 3);
    assert!(pools(&ledger).is_none());
    let _ = hired_in(&mut ledger, 3, 1);
}

#[test]
fn a_runner_that_ends_without_a_job_is_warned_of_from_the_first_on() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    let mut warned = effects.happenings.iter().filter(|it| it.what.is_warning());
    let how = "exit code 1".to_owned();
    assert_eq!(warned.next().unwrap().what, crate::Happened::RunnerEndedWithoutJob { how });
}

/// Else a job with a long name closes its pool for everybody.
#[test]
fn a_dispatch_that_is_too_large_holds_its_job_and_nobody_else() {
    let mut ledger = Ledger::ready(20);
    let reason = || "the payload is over Nomad's limit".to_owned();
    let mut large = ledger.hires(1);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        assert_eq!(ledger.runner(&large).cause, Some(JobId(1)));
        let effects = ledger.outcome(&large, DispatchOutcome::TooLarge { reason: reason() });
        assert!(words(&effects).is_empty(), "not again at once: {:?}", words(&effects));
        let warned = effects.happenings.iter().filter(|it| it.what.is_warning());
        assert_eq!(warned.count(), 1);
        assert_eq!(ledger.state.runners.len(), 0, "it is no runner any more");
        assert!(ledger.state.refusals.is_empty() && pools(&ledger).is_none(), "the pool is open");
        assert!(ledger.waits().contains(&reason()), "{}", ledger.waits());
        let since = ledger.now;
        large = sent_next(&mut ledger)[0].clone();
        pauses.push(ledger.now.since(since));
    }
    assert!(pauses[0] > Duration::ZERO && pauses.is_sorted(), "{pauses:?}");
    let _ = ledger.outcome(&large, DispatchOutcome::TooLarge { reason: reason() });
    let other = ledger.hires_at_nomad(2);
    assert_eq!(ledger.runner(&other).cause, Some(JobId(2)));
}

/// Its first request may have made a child: that is looked up before it is let go.
#[test]
fn one_that_was_sent_before_is_looked_up_when_it_is_too_large() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    let _ = ledger.outcome(&runner, DispatchOutcome::TooLarge { reason: "too large".into() });
    let _ = ledger.words_within(MINUTE);
    assert_eq!(words(&ledger.looked_up(&runner, true)), [""; 0]);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
}
