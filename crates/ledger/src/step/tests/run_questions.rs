//! Questions about forks: only where a runner could be launched for the answer, and nobody's keep
//! another's from being asked.

use std::time::Duration;

use super::*;
use crate::{RunId, why};

/// The first job of the run.
fn job_of(run: u64) -> u64 {
    (run - 1) * 100
}

fn forkable(repo: u64) -> Repository {
    Repository { forkable: true, ..repository(repo, &format!("octo/r{repo}")) }
}

impl Ledger {
    /// A run of a repository that has forks is queued.
    fn run_of(&mut self, repo: u64, run: u64) -> Effects {
        let repository =
            Repository { forkable: true, ..repository(repo, &format!("octo/r{repo}")) };
        self.hears_of(repository, report(job_of(run), JobStatus::Queued))
    }

    fn no_fork(&mut self, run: u64) -> Effects {
        self.step(Event::RunKnown { run: RunId(run), answer: Ok(false.into()) })
    }

    fn not_told(&mut self, run: u64, wait: Duration) -> Effects {
        let failure = Failure { reason: "over its share".into(), retry_after: Some(wait) };
        self.step(Event::RunKnown { run: RunId(run), answer: Err(failure) })
    }
}

fn asked(effects: &Effects) -> Vec<u64> {
    let runs = effects.requests.iter().filter_map(|request| match request {
        Request::AskRun { run, .. } => Some(run.0),
        _ => None,
    });
    runs.collect()
}

#[test]
fn who_could_not_be_given_a_runner_is_not_asked_about() {
    let mut ledger = Ledger::ready(2);
    let told: Vec<u64> = (1..=10).flat_map(|run| asked(&ledger.run_of(1, run))).collect();
    assert_eq!(told, [1, 2], "there is room for two");
    let first = ledger.no_fork(1);
    let second = ledger.no_fork(2);
    let hired = [dispatched(&first), dispatched(&second)].concat();
    assert_eq!(hired.len(), 2);
    assert!(asked(&first).is_empty() && asked(&second).is_empty());
    let job = ledger.state.jobs[&JobId(job_of(3))].clone();
    let why = why::verdict_waits(&ledger.state, &job, ledger.now).unwrap();
    assert!(why.contains("when a runner can be launched") && why.contains("at capacity"), "{why}");
    let _ = ledger.accepted(&hired[0]);
    for status in [JobStatus::InProgress, JobStatus::Completed] {
        let _ = ledger.hears_of(forkable(1), report_by(job_of(1), status, &hired[0]));
    }
    let effects = ledger.step(children_seen(vec![(hired[0].clone(), ended())]));
    let after = ledger.words_within(MINUTE);
    let again = words(&effects).into_iter().chain(after);
    assert_eq!(
        again.filter(|word| word.starts_with("ask about run")).collect::<Vec<_>>(),
        ["ask about run 3"]
    );
}

#[test]
fn a_question_that_fails_is_warned_of_for_it_holds_a_job_back() {
    let mut ledger = Ledger::ready(20);
    assert_eq!(asked(&ledger.run_of(1, 1)), [1]);
    let effects = ledger.not_told(1, MINUTE);
    let reason = "over its share".to_owned();
    let unknown = crate::Happened::RunUnknown { reason };
    let told: Vec<_> = effects.happenings.iter().map(|it| &it.what).collect();
    assert!(unknown.is_warning() && told == [&unknown], "{told:?}");
}

#[test]
fn a_question_that_failed_is_asked_again_when_the_forge_recovers() {
    let mut ledger = Ledger::ready(20);
    assert_eq!(asked(&ledger.run_of(1, 1)), [1]);
    let _ = ledger.not_told(1, MINUTE);
    let recovered = |owner: &str| Event::ForgeRecovered { owners: vec![owner.to_owned()] };
    assert!(asked(&ledger.step(recovered("somebody"))).is_empty());
    assert_eq!(asked(&ledger.step(recovered("octo"))), [1]);
}

