//! Supply is held to demand, within caps, the classes in turn.

use super::*;

impl Ledger {
    /// A job of the run is queued, and its runner is dispatched.
    fn hires_run(&mut self, number: u64, run: u64) -> RunnerName {
        let repository = repository(number, &format!("octo/r{number}"));
        let effects = self.hears_of(repository, of_run(run));
        let [runner] = &dispatched(&effects)[..] else { panic!("{:?}", words(&effects)) };
        let _ = self.accepted(runner);
        runner.clone()
    }
}
use crate::pool::Delivery;
use crate::{RunId, ScopeKind};

#[test]
fn a_queued_job_first_asks_for_a_token_and_then_dispatches_once() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    assert_eq!(words(&ledger.queued(1)), ["mint for octo/app"]);
    assert!(words(&ledger.queued(2)).is_empty(), "one token request a scope is in flight");
    assert!(ledger.waits().contains("registration token"));
    assert_eq!(words(&ledger.minted(scope())), ["dispatch", "dispatch"]);
}

#[test]
fn nobody_is_hired_before_nomads_first_listing() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.queued(1);
    assert!(words(&ledger.minted(scope())).is_empty());
    assert!(ledger.waits().contains("first listing"));
    assert_eq!(words(&ledger.step(children_seen(Vec::new()))), ["dispatch"]);
}

#[test]
fn room_is_never_overrun_and_filled_when_it_comes_free() {
    let mut ledger = Ledger::ready(2);
    let first = ledger.hires_at_nomad(1);
    let _ = ledger.hires_at_nomad(2);
    assert!(words(&ledger.queued(3)).is_empty());
    assert!(ledger.waits().contains("2 of 3 have a runner on the way; at capacity: 2 runners"));
    assert!(words(&ledger.at_work(1, &first)).is_empty());
    assert_eq!(words(&ledger.child(&first, ended())), ["dispatch"]);
}

#[test]
fn a_pools_cap_counts_what_is_alive_in_it() {
    let mut small = pool("x64", &["linux"]);
    small.max_runners = 1;
    let mut ledger = Ledger::with(rules(20, vec![small, pool("arm", &["arm"])])).made_ready();
    let first = ledger.hires_at_nomad(1);
    assert!(words(&ledger.queued(2)).is_empty());
    assert!(ledger.waits().contains("at capacity: pool x64 has 1"));
    let arm = JobReport { labels: vec!["arm".into()], ..report(3, JobStatus::Queued) };
    assert_eq!(words(&ledger.hears(arm)), ["dispatch"]);
    let _ = ledger.at_work(1, &first);
    assert_eq!(words(&ledger.child(&first, ended())), ["dispatch"]);
}

#[test]
fn a_repositorys_cap_leaves_room_to_the_others() {
    let mut capped = pool("x64", &["linux"]);
    capped.max_runners_per_repository = Some(1);
    let mut ledger = Ledger::with(rules(20, vec![capped])).made_ready();
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let first = ledger.hires_at_nomad(1);
    assert!(words(&ledger.queued(2)).is_empty());
    assert!(ledger.waits().contains("max_runners_per_repository"));
    let other = ledger.hears_of(repository(2, "octo/two"), report(201, JobStatus::Queued));
    assert_eq!(words(&other), ["dispatch"]);
    let _ = ledger.at_work(1, &first);
    assert_eq!(words(&ledger.child(&first, ended())), ["dispatch"]);
}

#[test]
fn room_goes_round_the_classes_in_turn() {
    let mut ledger = Ledger::ready(1);
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let mut served = Vec::new();
    let mut runner = ledger.hires_at_nomad(1);
    for id in 2..=4 {
        let _ = ledger.queued(id);
        let _ = ledger.hears_of(repository(2, "octo/two"), report(200 + id, JobStatus::Queued));
    }
    for id in 10..14 {
        served.push(ledger.runner(&runner).scope_name.clone());
        // A job that nobody knew takes it, so that demand stays as it is.
        let _ = ledger.at_work(id, &runner);
        let next = dispatched(&ledger.child(&runner, ended()));
        assert_eq!(next.len(), 1);
        runner = next[0].clone();
        let _ = ledger.accepted(&runner);
    }
    assert_eq!(served, ["octo/app", "octo/two", "octo/app", "octo/two"]);
}

#[test]
fn each_waiting_job_is_the_cause_of_one_live_dispatch_at_most() {
    let mut ledger = Ledger::ready(20);
    let one = ledger.hires_at_nomad(1);
    let two = ledger.hires_at_nomad(2);
    assert_eq!(ledger.runner(&one).cause, Some(JobId(1)));
    assert_eq!(ledger.runner(&two).cause, Some(JobId(2)));
    // GitHub gives job 2 to the first: job 1 waits, and still is the cause of a live one.
    let _ = ledger.at_work(2, &one);
    let _ = ledger.child(&two, ended());
    let effects = ledger.jobs_seen(&[&two], vec![report(1, JobStatus::Queued)]);
    assert_eq!(words(&effects), ["find at forge in octo/app", "dispatch"]);
    let _ = ledger.at_forge(&two, AtForge::Nowhere);
    let three = dispatched(&effects)[0].clone();
    assert_eq!(ledger.runner(&three).cause, None);
    let _ = ledger.accepted(&three);
    // Once the first is gone job 1 can be named again.
    let _ = ledger.done(2, &one);
    let _ = ledger.child(&one, ended());
    assert_eq!(ledger.state.jobs[&JobId(1)].cause_of, None);
    assert!(ledger.state.classes[&class()].unnamed.contains(&(0, JobId(1))));
}

