//! Whether the token may register runners. GitHub shows that only when it is tried: listing runners
//! needs read access only. So a registration token is created and discarded; nobody sees it, and it
//! expires within the hour. Once per owner, because a token has the same permissions on all of an
//! owner's repositories that it can access.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::finding::Finding;
use super::refused::refused;
use crate::forge::owner_of;
use crate::github::{Client, Operation, RunnersOf};

/// The owners for which one credential's token was tried. Clones share it.
#[derive(Clone, Default)]
pub struct Minting(Arc<Mutex<BTreeSet<(bool, String)>>>);

impl Minting {
    /// Nothing if this owner was tried before.
    pub async fn once(&self, client: &Client, of: RunnersOf<'_>) -> Option<Finding> {
        let (name, of_organization) = match of {
            RunnersOf::Repository(name) => (name, false),
            RunnersOf::Organization(name) => (name, true),
        };
        let owner = owner_of(name);
        if !self.first(of_organization, owner) {
            return None;
        }
        let subject = format!("github {owner}");
        Some(match client.registration_token(of).await {
            Ok(_) => Finding::ok(
                subject,
                format!(
                    "the token can register runners: a registration token was created for {name}, and discarded"
                ),
            ),
            Err(error) => refused(&subject, &error, Operation::Runners(of), name),
        })
    }

    fn first(&self, of_organization: bool, owner: &str) -> bool {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tried.insert((of_organization, owner.to_lowercase()))
    }
}
