//! Where a job's end is not final, for a rerun queues it again under its own id.

use super::*;

const QUEUED: JobStatus = JobStatus::Queued;
const RUNS: JobStatus = JobStatus::InProgress;
const ENDED: JobStatus = JobStatus::Completed;

/// Its questions about single jobs.
fn asked(effects: &Effects) -> Vec<u64> {
    let jobs = effects.requests.iter().filter_map(|request| match request {
        Request::AskJob { job, .. } => Some(job.0),
        _ => None,
    });
    jobs.collect()
}

fn attempt(attempt: u64, status: JobStatus) -> JobReport {
    JobReport { run_attempt: attempt, ..report(1, status) }
}

impl Ledger {
    pub(super) fn at_gitea() -> Self {
        let mut rules = rules(4, vec![pool("x64", &["linux"])]);
        rules.forge = Forge { name: "Gitea", runner_url: None, ends_are_final: false };
        Self::with(rules).made_ready()
    }

    /// A job that was given out once, and has ended.
    fn after_one_attempt() -> Self {
        let mut ledger = Self::at_gitea();
        for report in [attempt(0, QUEUED), attempt(1, RUNS), attempt(1, ENDED)] {
            let _ = ledger.hears(report);
        }
        assert!(ledger.row().ended_at.is_some());
        ledger
    }

    fn row(&self) -> &Job {
        &self.rows.jobs[&JobId(1)]
    }

    fn answers(&mut self, report: JobReport) -> Effects {
        self.step(Event::JobSeen { job: JobId(1), answer: Ok(Some(report)) })
    }

    /// It is queued again, and the forge says so.
    fn rerun() -> Self {
        let mut ledger = Self::after_one_attempt();
        assert_eq!(asked(&ledger.hears(attempt(1, QUEUED))), [1]);
        let hired = dispatched(&ledger.answers(attempt(1, QUEUED)));
        assert!(!hired.is_empty() || !ledger.state.runners.is_empty());
        ledger
    }
}

#[test]
fn a_job_that_is_queued_again_gets_a_runner_once_the_forge_confirms_it() {
    let mut ledger = Ledger::after_one_attempt();
    let told = ledger.hears(attempt(1, QUEUED));
    assert_eq!(asked(&told), [1]);
    assert!(ledger.row().ended_at.is_some(), "a word alone begins nothing");
    let _ = ledger.answers(attempt(1, QUEUED));
    assert_eq!(ledger.row().report.status, QUEUED);
    assert_eq!((ledger.row().ended_at, ledger.row().ended_attempt), (None, Some(1)));
    assert!(ledger.state.jobs[&JobId(1)].is_demand());
}

#[test]
fn a_late_queued_begins_nothing() {
    let mut ledger = Ledger::after_one_attempt();
    let _ = ledger.hears(attempt(0, QUEUED));
    let _ = ledger.answers(attempt(1, ENDED));
    assert!(ledger.row().ended_at.is_some());
    assert!(ledger.state.jobs.is_empty() && ledger.state.reruns.is_empty());
}

#[test]
fn at_a_forge_whose_ends_are_final_nothing_is_asked() {
    let mut ledger = Ledger::ready(4);
    for report in [attempt(1, QUEUED), attempt(1, ENDED)] {
        let _ = ledger.hears(report);
    }
    assert_eq!(asked(&ledger.hears(attempt(1, QUEUED))), [0; 0]);
}

#[test]
fn late_news_of_the_attempt_that_ended_does_not_end_the_new_one() {
    let mut ledger = Ledger::rerun();
    assert_eq!(asked(&ledger.hears(attempt(1, ENDED))), [1]);
    assert_eq!(ledger.row().report.status, QUEUED, "until the forge says more");
    let _ = ledger.answers(attempt(1, QUEUED));
    assert_eq!(ledger.row().report.status, QUEUED);
    assert_eq!(asked(&ledger.hears(attempt(1, RUNS))), [1]);
    assert_eq!(ledger.row().report.status, QUEUED);
}

#[test]
fn the_new_attempt_runs_and_ends() {
    let mut ledger = Ledger::rerun();
    let _ = ledger.hears(attempt(2, RUNS));
    assert_eq!(ledger.row().report.status, RUNS);
    let _ = ledger.hears(attempt(2, ENDED));
    assert!(ledger.row().ended_at.is_some());
}

#[test]
fn a_new_attempt_that_is_cancelled_in_the_queue_ends_by_the_forges_word() {
    let mut ledger = Ledger::rerun();
    assert_eq!(asked(&ledger.hears(attempt(1, ENDED))), [1]);
    let _ = ledger.answers(attempt(1, ENDED));
    assert!(ledger.row().ended_at.is_some());
}

#[test]
fn whoever_is_kept_for_the_rerun_of_its_job_was_launched_for_it() {
    let mut ledger = Ledger::at_gitea();
    let kept = ledger.hires_at_nomad(1);
    assert_eq!(words(&ledger.cancelled(1)), ["look at placement"]);
    let _ = ledger.hears(attempt(1, QUEUED));
    assert!(dispatched(&ledger.answers(attempt(1, QUEUED))).is_empty(), "nobody new is launched");
    assert_eq!(ledger.state.jobs[&JobId(1)].cause_of, Some(kept));
    let other = ledger.hires(2);
    assert_eq!(ledger.runner(&other).cause, Some(JobId(2)));
}

