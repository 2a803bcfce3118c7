//! How a runner ends: done, at work, unseen; and what is cleared away behind it.

use super::*;

#[test]
fn a_question_that_fails_is_the_reason_with_what_went_wrong() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let class = ledger.state.classes.keys().next().unwrap().clone();
    let names = vec![runner];
    let answer = Err(failure("403: resource not accessible"));
    let _ = ledger.step(Event::JobsSeen { class, names, answer });
    let waits = ledger.waits();
    assert!(waits.contains("retrying: 403: resource not accessible"), "{waits}");
}

#[test]
fn a_runner_whose_job_is_done_is_gone_with_its_child() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.done(1, &runner);
    assert!(words(&ledger.child(&runner, ended())).is_empty());
    ledger.is_empty();
    assert!(ledger.rows.runners[&runner].ended_at.is_some());
}

#[test]
fn a_child_that_ends_before_the_news_of_its_job_waits_for_them_without_taking_room() {
    let mut ledger = Ledger::ready(1);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.queued(2);
    assert_eq!(words(&ledger.child(&runner, ended())), ["dispatch"]);
    assert!(words(&ledger.done(1, &runner)).is_empty());
    assert!(!ledger.state.runners.contains_key(&runner));
}

#[test]
fn a_runner_that_ended_at_work_is_asked_about_after_a_minute_and_its_registration_deleted() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.at_work(1, &runner);
    assert!(words(&ledger.child(&runner, ended())).is_empty());
    assert_eq!(ledger.words_within(MINUTE), ["find at forge in octo/app", "ask job 1"]);
    let effects = ledger.at_forge(&runner, AtForge::Registered { id: 7, busy: true, online: true });
    assert_eq!(words(&effects), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::Busy);
    assert_eq!(ledger.words_within(MINUTE), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    let _ = ledger.step(Event::JobSeen {
        job: JobId(1),
        answer: Ok(Some(report_by(1, JobStatus::Completed, &runner))),
    });
    ledger.is_empty();
}

#[test]
fn a_job_that_its_runner_left_unfinished_is_asked_about_until_github_ends_it() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.child(&runner, ended());
    let _ = ledger.words_within(MINUTE);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    let at_work = || Ok(Some(report_by(1, JobStatus::InProgress, &runner)));
    for _ in 0..3 {
        let _ = ledger.step(Event::JobSeen { job: JobId(1), answer: at_work() });
        let _ = ledger.words_within(MINUTE);
        assert_eq!(ledger.words_within(9 * MINUTE), ["ask job 1"], "every ten minutes");
    }
}

#[test]
fn a_runner_that_ended_unseen_asks_github_first() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    assert_eq!(words(&ledger.child(&runner, ended())), ["ask jobs after 1 ended"]);
    assert!(ledger.waits().contains("asking GitHub"));
    assert!(words(&ledger.queued(2)).is_empty(), "nobody is hired before the answer");
}

#[test]
fn ended_unseen_and_a_job_names_it_so_fold_that_and_nothing_else() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.jobs_seen(&[&runner], vec![report_by(1, JobStatus::Completed, &runner)]);
    assert!(words(&effects).is_empty());
    ledger.is_empty();
}

#[test]
fn ended_unseen_and_a_running_job_names_it() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.jobs_seen(&[&runner], vec![report_by(1, JobStatus::InProgress, &runner)]);
    assert!(words(&effects).is_empty());
    // News of the job's end may be lost, and its registration left.
    assert!(ledger.words_within(MINUTE).contains(&"find at forge in octo/app".into()));
    let named = report_by(1, JobStatus::InProgress, &runner);
    let _ = ledger.at_forge(&runner, AtForge::Named(named.into()));
    assert!(ledger.state.runners.is_empty());
    assert!(ledger.words_within(MINUTE).contains(&"ask job 1".into()));
}

#[test]
fn ended_unseen_and_nothing_waits() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Completed)]);
    assert_eq!(words(&effects), ["find at forge in octo/app"]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    ledger.is_empty();
}

#[test]
fn ended_unseen_and_its_registration_is_left() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Completed)]);
    let registered = AtForge::Registered { id: 7, busy: false, online: true };
    assert_eq!(words(&ledger.at_forge(&runner, registered)), ["delete registration 7"]);
    let _ = ledger.deleted(&runner, Deletion::NoNewJob);
    ledger.is_empty();
}

