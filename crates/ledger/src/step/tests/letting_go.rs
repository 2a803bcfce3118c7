//! The table "Letting go of a runner", row by row.

use super::*;

/// A runner whose job was cancelled, and whose placement is being looked at.
fn surplus() -> (Ledger, RunnerName) {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    assert_eq!(words(&ledger.cancelled(1)), ["look at placement"]);
    (ledger, runner)
}

fn registered(busy: bool) -> AtForge {
    AtForge::Registered { id: 7, busy, online: true }
}

/// One whose registration has just been deleted.
fn deleted() -> (Ledger, RunnerName) {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    assert_eq!(words(&ledger.at_forge(&runner, registered(false))), ["delete registration 7"]);
    assert!(words(&ledger.deleted(&runner, Deletion::NoNewJob)).is_empty());
    (ledger, runner)
}

#[test]
fn not_placed_is_stopped_having_asked_nomad_just_before() {
    let (mut ledger, runner) = surplus();
    assert_eq!(words(&ledger.placement(&runner, ChildPhase::NotPlaced)), ["stop child"]);
    let _ = ledger.stopped(&runner);
    assert!(ledger.runner(&runner).is_alive(), "its end is seen where all ends are");
    let how = "it was stopped".to_owned();
    let _ = ledger.child(&runner, ChildPhase::Ended { how, placed: false });
    ledger.is_empty();
}

#[test]
fn one_that_was_placed_after_the_look_and_before_it_died_is_looked_for_at_github() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::NotPlaced);
    let _ = ledger.stopped(&runner);
    assert_eq!(words(&ledger.child(&runner, ended())), ["find at forge in octo/app"]);
    assert_eq!(words(&ledger.at_forge(&runner, registered(false))), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    ledger.is_empty();
}

#[test]
fn whoever_may_have_been_stopped_is_not_kept_when_demand_returns() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::NotPlaced);
    let answer = Err(failure("timeout"));
    let _ = ledger.step(Event::ChildStopped { runner: runner.clone(), answer });
    assert_eq!(words(&ledger.queued(2)), ["dispatch"]);
    assert!(matches!(ledger.runner(&runner).state, RunnerState::Withdrawing(_)));
}

#[test]
fn a_stop_that_failed_starts_with_the_look_before_it() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::NotPlaced);
    let answer = Err(failure("500"));
    let _ = ledger.step(Event::ChildStopped { runner, answer });
    assert_eq!(ledger.words_within(MINUTE), ["look at placement"]);
}

#[test]
fn the_end_of_a_placed_child_may_be_seen_before_the_answer_to_its_stop() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::NotPlaced);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = ledger.child(&runner, ended());
    assert_eq!(words(&ledger.stopped(&runner)), ["find at forge in octo/app"]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    ledger.is_empty();
}

#[test]
fn the_end_of_a_placed_child_may_be_seen_before_the_answer_about_its_placement() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = ledger.cancelled(1);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.placement(&runner, ended());
    assert_eq!(words(&effects), ["find at forge in octo/app"]);
}

#[test]
fn one_that_ended_before_anybody_saw_it_placed_is_looked_for_at_github() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.child(&runner, ended());
    assert_eq!(words(&ledger.placement(&runner, ended())), ["find at forge in octo/app"]);
    assert_eq!(words(&ledger.at_forge(&runner, registered(false))), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    ledger.is_empty();
}