#[test]
fn whoever_stayed_for_another_job_is_there_for_its_own_when_that_is_rerun() {
    let mut ledger = Ledger::at_gitea();
    let first = ledger.hires_at_nomad(1);
    let other = ledger.hires_at_nomad(2);
    // The second's runner ends, so that the first's stays for the second job.
    let _ = ledger.cancelled(2);
    let _ = ledger.hears(report(3, QUEUED));
    let _ = ledger.cancelled(1);
    let _ = ledger.hears(attempt(1, QUEUED));
    let _ = ledger.answers(attempt(1, QUEUED));
    for (runner, job) in [(first, 1), (other, 3)] {
        assert_eq!(ledger.state.jobs[&JobId(job)].cause_of, Some(runner.clone()));
        assert_eq!(ledger.runner(&runner).cause, Some(JobId(job)));
    }
}

#[test]
fn whoever_is_kept_for_another_job_while_its_own_is_held_up_stays_its_cause() {
    let mut ledger = Ledger::at_gitea();
    let kept = ledger.hires_at_nomad(1);
    let _ = ledger.hears(attempt(0, JobStatus::Waiting));
    let _ = ledger.hears(report(2, QUEUED));
    assert_eq!(ledger.state.jobs[&JobId(1)].cause_of, Some(kept.clone()));
    assert_eq!(ledger.runner(&kept).cause, Some(JobId(1)));
}

#[test]
fn a_rerun_whose_queued_was_missed_is_heard_of_by_its_start() {
    let mut ledger = Ledger::after_one_attempt();
    assert_eq!(asked(&ledger.hears(attempt(1, RUNS))), [0; 0], "late, and of the first attempt");
    assert_eq!(asked(&ledger.hears(attempt(2, RUNS))), [1]);
    let _ = ledger.answers(attempt(2, RUNS));
    assert_eq!(ledger.row().report.status, RUNS);
}

#[test]
fn a_rerun_that_a_sweep_finds_after_a_restart_is_asked_about_too() {
    let mut ledger = Ledger::after_one_attempt();
    let _ = ledger.restart();
    let (past, report) = (Box::new(ledger.row().clone()), Box::new(attempt(1, QUEUED)));
    let seen = ledger.step(Event::SeenAgain { past, report });
    assert_eq!(asked(&seen), [1]);
    let _ = ledger.answers(attempt(1, QUEUED));
    assert_eq!(ledger.row().report.status, QUEUED);
}

#[test]
fn a_question_about_a_rerun_that_failed_is_asked_again() {
    let mut ledger = Ledger::after_one_attempt();
    let _ = ledger.hears(attempt(1, QUEUED));
    assert_eq!(asked(&ledger.hears(attempt(1, QUEUED))), [0; 0], "one question is under way");
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer: Err(failure("502")) });
    assert_eq!(asked(&ledger.passes(MINUTE)), [1]);
}

#[test]
fn a_runner_whose_job_has_ended_without_naming_it_is_stopped() {
    let mut ledger = Ledger::at_gitea();
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = ledger.at_work(1, &runner);
    // The end of a job names no runner whose registration went with it.
    let _ = ledger.hears(JobReport { conclusion: Some("cancelled".into()), ..report(1, ENDED) });
    let grace = ledger.state.rules.pools[0].release_grace;
    assert!(ledger.words_within(grace - MINUTE).is_empty(), "it may end by itself");
    let said = ledger.words_within(MINUTE).join("\n");
    assert!(said.contains("look at placement"), "{said}");
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    // What the forge remembers of it is that its job has ended.
    let named = AtForge::Named(Box::new(report_by(1, ENDED, &runner)));
    let said = words(&ledger.at_forge(&runner, named)).join("\n");
    assert!(said.contains("stop"), "{said}");
}

/// One that was at work when we last heard of it, and is queued in the next listing.
fn queued_while_at_work() -> (Ledger, Effects) {
    let mut ledger = Ledger::at_gitea();
    for report in [attempt(0, QUEUED), attempt(1, RUNS)] {
        let _ = ledger.hears(report);
    }
    let effects = ledger.sweeps(vec![attempt(1, QUEUED)]);
    (ledger, effects)
}

#[test]
fn a_job_at_work_that_is_listed_as_queued_is_asked_about_once() {
    let (mut ledger, effects) = queued_while_at_work();
    assert_eq!(asked(&effects), [1]);
    assert_eq!(ledger.row().report.status, RUNS);
    assert!(asked(&ledger.sweeps(vec![attempt(1, QUEUED)])).is_empty());
}

#[test]
fn where_the_forge_says_so_its_end_was_missed_and_it_waits_again() {
    let (mut ledger, _) = queued_while_at_work();
    let _ = ledger.answers(attempt(1, QUEUED));
    assert_eq!(ledger.row().report.status, QUEUED);
    assert_eq!(ledger.row().ended_attempt, Some(1));
    assert!(ledger.state.enlisted.contains_key(&JobId(1)), "it is demand again");
    // And from here on it is a job like others.
    let _ = ledger.hears(attempt(2, RUNS));
    assert_eq!(ledger.row().report.status, RUNS);
}

#[test]
fn where_the_forge_says_that_it_runs_the_listing_was_old() {
    let (mut ledger, _) = queued_while_at_work();
    let effects = ledger.answers(attempt(1, RUNS));
    assert_eq!(ledger.row().report.status, RUNS);
    assert!(dispatched(&effects).is_empty());
}

#[test]
fn an_answer_that_may_be_older_than_the_start_only_raises_the_question() {
    let mut ledger = Ledger::at_gitea();
    for report in [attempt(0, QUEUED), attempt(1, RUNS)] {
        let _ = ledger.hears(report);
    }
    // Asked before the start was heard of.
    let effects = ledger.answers(attempt(0, QUEUED));
    assert_eq!(asked(&effects), [1]);
    assert_eq!(ledger.row().report.status, RUNS);
}
