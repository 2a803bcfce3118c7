//! Asks the forges, Nomad and Vault now and then whether they are there, and take our tokens, so that
//! `/readyz` says so even while nothing is to be done.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;

use super::desk::report;
use super::health::Health;
use super::places::tell;
use crate::forge::Forges;
use crate::nomad::{Client, Place};
use crate::vault;

/// Forges count requests.
const FORGES_EVERY: Duration = Duration::from_secs(30);
/// Nomad is near, and a token that was deleted concerns everybody.
const NOMAD_EVERY: Duration = Duration::from_secs(2);
/// What needs it at once meets its absence itself.
const VAULT_EVERY: Duration = Duration::from_secs(10);

/// Runs until it is aborted.
pub async fn run(
    forges: Forges,
    nomad: Client,
    places: BTreeSet<Place>,
    vault: Option<vault::Client>,
    health: Health,
) {
    let mut tasks = JoinSet::new();
    if let Some(vault) = vault {
        tasks.spawn(ask_vault(vault, health.clone()));
    }
    for place in places {
        tasks.spawn(ask_nomad(nomad.clone(), place, health.clone()));
    }
    tasks.spawn(ask_forges(forges, health));
    tasks.join_all().await;
}

async fn ask_forges(forges: Forges, health: Health) {
    loop {
        for (forge, owners) in forges.all() {
            report(&health, forge, owners, forge.probe().await.err().as_ref());
        }
        tokio::time::sleep(FORGES_EVERY).await;
    }
}

async fn ask_vault(vault: vault::Client, health: Health) {
    loop {
        let trouble = match vault.lease().await {
            // It may not look itself up, which says that there is somebody who says so.
            Ok(_) | Err(vault::Error::Denied { .. }) => None,
            Err(error) => Some(error.to_string()),
        };
        health.report("vault", "credentials of runners", trouble);
        tokio::time::sleep(VAULT_EVERY).await;
    }
}

async fn ask_nomad(nomad: Client, place: Place, health: Health) {
    loop {
        let asked = nomad.may_read(&place).await;
        tell(&health, &nomad, &place, asked.err().as_ref());
        tokio::time::sleep(NOMAD_EVERY).await;
    }
}
