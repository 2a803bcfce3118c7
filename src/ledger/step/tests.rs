//! What the ledger decides, event by event. The whole way is in `tests/`.

use rand::{SeedableRng, rngs::StdRng};

use super::testing::{pool, report, repository};
use super::*;
use crate::ledger::event::{ChildPhase, DispatchOutcome, Webhook};
use crate::ledger::{DeliveryId, JobReport, JobStatus, Rules};

struct Ledger {
    state: State,
    rng: StdRng,
    now: Time,
    deliveries: u32,
}

impl Ledger {
    fn new(max: u32) -> Self {
        let rules =
            Rules { name_prefix: "roustabout".into(), max, pools: vec![pool("x64", &["linux"])] };
        Self {
            state: State::new(rules),
            rng: StdRng::seed_from_u64(1),
            now: Time(1_800_000_000_000),
            deliveries: 0,
        }
    }

    fn step(&mut self, event: Event) -> Effects {
        step(&mut self.state, event, self.now, &mut self.rng)
    }

    fn hears(&mut self, report: JobReport) -> Effects {
        self.deliveries += 1;
        let webhook = Webhook {
            delivery: DeliveryId(self.deliveries.to_string()),
            received_at: self.now,
            repository: repository(1, "octo/app"),
            report: Some(report),
            past: None,
        };
        self.step(Event::Webhook(Box::new(webhook)))
    }

    fn ready(max: u32) -> Self {
        let mut ledger = Self::new(max);
        let _ = ledger.step(Event::ChildrenSeen(Vec::new()));
        let scope = crate::ledger::ScopeKey::Repository(crate::ledger::RepositoryId(1));
        let ends = Time(ledger.now.0 + 3_600_000);
        let _ = ledger.step(Event::CredentialMinted { scope, answer: Ok(ends) });
        ledger
    }
}

fn dispatched(effects: &Effects) -> Vec<RunnerName> {
    let orders = effects.requests.iter().filter_map(|request| match request {
        Request::Dispatch(order) => Some(order.runner.clone()),
        _ => None,
    });
    orders.collect()
}

#[test]
fn a_queued_job_first_asks_for_a_token_and_then_dispatches_once() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(Event::ChildrenSeen(Vec::new()));
    let effects = ledger.hears(report(1, JobStatus::Queued));
    assert!(matches!(effects.requests[..], [Request::Mint { .. }]));
    let scope = crate::ledger::ScopeKey::Repository(crate::ledger::RepositoryId(1));
    let ends = Time(ledger.now.0 + 3_600_000);
    let effects = ledger.step(Event::CredentialMinted { scope, answer: Ok(ends) });
    assert_eq!(dispatched(&effects).len(), 1);
    assert!(dispatched(&ledger.hears(report(1, JobStatus::Queued))).is_empty());
}

#[test]
fn nobody_is_hired_before_nomads_first_listing() {
    let mut ledger = Ledger::new(20);
    assert!(dispatched(&ledger.hears(report(1, JobStatus::Queued))).is_empty());
}

#[test]
fn room_is_never_overrun_and_filled_when_it_comes_free() {
    let mut ledger = Ledger::ready(2);
    let mut hired = Vec::new();
    for id in 1..=5 {
        hired.extend(dispatched(&ledger.hears(report(id, JobStatus::Queued))));
    }
    assert_eq!(hired.len(), 2);
    let child = "github-runner-x64/dispatch-1".to_owned();
    let outcome = DispatchOutcome::Accepted { child, nameless: false, credential_ends: None };
    let _ = ledger.step(Event::DispatchAnswered { runner: hired[0].clone(), outcome });
    let mut at_work = report(1, JobStatus::InProgress);
    at_work.runner_name = Some(hired[0].0.clone());
    assert!(dispatched(&ledger.hears(at_work.clone())).is_empty());
    let ended = ChildPhase::Ended { how: "complete".into() };
    let effects = ledger.step(Event::ChildrenSeen(vec![(hired[0].clone(), ended)]));
    assert_eq!(dispatched(&effects).len(), 1);
}

#[test]
fn a_job_cancelled_in_the_queue_takes_its_runner_back() {
    let mut ledger = Ledger::ready(20);
    let hired = dispatched(&ledger.hears(report(1, JobStatus::Queued)));
    let child = "github-runner-x64/dispatch-1".to_owned();
    let outcome = DispatchOutcome::Accepted { child, nameless: false, credential_ends: None };
    let _ = ledger.step(Event::DispatchAnswered { runner: hired[0].clone(), outcome });
    let mut cancelled = report(1, JobStatus::Completed);
    cancelled.conclusion = Some("cancelled".into());
    let effects = ledger.hears(cancelled);
    assert!(matches!(effects.requests[..], [Request::LookAtPlacement { .. }]));
    let runner = hired[0].clone();
    let effects = ledger
        .step(Event::PlacementSeen { runner: runner.clone(), answer: Ok(ChildPhase::NotPlaced) });
    assert!(matches!(effects.requests[..], [Request::StopChild { .. }]));
    let ended = ChildPhase::Ended { how: "stopped".into() };
    let _ = ledger.step(Event::ChildrenSeen(vec![(runner, ended)]));
    assert!(ledger.state.runners.is_empty() && ledger.state.jobs.is_empty());
    assert!(ledger.state.classes.is_empty());
}

#[test]
fn a_late_queued_after_completed_changes_nothing() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hears(report(1, JobStatus::Completed));
    assert!(dispatched(&ledger.hears(report(1, JobStatus::Queued))).is_empty());
}
