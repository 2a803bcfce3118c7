//! A dispatch is followed to a certain outcome, and closed ways are tried one at a time.

use super::*;
use crate::runner::Sending;

#[test]
fn an_unknown_outcome_is_looked_up_and_never_makes_a_second_runner() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    assert_eq!(words(&ledger.unknown(&runner)), ["find child"]);
    assert!(ledger.waits().contains("unknown"));
    assert!(words(&ledger.looked_up(&runner, true)).is_empty());
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn a_lookup_that_fails_is_tried_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let answer = Err(failure("500"));
    let _ = ledger.step(Event::ChildLookedUp { runner, answer });
    assert_eq!(ledger.words_within(MINUTE), ["find child"]);
}

#[test]
fn what_neither_nomad_nor_github_knows_is_sent_again_with_the_same_token() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    assert_eq!(words(&ledger.looked_up(&runner, false)), ["find at forge in octo/app"]);
    let effects = ledger.at_forge(&runner, AtForge::Nowhere);
    let [Request::Dispatch(order)] = &effects.requests[..] else { panic!() };
    assert!(order.again && order.runner == runner);
}

#[test]
fn an_hour_after_the_first_attempt_it_is_gone_and_demand_is_asked_for_first() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    ledger.now = ledger.now + HOUR;
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    let effects = ledger.at_forge(&runner, AtForge::Nowhere);
    assert_eq!(words(&effects), ["ask jobs after 0 ended"]);
    assert!(!ledger.state.runners.contains_key(&runner));
    let effects = ledger.jobs_seen(&[], vec![report(1, JobStatus::Queued)]);
    assert_eq!(words(&effects), ["mint for octo/app"]);
}

#[test]
fn a_refusal_starts_the_hour_anew() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.refused(&runner);
    ledger.now = ledger.now + HOUR;
    let _ = ledger.minted(scope());
    let _ = ledger.step(Event::ParentChanged { pool: "x64".into() });
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    assert_eq!(words(&ledger.at_forge(&runner, AtForge::Nowhere)), ["dispatch"]);
}

#[test]
fn what_nomad_forgot_and_github_still_lists_is_cleared_away() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    let effects =
        ledger.at_forge(&runner, AtForge::Registered { id: 7, busy: false, online: true });
    assert_eq!(words(&effects), ["find child"]);
    // Its room is free, and its job waits.
    let effects = ledger.looked_up(&runner, false);
    assert_eq!(words(&effects), ["delete registration 7", "dispatch"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn a_dispatch_that_arrived_after_it_was_looked_up_is_found_when_the_forge_lists_its_runner() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    let _ = ledger.at_forge(&runner, AtForge::Registered { id: 7, busy: false, online: true });
    assert!(
        words(&ledger.looked_up(&runner, true)).is_empty(),
        "it is neither deleted nor replaced"
    );
    assert_eq!(ledger.runner(&runner).state, RunnerState::Registered);
}

#[test]
fn one_that_may_have_arrived_is_not_forgotten_because_the_next_attempt_did_not_leave() {
    for outcome in [
        DispatchOutcome::NotSent { reason: "connection refused".into() },
        DispatchOutcome::Refused { reason: "no such job".into() },
    ] {
        let mut ledger = Ledger::ready(20);
        let runner = ledger.hires(1);
        let _ = ledger.unknown(&runner);
        let _ = ledger.looked_up(&runner, false);
        assert_eq!(words(&ledger.at_forge(&runner, AtForge::Nowhere)), ["dispatch"]);
        let _ = ledger.outcome(&runner, outcome);
        assert!(ledger.runner(&runner).is_alive(), "it keeps its room");
        let _ = ledger.cancelled(1);
        assert!(ledger.state.runners.contains_key(&runner), "unwanted, and looked up first");
        assert_eq!(ledger.words_within(MINUTE)[0], "find child");
        assert_eq!(words(&ledger.looked_up(&runner, true)), ["look at placement"]);
    }
}

#[test]
fn what_nomad_forgot_and_a_job_names_had_that_job() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    let named = report_by(1, JobStatus::Completed, &runner);
    assert!(words(&ledger.at_forge(&runner, AtForge::Named(named.into()))).is_empty());
    ledger.is_empty();
}

