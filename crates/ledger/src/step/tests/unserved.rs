//! Jobs that no pool has: told once for each repository and set of labels, and counted while they wait.

use super::*;

fn windows(id: u64) -> JobReport {
    let labels = vec!["self-hosted".to_owned(), "Windows".to_owned()];
    JobReport { labels, ..report(id, JobStatus::Queued) }
}

fn told(effects: &Effects) -> Vec<(bool, String)> {
    let said = |it: &&crate::Happening| matches!(it.what, crate::Happened::JobUnserved { .. });
    let told = effects.happenings.iter().filter(said);
    told.map(|it| (it.what.is_warning(), it.to_string())).collect()
}

fn counted(ledger: &Ledger) -> Vec<u64> {
    ledger.state.unserved.jobs(ledger.now).map(|(id, _)| id.0).collect()
}

#[test]
fn it_is_told_once_for_a_repository_and_its_labels_with_both_and_the_reason() {
    let mut ledger = Ledger::new(20);
    let first = told(&ledger.hears(windows(1)));
    let [(true, line)] = &first[..] else { panic!("{first:?}") };
    assert!(line.contains("(self-hosted, Windows)") && line.contains("has all labels"), "{line}");
    let mut again = windows(2);
    again.labels = vec!["WINDOWS".to_owned(), "Self-Hosted".to_owned()];
    assert_eq!(told(&ledger.hears(again)), [], "labels have neither order nor case");
    let hosted = JobReport { labels: vec!["ubuntu-latest".into()], ..report(3, JobStatus::Queued) };
    let hosted = told(&ledger.hears(hosted));
    assert!(matches!(&hosted[..], [(false, _)]), "GitHub's own job is no warning: {hosted:?}");
    assert_eq!(counted(&ledger), [1, 2], "nor does it wait for a runner of ours");
}

#[test]
fn those_that_wait_are_counted_and_others_are_not() {
    let mut ledger = Ledger::new(20);
    for id in 1..=4 {
        let _ = ledger.hears(windows(id));
    }
    let _ = ledger.hears(JobReport { status: JobStatus::InProgress, ..windows(1) });
    let _ = ledger.hears(JobReport { status: JobStatus::Completed, ..windows(2) });
    assert_eq!(counted(&ledger), [3, 4]);
    // Another config has a pool for them.
    let mut rules = ledger.state.rules.clone();
    rules.pools[0].labels = vec!["self-hosted".into(), "windows".into()];
    let _ = ledger.step(Event::Rules(Box::new(rules)));
    assert_eq!(counted(&ledger), [0; 0]);
}

#[test]
fn a_job_whose_end_was_never_heard_of_is_counted_for_a_day() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.hears(windows(1));
    ledger.now = ledger.now + 23 * HOUR;
    assert_eq!(counted(&ledger), [1]);
    ledger.now = ledger.now + 2 * HOUR;
    assert_eq!(counted(&ledger), [0; 0]);
}

#[test]
fn what_strangers_ask_for_takes_up_bounded_room() {
    let mut ledger = Ledger::new(20);
    for id in 1..=1_500 {
        let labels = (0..100).map(|label| format!("{id} {label} {}", "x".repeat(200))).collect();
        let effects = ledger.hears(JobReport { labels, ..report(id, JobStatus::Queued) });
        let [(_, line)] = &told(&effects)[..] else { panic!("each is news") };
        assert!(line.len() < 6_000 && line.contains("and 90 more"), "{} bytes", line.len());
    }
    assert_eq!(counted(&ledger).len(), 1_000);
    assert!(ledger.state.unserved.may_be_more());
}
