//! Runners that have a credential of their own: registered before they are dispatched, and never
//! twice; nothing is left of one that was not used.

use super::*;
use crate::event::MintOutcome;
use crate::pool::CredentialKind;
use crate::runner::Sending;

fn pool_of_jit(max: u32) -> Pool {
    Pool {
        credential: CredentialKind::Jit,
        runner_group: None,
        max_runners: max,
        ..pool("x64", &["linux"])
    }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::with(rules(20, vec![pool_of_jit(20)]));
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.step(Event::Observed(Box::new(Observation::SweptAll)));
    ledger
}

impl Ledger {
    /// A job is queued and a credential asked for.
    fn mints(&mut self, id: u64) -> RunnerName {
        let effects = self.queued(id);
        let [Request::MintFor { runner, .. }] = &effects.requests[..] else {
            panic!("{:?}", words(&effects))
        };
        runner.clone()
    }

    fn minted_as(&mut self, runner: &RunnerName, outcome: MintOutcome) -> Effects {
        self.step(Event::MintedFor { runner: runner.clone(), outcome })
    }

    fn is_minted(&mut self, runner: &RunnerName, id: u64) -> Effects {
        self.minted_as(runner, MintOutcome::Registered { id })
    }

    /// At Nomad.
    fn hires_jit(&mut self, job: u64, id: u64) -> RunnerName {
        let runner = self.mints(job);
        assert_eq!(words(&self.is_minted(&runner, id)), ["dispatch"]);
        let _ = self.accepted(&runner);
        runner
    }
}

const OFFLINE: AtForge = AtForge::Registered { id: 7, busy: false, online: false };

fn unavailable() -> MintOutcome {
    MintOutcome::Unknown(failure("502"))
}

#[test]
fn a_runner_is_registered_before_it_is_dispatched_and_its_row_says_so_first() {
    let mut ledger = ledger();
    let runner = ledger.mints(1);
    let row = &ledger.rows.runners[&runner];
    assert_eq!(row.state, RunnerState::Dispatching(Sending::Minting));
    assert_eq!((row.phase(), row.is_alive()), ("minting", true));
    assert_eq!(words(&ledger.is_minted(&runner, 7)), ["dispatch"]);
    let row = &ledger.rows.runners[&runner];
    assert_eq!(row.state, RunnerState::Dispatching(Sending::Sent));
    assert_eq!(row.github_id, Some(7));
}

#[test]
fn no_token_is_asked_for() {
    let mut ledger = ledger();
    let _ = ledger.mints(1);
    assert!(ledger.state.credentials.is_empty());
}

#[test]
fn being_listed_before_it_started_is_no_sign_of_life() {
    let mut ledger = ledger();
    let runner = ledger.hires_jit(1, 7);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
    let listed = |online| Registered { id: 7, name: runner.0.clone(), busy: false, online };
    let _ = ledger.lists(vec![listed(false)]);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
    assert_eq!(ledger.waits(), "a runner is on the way");
    let _ = ledger.lists(vec![listed(true)]);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Registered);
}

#[test]
fn one_that_never_connects_is_stopped_and_its_registration_deleted() {
    let mut ledger = ledger();
    let runner = ledger.hires_jit(1, 7);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let pause = 11 * MINUTE;
    assert_eq!(ledger.words_within(pause), ["find runner 7 at forge"]);
    let effects = ledger.at_forge(&runner, OFFLINE);
    assert_eq!(words(&effects), ["stop child", "ask jobs after 1 ended"]);
    let _ = ledger.stopped(&runner);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    assert!(words(&effects).contains(&"delete registration 7".to_owned()), "{:?}", words(&effects));
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    assert!(!ledger.state.runners.contains_key(&runner));
}

#[test]
fn one_that_is_not_needed_any_more_is_deleted_by_its_id_wherever_it_is() {
    // While its credential is asked for.
    let mut it = ledger();
    let runner = it.mints(1);
    assert!(words(&it.cancelled(1)).is_empty());
    assert_eq!(words(&it.is_minted(&runner, 7)), ["delete registration 7"]);
    let _ = it.deleted(&runner, Deletion::NoNewJob);
    it.is_empty();
    // At Nomad, not placed.
    let mut it = ledger();
    let runner = it.hires_jit(1, 7);
    assert_eq!(words(&it.cancelled(1)), ["look at placement"]);
    assert_eq!(words(&it.placement(&runner, ChildPhase::NotPlaced)), ["stop child"]);
    let _ = it.stopped(&runner);
    let end = ChildPhase::Ended { how: "stopped".into(), placed: false };
    assert_eq!(words(&it.child(&runner, end)), ["delete registration 7"]);
    let _ = it.deleted(&runner, Deletion::NoNewJob);
    it.is_empty();
    // Placed and not connected yet: without its registration it ends by itself.
    let mut it = ledger();
    let runner = it.hires_jit(1, 7);
    let _ = it.cancelled(1);
    let effects = it.placement(&runner, ChildPhase::Placed);
    assert_eq!(words(&effects), ["find runner 7 at forge"]);
    assert_eq!(words(&it.at_forge(&runner, OFFLINE)), ["delete registration 7"]);
    let _ = it.deleted(&runner, Deletion::NoNewJob);
    let _ = it.child(&runner, ended());
    it.is_empty();
}

