//! What moves a job: webhooks in any order, answers, policy.

use super::*;
use crate::{Verdict, Visibility};

#[test]
fn a_late_queued_after_completed_changes_nothing() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.cancelled(1);
    assert!(words(&ledger.queued(1)).is_empty());
    ledger.is_empty();
}

#[test]
fn a_late_queued_after_in_progress_changes_nothing() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.at_work(1, &"somebody-else".into());
    assert!(words(&ledger.queued(1)).is_empty());
    assert_eq!(ledger.state.jobs[&JobId(1)].report.status, JobStatus::InProgress);
}

#[test]
fn a_late_queued_of_a_job_that_only_the_store_knows_changes_nothing() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.cancelled(1);
    let past = ledger.rows.jobs[&JobId(1)].clone();
    let _ = ledger.restart();
    let webhook = Webhook {
        delivery: "again".into(),
        received_at: ledger.now,
        repository: repository(1, "octo/app"),
        report: Some(report(1, JobStatus::Queued)),
        past: Some(Box::new(past)),
    };
    assert!(words(&ledger.step(Event::Webhook(Box::new(webhook)))).is_empty());
    ledger.is_empty();
}

#[test]
fn a_doubled_webhook_hires_once() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    assert!(words(&ledger.queued(1)).is_empty());
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn completed_before_in_progress_ends_the_job_and_says_who_ran_it() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.done(1, &runner);
    let _ = ledger.at_work(1, &runner);
    assert!(ledger.runner(&runner).took.unwrap().done);
    assert!(ledger.state.jobs.is_empty());
    let _ = ledger.child(&runner, ended());
    ledger.is_empty();
}

#[test]
fn completed_again_may_name_the_runner() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.queued(2);
    let _ = ledger.cancelled(1); // names nobody
    let _ = ledger.done(1, &runner);
    assert!(ledger.runner(&runner).took.unwrap().done);
    assert_eq!(ledger.rows.jobs[&JobId(1)].report.runner_name.as_deref(), Some(runner.as_str()));
}

#[test]
fn a_late_in_progress_of_a_completed_job_leaves_its_runner_finished() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.queued(2);
    let _ = ledger.cancelled(1);
    let _ = ledger.at_work(1, &runner);
    assert!(ledger.runner(&runner).took.unwrap().done);
}

#[test]
fn waiting_withdraws_demand_and_github_is_asked_now_and_some_20_s_later() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires_at_nomad(1);
    let effects = ledger.hears(report(1, JobStatus::Waiting));
    assert_eq!(words(&effects), ["ask job 1", "look at placement"]);
    let answer = Ok(Some(report(1, JobStatus::Queued)));
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer });
    assert!(ledger.state.jobs[&JobId(1)].is_demand());
    assert!(words(&ledger.passes(Duration::from_secs(19))).is_empty());
    assert_eq!(words(&ledger.passes(Duration::from_secs(1))), ["ask job 1"]);
}

#[test]
fn a_question_about_a_job_that_fails_is_asked_again() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    let answer = Err(failure("502"));
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer });
    assert_eq!(ledger.words_within(MINUTE), ["ask job 1"]);
}

#[test]
fn a_job_that_github_does_not_know_has_ended() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer: Ok(None) });
    assert!(ledger.state.jobs.contains_key(&JobId(1)), "GitHub's answers lag behind its webhooks");
    assert_eq!(ledger.words_within(MINUTE), ["ask job 1"]);
    let _ = ledger.passes(10 * MINUTE);
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer: Ok(None) });
    assert!(ledger.state.jobs.is_empty() && ledger.runner(&runner).unwanted);
}

#[test]
fn a_job_that_no_pool_serves_says_why_and_stays_out_of_memory() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hears(JobReport { labels: vec!["mac".into()], ..report(1, JobStatus::Queued) });
    let Verdict::Unserved(why) = &ledger.rows.jobs[&JobId(1)].verdict else { panic!() };
    assert!(why.contains("mac"));
    ledger.is_empty();
}

#[test]
fn a_job_that_no_pool_served_is_served_once_its_repository_is_renamed_into_one() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hears_of(repository(1, "other/app"), report(1, JobStatus::Queued));
    ledger.is_empty();
    assert_eq!(dispatched(&ledger.queued(1)).len(), 1);
}

