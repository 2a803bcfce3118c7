//! What the forge tells of access and of repositories holds at once.

use super::*;
use crate::Visibility;

fn access_changed(owner: &str) -> Event {
    Event::AccessChanged { owner: owner.to_owned() }
}

#[test]
fn what_was_refused_is_asked_for_again_when_access_changes() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    let answer = Err(failure("the installation of the GitHub App on octo is suspended"));
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer });
    assert!(words(&ledger.step(access_changed("somebody"))).is_empty());
    assert_eq!(words(&ledger.step(access_changed("Octo"))), ["mint for octo/app"]);
    // One request is under way: another word changes nothing.
    assert!(words(&ledger.step(access_changed("octo"))).is_empty());
    assert_eq!(words(&ledger.minted(scope())), ["dispatch"]);
}

#[test]
fn what_the_forge_did_not_answer_is_asked_again_when_it_recovers() {
    let recovered =
        |owner: &str| Event::ForgeRecovered { owners: vec!["x".to_owned(), owner.to_owned()] };
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    let answer = || Err(failure("502"));
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer: answer() });
    assert!(words(&ledger.step(recovered("somebody"))).is_empty());
    assert_eq!(words(&ledger.step(recovered("Octo"))), ["mint for octo/app"]);
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer: answer() });
    assert_eq!(words(&ledger.step(recovered("*"))), ["mint for octo/app"]);
}

#[test]
fn a_repository_that_turns_public_is_refused_at_once_and_looked_at() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    assert!(ledger.state.jobs[&JobId(1)].is_demand());
    let public = Repository { visibility: Visibility::Public, ..repository(1, "octo/app") };
    let effects = ledger.step(Event::RepositoryChanged(Box::new(public)));
    assert_eq!(words(&effects), ["look at octo/app"]);
    assert!(!ledger.state.jobs[&JobId(1)].is_demand());
    assert_eq!(ledger.rows.repositories[&RepositoryId(1)].visibility, Visibility::Public);
}

#[test]
fn of_a_repository_that_nobody_serves_nothing_is_kept() {
    let mut ledger = Ledger::ready(20);
    let other = Box::new(repository(9, "stranger/other"));
    assert!(words(&ledger.step(Event::RepositoryChanged(other))).is_empty());
    assert!(!ledger.state.repositories.contains_key(&RepositoryId(9)));
}