#[test]
fn what_is_minted_while_its_pool_is_paused_or_its_job_is_refused_is_not_dispatched() {
    let mut it = ledger();
    let runner = it.mints(1);
    let _ = it.step(Event::Pause { pool: "x64".into(), until: None });
    assert_eq!(words(&it.is_minted(&runner, 7)), ["delete registration 7"]);
    // After a start nobody is let go before everything was seen once; nor is anybody sent.
    let mut it = Ledger::with(rules(20, vec![pool_of_jit(20)]));
    let _ = it.step(children_seen(Vec::new()));
    let runner = it.mints(1);
    let _ = it.cancelled(1);
    assert_eq!(words(&it.is_minted(&runner, 7)), ["delete registration 7"]);
}

#[test]
fn a_dispatch_that_is_refused_leaves_no_registration() {
    for outcome in [
        DispatchOutcome::NotSent { reason: "connection refused".into() },
        DispatchOutcome::Refused { reason: "no such job".into() },
        DispatchOutcome::TooLarge { reason: "too large".into() },
    ] {
        let mut ledger = ledger();
        let runner = ledger.mints(1);
        let _ = ledger.is_minted(&runner, 7);
        let effects = ledger.outcome(&runner, outcome);
        assert!(words(&effects).contains(&"delete registration 7".to_owned()));
        assert!(!ledger.runner(&runner).is_alive(), "it takes no room");
        let _ = ledger.deleted(&runner, Deletion::NoNewJob);
        assert!(!ledger.state.runners.contains_key(&runner));
        // The next that is launched is launched for the same job.
        assert_eq!(ledger.state.jobs[&JobId(1)].cause_of, None);
    }
}