#[test]
fn a_job_taken_by_a_runner_of_another_class_frees_its_own() {
    let pools = vec![pool("x64", &["linux"]), pool("big", &["linux", "big"])];
    let mut ledger = Ledger::with(rules(20, pools)).made_ready();
    let small = ledger.hires_at_nomad(1);
    let big = JobReport { labels: vec!["big".into()], ..report(2, JobStatus::Queued) };
    let big = dispatched(&ledger.hears(big))[0].clone();
    let _ = ledger.accepted(&big);
    let effects = ledger.at_work(1, &big);
    // The small one is surplus, and job 2 needs another big one.
    assert_eq!(words(&effects), ["look at placement", "dispatch"]);
    assert!(matches!(ledger.runner(&small).state, RunnerState::Withdrawing(_)));
}

#[test]
fn a_stranger_takes_away_demand_only() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.hires_at_nomad(2);
    let effects = ledger.at_work(1, &"somebodys-runner".into());
    assert_eq!(words(&effects), ["look at placement"]);
    assert!(ledger.runner(&runner).took.is_none());
}

#[test]
fn where_runners_are_nameless_a_stranger_takes_one_supply_too() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.accepted_as(&runner, true);
    assert!(words(&ledger.at_work(1, &"host-17".into())).is_empty());
    assert_eq!(ledger.runner(&runner).took.unwrap().job, Some(JobId(1)));
    let _ = ledger.done(1, &"host-17".into());
    assert!(ledger.runner(&runner).took.unwrap().done);
    let _ = ledger.child(&runner, ended());
    ledger.is_empty();
}

#[test]
fn a_token_that_ended_while_a_class_waited_for_room_is_minted_again_before_the_dispatch() {
    let mut ledger = Ledger::ready(1);
    let first = ledger.hires_at_nomad(1);
    let _ = ledger.queued(2);
    let _ = ledger.at_work(1, &first);
    ledger.now = ledger.now + HOUR;
    assert_eq!(words(&ledger.child(&first, ended())), ["mint for octo/app"]);
    assert_eq!(words(&ledger.minted(scope())), ["dispatch"]);
}

#[test]
fn a_token_that_cannot_be_had_is_tried_again_and_the_reason_told() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    let answer = Err(failure("403: needs administration"));
    let effects = ledger.step(Event::CredentialMinted { scope: scope(), answer });
    let told = effects.happenings.iter().map(ToString::to_string);
    let why = "no registration token for octo/app: 403: needs administration";
    assert_eq!(told.collect::<Vec<_>>(), [why]);
    assert!(ledger.waits().contains("administration"));
    assert!(words(&ledger.queued(2)).is_empty());
    assert_eq!(ledger.words_within(MINUTE), ["mint for octo/app"]);
}

#[test]
fn a_time_to_come_back_that_is_now_is_no_storm() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    let at_once = Failure { reason: "429".into(), retry_after: Some(Duration::ZERO) };
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer: Err(at_once) });
    assert!(words(&ledger.passes(Duration::from_secs(9))).is_empty());
    assert_eq!(words(&ledger.passes(Duration::from_secs(1))), ["mint for octo/app"]);
}

#[test]
fn a_token_too_short_lived_to_hand_out_is_not_asked_for_without_end() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    let answer = Ok(ledger.now + MINUTE);
    let effects = ledger.step(Event::CredentialMinted { scope: scope(), answer });
    assert!(words(&effects).is_empty());
    assert!(ledger.waits().contains("clock"));
    assert_eq!(ledger.words_within(Duration::from_secs(15)), ["mint for octo/app"]);
}

#[test]
fn a_job_that_fetches_its_own_credential_needs_none_of_ours() {
    let mut own = pool("x64", &["linux"]);
    own.delivery = Delivery::None;
    let mut ledger = Ledger::with(rules(20, vec![own]));
    let _ = ledger.step(children_seen(Vec::new()));
    assert_eq!(words(&ledger.queued(1)), ["dispatch"]);
}

#[test]
fn runners_of_an_organization_serve_all_its_repositories() {
    let mut org = pool("x64", &["linux"]);
    org.scope = ScopeKind::Organization;
    let mut ledger = Ledger::with(rules(20, vec![org]));
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.minted(ScopeKey::Organization("octo".into()));
    let one = ledger.queued(1);
    let [Request::Dispatch(order)] = &one.requests[..] else { panic!() };
    assert_eq!(order.runner_url, "https://github.com/octo");
    assert!(order.idempotency_token.ends_with("@octo"));
    let two = ledger.hears_of(repository(2, "Octo/two"), report(201, JobStatus::Queued));
    assert_eq!(words(&two), ["dispatch"]);
    assert_eq!(ledger.state.classes.len(), 1);
    // A job of either repository may carry the name.
    let runner = order.runner.clone();
    let _ = ledger.unknown(&runner);
    let asked = words(&ledger.looked_up(&runner, false));
    assert_eq!(asked, ["find at forge in Octo/two octo/app"]);
}

