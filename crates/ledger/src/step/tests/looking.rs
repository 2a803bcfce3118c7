//! What cannot be read or may be over is looked at before anything follows from it.

use super::*;
use crate::Verdict;

const WEEKS: i64 = -28 * 24 * 3_600_000;

impl Ledger {
    fn queued_weeks_ago(&mut self, id: u64) -> Effects {
        let created_at = Some(self.now.moved(WEEKS));
        self.hears(JobReport { created_at, ..report(id, JobStatus::Queued) })
    }

    fn looked(&mut self, reports: Vec<JobReport>) -> Effects {
        let repository = Box::new(repository(1, "octo/app"));
        let began = self.now;
        self.answered(Ok(Observation::Swept {
            repository,
            reports,
            began,
            unseen: Default::default(),
            cut: false,
        }))
    }

    fn answered(&mut self, answer: Result<Observation, Failure>) -> Effects {
        let full_name = "octo/app".to_owned();
        self.step(Event::Looked { repository: RepositoryId(1), full_name, answer })
    }

    fn row_of(&self, id: u64) -> &Job {
        &self.rows.jobs[&JobId(id)]
    }
}

#[test]
fn a_job_that_was_queued_weeks_ago_is_asked_about_before_a_runner_is_hired() {
    let mut ledger = Ledger::ready(20);
    assert_eq!(words(&ledger.queued_weeks_ago(1)), ["look at octo/app"]);
    assert!(words(&ledger.queued_weeks_ago(2)).is_empty(), "one look is for all of them");
    assert!(ledger.state.jobs[&JobId(1)].awaits_verdict());
    assert!(ledger.row_of(1).verdict.reason().unwrap().contains("queued long ago"));
    // One still waits, the other is not listed: it is asked for by id, and is unknown.
    let effects = ledger.looked(vec![report(1, JobStatus::Queued)]);
    assert_eq!(words(&effects), ["ask job 2", "dispatch"]);
    let again = ledger.words_within(MINUTE);
    assert_eq!(again, ["look at octo/app"], "the second came after the look had begun");
    let _ = ledger.step(Event::JobSeen { job: JobId(2), answer: Ok(None) });
    assert!(
        ledger.row_of(2).ended_at.is_none(),
        "answers lag, and this machine's clock may be wrong"
    );
    let _ = ledger.words_within(Duration::from_secs(600));
    let _ = ledger.step(Event::JobSeen { job: JobId(2), answer: Ok(None) });
    assert!(ledger.row_of(2).ended_at.is_some(), "deleted with its run long ago");
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn a_job_that_the_forge_did_not_know_is_served_when_the_forge_knows_it_after_all() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued(1);
    let runner = ledger.state.runners.keys().next().unwrap().clone();
    let _ = ledger.accepted(&runner);
    let _ = ledger.passes(Duration::from_secs(601));
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer: Ok(None) });
    assert_eq!(ledger.row_of(1).report.conclusion.as_deref(), Some("unknown to GitHub"));
    // A listing shows it, and so does its own answer.
    let shown = ledger.sweeps(vec![report(1, JobStatus::Queued)]);
    assert_eq!(words(&shown).first().unwrap(), "ask job 1");
    let answer = Ok(Some(report(1, JobStatus::Queued)));
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer });
    assert!(ledger.row_of(1).ended_at.is_none());
    assert!(ledger.state.jobs[&JobId(1)].is_demand());
}

#[test]
fn a_job_in_doubt_is_in_doubt_after_a_restart() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued_weeks_ago(1);
    let asked = words(&ledger.restart());
    assert_eq!(asked, ["look at octo/app"], "and no token, for nobody is hired");
}

#[test]
fn a_sweep_settles_the_doubt_too() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued_weeks_ago(1);
    let created_at = ledger.state.jobs[&JobId(1)].report.created_at;
    let same = JobReport { created_at, ..report(1, JobStatus::Queued) };
    assert_eq!(words(&ledger.sweeps(vec![same])), ["dispatch"]);
}

