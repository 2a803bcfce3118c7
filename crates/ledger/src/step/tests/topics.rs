//! Topics pick repositories, and come and go.

use super::*;
use crate::{Topics, Verdict};

fn picky() -> Ledger {
    let pool = Pool { topics: vec!["ci".to_owned()], ..pool("x64", &["linux"]) };
    Ledger::with(rules(20, vec![pool])).made_ready()
}

fn carrying(topics: &[&str]) -> Repository {
    let topics = topics.iter().map(|topic| (*topic).to_owned());
    Repository { topics: Some(Topics::from_outside(topics)), ..repository(1, "octo/app") }
}

#[test]
fn a_topic_that_is_taken_away_takes_the_repository_out() {
    let mut ledger = picky();
    let effects = ledger.hears_of(carrying(&["ci"]), report(1, JobStatus::Queued));
    assert_eq!(dispatched(&effects).len(), 1);
    let _ = ledger.hears_of(carrying(&[]), report(2, JobStatus::Queued));
    assert!(ledger.state.jobs.is_empty(), "both wait for nobody here");
    for id in [1, 2] {
        let verdict = &ledger.rows.jobs[&JobId(id)].verdict;
        assert!(matches!(verdict, Verdict::Unserved(why) if why.ends_with("topics ci")));
    }
}

#[test]
fn what_says_nothing_of_topics_takes_none_away() {
    let mut ledger = picky();
    let _ = ledger.hears_of(carrying(&["ci"]), report(1, JobStatus::Queued));
    let effects = ledger.hears_of(repository(1, "octo/app"), report(2, JobStatus::Queued));
    assert_eq!(dispatched(&effects).len(), 1);
    let _ = ledger.restart();
    assert_eq!(ledger.state.jobs.len(), 2);
}

#[test]
fn a_topic_that_is_added_brings_in_the_jobs_that_wait() {
    let mut ledger = picky();
    let _ = ledger.hears_of(repository(1, "octo/app"), report(1, JobStatus::Queued));
    let verdict = &ledger.rows.jobs[&JobId(1)].verdict;
    assert!(matches!(verdict, Verdict::Unserved(why) if why.ends_with("is not known yet")));
    let effects = ledger.observes(Observation::Swept {
        repository: Box::new(carrying(&["ci"])),
        reports: Vec::new(),
        began: Time(1_800_000_000_000),
        unseen: Default::default(),
        cut: false,
    });
    assert_eq!(dispatched(&effects).len(), 1);
}