#[test]
fn placed_and_not_registered_is_looked_for_until_its_time_to_boot_is_over_then_stopped() {
    let (mut ledger, runner) = surplus();
    let effects = ledger.placement(&runner, ChildPhase::Placed);
    let placed_at = ledger.now;
    assert_eq!(words(&effects), ["find at forge in octo/app"]);
    let mut looks = 0;
    while words(&ledger.at_forge(&runner, AtForge::Nowhere)).is_empty() {
        let at = ledger.state.next_timer().unwrap();
        assert_eq!(words(&ledger.passes(at.since(ledger.now))), ["find at forge in octo/app"]);
        looks += 1;
    }
    assert_eq!(ledger.now.since(placed_at), Duration::from_secs(600));
    assert!((5..20).contains(&looks), "{looks}");
    assert_eq!(ledger.runner(&runner).state, RunnerState::Withdrawing(Leaving::Stopping));
    let _ = ledger.stopped(&runner);
    // Once more: it may have registered meanwhile.
    assert_eq!(words(&ledger.child(&runner, ended())), ["find at forge in octo/app"]);
    assert_eq!(words(&ledger.at_forge(&runner, registered(false))), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    ledger.is_empty();
}

#[test]
fn an_answer_older_than_the_end_is_asked_for_once_more() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    assert!(words(&ledger.child(&runner, ended())).is_empty(), "a question is under way");
    let effects = ledger.at_forge(&runner, AtForge::Nowhere);
    assert_eq!(words(&effects), ["find at forge in octo/app"]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    ledger.is_empty();
}

#[test]
fn registered_is_deleted_at_github_and_ends_by_itself() {
    let (mut ledger, runner) = deleted();
    assert!(words(&ledger.child(&runner, ended())).is_empty());
    ledger.is_empty();
}

#[test]
fn deleted_and_at_work_all_the_same_is_left_alone() {
    let (mut ledger, runner) = deleted();
    let _ = ledger.at_work(5, &runner);
    assert!(ledger.words_within(HOUR).is_empty());
    assert!(ledger.runner(&runner).took.is_some());
}

#[test]
fn deleted_is_stopped_only_after_release_grace_when_no_running_job_names_it() {
    let (mut ledger, runner) = deleted();
    assert!(words(&ledger.passes(Duration::from_secs(299))).is_empty());
    let effects = ledger.passes(Duration::from_secs(1));
    assert_eq!(words(&effects), ["find at forge in octo/app"]);
    assert_eq!(words(&ledger.at_forge(&runner, AtForge::Nowhere)), ["stop child"]);
}

#[test]
fn deleted_and_named_by_a_running_job_after_release_grace_is_not_stopped() {
    let (mut ledger, runner) = deleted();
    let _ = ledger.passes(Duration::from_secs(300));
    let named = report_by(9, JobStatus::InProgress, &runner);
    assert!(words(&ledger.at_forge(&runner, AtForge::Named(named.into()))).is_empty());
    assert_eq!(ledger.runner(&runner).took.unwrap().job, Some(JobId(9)));
    assert!(ledger.state.jobs.contains_key(&JobId(9)), "a job that nobody knew is folded");
    assert!(ledger.words_within(HOUR).is_empty());
}

#[test]
fn a_failed_stop_after_the_grace_asks_github_again_first() {
    let (mut ledger, runner) = deleted();
    let _ = ledger.passes(Duration::from_secs(300));
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    let answer = Err(failure("500"));
    let _ = ledger.step(Event::ChildStopped { runner, answer });
    assert_eq!(ledger.words_within(MINUTE), ["find at forge in octo/app"]);
}

#[test]
fn the_422_of_a_busy_runner_leaves_it_alone_and_its_job_is_named_later() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    let _ = ledger.at_forge(&runner, registered(false));
    assert!(words(&ledger.deleted(&runner, Deletion::Busy)).is_empty());
    assert_eq!(ledger.runner(&runner).took.unwrap().job, None);
    assert!(ledger.words_within(HOUR).is_empty());
    let _ = ledger.at_work(4, &runner);
    assert_eq!(ledger.runner(&runner).took.unwrap().job, Some(JobId(4)));
}

#[test]
fn a_busy_runner_whose_job_nobody_knows_is_followed_to_its_end() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    let _ = ledger.at_forge(&runner, registered(true));
    assert!(ledger.runner(&runner).took.is_some());
    let _ = ledger.child(&runner, ended());
    assert_eq!(ledger.words_within(MINUTE), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    ledger.is_empty();
}

#[test]
fn a_runner_named_at_any_step_of_letting_go_is_never_stopped() {
    let (mut one, runner) = surplus();
    let _ = one.at_work(5, &runner);
    assert!(words(&one.placement(&runner, ChildPhase::NotPlaced)).is_empty());
    let (mut two, runner) = surplus();
    let _ = two.placement(&runner, ChildPhase::Placed);
    let _ = two.at_work(5, &runner);
    assert!(words(&two.at_forge(&runner, AtForge::Nowhere)).is_empty());
    let (mut three, runner) = deleted();
    let _ = three.passes(Duration::from_secs(300));
    let _ = three.at_work(5, &runner);
    assert!(words(&three.at_forge(&runner, AtForge::Nowhere)).is_empty());
    assert!(three.words_within(HOUR).is_empty());
}

#[test]
fn nameless_is_stopped_only_while_not_placed() {
    let mut ledger = Ledger::ready(20);
    for (id, phase, asks) in
        [(1, ChildPhase::NotPlaced, vec!["stop child"]), (2, ChildPhase::Placed, vec![])]
    {
        let runner = ledger.hires(id);
        let _ = ledger.accepted_as(&runner, true);
        let _ = ledger.cancelled(id);
        assert_eq!(words(&ledger.placement(&runner, phase)), asks);
        assert!(ledger.words_within(HOUR).is_empty());
        let _ = ledger.minted(scope());
        let _ = ledger.child(&runner, ended());
        for runner in ledger.state.runners.keys().cloned().collect::<Vec<_>>() {
            let _ = ledger.at_forge(&runner, AtForge::Nowhere);
        }
    }
    ledger.is_empty();
}

