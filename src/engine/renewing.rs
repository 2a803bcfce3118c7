//! What webhooks tell of access and of repositories: first the forge forgets what it knew, then the
//! ledger tries again what was refused.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::info;

use super::Setup;
use crate::ledger::Event;
use crate::webhook::{News, Renew};

/// For the door of this setup.
pub fn renewing(setup: &Setup, events: mpsc::UnboundedSender<Event>) -> Renew {
    let forges = setup.forges.clone();
    Arc::new(move |news| {
        let (forges, events) = (forges.clone(), events.clone());
        // The door answers meanwhile: nothing is lost where this does not come to its end, for the
        // next refusal renews as well, and the sweeps look at every repository.
        tokio::spawn(async move {
            let event = match news {
                News::Access { owner, former, installation } => {
                    if let Some(former) = &former {
                        forges.access_changed(former, None).await;
                    }
                    forges.access_changed(&owner, installation).await;
                    let installed = installation.is_some();
                    info!(owner, installed, "access of the GitHub App changed");
                    Event::AccessChanged { owner }
                }
                News::Repository(repository) => {
                    forges.repository_changed(repository.id);
                    Event::RepositoryChanged(repository)
                }
            };
            // An engine that takes no more events is ending.
            let _ = events.send(event);
        });
    })
}
