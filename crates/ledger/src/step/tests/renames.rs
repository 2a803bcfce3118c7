//! A repository that is called otherwise is the same one.

use super::*;
use crate::matching::RepositoryGlobs;

/// One pool, which names the repository outright.
fn named(patterns: &[&str]) -> Ledger {
    let pool = Pool { repositories: RepositoryGlobs::new(patterns), ..pool("x64", &["linux"]) };
    Ledger::with(rules(20, vec![pool])).made_ready()
}

fn warned(effects: &Effects) -> Vec<String> {
    let told = effects.happenings.iter().filter(|it| it.what.is_warning());
    told.map(ToString::to_string).collect()
}

const WHAT_TO_WRITE: &str = "octo/app is now called octo/new and is still served; write octo/new \
                             in repositories of pool x64";

#[test]
fn a_repository_that_is_named_outright_is_served_on_when_it_is_renamed() {
    let mut ledger = named(&["octo/app"]);
    let _ = ledger.queued(1);
    let effects = ledger.hears_of(repository(1, "octo/new"), report(2, JobStatus::Queued));
    assert_eq!(dispatched(&effects).len(), 1);
    assert_eq!(warned(&effects), [WHAT_TO_WRITE]);
    assert!(ledger.state.jobs.values().all(Job::is_demand));
    let again = ledger.hears_of(repository(1, "octo/new"), report(3, JobStatus::Queued));
    assert!(warned(&again).is_empty(), "once a rename");
    assert!(warned(&ledger.restart()).contains(&WHAT_TO_WRITE.to_owned()), "and at each start");
    assert!(ledger.state.jobs.values().all(Job::is_demand));
    assert_eq!(ledger.state.former_names().len(), 1);
}

#[test]
fn one_that_was_renamed_before_anything_was_heard_of_it_is_known_by_the_name_it_was_asked_by() {
    let mut ledger = named(&["octo/app"]);
    let repository =
        Box::new(Repository { former: vec!["octo/app".into()], ..repository(1, "octo/new") });
    let seen = || Observation::Swept {
        repository: repository.clone(),
        reports: vec![report(1, JobStatus::Queued)],
        began: Time(1_800_000_000_000),
        unseen: Default::default(),
        cut: false,
    };
    let effects = ledger.observes(seen());
    assert_eq!((dispatched(&effects).len(), warned(&effects)), (1, vec![WHAT_TO_WRITE.to_owned()]));
    assert!(ledger.observes(seen()).records.is_empty(), "nothing new costs no row");
}

#[test]
fn what_a_pattern_matched_it_matches_no_more() {
    let mut ledger = named(&["octo/*"]);
    let _ = ledger.queued(1);
    let _ = ledger.hears_of(repository(1, "else/app"), report(2, JobStatus::Queued));
    assert!(ledger.state.jobs.is_empty(), "transferred to another owner");
    assert!(ledger.state.former_names().is_empty());
    let mut ledger = named(&["octo/app", "!else/*"]);
    let _ = ledger.queued(1);
    let _ = ledger.hears_of(repository(1, "else/app"), report(2, JobStatus::Queued));
    assert!(ledger.state.jobs.is_empty(), "excluded by its name of today");
}

#[test]
fn a_name_that_another_repository_takes_means_that_one() {
    let mut ledger = named(&["octo/app"]);
    let _ = ledger.queued(1);
    let _ = ledger.hears_of(repository(1, "octo/new"), report(2, JobStatus::Queued));
    let _ = ledger.hears_of(repository(7, "octo/app"), report(3, JobStatus::Queued));
    let served: Vec<_> = ledger.state.jobs.values().map(|job| job.repository.0).collect();
    assert_eq!(served, [7]);
    let back = Repository { former: vec!["octo/app".into()], ..repository(1, "octo/new") };
    let _ = ledger.hears_of(back, report(4, JobStatus::Queued));
    assert!(!ledger.state.jobs.contains_key(&JobId(4)));
}

#[test]
fn nothing_is_told_where_the_config_has_followed() {
    let mut ledger = named(&["octo/app", "octo/new"]);
    let _ = ledger.queued(1);
    let effects = ledger.hears_of(repository(1, "octo/new"), report(2, JobStatus::Queued));
    assert!(warned(&effects).is_empty());
    assert!(ledger.state.former_names().is_empty());
}