#[test]
fn a_refused_dispatch_stays_owed_with_its_reason_from_10_s_to_10_min() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    assert_eq!(words(&ledger.refused(&runner)), ["watch parent"]);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Wanted);
    assert!(ledger.waits().contains("no such job"));
    let mut waited = Vec::new();
    for _ in 0..9 {
        let before = ledger.now;
        let at = ledger.state.next_timer().unwrap();
        assert_eq!(words(&ledger.passes(at.since(before))), ["dispatch"]);
        waited.push(ledger.now.since(before).as_secs());
        let _ = ledger.refused(&runner);
        let _ = ledger.minted(scope());
    }
    assert!((10..=11).contains(&waited[0]) && (20..=22).contains(&waited[1]), "{waited:?}");
    assert!((600..=660).contains(&waited[8]), "{waited:?}");
}

#[test]
fn a_changed_parameterized_job_sends_what_was_refused_at_once() {
    let mut ledger = Ledger::ready(20);
    for id in 1..=3 {
        let runner = ledger.hires(id);
        let _ = ledger.accepted(&runner);
    }
    let four = ledger.hires(4);
    let five = ledger.hires(5);
    let _ = ledger.refused(&four);
    // Sent before the first refusal came back: counts once.
    assert!(words(&ledger.refused(&five)).is_empty());
    assert_eq!(ledger.state.refusals[&"x64".into()].tries, 1);
    let effects = ledger.step(Event::ParentChanged { pool: "x64".into() });
    assert_eq!(words(&effects), ["dispatch", "dispatch"]);
}

#[test]
fn after_a_refusal_one_tries_and_its_success_lets_the_others_follow() {
    let mut ledger = Ledger::ready(20);
    let one = ledger.hires(1);
    let two = ledger.hires(2);
    let _ = ledger.refused(&one);
    let _ = ledger.refused(&two);
    let probe = dispatched(&ledger.passes(Duration::from_secs(11)));
    assert_eq!(probe.len(), 1);
    assert_eq!(words(&ledger.accepted(&probe[0])), ["dispatch"]);
}

#[test]
fn a_refused_runner_goes_out_by_the_rules_of_today_and_for_a_job_that_waits() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.queued(2);
    let _ = ledger.refused(&runner);
    let two = ledger.state.runners.keys().find(|name| **name != runner).unwrap().clone();
    let _ = ledger.refused(&two);
    let _ = ledger.cancelled(1);
    let mut moved = pool("x64", &["linux"]);
    moved.nomad_job = "another".into();
    let _ = ledger.restart_with(rules(20, vec![moved]));
    let _ = ledger.minted(scope());
    let effects = ledger.step(children_seen(Vec::new()));
    let [Request::Dispatch(order)] = &effects.requests[..] else { panic!() };
    assert_eq!(order.parent, "another");
    assert_eq!(order.cause.as_ref().map(Job::id), Some(JobId(2)));
}

#[test]
fn what_could_not_be_sent_stays_owed_and_one_at_a_time_tries() {
    let mut ledger = Ledger::ready(20);
    let runners: Vec<_> = (1..=3).map(|id| ledger.hires(id)).collect();
    for runner in &runners {
        assert!(words(&ledger.not_sent(runner)).is_empty());
    }
    assert!(ledger.waits().contains("is unreachable"));
    let probe = dispatched(&ledger.passes(Duration::from_secs(11)));
    assert_eq!(probe.len(), 1);
    let _ = ledger.not_sent(&probe[0]);
    assert!(words(&ledger.passes(Duration::from_secs(19))).is_empty(), "longer the second time");
    let probe = dispatched(&ledger.passes(Duration::from_secs(3)));
    assert_eq!(words(&ledger.accepted(&probe[0])), ["dispatch", "dispatch"]);
}

#[test]
fn a_probe_of_unknown_outcome_does_not_open_the_way() {
    let mut ledger = Ledger::ready(20);
    let runners: Vec<_> = (1..=3).map(|id| ledger.hires(id)).collect();
    for runner in &runners {
        let _ = ledger.not_sent(runner);
    }
    let probe = dispatched(&ledger.passes(Duration::from_secs(11)));
    assert_eq!(words(&ledger.unknown(&probe[0])), ["find child"]);
    assert_eq!(ledger.words_within(Duration::from_secs(23)), ["dispatch"]);
}

