//! Runners whose task asks for its credential: nothing is minted before, once for the first that asks,
//! and whoever else asks is refused and ends the runner.

use super::*;
use crate::claim::{Claim, Ticket};
use crate::event::MintOutcome;
use crate::pool::{CredentialKind, Delivery};

fn pool_of(credential: CredentialKind) -> Pool {
    Pool { credential, delivery: Delivery::Claim, ..pool("x64", &["linux"]) }
}

fn ledger_of(credential: CredentialKind) -> Ledger {
    let mut ledger = Ledger::with(rules(20, vec![pool_of(credential)]));
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.observes(Observation::SweptAll);
    ledger
}

fn ledger() -> Ledger {
    ledger_of(CredentialKind::RegistrationToken)
}

fn jit() -> Ledger {
    ledger_of(CredentialKind::Jit)
}

fn claim(runner: &RunnerName) -> Claim {
    Claim {
        runner: runner.clone(),
        token: format!("{runner}@octo/app"),
        child: format!("child of {runner}"),
        parent: "github-runner-x64".into(),
        place: NomadPlace::default(),
        allocation: "a1".into(),
        nonce: "n1".into(),
        nameless: false,
    }
}

impl Ledger {
    fn claims(&mut self, ticket: u64, claim: Claim) -> Vec<String> {
        let effects = self.claimed(ticket, claim);
        words(&effects)
    }

    fn claimed(&mut self, ticket: u64, claim: Claim) -> Effects {
        self.step(Event::Claimed { ticket: Ticket(ticket), claim: Box::new(claim) })
    }

    fn minted_by_claim(&mut self, runner: &RunnerName, outcome: MintOutcome) -> Vec<String> {
        words(&self.step(Event::MintedFor { runner: runner.clone(), outcome }))
    }

    fn runner_row(&self, runner: &RunnerName) -> &Runner {
        &self.rows.runners[runner]
    }
}

#[test]
fn nothing_is_minted_before_a_task_asks_and_then_once_for_all_of_the_scope() {
    let mut ledger = ledger();
    let (first, second) = (ledger.hires_at_nomad(1), ledger.hires_at_nomad(2));
    assert!(ledger.state.credentials.is_empty());
    assert_eq!(ledger.claims(1, claim(&first)), ["mint for octo/app"]);
    assert!(ledger.claims(2, claim(&second)).is_empty());
    let mut handed = words(&ledger.minted(scope()));
    handed.sort();
    assert_eq!(handed, ["hand over to 1", "hand over to 2"]);
    // The one in memory serves whoever comes.
    let third = ledger.hires_at_nomad(3);
    assert_eq!(ledger.claims(3, claim(&third)), ["hand over to 3"]);
}

#[test]
fn whose_claim_it_was_is_on_disk_before_the_credential_leaves() {
    let mut ledger = ledger().made_ready();
    let runner = ledger.hires_at_nomad(1);
    let effects = ledger.claimed(1, claim(&runner));
    assert_eq!(words(&effects), ["hand over to 1"]);
    let row = ledger.runner_row(&runner);
    assert_eq!(row.claimed.as_ref().unwrap().allocation, "a1");
    // It runs, so its time to boot has begun.
    assert!(row.placed_at.is_some());
}

#[test]
fn a_claim_settles_a_dispatch_whose_answer_is_not_here() {
    let mut ledger = ledger().made_ready();
    let runner = ledger.hires(1);
    assert_eq!(ledger.claims(1, claim(&runner)), ["hand over to 1"]);
    assert_eq!(ledger.runner_row(&runner).state, RunnerState::Dispatched);
    // The answer, whatever it is, changes nothing.
    assert!(words(&ledger.unknown(&runner)).is_empty());
    assert_eq!(ledger.runner_row(&runner).child, Some(format!("child of {runner}")));
}

#[test]
fn a_lost_answer_can_be_asked_for_again_also_after_a_restart() {
    let mut ledger = ledger().made_ready();
    let runner = ledger.hires_at_nomad(1);
    assert_eq!(ledger.claims(1, claim(&runner)), ["hand over to 1"]);
    assert_eq!(ledger.claims(2, claim(&runner)), ["hand over to 2"]);
    let _ = ledger.restart();
    assert_eq!(ledger.claims(3, claim(&runner)), ["mint for octo/app"]);
    assert_eq!(words(&ledger.minted(scope())), ["hand over to 3"]);
}

#[test]
fn any_other_allocation_or_nonce_is_refused_told_once_and_ends_the_runner() {
    for (other, why) in [
        (("a2", "n1"), "claimed by another allocation"),
        (("a1", "n2"), "claimed before with another nonce"),
    ] {
        let mut ledger = ledger().made_ready();
        let runner = ledger.hires_at_nomad(1);
        let _ = ledger.claimed(1, claim(&runner));
        let stolen = Claim { allocation: other.0.into(), nonce: other.1.into(), ..claim(&runner) };
        let effects = ledger.claimed(2, stolen.clone());
        let words = words(&effects);
        assert!(
            words.iter().any(|word| word.starts_with("refuse 2") && word.contains(why)),
            "{words:?}"
        );
        assert!(words.iter().any(|word| word.starts_with("find at forge")), "{words:?}");
        let told = |effects: &Effects| {
            let names = effects.happenings.iter().map(|it| it.what.name());
            names.filter(|name| *name == "runner.claim_refused").count()
        };
        assert_eq!(told(&effects), 1);
        assert!(ledger.runner_row(&runner).spent);
        assert_eq!(told(&ledger.claimed(3, stolen)), 0);
        // The first one comes too late now as well: whose it was nobody knows.
        let first = ledger.claims(4, claim(&runner));
        assert!(first[0].contains("the runner is being released"), "{first:?}");
        let effects = ledger.at_forge(&runner, AtForge::Nowhere);
        assert_eq!(self::words(&effects), ["stop child"]);
    }
}