#[test]
fn a_pool_that_restricts_events_asks_once_a_run_and_keeps_the_answer() {
    let mut ledger = Ledger::ready(20);
    ledger.state.rules.pools[0].events = crate::Patterns::new(&["push"]);
    let cause = |event: &str| crate::RunCause { event: Some(event.into()), actor: None };
    let queued = ledger.queued(1);
    assert_eq!(asked(&queued), [1], "although the repository has no forks");
    let facts = crate::event::RunFacts { cause: cause("workflow_run"), ..false.into() };
    let effects = ledger.step(Event::RunKnown { run: RunId(1), answer: Ok(facts) });
    let refused = |job: &Job| matches!(&job.verdict, crate::Verdict::Refused(why) if why.contains("workflow_run"));
    assert!(refused(&ledger.state.jobs[&JobId(1)]) && dispatched(&effects).is_empty());
    // Another job of the run, and the row after a restart.
    let more = ledger.queued(2);
    assert!(refused(&ledger.state.jobs[&JobId(2)]) && asked(&more).is_empty());
    let row = serde_json::to_string(&ledger.state.jobs[&JobId(1)]).unwrap();
    let row: Job = serde_json::from_str(&row).unwrap();
    assert_eq!(row.cause, Some(cause("workflow_run")));
}

/// A row of a version that asked only about forks.
#[test]
fn a_row_without_a_cause_is_read_and_its_run_asked_about() {
    let mut row =
        serde_json::to_value(crate::step::testing::job(report(1, JobStatus::Queued))).unwrap();
    row["fork"] = true.into();
    row["verdict"] = serde_json::json!({"verdict": "asking_fork", "why": null});
    let job: Job = serde_json::from_value(row).unwrap();
    assert_eq!(
        (job.fork, job.cause, job.verdict),
        (Some(true), None, crate::Verdict::AskingRun(None))
    );
}

#[test]
fn whose_answer_must_wait_holds_up_nobody_else() {
    let mut ledger = Ledger::ready(20);
    let told: Vec<u64> = (1..=100).flat_map(|run| asked(&ledger.run_of(1, run))).collect();
    assert_eq!(told.len(), 20);
    for run in told {
        let effects = ledger.not_told(run, HOUR);
        assert!(asked(&effects).is_empty(), "the others of the repository wait for the same");
    }
    let job = ledger.state.jobs[&JobId(job_of(70))].clone();
    let why = why::verdict_waits(&ledger.state, &job, ledger.now).unwrap();
    assert!(why.contains("next try at") && why.contains("over its share"), "{why}");
    assert_eq!(asked(&ledger.run_of(2, 200)), [200]);
    let _ = ledger.no_fork(200);
    let minted = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    assert_eq!(dispatched(&minted).len(), 1);
    assert_eq!(
        ledger
            .words_within(HOUR - MINUTE)
            .iter()
            .filter(|it| it.starts_with("ask about run"))
            .count(),
        0
    );
    let again = ledger.words_within(2 * MINUTE);
    assert_eq!(
        again.iter().filter(|it| it.starts_with("ask about run")).count(),
        19,
        "as many as there is room for"
    );
}

#[test]
fn with_three_thousand_runs_of_one_repository_anothers_is_asked_about_next() {
    let mut ledger = Ledger::ready(10);
    let told: Vec<u64> = (1..=3_000).flat_map(|run| asked(&ledger.run_of(1, run))).collect();
    assert_eq!(told.len(), 10);
    assert!(asked(&ledger.run_of(2, 9_000)).is_empty(), "all the room is asked for");
    let _ = crate::work::done();
    let forks = ledger.step(Event::RunKnown { run: RunId(told[0]), answer: Ok(true.into()) });
    assert_eq!(asked(&forks), [9_000]);
    assert!(crate::work::done() < 100, "whoever waits costs nothing");
}

#[test]
fn a_runner_that_nobody_needs_is_room_for_a_question() {
    let mut ledger = Ledger::ready(1);
    let _ = ledger.run_of(1, 1);
    let [runner] = &dispatched(&ledger.no_fork(1))[..] else { panic!("not launched") };
    let _ = ledger.accepted(runner);
    assert!(asked(&ledger.run_of(1, 6)).is_empty());
    let ended = report(job_of(1), JobStatus::Completed);
    assert_eq!(asked(&ledger.hears_of(forkable(1), ended)), [6]);
    let _ = ledger.no_fork(6);
    assert!(ledger.runner(runner).is_supply(), "it is taken back for the job");
}

#[test]
fn a_token_that_cannot_be_had_makes_no_storm_of_questions() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let mut told: Vec<u64> = (1..=100).flat_map(|run| asked(&ledger.run_of(1, run))).collect();
    for round in 0..told.len() {
        let more = asked(&ledger.no_fork(told[round]));
        told.extend(more);
    }
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer: Err(failure("403")) });
    assert!(told.len() <= 21, "{}", told.len());
}
