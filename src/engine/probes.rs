//! Asks the forges, Nomad and Vault now and then whether they are there, and take our tokens, so that
//! `/readyz` says so even while nothing is to be done.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::desk::report;
use super::health::Health;
use super::places::tell;
use crate::forge::Forges;
use crate::ledger::Event;
use crate::nomad::{Client, Place};
use crate::vault;

/// Forges count requests.
const FORGES_EVERY: Duration = Duration::from_secs(30);
/// Nomad is near, and a token that was deleted concerns everybody.
const NOMAD_EVERY: Duration = Duration::from_secs(2);
/// What needs it at once meets its absence itself.
const VAULT_EVERY: Duration = Duration::from_secs(10);
/// Jobs wait for it.
const VAULT_AGAIN: Duration = Duration::from_secs(2);

/// Runs until it is aborted.
pub async fn run(
    forges: Forges,
    nomad: Client,
    places: BTreeSet<Place>,
    vault: Option<vault::Client>,
    health: Health,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut tasks = JoinSet::new();
    if let Some(vault) = vault {
        tasks.spawn(ask_vault(vault, health.clone(), events.clone()));
    }
    for place in places {
        tasks.spawn(ask_nomad(nomad.clone(), place, health.clone()));
    }
    tasks.spawn(ask_forges(forges, health, events));
    tasks.join_all().await;
}

async fn ask_forges(forges: Forges, health: Health, events: mpsc::UnboundedSender<Event>) {
    let mut in_trouble = BTreeSet::new();
    loop {
        for ((forge, shown), credential) in forges.all().zip(forges.credentials()) {
            let error = forge.probe().await.err();
            report(&health, forge, shown, error.as_ref());
            if error.is_some_and(|error| error.is_trouble()) {
                in_trouble.insert(shown);
            } else if in_trouble.remove(shown) {
                let owners = credential.owners.clone();
                // Nobody listens any more during shutdown.
                let _ = events.send(Event::ForgeRecovered { owners });
            }
        }
        tokio::time::sleep(FORGES_EVERY).await;
    }
}

async fn ask_vault(vault: vault::Client, health: Health, events: mpsc::UnboundedSender<Event>) {
    let mut was_in_trouble = false;
    loop {
        let trouble = match vault.lease().await {
            // It may not look itself up, which says that there is somebody who says so.
            Ok(_) | Err(vault::Error::Denied { .. }) => None,
            Err(error) => Some(error.to_string()),
        };
        let is_in_trouble = trouble.is_some();
        health.report("vault", "credentials of runners", trouble);
        if was_in_trouble && !is_in_trouble {
            // Nobody listens any more during shutdown.
            let _ = events.send(Event::VaultRecovered);
        }
        was_in_trouble = is_in_trouble;
        let pause = if is_in_trouble { VAULT_AGAIN } else { VAULT_EVERY };
        tokio::time::sleep(pause).await;
    }
}

async fn ask_nomad(nomad: Client, place: Place, health: Health) {
    loop {
        let asked = nomad.may_read(&place).await;
        tell(&health, &nomad, &place, asked.err().as_ref());
        tokio::time::sleep(NOMAD_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use clock::Clock;
    use reqwest::StatusCode;
    use transport::{Answering, Exchange, Request, Response, Transport, Whole};

    use super::*;
    use crate::engine::happenings::Happenings;
    use crate::vault::{Login, Secret};

    /// Sealed for its first two requests.
    struct Sealed(AtomicUsize);

    impl Exchange for Sealed {
        fn send(&self, _: Request) -> Answering<'_, Response> {
            let (status, text) = match self.0.fetch_add(1, Ordering::Relaxed) {
                0..2 => (StatusCode::SERVICE_UNAVAILABLE, r#"{"errors": ["Vault is sealed"]}"#),
                _ => (StatusCode::OK, r#"{"data": {"ttl": 0}}"#),
            };
            let (headers, body) = (reqwest::header::HeaderMap::new(), Whole::of(text));
            Box::pin(async move { Ok(Response { status, headers, body }) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn that_vault_has_recovered_is_told_once() {
        let wire = Transport::new(Sealed(AtomicUsize::new(0)));
        let login = Login::Token(Secret::Value("t".into()));
        let vault = vault::Client::over(wire, "http://v".parse().expect("a URL"), None, login);
        let health = Health::new(Happenings::new(Clock::system()));
        let (events, mut told) = mpsc::unbounded_channel();
        let asks = ask_vault(vault.expect("it is right"), health.clone(), events);
        let minutes = tokio::time::timeout(Duration::from_secs(120), asks);
        let seen = async {
            let first = told.recv().await;
            assert!(matches!(first, Some(Event::VaultRecovered)), "{first:?}");
            assert!(health.degraded().is_empty());
            told.recv().await
        };
        let (_, more) = tokio::join!(minutes, seen);
        assert!(more.is_none(), "{more:?}");
    }
}