#[test]
fn one_that_works_is_left_to_its_job() {
    let mut ledger = ledger().made_ready();
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.claimed(1, claim(&runner));
    let _ = ledger.at_work(1, &runner);
    let replayed = ledger.claims(2, claim(&runner));
    assert_eq!(replayed, ["refuse 2: the runner is registered already"]);
    let stolen = Claim { nonce: "n2".into(), ..claim(&runner) };
    assert_eq!(ledger.claims(3, stolen).len(), 1);
    assert!(!ledger.runner_row(&runner).spent);
}

#[test]
fn who_is_not_entitled_is_refused_and_nothing_changes() {
    let mut ledger = ledger().made_ready();
    let runner = ledger.hires_at_nomad(1);
    let base = claim(&runner);
    let place = NomadPlace { namespace: "other".into(), ..NomadPlace::default() };
    let others = [
        Claim { runner: RunnerName::from("roustabout-x64-0000000000000"), ..base.clone() },
        Claim { child: "another".into(), ..base.clone() },
        Claim { parent: "another".into(), ..base.clone() },
        Claim { token: format!("{runner}@octo/other"), ..base.clone() },
        Claim { place, ..base.clone() },
    ];
    for other in others {
        let refused = ledger.claims(1, other.clone());
        assert!(refused[0].starts_with("refuse 1: the allocation belongs to"), "{refused:?}");
    }
    assert!(ledger.runner_row(&runner).claimed.is_none());
    assert_eq!(ledger.claims(2, base), ["hand over to 2"]);
}

#[test]
fn one_that_is_withdrawn_gets_nothing_and_does_not_return() {
    let mut ledger = ledger().made_ready();
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.cancelled(1);
    assert!(matches!(ledger.runner_row(&runner).state, RunnerState::Withdrawing(_)));
    let refused = ledger.claims(1, claim(&runner));
    assert_eq!(refused, ["refuse 1: the runner is being released"]);
    // Its task has ended by that, so a new job needs another.
    assert_eq!(dispatched(&ledger.queued(2)).len(), 1);
}

#[test]
fn runners_of_other_deliveries_have_nothing_to_claim() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let refused = ledger.claims(1, claim(&runner));
    assert!(refused[0].contains("not launched with delivery"), "{refused:?}");
}

#[test]
fn nobody_is_withdrawn_for_waiting_in_the_queue() {
    let mut ledger = ledger().made_ready();
    let runner = ledger.hires_at_nomad(1);
    ledger.now = ledger.now + 5 * HOUR;
    assert!(words(&ledger.step(Event::Tick)).is_empty());
    assert_eq!(ledger.runner_row(&runner).state, RunnerState::Dispatched);
    assert_eq!(ledger.claims(1, claim(&runner)), ["mint for octo/app"]);
}

#[test]
fn a_failure_is_told_to_those_who_wait_and_holds_back_the_next() {
    let mut ledger = ledger();
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.claimed(1, claim(&runner));
    let failed = Event::CredentialMinted { scope: scope(), answer: Err(failure("502")) };
    assert_eq!(words(&ledger.step(failed)), ["not yet 1: 502"]);
    assert_eq!(ledger.claims(2, claim(&runner)), ["not yet 2: 502"]);
    ledger.now = ledger.now + HOUR;
    assert_eq!(ledger.claims(3, claim(&runner)), ["mint for octo/app"]);
}

#[test]
fn a_configuration_is_minted_for_the_claim_and_kept_for_its_repetition() {
    let mut ledger = jit();
    let effects = ledger.queued(1);
    let [runner] = &dispatched(&effects)[..] else { panic!("{:?}", words(&effects)) };
    let runner = runner.clone();
    let _ = ledger.accepted(&runner);
    assert_eq!(ledger.claims(1, claim(&runner)), ["mint for a runner of octo/app"]);
    assert!(ledger.claims(2, claim(&runner)).is_empty());
    let handed = ledger.minted_by_claim(&runner, MintOutcome::Registered { id: 7 });
    assert_eq!(handed, ["hand over to 1", "hand over to 2"]);
    assert_eq!(ledger.runner_row(&runner).github_id, Some(7));
    assert_eq!(ledger.claims(3, claim(&runner)), ["hand over to 3"]);
    // After a restart it is in no memory: the next takes its place.
    let lost = Event::CredentialLost { ticket: Ticket(3), runner: runner.clone() };
    assert_eq!(words(&ledger.step(lost)), ["mint for a runner of octo/app"]);
    let handed = ledger.minted_by_claim(&runner, MintOutcome::Registered { id: 8 });
    assert_eq!(handed, ["hand over to 3"]);
}

#[test]
fn a_configuration_that_comes_too_late_is_deleted() {
    let mut ledger = jit();
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.claimed(1, claim(&runner));
    let _ = ledger.child(&runner, ended());
    let told = ledger.minted_by_claim(&runner, MintOutcome::Registered { id: 7 });
    assert!(told.contains(&"refuse 1: the runner is being released".to_owned()), "{told:?}");
    assert_eq!(ledger.runner_row(&runner).github_id, Some(7));
}

#[test]
fn before_nomads_children_are_listed_an_unknown_runner_is_asked_to_wait() {
    let mut ledger = Ledger::with(rules(20, vec![pool_of(CredentialKind::RegistrationToken)]));
    let runner = RunnerName::from("roustabout-x64-0000000000000");
    let told = ledger.claims(1, claim(&runner));
    assert!(told[0].starts_with("not yet 1"), "{told:?}");
}
