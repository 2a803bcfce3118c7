//! After a crash everything is derived from the rows.

use super::*;
use crate::runner::Sending;

#[test]
fn a_dispatch_that_may_have_left_is_looked_up_before_anything_is_sent() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    assert_eq!(words(&ledger.restart()), ["find child"]);
    let _ = ledger.minted(scope());
    assert!(words(&ledger.step(children_seen(Vec::new()))).is_empty());
    let _ = ledger.looked_up(&runner, true);
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
}

#[test]
fn what_is_sent_again_after_a_restart_gets_a_token_first() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.restart();
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.looked_up(&runner, false);
    assert_eq!(words(&ledger.at_forge(&runner, AtForge::Nowhere)), ["dispatch"]);
    let _ = ledger.outcome(&runner, DispatchOutcome::CredentialMissing);
    assert_eq!(words(&ledger.minted(scope())), ["dispatch"]);
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn an_unwanted_dispatch_stays_unwanted() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.cancelled(1);
    assert_eq!(words(&ledger.restart()), ["find child"]);
    assert_eq!(words(&ledger.looked_up(&runner, true)), ["look at placement"]);
}

#[test]
fn an_owed_runner_is_sent_once_nomad_is_listed() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.refused(&runner);
    let _ = ledger.restart();
    let _ = ledger.minted(scope());
    let sent = dispatched(&ledger.step(children_seen(Vec::new())));
    assert_eq!(sent, [runner]);
}

#[test]
fn a_waiting_job_without_a_runner_is_hired_for() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.queued(1);
    assert_eq!(words(&ledger.restart()), ["mint for octo/app"]);
    let _ = ledger.minted(scope());
    assert_eq!(words(&ledger.step(children_seen(Vec::new()))), ["dispatch"]);
}

#[test]
fn a_dispatched_runner_is_followed_and_not_hired_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    assert!(words(&ledger.restart()).is_empty());
    let _ = ledger.minted(scope());
    let effects = ledger.child(&runner, ended());
    assert_eq!(words(&effects), ["ask jobs after 1 ended"]);
}

/// The rows of a runner in every state of letting go, and what a restart asks for.
#[test]
fn a_runner_on_its_way_out_goes_on_from_where_it_was() {
    let look_again = Time(1_800_000_000_000) + MINUTE;
    let since = Time(1_800_000_000_000);
    let forge = "find at forge in octo/app";
    let cases = [
        (Leaving::LookingForPlacement, false, vec!["look at placement"], vec![]),
        // A stop starts with the look before it.
        (Leaving::Stopping, false, vec!["look at placement"], vec![]),
        (Leaving::Stopping, true, vec![forge], vec![]),
        (Leaving::LookingForRegistration, true, vec![forge], vec![]),
        (Leaving::Booting { look_again }, true, vec![], vec![forge]),
        (Leaving::Deleting, true, vec!["delete registration 7"], vec![]),
        (Leaving::Ending { since }, true, vec![], vec![forge]),
        (Leaving::LookingForJob, true, vec![forge], vec![]),
        (Leaving::LeftAlone, true, vec![], vec![]),
    ];
    for (leaving, placed, at_once, later) in cases {
        let mut ledger = Ledger::ready(20);
        let runner = ledger.hires_at_nomad(1);
        let _ = ledger.cancelled(1);
        let row = ledger.rows.runners.get_mut(&runner).unwrap();
        row.state = RunnerState::Withdrawing(leaving.clone());
        row.placed_at = placed.then_some(since);
        row.github_id = (leaving == Leaving::Deleting).then_some(7);
        assert_eq!(words(&ledger.restart()), at_once, "{leaving:?}");
        assert_eq!(ledger.words_within(6 * MINUTE), later, "{leaving:?}");
    }
}

#[test]
fn a_runner_that_ended_unseen_is_asked_about_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    assert_eq!(words(&ledger.restart()), ["ask jobs after 1 ended"]);
    let _ = ledger.minted(scope());
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.jobs_seen(&[&runner], vec![report_by(1, JobStatus::Completed, &runner)]);
    ledger.is_empty();
}

#[test]
fn a_runner_that_ended_unseen_without_any_job_left_is_cleared_away() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    ledger.rows.jobs.clear();
    assert_eq!(words(&ledger.restart()), ["find at forge in octo/app"]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    ledger.is_empty();
}

#[test]
fn a_runner_that_ended_at_work_is_looked_for_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.child(&runner, ended());
    assert_eq!(words(&ledger.restart()), ["find at forge in octo/app"]);
}

#[test]
fn a_job_at_work_whose_runner_is_gone_is_asked_about() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.child(&runner, ended());
    let _ = ledger.words_within(MINUTE);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    assert!(ledger.state.runners.is_empty());
    let _ = ledger.restart();
    assert_eq!(ledger.words_within(MINUTE), ["ask job 1"]);
}

#[test]
fn whether_a_head_is_a_fork_is_remembered_with_the_job() {
    let mut ledger = Ledger::ready(20);
    let forkable = Repository { forkable: true, ..repository(1, "octo/app") };
    let _ = ledger.hears_of(forkable, report(1, JobStatus::Queued));
    assert!(words(&ledger.restart()).is_empty(), "nobody could be launched yet");
    assert_eq!(words(&ledger.step(children_seen(Vec::new()))), ["ask about run 1"]);
    let run = crate::RunId(1);
    let _ = ledger.step(Event::RunKnown { run, answer: Ok(false.into()) });
    assert_eq!(words(&ledger.restart()), ["mint for octo/app"]);
}

#[test]
fn a_job_is_no_longer_the_cause_of_a_runner_that_has_no_row() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    ledger.rows.runners.clear();
    let _ = ledger.restart();
    let _ = ledger.minted(scope());
    let hired = dispatched(&ledger.step(children_seen(Vec::new())));
    assert_eq!(ledger.runner(&hired[0]).cause, Some(JobId(1)));
}

#[test]
fn states_are_stored_under_names_that_do_not_change() {
    let text = |state: RunnerState| serde_json::to_string(&state).unwrap();
    assert_eq!(text(RunnerState::Wanted), r#"{"state":"wanted"}"#);
    assert_eq!(
        text(RunnerState::Dispatching(Sending::LookingUp)),
        r#"{"state":"dispatching","detail":"looking_up"}"#
    );
    assert_eq!(
        text(RunnerState::Withdrawing(Leaving::Ending { since: Time(5) })),
        r#"{"state":"withdrawing","detail":{"step":"ending","since":5}}"#
    );
}

#[test]
fn a_row_that_says_what_is_so_is_not_written_again() {
    let mut ledger = Ledger::ready(2);
    for id in 1..=20 {
        let _ = ledger.queued(id);
    }
    let effects = ledger.restart();
    let jobs = effects.records.iter().filter(|record| matches!(record, Record::Job(_))).count();
    assert_eq!(jobs, 0, "of 20 that are open");
    let mut others = ledger.state.rules.clone();
    others.pools[0].labels = vec!["other".into()];
    let effects = ledger.restart_with(others);
    let jobs = effects.records.iter().filter(|record| matches!(record, Record::Job(_))).count();
    assert_eq!(jobs, 20, "no pool has them any more");
}
