//! Credentials that are laid down for tasks: each is removed, whatever becomes of its runner, and nothing
//! that is not ours is touched.

use super::*;
use crate::deposit::{DepositAt, DepositRule, Keeper};
use crate::event::Answer;
use crate::observation::FoundDeposit;
use crate::pool::Delivery;
use crate::runner::Sending;

fn pool_with(path: &str) -> Pool {
    let rule = DepositRule { keeper: Keeper::Variable, path: path.into() };
    Pool { delivery: Delivery::Deposit(rule), ..pool("x64", &["linux"]) }
}

fn ledger() -> Ledger {
    Ledger::with(rules(20, vec![pool_with("roustabout/x64/{runner_name}")])).made_ready()
}

fn removal(runner: &RunnerName) -> String {
    format!("remove roustabout/x64/{runner}")
}

fn removals(effects: &Effects) -> Vec<DepositAt> {
    let removals = effects.requests.iter().filter_map(|request| match request {
        Request::RemoveDeposit(at) => Some(at.clone()),
        _ => None,
    });
    removals.collect()
}

impl Ledger {
    fn removed(&mut self, at: &DepositAt, answer: Answer<()>) -> Effects {
        self.step(Event::DepositRemoved { at: at.clone(), answer })
    }

    fn not_deposited(&mut self, runner: &RunnerName) -> Effects {
        self.outcome(runner, DispatchOutcome::NotDeposited(failure("403: Permission denied")))
    }

    fn lists_deposits(&mut self, runners: &[&RunnerName]) -> Effects {
        let found = runners.iter().map(|runner| FoundDeposit {
            runner: (*runner).clone(),
            path: format!("roustabout/x64/{runner}"),
        });
        let (keeper, found) = (Keeper::Variable, found.collect());
        self.observes(Observation::Deposits { keeper, place: NomadPlace::default(), found })
    }
}

#[test]
fn the_row_says_where_it_lies_before_the_request_leaves() {
    let mut ledger = ledger();
    let effects = ledger.queued(1);
    let [Request::Dispatch(order)] = &effects.requests[..] else { panic!() };
    let deposit = order.deposit.clone().unwrap();
    assert_eq!(deposit.path, format!("roustabout/x64/{}", order.runner));
    assert!(!deposit.tried, "nothing of ours lies there before the first try");
    assert!(ledger.rows.runners[&order.runner].deposit.as_ref().unwrap().tried);
}

#[test]
fn it_is_removed_as_soon_as_the_runner_is_registered_and_no_sooner() {
    let mut ledger = ledger();
    let runner = ledger.hires_at_nomad(1);
    assert!(removals(&ledger.child(&runner, ChildPhase::Placed)).is_empty());
    let listed = Registered { id: 7, name: runner.0.clone(), busy: false, online: true };
    let effects = ledger.lists(vec![listed]);
    assert_eq!(words(&effects), [removal(&runner)]);
    assert!(removals(&ledger.at_work(1, &runner)).is_empty(), "asked once");
    let _ = ledger.removed(&removals(&effects)[0], Ok(()));
    assert_eq!(ledger.rows.runners[&runner].deposit, None);
    let _ = ledger.done(1, &runner);
    assert!(removals(&ledger.child(&runner, ended())).is_empty());
}

#[test]
fn it_is_removed_where_the_runner_never_was_registered() {
    let mut ledger = ledger();
    let runner = ledger.hires_at_nomad(1);
    assert!(words(&ledger.child(&runner, ended())).contains(&removal(&runner)));
    // Refused, and not needed any more.
    let mut ledger = self::ledger();
    let runner = ledger.hires(1);
    assert!(removals(&ledger.refused(&runner)).is_empty());
    assert_eq!(words(&ledger.cancelled(1)), [removal(&runner)]);
}

#[test]
fn nothing_is_removed_while_it_may_still_be_written() {
    let mut ledger = ledger();
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let _ = ledger.looked_up(&runner, false);
    let effects = ledger.at_forge(&runner, AtForge::Nowhere);
    assert_eq!(words(&effects), ["dispatch"]);
    let [Request::Dispatch(order)] = &effects.requests[..] else { panic!() };
    assert!(order.deposit.as_ref().unwrap().tried, "what lies there is its own");
    // The first request has arrived after all.
    assert!(removals(&ledger.at_work(1, &runner)).is_empty());
    assert_eq!(removals(&ledger.accepted(&runner)).len(), 1);
}

#[test]
fn a_keeper_that_refuses_holds_its_pool_back_with_the_reason() {
    let mut ledger = ledger();
    let runner = ledger.hires(1);
    let effects = ledger.not_deposited(&runner);
    assert!(effects.requests.is_empty(), "{:?}", words(&effects));
    assert_eq!(ledger.runner(&runner).state, RunnerState::Wanted);
    assert!(ledger.queued(2).requests.is_empty(), "no storm");
    let why = ledger.waits();
    assert!(why.starts_with("credential not written: 403: Permission denied; next try"), "{why}");
    let said = ledger.words_within(20 * Duration::from_secs(60));
    assert_eq!(said, ["dispatch"], "one tries");
    let effects = ledger.accepted(&runner);
    assert_eq!(dispatched(&effects).len(), 1, "and then everybody");
}