#[test]
fn each_run_is_a_class_where_labels_contain_the_run() {
    let per_run = pool("x64", &["linux", "run-{run_id}"]);
    let mut ledger = Ledger::with(rules(20, vec![per_run])).made_ready();
    let labels = |run: u64| vec!["linux".to_owned(), format!("run-{run}")];
    let one = ledger.hears(JobReport { labels: labels(1), ..report(1, JobStatus::Queued) });
    let [Request::Dispatch(order)] = &one.requests[..] else { panic!() };
    assert_eq!(order.labels, labels(1));
    assert!(order.idempotency_token.ends_with("@octo/app#1"));
    let _ = ledger.hears(JobReport { labels: labels(2), ..report(101, JobStatus::Queued) });
    let runs: Vec<_> = ledger.state.classes.keys().map(|key| key.run).collect();
    assert_eq!(runs, [Some(RunId(1)), Some(RunId(2))]);
}

#[test]
fn a_full_repository_with_many_runs_is_passed_over_for_the_next() {
    let mut per_run = pool("x64", &["run-{run_id}"]);
    per_run.max_runners_per_repository = Some(1);
    let mut ledger = Ledger::with(rules(20, vec![per_run])).made_ready();
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let queued = |run: u64| JobReport {
        labels: vec![format!("run-{run}")],
        ..report((run - 1) * 100, JobStatus::Queued)
    };
    let hired: usize = (1..=9).map(|run| dispatched(&ledger.hears(queued(run))).len()).sum();
    assert_eq!(hired, 1);
    let other = ledger.hears_of(repository(2, "octo/two"), queued(10));
    assert_eq!(words(&other), ["dispatch"]);
}

fn per_run() -> Pool {
    pool("x64", &["run-{run_id}"])
}

fn of_run(run: u64) -> JobReport {
    let labels = vec![format!("run-{run}")];
    JobReport { labels, run: RunId(run), ..report(run * 100, JobStatus::Queued) }
}

/// Frees the room of a runner by giving it a job that nobody knew, and says who comes next.
fn room_for_one_more(ledger: &mut Ledger, runner: &RunnerName, number: u64) -> RunnerName {
    let repository = repository(number, &format!("octo/r{number}"));
    let _ = ledger.hears_of(repository, report_by(9_000_000, JobStatus::InProgress, runner));
    let next = dispatched(&ledger.child(runner, ended()));
    assert_eq!(next.len(), 1);
    let _ = ledger.accepted(&next[0]);
    next[0].clone()
}

#[test]
fn where_each_run_is_a_class_turns_go_round_repositories_first_and_then_runs() {
    let mut ledger = Ledger::with(rules(1, vec![per_run()])).made_ready();
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let mut runner = ledger.hires_run(1, 1);
    for run in 2..=60 {
        let _ = ledger.hears_of(repository(1, "octo/r1"), of_run(run));
    }
    let _ = ledger.hears_of(repository(2, "octo/r2"), of_run(1000));
    let _ = ledger.hears_of(repository(2, "octo/r2"), of_run(1001));
    let mut served = Vec::new();
    for _ in 0..6 {
        let class = ledger.runner(&runner).class.clone();
        let ScopeKey::Repository(id) = class.scope else { panic!() };
        served.push((id.0, class.run.unwrap().0));
        runner = room_for_one_more(&mut ledger, &runner, id.0);
    }
    assert_eq!(served, [(1, 1), (2, 1000), (1, 2), (2, 1001), (1, 3), (2, 1000)]);
}

#[test]
fn where_each_run_is_a_class_ends_count_against_the_repository_and_not_the_run() {
    let mut ledger = Ledger::with(rules(20, vec![per_run()])).made_ready();
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let ended: Vec<RunnerName> = (1..=2).map(|run| ledger.hires_run(1, run)).collect();
    for (runner, run) in ended.iter().zip(1..) {
        let _ = ledger.child(runner, super::ended());
        let class = ledger.runner(runner).class.clone();
        let answer = Ok(JobsOfRuns {
            reports: vec![of_run(run)],
            looked_at: vec![RunId(run)],
            removed: Vec::new(),
        });
        let _ = ledger.step(Event::JobsSeen { class, names: vec![runner.clone()], answer });
        let _ = ledger.at_forge(runner, AtForge::Nowhere);
    }
    let more = ledger.hears_of(repository(1, "octo/r1"), of_run(3));
    assert!(dispatched(&more).is_empty(), "another run of the same repository waits too");
    let _ = ledger.hires_run(2, 1000);
}

#[test]
fn every_waiting_class_has_a_reason_until_the_end() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued(1);
    assert_eq!(ledger.why(), Some("a runner is on the way".into()));
    let _ = ledger.cancelled(1);
    assert_eq!(ledger.why(), None);
}
