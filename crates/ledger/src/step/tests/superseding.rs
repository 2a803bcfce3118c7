//! Runs of robots that a newer push has made pointless.

use super::*;
use crate::superseded::{Pair, RunOnBranch};
use crate::{Details, RunId};

const ROBOT: &str = "dependabot[bot]";

fn cancelling() -> Ledger {
    let pool = Pool { cancel_superseded: true, max_runners: 1, ..pool("x64", &["linux"]) };
    Ledger::with(rules(20, vec![pool])).made_ready()
}

/// A job of that run on the robot's branch.
fn pushed(id: u64, run: u64, status: JobStatus) -> JobReport {
    let details = Details { head_sha: Some(format!("sha {run}")), ..Details::default() };
    JobReport {
        run: RunId(run),
        head_branch: Some("robot/serde".to_owned()),
        actor: Some(ROBOT.to_owned()),
        details: Some(Box::new(details)),
        ..report(id, status)
    }
}

fn hears(ledger: &mut Ledger, job: JobReport) -> Vec<String> {
    about_runs(&ledger.hears_of(repository(1, "octo/app"), job))
}

fn about_runs(effects: &Effects) -> Vec<String> {
    let words = words(effects).into_iter();
    words.filter(|word| word.starts_with("look at runs") || word.starts_with("cancel")).collect()
}

fn pair(older: u64, newer: u64) -> Pair {
    let run = |id: u64| RunOnBranch {
        id: RunId(id),
        number: Some(id),
        workflow: Some(1),
        event: "pull_request".to_owned(),
        branch: Some("robot/serde".to_owned()),
        has_pull_request: true,
        head_repository: Some(RepositoryId(1)),
        head_sha: Some(format!("sha {id}")),
        actors: vec![ROBOT.to_owned()],
        over: false,
    };
    let default_branch = Some("main".to_owned());
    Pair { older: run(older), newer: run(newer), default_branch, begun: false, pending: 1 }
}

fn seen(ledger: &mut Ledger, answer: Result<Pair, Failure>) -> Vec<String> {
    let older = answer.as_ref().map_or(RunId(10), |pair| pair.older.id);
    about_runs(&ledger.step(Event::SupersededSeen { older, answer }))
}

fn cancelled(ledger: &mut Ledger, answer: Result<(), Failure>) -> Effects {
    ledger.step(Event::RunCancelled { run: RunId(10), answer })
}

fn events(effects: &Effects) -> Vec<&'static str> {
    let names = effects.happenings.iter().map(|it| it.what.name());
    names.filter(|name| name.starts_with("run.")).collect()
}

#[test]
fn an_older_run_is_cancelled_looked_at_again_and_cancelled_by_force_once() {
    let mut ledger = cancelling();
    assert!(hears(&mut ledger, pushed(1, 10, JobStatus::Queued)).is_empty());
    assert!(hears(&mut ledger, pushed(2, 10, JobStatus::Queued)).is_empty());
    let looked = hears(&mut ledger, pushed(3, 11, JobStatus::Queued));
    assert_eq!(looked, ["look at runs 10 and 11"]);
    assert!(hears(&mut ledger, pushed(4, 11, JobStatus::Queued)).is_empty(), "asked once");
    assert_eq!(seen(&mut ledger, Ok(pair(10, 11))), ["cancel run 10"]);
    assert_eq!(events(&cancelled(&mut ledger, Ok(()))), ["run.superseded"]);
    assert!(about_runs(&ledger.passes(MINUTE - Duration::from_secs(1))).is_empty());
    let again = ledger.passes(Duration::from_secs(1));
    assert_eq!(about_runs(&again), ["look at runs 10 and 11"]);
    assert_eq!(seen(&mut ledger, Ok(pair(10, 11))), ["cancel run 10 by force"]);
    assert_eq!(events(&cancelled(&mut ledger, Ok(()))), ["run.cancel_forced"]);
    assert!(about_runs(&ledger.passes(HOUR)).is_empty(), "and never again");
}

