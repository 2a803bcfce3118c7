//! Asks the forges and Nomad now and then whether they are there, and take our tokens, so that
//! `/readyz` says so even while nothing is to be done.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;

use super::desk::report;
use super::health::Health;
use super::places::tell;
use crate::forge::Forges;
use crate::nomad::{Client, Place};

/// Forges count requests.
const FORGES_EVERY: Duration = Duration::from_secs(30);
/// Nomad is near, and a token that was deleted concerns everybody.
const NOMAD_EVERY: Duration = Duration::from_secs(2);

/// Runs until it is aborted.
pub async fn run(forges: Forges, nomad: Client, places: BTreeSet<Place>, health: Health) {
    let mut tasks = JoinSet::new();
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

async fn ask_nomad(nomad: Client, place: Place, health: Health) {
    loop {
        let asked = nomad.may_read(&place).await;
        tell(&health, &nomad, &place, asked.err().as_ref());
        tokio::time::sleep(NOMAD_EVERY).await;
    }
}