#[test]
fn a_listing_from_nomad_opens_the_way() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.step(nomad_away("connection refused"));
    assert!(words(&ledger.queued(1)).is_empty());
    assert_eq!(words(&ledger.step(children_seen(Vec::new()))), ["dispatch"]);
}

#[test]
fn nomad_away_before_its_first_listing_is_told_as_the_reason() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.queued(1);
    let _ = ledger.step(nomad_away("connection refused"));
    assert!(ledger.why().unwrap().contains("connection refused"));
}

#[test]
fn a_credential_that_ended_on_the_way_is_minted_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let effects = ledger.outcome(&runner, DispatchOutcome::CredentialMissing);
    assert_eq!(words(&effects), ["mint for octo/app"]);
    assert_eq!(words(&ledger.minted(scope())), ["dispatch"]);
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn a_runner_named_while_its_dispatch_is_under_way_is_busy_whatever_the_answer() {
    for outcome in [
        DispatchOutcome::Unknown { reason: "timeout".into() },
        DispatchOutcome::Refused { reason: "no such job".into() },
        DispatchOutcome::NotSent { reason: "connection refused".into() },
        DispatchOutcome::CredentialMissing,
    ] {
        let mut ledger = Ledger::ready(20);
        let runner = ledger.hires(1);
        let _ = ledger.at_work(1, &runner);
        let effects = ledger.outcome(&runner, outcome.clone());
        assert!(words(&effects).contains(&"find child".into()), "{outcome:?}");
        // Nomad has forgotten it, and so has GitHub: it is not sent again, for it had its job.
        let _ = ledger.looked_up(&runner, false);
        assert!(words(&ledger.at_forge(&runner, AtForge::Nowhere)).is_empty());
        assert!(ledger.state.runners.is_empty());
        assert_eq!(ledger.words_within(MINUTE + MINUTE).last().unwrap(), "ask job 1");
    }
}

#[test]
fn a_runner_named_while_it_was_owed_is_looked_up() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.not_sent(&runner);
    assert_eq!(words(&ledger.at_work(1, &runner)), ["find child"]);
    let _ = ledger.looked_up(&runner, true);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
}

#[test]
fn an_unwanted_dispatch_is_let_go_when_its_outcome_is_known() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    assert!(words(&ledger.cancelled(1)).is_empty());
    assert!(ledger.runner(&runner).unwanted);
    assert_eq!(words(&ledger.accepted(&runner)), ["look at placement"]);
}

#[test]
fn an_unwanted_dispatch_that_was_refused_or_never_arrived_is_gone() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.cancelled(1);
    let _ = ledger.refused(&runner);
    ledger.is_empty();
    let runner = dispatched(&ledger.queued(2)).pop();
    assert!(runner.is_none(), "the refusal still holds");
    let runner = dispatched(&ledger.passes(MINUTE)).pop().unwrap();
    let _ = ledger.cancelled(2);
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    ledger.is_empty();
}

#[test]
fn an_unwanted_dispatch_is_wanted_again_when_demand_returns_before_the_answer() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.cancelled(1);
    assert!(words(&ledger.queued(2)).is_empty(), "nobody new is hired");
    assert!(!ledger.runner(&runner).unwanted);
    let _ = ledger.accepted(&runner);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
}

#[test]
fn an_owed_runner_that_nobody_needs_is_forgotten() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.not_sent(&runner);
    let _ = ledger.cancelled(1);
    ledger.is_empty();
}

#[test]
fn dispatching_is_recorded_before_the_request_leaves() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let row = &ledger.rows.runners[&runner];
    assert_eq!(row.state, RunnerState::Dispatching(Sending::Sent));
    assert!(row.first_sent_at.is_some() && row.parent == "github-runner-x64");
    assert_eq!(ledger.rows.jobs[&JobId(1)].cause_of, Some(runner));
}

#[test]
fn a_nameless_runner_found_by_its_token_is_known_for_one() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let found = FoundChild { child: "c".into(), nameless: true };
    let _ = ledger.step(Event::ChildLookedUp { runner: runner.clone(), answer: Ok(Some(found)) });
    let _ = ledger.cancelled(1);
    assert!(words(&ledger.placement(&runner, ChildPhase::Placed)).is_empty());
    assert_eq!(ledger.runner(&runner).state, RunnerState::Withdrawing(Leaving::LeftAlone));
}