#[test]
fn a_lost_answer_is_asked_again_by_the_same_name_and_never_makes_two() {
    let mut ledger = ledger();
    let runner = ledger.mints(1);
    assert!(words(&ledger.minted_as(&runner, unavailable())).is_empty());
    assert!(ledger.waits().contains("502"), "{}", ledger.waits());
    assert_eq!(ledger.words_within(MINUTE), ["mint for a runner of octo/app"]);
    let effects = ledger.minted_as(&runner, MintOutcome::NameTaken);
    assert_eq!(words(&effects), ["find registration"]);
    assert_eq!(words(&ledger.at_forge(&runner, OFFLINE)), ["delete registration 7"]);
    let effects = ledger.deleted(&runner, Deletion::NoNewJob);
    assert_eq!(words(&effects), ["mint for a runner of octo/app"]);
    assert_eq!(words(&ledger.is_minted(&runner, 8)), ["dispatch"]);
    assert_eq!(ledger.runner(&runner).github_id, Some(8));
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn one_whose_answer_was_lost_is_looked_for_by_name_when_nobody_needs_it() {
    let mut ledger = ledger();
    let runner = ledger.mints(1);
    let _ = ledger.minted_as(&runner, unavailable());
    let _ = ledger.cancelled(1);
    assert_eq!(ledger.words_within(MINUTE), ["find registration"]);
    assert_eq!(words(&ledger.at_forge(&runner, OFFLINE)), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    ledger.is_empty();
}

#[test]
fn a_crash_after_the_request_leaves_nothing() {
    let mut ledger = ledger();
    let runner = ledger.mints(1);
    assert!(words(&ledger.restart()).contains(&"find registration".to_owned()));
    let _ = ledger.step(children_seen(Vec::new()));
    assert_eq!(words(&ledger.at_forge(&runner, OFFLINE)), ["delete registration 7"]);
    let effects = ledger.deleted(&runner, Deletion::NoNewJob);
    assert_eq!(words(&effects), ["mint for a runner of octo/app"]);
}

#[test]
fn a_crash_between_the_answer_and_the_dispatch_leaves_nothing() {
    let mut ledger = ledger();
    let runner = ledger.mints(1);
    let _ = ledger.is_minted(&runner, 7);
    assert!(words(&ledger.restart()).contains(&"find child".to_owned()));
    let _ = ledger.step(children_seen(Vec::new()));
    assert_eq!(words(&ledger.looked_up(&runner, false)), ["find runner 7 at forge"]);
    // Not started: sent again, and its credential is not in memory any more.
    assert_eq!(words(&ledger.at_forge(&runner, OFFLINE)), ["dispatch"]);
    let effects = ledger.outcome(&runner, DispatchOutcome::CredentialMissing);
    assert_eq!(
        words(&effects),
        ["delete registration 7", "mint for a runner of octo/app"],
        "and another is launched"
    );
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn one_that_the_forge_lists_as_gone_or_busy_was_dispatched() {
    for seen in [AtForge::Nowhere, AtForge::Registered { id: 7, busy: true, online: true }] {
        let mut ledger = ledger();
        let runner = ledger.mints(1);
        let _ = ledger.is_minted(&runner, 7);
        let _ = ledger.unknown(&runner);
        let _ = ledger.looked_up(&runner, false);
        assert_eq!(words(&ledger.at_forge(&runner, seen)), ["find child"]);
        let _ = ledger.looked_up(&runner, true);
        assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
    }
}

#[test]
fn one_that_the_forge_removed_while_it_was_idle_is_replaced_and_counts_for_no_breaker() {
    let mut ledger = ledger();
    let mut runner = ledger.hires_jit(1, 7);
    for id in 8..20 {
        let _ = ledger.child(&runner, ChildPhase::Placed);
        let _ = ledger.passes(3 * MINUTE);
        let effects = ledger.child(&runner, ended());
        let [Request::AskJobs { registrations, .. }] = &effects.requests[..] else {
            panic!("{:?}", words(&effects))
        };
        assert_eq!(registrations.len(), 1);
        let answer = Ok(JobsOfRuns {
            reports: vec![report(1, JobStatus::Queued)],
            looked_at: vec![report(1, JobStatus::Queued).run],
            removed: vec![runner.clone()],
        });
        let names = vec![runner.clone()];
        let effects = ledger.step(Event::JobsSeen { class: class(), names, answer });
        let [Request::MintFor { runner: next, .. }] = &effects.requests[..] else {
            panic!("{:?}", words(&effects))
        };
        runner = next.clone();
        let _ = ledger.is_minted(&runner, id);
        let _ = ledger.accepted(&runner);
    }
    assert!(ledger.state.breakers.is_empty());
}

#[test]
fn after_a_refusal_one_at_a_time_tries_and_nobody_takes_room() {
    let mut ledger = ledger();
    let first = ledger.mints(1);
    let second = ledger.mints(2);
    let refused = || MintOutcome::Refused(failure("403 no permission"));
    let _ = ledger.minted_as(&first, refused());
    let _ = ledger.minted_as(&second, refused());
    assert_eq!(ledger.state.runners.alive(), 0);
    assert!(ledger.waits().starts_with("no JIT configuration: 403"), "{}", ledger.waits());
    assert_eq!(ledger.words_within(MINUTE), ["mint for a runner of octo/app"]);
    let probe = ledger.state.runners.values().find(|it| it.is_alive()).unwrap().name.clone();
    let effects = ledger.is_minted(&probe, 7);
    assert_eq!(words(&effects), ["dispatch", "mint for a runner of octo/app"]);
}

#[test]
fn a_pool_that_is_gone_leaves_no_registration() {
    let mut ledger = ledger();
    let runner = ledger.mints(1);
    let _ = ledger.minted_as(&runner, unavailable());
    let _ = ledger.step(Event::Rules(Box::new(rules(20, Vec::new()))));
    assert_eq!(ledger.words_within(MINUTE), ["find registration"]);
    assert_eq!(words(&ledger.at_forge(&runner, OFFLINE)), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    assert!(ledger.state.runners.is_empty());
}

#[test]
fn it_is_known_by_its_name_whatever_its_job_takes() {
    let mut ledger = ledger();
    let runner = ledger.mints(1);
    let _ = ledger.is_minted(&runner, 7);
    let _ = ledger.accepted_as(&runner, true);
    assert!(!ledger.runner(&runner).nameless);
}

/// While one pool's runners are minted, and another scope's token is asked for.
#[test]
fn whoever_has_a_credential_is_dispatched_whatever_others_wait_for() {
    let tokens = Pool { labels: vec!["arm64".to_owned()], ..pool("arm", &["arm64"]) };
    let mut ledger = Ledger::with(rules(20, vec![pool_of_jit(20), tokens])).made_ready();
    let minting = ledger.mints(1);
    let arm = |id| JobReport { labels: vec!["arm64".to_owned()], ..report(id, JobStatus::Queued) };
    let asked = ledger.hears_of(repository(2, "octo/other"), arm(2));
    assert_eq!(words(&asked), ["mint for octo/other"]);
    assert_eq!(words(&ledger.hears(arm(3))), ["dispatch"], "its repository has a token");
    assert_eq!(ledger.runner(&minting).phase(), "minting");
}