#[test]
fn the_least_advanced_goes_first() {
    let mut ledger = Ledger::ready(20);
    let placed = ledger.hires_at_nomad(1);
    let _ = ledger.child(&placed, ChildPhase::Placed);
    let not_placed = ledger.hires_at_nomad(2);
    let sent = ledger.hires(3);
    let owed = ledger.hires(4);
    let _ = ledger.refused(&owed);
    let _ = ledger.cancelled(1);
    assert!(!ledger.state.runners.contains_key(&owed));
    let _ = ledger.cancelled(2);
    assert!(ledger.runner(&sent).unwanted);
    let _ = ledger.cancelled(3);
    assert!(matches!(ledger.runner(&not_placed).state, RunnerState::Withdrawing(_)));
    assert_eq!(ledger.runner(&placed).state, RunnerState::Dispatched);
}

#[test]
fn whoever_is_not_yet_deleted_or_stopped_is_kept_when_demand_returns() {
    let (mut ledger, runner) = surplus();
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    assert!(words(&ledger.queued(2)).is_empty(), "nobody new is hired");
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
    assert!(ledger.words_within(9 * MINUTE).is_empty());
    let (mut ledger, runner) = deleted();
    assert_eq!(words(&ledger.queued(2)), ["dispatch"]);
    assert!(matches!(ledger.runner(&runner).state, RunnerState::Withdrawing(_)));
}

#[test]
fn runners_of_a_pool_that_is_gone_are_let_go_when_idle_and_followed_when_busy() {
    let mut ledger = Ledger::ready(20);
    let idle = ledger.hires_at_nomad(1);
    let busy = ledger.hires_at_nomad(2);
    let _ = ledger.at_work(2, &busy);
    let effects = ledger.restart_with(rules(20, vec![pool("arm", &["arm"])]));
    assert!(words(&effects).is_empty(), "nobody is let go before the first whole sweep");
    let effects = ledger.step(Event::Observed(Box::new(Observation::SweptAll)));
    assert_eq!(words(&effects), ["look at placement"]);
    let _ = ledger.placement(&idle, ChildPhase::Placed);
    let _ = ledger.at_forge(&idle, registered(false));
    let _ = ledger.deleted(&idle, Deletion::NoNewJob);
    // The grace is never nothing.
    assert!(ledger.words_within(4 * MINUTE).is_empty());
    let _ = ledger.child(&idle, ended());
    let _ = ledger.done(2, &busy);
    let _ = ledger.child(&busy, ended());
    ledger.is_empty();
}

fn held_up(ledger: &mut Ledger, runner: &RunnerName, why: Option<&str>) -> Effects {
    let told = vec![(runner.clone(), why.map(str::to_owned))];
    ledger.step(Event::ChildrenHeldUp(told))
}

#[test]
fn what_keeps_a_dispatch_from_its_work_is_why_its_jobs_wait() {
    const WHY: &str = "Nomad has no room for it: 1 node: 1 lacks memory";
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    assert_eq!(ledger.waits(), "a runner is on the way");
    let told = held_up(&mut ledger, &runner, Some(WHY)).happenings;
    let why = crate::Happened::RunnerNotStarting { why: WHY.to_owned() };
    assert!(told.iter().any(|it| it.what == why && it.what.is_warning()), "{told:?}");
    assert_eq!(ledger.waits(), format!("a runner is dispatched, but {WHY}"));
    assert_eq!(ledger.runner(&runner).reason.as_deref(), Some(WHY));
    let again = held_up(&mut ledger, &runner, Some(WHY));
    assert!(again.happenings.is_empty() && again.records.is_empty(), "it is told once");
    let _ = ledger.child(&runner, ChildPhase::Placed);
    assert_eq!(ledger.waits(), "a runner is on the way");
    let _ = held_up(&mut ledger, &runner, Some("its task does not start: no such image"));
    assert!(ledger.waits().ends_with("no such image"), "{}", ledger.waits());
    let _ = held_up(&mut ledger, &runner, None);
    assert_eq!(ledger.waits(), "a runner is on the way");
    let _ = ledger.at_work(1, &runner);
    let late = held_up(&mut ledger, &runner, Some(WHY));
    assert!(late.records.is_empty(), "it has a job");
}
