//! `pause` and `resume` of a pool, `retry` of a job.

use super::*;
use crate::RunId;

fn pause(ledger: &mut Ledger, until: Option<Time>) -> Effects {
    ledger.step(Event::Pause { pool: "x64".into(), until })
}

fn resume_pool(ledger: &mut Ledger) -> Effects {
    ledger.step(Event::Resume { pool: "x64".into() })
}

fn retry(ledger: &mut Ledger, job: u64) -> Vec<String> {
    words(&ledger.step(Event::Retry { job: JobId(job) }))
}

fn pauses(effects: &Effects) -> Vec<Option<Option<Time>>> {
    let records = effects.records.iter().filter_map(|record| match record {
        Record::Pause { until, .. } => Some(*until),
        _ => None,
    });
    records.collect()
}

#[test]
fn a_paused_pool_hires_nobody_new_until_resume_and_says_so() {
    let mut ledger = Ledger::ready(20);
    let first = ledger.hires_at_nomad(1);
    assert_eq!(pauses(&pause(&mut ledger, None)), [Some(None)]);
    assert!(words(&ledger.queued(2)).is_empty());
    assert!(ledger.waits().contains("pool x64 is paused"), "{}", ledger.waits());
    assert!(ledger.runner(&first).is_supply(), "whoever is there stays");
    let effects = resume_pool(&mut ledger);
    assert_eq!(words(&effects), ["dispatch"]);
    assert_eq!(pauses(&effects), [None]);
    assert!(pauses(&resume_pool(&mut ledger)).is_empty(), "nothing to resume");
}

#[test]
fn a_pause_passes_no_job_on_to_the_next_pool() {
    let pools = vec![pool("x64", &["linux"]), pool("other", &["linux"])];
    let mut ledger = Ledger::with(rules(20, pools)).made_ready();
    let _ = pause(&mut ledger, None);
    assert!(words(&ledger.queued(1)).is_empty());
}

#[test]
fn a_pause_until_a_time_ends_by_itself() {
    let mut ledger = Ledger::ready(20);
    let until = ledger.now + HOUR;
    let _ = pause(&mut ledger, Some(until));
    let _ = ledger.queued(1);
    assert!(ledger.words_within(HOUR - MINUTE).is_empty());
    ledger.now = until;
    let effects = ledger.step(Event::Tick);
    assert_eq!(pauses(&effects), [None]);
    // The token is an hour old by now.
    assert_eq!(words(&effects), ["mint for octo/app"]);
}

#[test]
fn a_later_pause_outlasts_the_timer_of_an_earlier_one() {
    let mut ledger = Ledger::ready(20);
    let until = ledger.now + MINUTE;
    let _ = pause(&mut ledger, Some(until));
    let _ = pause(&mut ledger, None);
    let _ = ledger.queued(1);
    assert!(ledger.words_within(10 * MINUTE).is_empty());
    assert!(ledger.waits().contains("paused"));
}

#[test]
fn a_pause_survives_a_restart() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued(1);
    let until = ledger.now + MINUTE;
    ledger.state = ledger.rows.load(ledger.state.rules.clone());
    ledger.state.pauses.insert("x64".into(), Some(until));
    let _ = resume(&mut ledger.state, ledger.now, &mut ledger.rng);
    let _ = ledger.passes(MINUTE);
    assert!(ledger.state.pauses.is_empty());
}

#[test]
fn retry_asks_github_for_the_job() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1"]);
    assert!(retry(&mut ledger, 99).is_empty(), "of an unknown job it does nothing");
}

#[test]
fn retry_ends_the_wait_after_runners_that_ended_unused() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "dispatch"]);
}

#[test]
fn retry_repeats_a_question_that_failed() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    assert_eq!(retry(&mut ledger, 1), ["ask job 1"], "it is under way");
    let names = vec![runner];
    let answer = Err(failure("502"));
    let _ = ledger.step(Event::JobsSeen { class: class(), names, answer });
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "ask jobs after 1 ended"]);
}

