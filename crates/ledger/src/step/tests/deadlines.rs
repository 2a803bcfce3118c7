//! How long anything in a runner's life may take, and what happens when it takes longer.

use super::*;
use crate::pool::Delivery;
use crate::state::Timer;

const SECOND: Duration = Duration::from_secs(1);
const REGISTERED: AtForge = AtForge::Registered { id: 7, busy: false, online: true };
const LOOK: &str = "find at forge in octo/app";

fn lists(ledger: &mut Ledger, runner: &RunnerName, busy: bool) -> Effects {
    let registered = Registered { id: 7, name: runner.0.clone(), busy, online: true };
    ledger.lists(vec![registered])
}

fn placed(id: u64) -> (Ledger, RunnerName) {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(id);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    (ledger, runner)
}

fn registered(id: u64) -> (Ledger, RunnerName) {
    let (mut ledger, runner) = placed(id);
    let _ = lists(&mut ledger, &runner, false);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Registered);
    (ledger, runner)
}

#[test]
fn who_is_not_placed_in_time_is_withdrawn_and_hired_again_at_once() {
    let mut ledger = Ledger::ready(20);
    let first = ledger.hires_at_nomad(1);
    assert!(ledger.words_within(20 * MINUTE - SECOND).is_empty());
    let _ = ledger.minted(scope());
    assert_eq!(ledger.words_within(SECOND), ["look at placement", "dispatch"]);
    assert!(matches!(ledger.runner(&first).state, RunnerState::Withdrawing(_)));
    assert!(ledger.state.breakers.is_empty(), "a full cluster is not a broken pool");
    assert_eq!(ledger.state.classes[&class()].hold, None);
}

#[test]
fn who_is_not_placed_in_time_waits_for_a_fresh_credential() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires_at_nomad(1);
    ledger.now = ledger.now + 40 * MINUTE;
    let effects = ledger.step(Event::Tick);
    assert_eq!(words(&effects), ["look at placement", "mint for octo/app"]);
}

#[test]
fn with_none_nobody_is_withdrawn_for_waiting() {
    let none = Pool { delivery: Delivery::None, ..pool("x64", &["linux"]) };
    let mut ledger = Ledger::with(rules(20, vec![none])).made_ready();
    let _ = ledger.hires_at_nomad(1);
    assert!(ledger.words_within(5 * HOUR).is_empty());
}

#[test]
fn who_was_sent_again_has_its_whole_time_to_be_placed() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    ledger.now = ledger.now + 30 * MINUTE;
    let _ = ledger.looked_up(&runner, false);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    let _ = ledger.accepted(&runner);
    assert!(ledger.words_within(20 * MINUTE - SECOND).is_empty());
}

#[test]
fn a_runner_that_does_not_boot_in_time_is_looked_for_then_stopped_and_looked_for_once_more() {
    let (mut ledger, runner) = placed(1);
    assert_eq!(ledger.words_within(10 * MINUTE), [LOOK]);
    let effects = ledger.at_forge(&runner, AtForge::Nowhere);
    assert_eq!(words(&effects), ["stop child", "ask jobs after 1 ended"]);
    assert!(ledger.waits().contains("asking GitHub"));
    let _ = ledger.stopped(&runner);
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    assert!(words(&effects).is_empty(), "it is not stopped a second time");
    assert_eq!(ledger.state.jobs[&JobId(1)].ends_in_vain(), 1);
    assert_eq!(words(&ledger.child(&runner, ended())), [LOOK]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    assert_eq!(ledger.state.jobs[&JobId(1)].ends_in_vain(), 1, "accounted for once");
}

#[test]
fn a_runner_of_no_use_that_ends_before_the_answer_is_accounted_for_once() {
    let (mut ledger, runner) = placed(1);
    let _ = ledger.words_within(10 * MINUTE);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    let _ = ledger.stopped(&runner);
    assert!(words(&ledger.child(&runner, ended())).is_empty());
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    assert_eq!(words(&effects), [LOOK]);
    assert_eq!(ledger.state.jobs[&JobId(1)].ends_in_vain(), 1);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    assert_eq!(ledger.words_within(MINUTE), ["dispatch"]);
}

#[test]
fn a_look_whether_it_booted_that_fails_is_repeated() {
    let (mut ledger, runner) = placed(1);
    assert_eq!(ledger.words_within(10 * MINUTE), [LOOK]);
    let answer = Err(failure("502"));
    let _ = ledger.step(Event::LookedForAtForge { runner, answer });
    assert_eq!(ledger.words_within(MINUTE), [LOOK]);
}

#[test]
fn a_late_look_that_finds_it_registered_or_at_work_leaves_it_alone() {
    let named = AtForge::Named(Box::new(report_by(1, JobStatus::InProgress, &"x".into())));
    for found in [REGISTERED, AtForge::Registered { id: 7, busy: true, online: true }, named] {
        let (mut ledger, runner) = placed(1);
        let _ = ledger.words_within(10 * MINUTE);
        let said = words(&ledger.at_forge(&runner, found));
        assert!(!said.contains(&"stop child".into()), "{said:?}");
        assert!(!matches!(ledger.runner(&runner).state, RunnerState::Withdrawing(_)));
    }
}

#[test]
fn a_runner_that_takes_a_job_while_it_is_looked_for_is_never_stopped() {
    let (mut ledger, runner) = placed(1);
    assert_eq!(ledger.words_within(10 * MINUTE), [LOOK]);
    let _ = ledger.at_work(1, &runner);
    assert!(words(&ledger.at_forge(&runner, AtForge::Nowhere)).is_empty());
    assert!(ledger.words_within(5 * HOUR).is_empty());
}

#[test]
fn an_answer_about_its_boot_that_is_older_than_its_end_is_asked_for_once_more() {
    let (mut ledger, runner) = placed(1);
    let _ = ledger.words_within(10 * MINUTE);
    let _ = ledger.child(&runner, ended());
    let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Completed)]);
    assert_eq!(words(&ledger.at_forge(&runner, AtForge::Nowhere)), [LOOK]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    assert!(ledger.state.runners.is_empty());
}