#[test]
fn where_nobody_shows_the_repository_the_job_is_asked_for_by_id() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued_weeks_ago(1);
    assert_eq!(words(&ledger.refuses_to_show("octo/app")), ["ask job 1"]);
    let answer = Ok(Some(report(1, JobStatus::Queued)));
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer });
    assert!(ledger.state.jobs[&JobId(1)].is_demand());
}

#[test]
fn a_look_that_fails_is_repeated_and_not_for_ever() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued_weeks_ago(1);
    let mut looks = 0;
    let mut by_id = 0;
    loop {
        let failed = words(&ledger.answered(Err(failure("timeout"))));
        by_id += failed.iter().filter(|word| *word == "ask job 1").count();
        if !ledger.words_within(2 * HOUR).contains(&"look at octo/app".to_owned()) {
            break;
        }
        looks += 1;
        assert!(looks < 10);
    }
    assert_eq!((looks, by_id), (5, 1));
}

#[test]
fn a_young_job_and_one_that_is_known_are_not_doubted() {
    let mut ledger = Ledger::ready(20);
    let waits =
        JobReport { created_at: Some(ledger.now.moved(WEEKS)), ..report(1, JobStatus::Waiting) };
    let _ = ledger.hears(waits);
    assert_eq!(words(&ledger.queued_weeks_ago(1))[0], "ask job 1", "an approval after weeks");
    assert!(ledger.state.jobs[&JobId(1)].is_demand());
    let created_at = Some(ledger.now.moved(-60_000));
    let _ = ledger.hears(JobReport { created_at, ..report(2, JobStatus::Queued) });
    assert!(ledger.state.jobs[&JobId(2)].is_demand());
}

#[test]
fn a_repository_in_which_something_unreadable_happened_is_looked_at_if_it_is_served() {
    let mut ledger = Ledger::ready(20);
    let at = |name: &str| Event::LookAt(Box::new(repository(1, name)));
    assert_eq!(words(&ledger.step(at("octo/app"))), ["look at octo/app"]);
    assert_eq!(words(&ledger.looked(vec![report(1, JobStatus::Queued)])), ["dispatch"]);
    ledger.state.rules.pools[0].repositories = crate::matching::RepositoryGlobs::new(&["o/x"]);
    assert!(words(&ledger.step(at("octo/app"))).is_empty());
}

#[test]
fn however_many_jobs_leave_memory_at_once_all_have_their_rows_and_come_back() {
    const MANY: u64 = 5_000;
    let mut ledger = Ledger::ready(20);
    for id in 1..=MANY {
        let _ = ledger.queued(id);
    }
    let pools = |label: &str| Box::new(rules(20, vec![pool("x64", &[label])]));
    let _ = ledger.step(Event::Rules(pools("lnux")));
    assert!(ledger.state.jobs.is_empty());
    for id in 1..=MANY {
        let row = ledger.row_of(id);
        assert!(row.pool.is_none() && matches!(row.verdict, Verdict::Unserved(_)), "{row:?}");
        assert!(ledger.state.known_job(JobId(id)).is_some(), "its row may not be readable yet");
    }
    ledger.state.recorded();
    let kept = (1..=MANY).filter(|id| ledger.state.known_job(JobId(*id)).is_some()).count();
    assert!(kept <= 1_024, "memory is bounded once the rows are: {kept}");
    let rows = ledger.rows.jobs.values().filter(|job| job.pool.is_none()).cloned().collect();
    let _ = ledger.step(Event::Rules(pools("linux")));
    let _ = ledger.step(Event::Unserved(rows));
    assert_eq!(ledger.state.jobs.len(), MANY as usize);
    assert!(ledger.state.jobs.values().all(Job::is_demand));
}

#[test]
fn a_job_that_no_pool_had_for_long_is_looked_for_before_it_is_served() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hears(JobReport { labels: vec!["mac".into()], ..report(1, JobStatus::Queued) });
    ledger.state.recorded();
    ledger.now = ledger.now + 2 * HOUR;
    let unserved = vec![ledger.row_of(1).clone()];
    let rules = Box::new(rules(20, vec![pool("x64", &["mac"])]));
    let mut said = words(&ledger.step(Event::Rules(rules)));
    said.extend(words(&ledger.step(Event::Unserved(unserved))));
    assert_eq!(said, ["look at octo/app"]);
}