#[test]
fn a_keeper_that_has_recovered_is_tried_at_once_by_one_and_then_by_all() {
    let rule = DepositRule { keeper: Keeper::Vault, path: "kv/data/{runner_name}".into() };
    let pool = Pool { delivery: Delivery::Deposit(rule), ..pool("x64", &["linux"]) };
    let mut ledger = Ledger::with(rules(20, vec![pool])).made_ready();
    let runner = ledger.hires(1);
    let _ = ledger.not_deposited(&runner);
    assert!(ledger.queued(2).requests.is_empty());
    let effects = ledger.step(Event::VaultRecovered);
    assert_eq!(words(&effects), ["dispatch"], "one tries");
    assert!(ledger.step(Event::VaultRecovered).requests.is_empty(), "no storm");
    let effects = ledger.accepted(&runner);
    assert_eq!(dispatched(&effects).len(), 1, "and then everybody");
    // It says nothing of the other keeper.
    let mut ledger = self::ledger();
    let runner = ledger.hires(1);
    let _ = ledger.not_deposited(&runner);
    assert!(ledger.step(Event::VaultRecovered).requests.is_empty());
}

#[test]
fn what_nomad_did_not_remove_is_removed_as_soon_as_it_answers() {
    let mut ledger = ledger();
    let runner = ledger.hires_at_nomad(1);
    let at = removals(&ledger.at_work(1, &runner)).remove(0);
    let trouble = crate::event::NomadTrouble::Unreachable("connection refused".to_owned());
    let _ = ledger.step(Event::NomadAway { place: NomadPlace::default(), trouble });
    assert!(removals(&ledger.removed(&at, Err(failure("connection refused")))).is_empty());
    assert_eq!(removals(&ledger.step(children_seen(Vec::new()))), [at]);
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let mut ledger = ledger();
    let runner = ledger.hires(1);
    let reason = "a variable is there already".to_owned();
    let effects = ledger.outcome(&runner, DispatchOutcome::DepositTaken { reason });
    assert!(effects.requests.is_empty(), "{:?}", words(&effects));
    assert!(ledger.state.runners.is_empty());
    assert!(ledger.waits().contains("a variable is there already"));
    let _ = ledger.passes(20 * MINUTE);
    assert_ne!(ledger.state.runners.keys().next(), Some(&runner), "another name");
}

#[test]
fn removals_that_fail_are_tried_again_one_at_a_time_and_then_all() {
    let mut ledger = ledger();
    let runners: Vec<_> = (1..=3).map(|job| ledger.hires_at_nomad(job)).collect();
    let asked: Vec<_> = runners
        .iter()
        .zip(1..)
        .map(|(runner, job)| removals(&ledger.at_work(job, runner)).remove(0))
        .collect();
    let told = |effects: &Effects| effects.happenings.len();
    let first = ledger.removed(&asked[0], Err(failure("503")));
    assert_eq!(told(&first), 1);
    for at in &asked[1..] {
        assert_eq!(told(&ledger.removed(at, Err(failure("503")))), 0, "told once");
    }
    let said = ledger.words_within(Duration::from_secs(15));
    assert_eq!(said.iter().filter(|word| word.starts_with("remove")).count(), 1, "{said:?}");
    let probe = ledger.state.deposits.closed.values().next().unwrap().probe.clone().unwrap();
    let at = asked.iter().find(|at| at.runner == probe).unwrap();
    assert_eq!(removals(&ledger.removed(at, Ok(()))).len(), 2);
}

#[test]
fn after_a_crash_what_is_left_is_removed_and_what_is_needed_stays() {
    let mut ledger = ledger();
    let (needs, has) = (ledger.hires_at_nomad(1), ledger.hires_at_nomad(2));
    assert_eq!(words(&ledger.at_work(2, &has)), [removal(&has)]);
    // The answer to the removal is lost with the daemon.
    assert!(words(&ledger.restart()).contains(&removal(&has)));
    let unknown = RunnerName::from("roustabout-x64-0123456789abc");
    let foreign = RunnerName::from("another-x64-0123456789abc");
    let effects = ledger.lists_deposits(&[&unknown, &foreign, &needs]);
    assert!(removals(&effects).is_empty(), "its child may be adopted yet: {:?}", words(&effects));
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.observes(Observation::SweptAll);
    let effects = ledger.lists_deposits(&[&unknown, &foreign, &needs]);
    assert_eq!(words(&effects), [removal(&unknown)]);
}

#[test]
fn a_runner_whose_pool_delivers_otherwise_by_now_leaves_nothing_behind() {
    let mut ledger = ledger();
    let runner = ledger.hires(1);
    let _ = ledger.not_sent(&runner);
    let rules = rules(20, vec![pool("x64", &["linux"])]);
    let said = words(&ledger.step(Event::Rules(Box::new(rules))));
    assert!(said.contains(&removal(&runner)), "{said:?}");
    assert_eq!(ledger.runner(&runner).deposit, None);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatching(Sending::Sent));
}