#[test]
fn nameless_runners_are_not_looked_for() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.accepted_as(&runner, true);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    assert!(ledger.words_within(5 * HOUR).is_empty());
}

#[test]
fn registered_and_given_no_job_although_jobs_wait_is_let_go_and_github_asked() {
    let (mut ledger, runner) = registered(1);
    let said = ledger.words_within(10 * MINUTE);
    assert_eq!(said, ["look at placement", "ask jobs after 1 ended"]);
    assert!(!ledger.runner(&runner).is_supply(), "it is not taken back");
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    let _ = ledger.at_forge(&runner, REGISTERED);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    assert!(words(&ledger.child(&runner, ended())).is_empty(), "first GitHub's answer");
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    assert_eq!(words(&effects), ["delete registration 7"]);
    assert_eq!(ledger.state.jobs[&JobId(1)].ends_in_vain(), 1);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    assert!(ledger.state.runners.is_empty());
    assert!(ledger.waits().contains("idle_timeout"), "{}", ledger.waits());
}

#[test]
fn idle_counts_only_while_a_job_waits() {
    let (mut ledger, runner) = registered(1);
    let _ = ledger.words_within(9 * MINUTE);
    // GitHub is slow to tell: another job waits from now on, and the first is over.
    let _ = ledger.queued(2);
    let _ = ledger.cancelled(1);
    assert!(ledger.runner(&runner).is_supply());
    let _ = ledger.words_within(10 * MINUTE - SECOND);
    assert!(ledger.runner(&runner).is_supply());
    let _ = ledger.words_within(SECOND);
    assert!(!ledger.runner(&runner).is_supply());
}

#[test]
fn where_nobody_may_be_let_go_an_idle_runner_waits_without_haste() {
    let (mut ledger, runner) = registered(1);
    let _ = ledger.refuses_to_show("octo/app");
    let _ = ledger.cancelled(1);
    assert!(ledger.runner(&runner).is_supply());
    let mut ticks = 0;
    let end = ledger.now + HOUR;
    while let Some(at) = ledger.state.next_timer().filter(|at| *at <= end) {
        ledger.now = at;
        let _ = ledger.step(Event::Tick);
        ticks += 1;
    }
    assert!(ticks < 20, "{ticks} ticks");
    assert!(ledger.runner(&runner).is_supply());
}

#[test]
fn a_runner_taken_back_keeps_its_clock() {
    let (mut ledger, runner) = registered(1);
    let _ = ledger.cancelled(1);
    let _ = ledger.words_within(5 * MINUTE);
    let _ = ledger.queued(2);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Registered);
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    let _ = ledger.words_within(10 * MINUTE);
    assert!(!ledger.runner(&runner).is_supply());
}

#[test]
fn older_than_max_lifetime_is_told_and_let_go_if_not_busy() {
    let none = Pool { delivery: Delivery::None, ..pool("x64", &["linux"]) };
    let mut ledger = Ledger::with(rules(20, vec![none])).made_ready();
    let runner = ledger.hires_at_nomad(1);
    assert_eq!(ledger.words_within(6 * HOUR), ["look at placement", "dispatch"]);
    assert!(!ledger.runner(&runner).is_supply());
}

/// A job that has ended is still listed while others of its run are open.
#[test]
fn one_that_goes_on_after_its_job_is_stopped_when_it_is_older_than_max_lifetime() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.done(1, &runner);
    ledger.now = ledger.now + 7 * HOUR;
    assert_eq!(ledger.words_within(SECOND), ["look at placement"]);
    assert_eq!(words(&ledger.placement(&runner, ChildPhase::Placed)), [LOOK]);
    let report = Box::new(report_by(1, JobStatus::Completed, &runner));
    assert_eq!(words(&ledger.at_forge(&runner, AtForge::Named(report))), ["stop child"]);
}