#[test]
fn retry_sends_at_once_what_nomad_refused() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.refused(&runner);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "dispatch"]);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1"], "one at a time");
}

#[test]
fn retry_tries_at_once_whether_nomad_is_there_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.not_sent(&runner);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "dispatch"]);
}

#[test]
fn retry_looks_at_once_for_a_dispatch_in_doubt() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let answer = Err(failure("500"));
    let _ = ledger.step(Event::ChildLookedUp { runner, answer });
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "find child"]);
}

#[test]
fn retry_mints_at_once_after_a_failure() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    let answer = Err(failure("403"));
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer });
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "mint for octo/app"]);
}

#[test]
fn retry_asks_again_about_a_fork() {
    let mut ledger = Ledger::ready(20);
    let forkable = Repository { forkable: true, ..repository(1, "octo/app") };
    let _ = ledger.hears_of(forkable, report(1, JobStatus::Queued));
    assert_eq!(retry(&mut ledger, 1), ["ask job 1"], "it is under way");
    let answer = Err(failure("502"));
    let _ = ledger.step(Event::RunKnown { run: RunId(1), answer });
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "ask about run 1"]);
}

#[test]
fn retry_tries_a_held_job_at_once() {
    let mut ledger = Ledger::ready(20);
    let mut runner = ledger.hires_at_nomad(1);
    for _ in 1..=5 {
        let _ = ledger.child(&runner, ended());
        let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
        let _ = ledger.at_forge(&runner, AtForge::Nowhere);
        ledger.now = ledger.now + Duration::from_millis(1);
        let effects = ledger.step(Event::Retry { job: JobId(1) });
        runner = dispatched(&effects)[0].clone();
        let _ = ledger.accepted(&runner);
    }
}

#[test]
fn retry_lets_one_pass_the_closed_gate_of_its_repository() {
    let mut ledger = Ledger::ready(20);
    let runners = [ledger.hires_at_nomad(1), ledger.hires_at_nomad(2)];
    let ends = runners.iter().map(|runner| (runner.clone(), ended())).collect();
    let _ = ledger.step(children_seen(ends));
    let waiting = vec![report(1, JobStatus::Queued), report(2, JobStatus::Queued)];
    let _ = ledger.jobs_seen(&[&runners[0], &runners[1]], waiting);
    let _ = ledger.queued(3);
    assert_eq!(retry(&mut ledger, 3), ["ask job 3", "dispatch"], "two are held for themselves");
}

#[test]
fn retry_asks_for_a_token_also_where_only_another_class_of_the_repository_needs_it() {
    let pools = vec![pool("x64", &["linux"]), pool("big", &["big"])];
    let mut ledger = Ledger::with(rules(20, pools));
    let _ = ledger.step(children_seen(Vec::new()));
    let big = JobReport { labels: vec!["big".into()], ..report(1, JobStatus::Queued) };
    let _ = ledger.hears(big);
    let answer = Err(failure("502"));
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer });
    let _ = ledger.hears(report(2, JobStatus::Waiting));
    assert_eq!(retry(&mut ledger, 2), ["ask job 2", "mint for octo/app"]);
}

#[test]
fn retry_does_not_end_a_pause() {
    let mut ledger = Ledger::ready(20);
    let _ = pause(&mut ledger, None);
    let _ = ledger.queued(1);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1"]);
}

#[test]
fn retry_launches_again_what_nomad_has_no_place_for() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::NotPlaced);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1"], "it may be placed at any moment");
    let _ = ledger.passes(Duration::from_secs(11));
    assert_eq!(retry(&mut ledger, 1), ["ask job 1", "look at placement", "dispatch"]);
    assert_eq!(words(&ledger.placement(&runner, ChildPhase::NotPlaced)), ["stop child"]);
}

#[test]
fn retry_leaves_alone_what_is_placed() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = ledger.passes(MINUTE);
    assert_eq!(retry(&mut ledger, 1), ["ask job 1"]);
    assert!(ledger.runner(&runner).is_supply());
}