#[test]
fn a_renamed_repository_is_asked_by_its_new_name_and_keeps_the_token_of_the_old_one() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.hears_of(repository(1, "octo/new"), report(2, JobStatus::Waiting));
    assert_eq!(ledger.state.jobs[&JobId(1)].repository_name, "octo/new");
    let effects = ledger.unknown(&runner);
    let [Request::FindChild { token, .. }] = &effects.requests[..] else { panic!() };
    assert!(token.ends_with("@octo/app"));
    assert_eq!(words(&ledger.looked_up(&runner, false)), ["find at forge in octo/new"]);
}

#[test]
fn a_repository_that_leaves_every_pool_lets_its_runners_go() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.hears_of(repository(1, "elsewhere/app"), report(2, JobStatus::Waiting));
    assert!(matches!(ledger.runner(&runner).state, RunnerState::Withdrawing(_)));
    assert!(ledger.state.jobs.is_empty());
}

#[test]
fn a_repository_that_turns_public_leaves_demand_with_the_reason() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let mut public = repository(1, "octo/app");
    public.visibility = Visibility::Public;
    let _ = ledger.hears_of(public.clone(), report(2, JobStatus::Queued));
    assert!(
        matches!(&ledger.rows.jobs[&JobId(1)].verdict, Verdict::Refused(why) if why.contains("public"))
    );
    assert!(matches!(ledger.runner(&runner).state, RunnerState::Withdrawing(_)));
    assert_eq!(ledger.state.runners.len(), 1);
    let _ = ledger.hears_of(public, report_by(1, JobStatus::InProgress, &runner));
    assert!(ledger.runner(&runner).took.is_some(), "an event that names ours is folded anyway");
}

fn forkable() -> Repository {
    Repository { forkable: true, ..repository(1, "octo/app") }
}

#[test]
fn github_is_asked_once_a_run_whether_its_head_is_a_fork() {
    let mut ledger = Ledger::ready(20);
    let effects = ledger.hears_of(forkable(), report(1, JobStatus::Queued));
    assert_eq!(words(&effects), ["ask about run 1"]);
    assert!(words(&ledger.hears_of(forkable(), report(2, JobStatus::Queued))).is_empty());
    let run = crate::RunId(1);
    let effects = ledger.step(Event::RunKnown { run, answer: Ok(false.into()) });
    assert_eq!(dispatched(&effects).len(), 2);
    assert_eq!(dispatched(&ledger.hears_of(forkable(), report(3, JobStatus::Queued))).len(), 1);
}

#[test]
fn a_fork_is_refused_with_a_reason() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hears_of(forkable(), report(1, JobStatus::Queued));
    let run = crate::RunId(1);
    let _ = ledger.step(Event::RunKnown { run, answer: Ok(true.into()) });
    assert!(
        matches!(&ledger.rows.jobs[&JobId(1)].verdict, Verdict::Refused(why) if why.contains("fork"))
    );
    assert!(ledger.state.runners.is_empty());
}

#[test]
fn a_fork_question_that_fails_is_asked_again_one_at_a_time() {
    let mut ledger = Ledger::ready(20);
    let run = crate::RunId(1);
    let _ = ledger.hears_of(forkable(), report(1, JobStatus::Queued));
    for _ in 0..2 {
        let _ = ledger.step(Event::RunKnown { run, answer: Err(failure("502")) });
    }
    let why = ledger.rows.jobs[&JobId(1)].verdict.reason().unwrap();
    assert!(why.contains("502"), "{why}");
    assert_eq!(ledger.words_within(MINUTE), ["ask about run 1"]);
    let _ = ledger.step(Event::RunKnown { run, answer: Err(failure("502")) });
    assert_eq!(ledger.words_within(MINUTE), ["ask about run 1"]);
    assert_eq!(
        dispatched(&ledger.step(Event::RunKnown { run, answer: Ok(false.into()) })).len(),
        1
    );
}

#[test]
fn an_action_that_we_do_not_know_is_folded_and_changes_nothing() {
    let mut ledger = Ledger::ready(20);
    let webhook = Webhook {
        delivery: "odd".into(),
        received_at: ledger.now,
        repository: repository(1, "octo/app"),
        report: None,
        past: None,
    };
    let effects = ledger.step(Event::Webhook(Box::new(webhook)));
    assert!(matches!(&effects.records[..], [Record::Folded { .. }]));
}
