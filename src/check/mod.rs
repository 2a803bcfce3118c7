//! The command `check`: tests everything that a job needs to get its runner, and reports what is
//! right and how to fix what is not. Changes nothing anywhere, and prints no secret.
//!
//! Each file checks one thing and returns `Finding`s; what needs no network is pure. Independent
//! checks run at the same time, each with a time limit (`at_once`); what depends on a failed check
//! is skipped. Begin with `finding`, then `pool_job`.

mod app;
mod architecture;
mod at_once;
mod claims;
mod clock;
mod credential;
mod delivery;
mod finding;
mod gitea;
mod hooks;
mod listed;
mod minting;
mod nomad;
mod placing;
mod plan;
mod pool_job;
mod pools;
mod refused;
mod render;
mod repository;
mod service;
mod settings;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod unit;
mod vault;

use std::sync::Arc;

pub use finding::{Finding, Level, Report};
pub use render::{json, text};
pub use service::{View, entered};
pub use unit::Unit;

use crate::config::{ForgeKind, Loaded, Settings};
use crate::nomad::Client;

/// Only the Apps, by the index of their credentials.
pub async fn apps(settings: &Settings, apps: &[usize]) -> Report {
    Report(credential::apps(settings, apps).await)
}

async fn forge(settings: Arc<Settings>) -> Vec<Finding> {
    match settings.github.kind {
        ForgeKind::GitHub => credential::check(settings).await,
        ForgeKind::Gitea => gitea::check(settings).await,
    }
}

/// Only what is in Vault, and what the daemon may do there.
pub async fn vault(loaded: &Loaded) -> Vec<Finding> {
    let check = vault::check(loaded);
    at_once::within(vault::SUBJECT, "check that Vault responds", check).await
}

/// Only that the config loads, which it has.
pub fn config_only(loaded: &Loaded) -> Report {
    Report(settings::config_only(loaded))
}

/// Everything. `nomad` is the client, or why there can be none.
pub async fn check(loaded: &Loaded, view: &View, nomad: anyhow::Result<Client>) -> Report {
    let settings = Arc::new(loaded.settings.clone());
    let mut findings = view.findings(loaded);
    findings.extend(settings::check(loaded));
    findings.extend(pools::check(&settings));
    findings.extend(claims::check(&settings));
    let path = settings.store.path.clone();
    // systemd creates that folder when the service starts.
    let to_come = view.unit().and_then(|unit| unit.state.clone());
    // A network file system may hang.
    let store = at_once::within("store", "check that its file system responds", async move {
        tokio::task::spawn_blocking(move || store::check(&path, to_come.as_deref()))
            .await
            .unwrap_or_default()
    });
    let (store, forge, nomad, vault) = tokio::join!(
        store,
        forge(settings.clone()),
        nomad::check(settings.clone(), nomad),
        vault(loaded)
    );
    findings.extend(store);
    findings.extend(forge);
    findings.extend(nomad);
    findings.extend(vault);
    Report(findings)
}