#[test]
fn ended_unseen_and_jobs_still_wait_so_hire_again_with_backoff() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued(1);
    for round in 0..8_u32 {
        let runner = ledger.state.runners.keys().next().unwrap().clone();
        let _ = ledger.accepted(&runner);
        let _ = ledger.child(&runner, ended());
        let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
        let _ = ledger.at_forge(&runner, AtForge::Nowhere);
        let _ = ledger.minted(scope());
        assert!(ledger.waits().contains("exit code 1"), "{}", ledger.waits());
        let wait = Duration::from_secs((10 << round).min(600));
        assert!(words(&ledger.passes(wait - Duration::from_millis(1))).is_empty());
        let late = ledger.passes(wait / 10 + Duration::from_millis(1));
        assert_eq!(words(&late), ["dispatch"], "round {round}");
    }
}

#[test]
fn the_backoff_starts_over_when_a_runner_of_the_class_is_busy() {
    let mut ledger = Ledger::ready(20);
    let one = ledger.hires_at_nomad(1);
    let two = ledger.hires_at_nomad(2);
    let _ = ledger.child(&one, ended());
    let waiting = vec![report(1, JobStatus::Queued), report(2, JobStatus::Queued)];
    let _ = ledger.jobs_seen(&[&one], waiting);
    assert_eq!(ledger.state.breakers.len(), 2, "its scope's and its pool's");
    assert!(words(&ledger.at_work(2, &two)).is_empty(), "the job itself is still held");
    assert!(ledger.state.breakers.is_empty());
    let _ = ledger.at_forge(&one, AtForge::Nowhere);
    assert_eq!(ledger.words_within(MINUTE), ["dispatch"]);
}

#[test]
fn late_news_that_a_runner_had_a_job_after_all_lifts_the_backoff() {
    let mut ledger = Ledger::ready(20);
    let one = ledger.hires_at_nomad(1);
    let _ = ledger.queued(2);
    let two = ledger.state.runners.keys().find(|name| **name != one).unwrap().clone();
    let _ = ledger.accepted(&two);
    let _ = ledger.child(&one, ended());
    let _ = ledger.jobs_seen(&[&one], Vec::new());
    let _ = ledger.at_forge(&one, AtForge::Nowhere);
    assert!(!ledger.state.breakers.is_empty());
    assert!(ledger.state.classes[&class()].held.contains(&JobId(1)));
    let _ = ledger.done(1, &one);
    assert!(ledger.state.breakers.is_empty());
    assert!(ledger.state.classes[&class()].held.is_empty());
    assert!(ledger.runner(&two).took.is_none());
}

#[test]
fn runners_that_end_together_are_asked_about_together_and_count_once() {
    let mut ledger = Ledger::ready(20);
    let runners: Vec<_> = (1..=4).map(|id| ledger.hires_at_nomad(id)).collect();
    let all: Vec<_> = runners[..3].iter().map(|name| (name.clone(), ended())).collect();
    let effects = ledger.step(children_seen(all));
    assert_eq!(words(&effects), ["ask jobs after 3 ended"]);
    // One more while the question is under way is asked about, and counts no more.
    assert!(words(&ledger.child(&runners[3], ended())).is_empty());
    let waiting: Vec<_> = (1..=4).map(|id| report(id, JobStatus::Queued)).collect();
    let names: Vec<_> = runners[..3].iter().collect();
    let effects = ledger.jobs_seen(&names, waiting.clone());
    assert!(words(&effects).contains(&"ask jobs after 1 ended".into()));
    let _ = ledger.jobs_seen(&[&runners[3]], waiting);
    assert!(ledger.state.breakers.values().all(|breaker| breaker.ends == 1));
}

#[test]
fn past_a_day_it_is_asked_hourly() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    ledger.now = ledger.now + 24 * HOUR + MINUTE;
    let _ = ledger.child(&runner, ended());
    let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    let _ = ledger.minted(scope());
    assert!(ledger.words_within(HOUR - Duration::from_secs(1)).is_empty());
    assert_eq!(ledger.words_within(Duration::from_secs(1)), ["mint for octo/app"]);
    assert_eq!(words(&ledger.minted(scope())), ["dispatch"]);
}

#[test]
fn a_nameless_runner_that_ended_unseen_leaves_nothing_to_look_for() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.accepted_as(&runner, true);
    let _ = ledger.child(&runner, ended());
    let effects = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Completed)]);
    assert!(words(&effects).is_empty());
    ledger.is_empty();
}