#[test]
fn a_busy_runner_older_than_max_lifetime_is_told_once_and_left_alone() {
    let (mut ledger, runner) = placed(1);
    let _ = ledger.at_work(1, &runner);
    let mut told = 0;
    let end = ledger.now + 12 * HOUR;
    while let Some(at) = ledger.state.next_timer().filter(|at| *at <= end) {
        ledger.now = at;
        let effects = ledger.step(Event::Tick);
        told +=
            effects.happenings.iter().filter(|it| it.what == crate::Happened::RunnerTooOld).count();
        assert!(effects.requests.is_empty());
    }
    assert_eq!(told, 1);
    assert!(ledger.runner(&runner).took.is_some());
}

#[test]
fn a_runner_that_does_not_end_after_its_job_is_looked_for_and_stopped_after_release_grace() {
    let (mut ledger, runner) = placed(1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.done(1, &runner);
    assert!(ledger.words_within(5 * MINUTE - SECOND).is_empty());
    assert_eq!(ledger.words_within(SECOND), ["look at placement"]);
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    assert_eq!(words(&ledger.at_forge(&runner, AtForge::Nowhere)), ["stop child"]);
}

/// GitHub's `busy` lags, or the runner is at work on something that it does not name. Without a
/// pause the deadline that found it busy is due again at once: 922 listings in 5 s were seen.
#[test]
fn a_runner_that_is_busy_after_all_is_looked_for_again_and_again_but_with_a_pause() {
    let (mut ledger, runner) = placed(1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.words_within(7 * HOUR);
    let mut requests = ledger.done(1, &runner).requests.len();
    let end = ledger.now + HOUR;
    while let Some(at) = ledger.state.next_timer().filter(|at| *at <= end) {
        ledger.now = ledger.now.max(at);
        let effects = ledger.step(Event::Tick);
        requests += effects.requests.len();
        if words(&effects) == ["look at placement"] {
            requests += ledger.placement(&runner, ChildPhase::Placed).requests.len();
            let busy = AtForge::Registered { id: 7, busy: true, online: true };
            requests += ledger.at_forge(&runner, busy).requests.len();
        }
    }
    assert!((10..40).contains(&requests), "{requests} requests in an hour");
    ledger.now = ledger.now + HOUR;
    assert_eq!(ledger.words_within(SECOND), ["look at placement"]);
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    assert_eq!(words(&ledger.at_forge(&runner, AtForge::Nowhere)), ["stop child"]);
}

#[test]
fn a_runner_has_one_timer_for_all_its_deadlines_and_none_when_it_is_gone() {
    let clocks = |ledger: &Ledger| {
        let timers = ledger.state.timers.iter();
        timers.filter(|(_, timer)| matches!(timer, Timer::Deadline(_))).count()
    };
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    assert_eq!(clocks(&ledger), 1);
    let _ = ledger.passes(MINUTE);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = lists(&mut ledger, &runner, false);
    assert_eq!(clocks(&ledger), 1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.done(1, &runner);
    let _ = ledger.child(&runner, ended());
    assert_eq!(clocks(&ledger), 0);
}

#[test]
fn a_deadline_that_passed_while_the_daemon_was_off_is_looked_at_after_the_first_sweep() {
    let (mut ledger, runner) = placed(1);
    ledger.now = ledger.now + HOUR;
    let _ = ledger.restart();
    let _ = ledger.child(&runner, ChildPhase::Placed);
    assert!(ledger.words_within(MINUTE).is_empty(), "nobody is let go yet");
    let _ = ledger.step(Event::Observed(Box::new(Observation::SweptAll)));
    assert_eq!(ledger.words_within(MINUTE), [LOOK]);
}

#[test]
fn a_second_allocation_is_let_go_and_another_runner_hired() {
    let (mut ledger, runner) = placed(1);
    let effects = ledger.child(&runner, ChildPhase::Replaced);
    assert_eq!(words(&effects), ["look at placement", "dispatch"]);
    assert!(!ledger.runner(&runner).is_supply());
}

#[test]
fn a_second_allocation_of_a_runner_on_its_way_out_is_not_taken_back() {
    let (mut ledger, runner) = placed(1);
    let _ = ledger.cancelled(1);
    let _ = ledger.child(&runner, ChildPhase::Replaced);
    assert_eq!(words(&ledger.queued(2)), ["dispatch"]);
}

#[test]
fn a_second_allocation_of_a_busy_runner_is_left_to_its_end() {
    let (mut ledger, runner) = placed(1);
    let _ = ledger.at_work(1, &runner);
    assert!(words(&ledger.child(&runner, ChildPhase::Replaced)).is_empty());
    assert!(ledger.runner(&runner).took.is_some());
}
