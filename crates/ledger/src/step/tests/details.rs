//! What is kept of a job for reports: nothing moves by it, and no source's word is lost.

use super::*;
use crate::event::RunFacts;
use crate::{Details, RunDetails, RunId};

fn told(details: Details, report: JobReport) -> JobReport {
    JobReport { details: details.kept(), ..report }
}

fn numbered(report: JobReport) -> JobReport {
    let run = RunDetails { number: Some(7), ..RunDetails::default() };
    told(Details { run, ..Details::default() }, report)
}

fn row(ledger: &Ledger) -> Details {
    *ledger.rows.jobs[&JobId(1)].report.details.clone().unwrap()
}

impl Ledger {
    fn swept(&mut self, reports: Vec<JobReport>) -> Effects {
        let repository = Box::new(repository(1, "octo/app"));
        let began = self.now;
        let seen = Observation::Swept {
            repository,
            reports,
            began,
            unseen: std::collections::BTreeSet::new(),
            cut: false,
        };
        self.step(Event::Observed(Box::new(seen)))
    }
}

#[test]
fn a_webhook_and_a_listing_complete_each_other() {
    let mut ledger = Ledger::ready(20);
    let sha = Details { head_sha: Some("abc".into()), ..Details::default() };
    let _ = ledger.hears(told(sha, report(1, JobStatus::Queued)));
    let _ = ledger.swept(vec![numbered(report(1, JobStatus::Queued))]);
    assert_eq!((row(&ledger).head_sha.as_deref(), row(&ledger).run.number), (Some("abc"), Some(7)));
    let unchanged = ledger.swept(vec![numbered(report(1, JobStatus::Queued))]);
    assert!(unchanged.records.is_empty(), "a look that shows nothing new costs no row");
    let over = Details { completed_at: Some(Time(9)), ..Details::default() };
    let _ = ledger.hears(told(over, report(1, JobStatus::Completed)));
    let kept = row(&ledger);
    assert_eq!((kept.head_sha.as_deref(), kept.run.number), (Some("abc"), Some(7)));
    assert_eq!(kept.completed_at, Some(Time(9)));
}

/// The question about its head costs a request, whose answer says more.
#[test]
fn what_is_said_of_a_run_with_the_answer_about_its_head_is_kept() {
    let mut ledger = Ledger::ready(20);
    let forkable = Repository { forkable: true, ..repository(1, "octo/app") };
    let sha = Details { head_sha: Some("abc".into()), ..Details::default() };
    let _ = ledger.hears_of(forkable, told(sha, report(1, JobStatus::Queued)));
    let run = RunDetails { number: Some(7), event: Some("push".into()), workflow_path: None };
    let answer = Ok(RunFacts { run: run.clone(), ..false.into() });
    let _ = ledger.step(Event::RunKnown { run: RunId(1), answer });
    assert_eq!((row(&ledger).run, row(&ledger).head_sha.as_deref()), (run, Some("abc")));
}

#[test]
fn late_news_still_says_when_and_which_run_it_was() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued(1);
    let _ = ledger.hears(report(1, JobStatus::Completed));
    let _ = ledger.swept(vec![numbered(report(1, JobStatus::Completed))]);
    assert_eq!(row(&ledger).run.number, Some(7));
    let begun = Details { started_at: Some(Time(3)), ..Details::default() };
    let _ = ledger.hears(told(begun, report(1, JobStatus::InProgress)));
    assert_eq!(row(&ledger).started_at, Some(Time(3)));
    assert_eq!(ledger.rows.jobs[&JobId(1)].report.status, JobStatus::Completed);
}

#[test]
fn a_rerun_under_the_same_id_keeps_what_both_attempts_share() {
    let mut ledger = Ledger::ready(20);
    ledger.state.rules.forge.ends_are_final = false;
    let _ = ledger.hears(numbered(report(1, JobStatus::Queued)));
    let over = Details { completed_at: Some(Time(9)), ..Details::default() };
    let _ = ledger.hears(told(over, report(1, JobStatus::Completed)));
    let _ = ledger.queued(1);
    let answer = Ok(Some(report(1, JobStatus::Queued)));
    let _ = ledger.step(Event::JobSeen { job: JobId(1), answer });
    assert_eq!((row(&ledger).run.number, row(&ledger).completed_at), (Some(7), None));
}

#[test]
fn a_row_of_an_earlier_version_reads_without_them() {
    let mut old = serde_json::to_value(report(1, JobStatus::Queued)).unwrap();
    old.as_object_mut().unwrap().remove("details");
    assert_eq!(serde_json::from_value::<JobReport>(old).unwrap().details, None);
}