#[test]
fn a_run_that_has_begun_is_left_alone_whoever_tells_first() {
    let mut ledger = cancelling();
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::InProgress));
    assert!(hears(&mut ledger, pushed(3, 11, JobStatus::Queued)).is_empty());
    // The webhook comes between the question and its answer.
    assert_eq!(hears(&mut ledger, pushed(4, 12, JobStatus::Queued)), ["look at runs 11 and 12"]);
    let _ = hears(&mut ledger, pushed(3, 11, JobStatus::InProgress));
    assert!(seen(&mut ledger, Ok(pair(11, 12))).is_empty());
    // The forge alone knows.
    let mut ledger = cancelling();
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Queued));
    let _ = hears(&mut ledger, pushed(3, 11, JobStatus::Queued));
    assert!(seen(&mut ledger, Ok(Pair { begun: true, ..pair(10, 11) })).is_empty());
}

#[test]
fn people_other_pools_and_runs_of_one_commit_cause_no_question() {
    let mut ledger = cancelling();
    let mine =
        |id, run| JobReport { actor: Some("octocat".into()), ..pushed(id, run, JobStatus::Queued) };
    let _ = hears(&mut ledger, mine(1, 10));
    assert!(hears(&mut ledger, mine(2, 11)).is_empty());
    // A person's push supersedes a robot's run all the same.
    let _ = hears(&mut ledger, pushed(3, 12, JobStatus::Queued));
    assert_eq!(hears(&mut ledger, mine(4, 13)), ["look at runs 12 and 13"]);

    let mut off = Ledger::with(rules(20, vec![pool("x64", &["linux"])])).made_ready();
    let _ = hears(&mut off, pushed(1, 10, JobStatus::Queued));
    assert!(hears(&mut off, pushed(2, 11, JobStatus::Queued)).is_empty());

    let mut ledger = cancelling();
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Queued));
    let details = pushed(1, 10, JobStatus::Queued).details;
    let same = JobReport { details, ..pushed(2, 11, JobStatus::Queued) };
    assert!(hears(&mut ledger, same).is_empty());
}

#[test]
fn where_one_pair_does_not_say_it_another_is_asked_about() {
    let mut ledger = cancelling();
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Queued));
    assert_eq!(hears(&mut ledger, pushed(2, 11, JobStatus::Queued)), ["look at runs 10 and 11"]);
    assert_eq!(hears(&mut ledger, pushed(3, 12, JobStatus::Queued)), ["look at runs 11 and 12"]);
    // One is of a push, the other of its pull request.
    let mut other = pair(10, 11);
    other.newer.event = "push".to_owned();
    assert_eq!(seen(&mut ledger, Ok(other)), ["look at runs 10 and 12"]);
    assert_eq!(seen(&mut ledger, Ok(pair(10, 12))), ["cancel run 10"]);
}

#[test]
fn a_refusal_is_told_once_and_not_repeated_for_ever() {
    let mut ledger = cancelling();
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Queued));
    let _ = hears(&mut ledger, pushed(2, 11, JobStatus::Queued));
    let mut told = Vec::new();
    let mut requests = 0;
    for _ in 0..20 {
        if !seen(&mut ledger, Ok(pair(10, 11))).is_empty() {
            requests += 1;
            told.extend(events(&cancelled(&mut ledger, Err(failure("403")))));
        }
        let _ = ledger.passes(HOUR);
    }
    assert_eq!((told.as_slice(), requests), (&["run.not_cancelled"][..], 5));
}

#[test]
fn a_crash_forgets_nothing_that_is_still_to_be_done() {
    let mut ledger = cancelling();
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Queued));
    let _ = hears(&mut ledger, pushed(2, 11, JobStatus::Queued));
    let _ = seen(&mut ledger, Ok(pair(10, 11)));
    let _ = cancelled(&mut ledger, Ok(()));
    assert_eq!(about_runs(&ledger.restart()), ["look at runs 10 and 11"]);
    let mut over = pair(10, 11);
    over.older.over = true;
    assert!(seen(&mut ledger, Ok(over)).is_empty());
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Completed));
    assert!(ledger.state.superseded.runs.is_empty());
}

#[test]
fn an_end_that_is_heard_of_before_the_answer_is_told_all_the_same() {
    let mut ledger = cancelling();
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Queued));
    let _ = hears(&mut ledger, pushed(2, 11, JobStatus::Queued));
    let _ = seen(&mut ledger, Ok(pair(10, 11)));
    let _ = hears(&mut ledger, pushed(1, 10, JobStatus::Completed));
    let effects = cancelled(&mut ledger, Ok(()));
    assert_eq!(effects.happenings[0].about.job, Some(JobId(1)));
    assert!(ledger.state.superseded.runs.is_empty());
}
