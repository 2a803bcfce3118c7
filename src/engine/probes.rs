//! Asks GitHub and Nomad now and then whether they are there, so that `/readyz` says so even
//! while nothing is to be done. Costs no rate limit: `GET /rate_limit` does not count (GitHub
//! docs, "Rate limit").

use std::time::Duration;

use super::forge::Forges;
use super::health::Health;
use crate::github::Error;
use crate::nomad::Client;

const EVERY: Duration = Duration::from_secs(30);

pub async fn run(forges: Forges, nomad: Client, health: Health) {
    loop {
        for (client, owners) in forges.clients() {
            let trouble = match client.rate_limit().await {
                // Enterprise Server may have rate limits switched off: it answered, all the same.
                Ok(_) | Err(Error::NotFound { .. } | Error::Forbidden { .. }) => None,
                Err(error) => Some(format!("{error} (credential for {owners})")),
            };
            health.report("github", owners, trouble);
        }
        let leader = nomad.leader().await;
        health.report("nomad", "", leader.err().map(|error| error.to_string()));
        tokio::time::sleep(EVERY).await;
    }
}
