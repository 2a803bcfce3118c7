//! Asks the forges and Nomad now and then whether they are there, so that `/readyz` says so even
//! while nothing is to be done.

use std::time::Duration;

use super::desk::report;
use super::health::Health;
use crate::forge::Forges;
use crate::nomad::Client;

const EVERY: Duration = Duration::from_secs(30);

pub async fn run(forges: Forges, nomad: Client, health: Health) {
    loop {
        for (forge, owners) in forges.all() {
            report(&health, forge, owners, forge.probe().await.err().as_ref());
        }
        let leader = nomad.leader().await;
        health.report("nomad", "", leader.err().map(|error| error.to_string()));
        tokio::time::sleep(EVERY).await;
    }
}
