//! Carries out one dispatch: asks the parameterized job which keys it takes, loads them, sends
//! it, and says for certain what is certain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::health::Health;
use super::meta;
use crate::config::{Delivery, Settings};
use crate::credential::Tokens;
use crate::ledger::Time;
use crate::ledger::effect::DispatchOrder;
use crate::ledger::event::DispatchOutcome;
use crate::nomad::{self, Client, DispatchError, DispatchRequest, Parameterized, Place};

/// Dispatches in flight at once. Nomad takes hardly more with more (measured: 768 a second
/// with 8 connections, 851 with 16), and an agent's limit is 100 connections an address.
const AT_ONCE: usize = 16;
/// How long a job's declared keys are believed.
const BELIEVED: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Dispatcher {
    settings: Arc<Settings>,
    nomad: Client,
    tokens: Arc<Tokens>,
    health: Health,
    places: Arc<Semaphore>,
    takes: Arc<Mutex<Declared>>,
}

/// Which keys each parameterized job takes, and since when that is known.
type Declared = BTreeMap<(String, Option<String>, String), (Instant, Arc<Parameterized>)>;

impl Dispatcher {
    pub fn new(
        settings: Arc<Settings>,
        nomad: Client,
        tokens: Arc<Tokens>,
        health: Health,
    ) -> Self {
        Self {
            settings,
            nomad,
            tokens,
            health,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            takes: Arc::default(),
        }
    }

    pub async fn dispatch(&self, order: &DispatchOrder) -> DispatchOutcome {
        // Never closed, so there is always a permit to come.
        let _place = self.places.acquire().await;
        let outcome = self.attempt(order).await;
        match &outcome {
            DispatchOutcome::NotSent { reason } | DispatchOutcome::Unknown { reason } => {
                self.health.report("nomad", Some(reason.clone()));
            }
            DispatchOutcome::Accepted { .. } => self.health.report("nomad", None),
            DispatchOutcome::Refused { .. } | DispatchOutcome::CredentialMissing => {}
        }
        outcome
    }

    async fn attempt(&self, order: &DispatchOrder) -> DispatchOutcome {
        let Some(pool) = self.settings.pools.iter().find(|pool| pool.name == order.pool.as_str())
        else {
            return DispatchOutcome::Refused {
                reason: format!("pool {} is no longer in the config", order.pool),
            };
        };
        let place = place(&self.nomad, order.namespace.as_ref(), order.region.as_ref());
        let takes = match self.declared(&place, &order.parent).await {
            Ok(takes) => takes,
            Err(outcome) => return outcome,
        };
        let now = Time::from(jiff::Timestamp::now());
        let life = pool.placement_timeout + pool.boot_timeout;
        let token = match pool.delivery {
            Delivery::None => None,
            Delivery::Payload | Delivery::Meta => match self.tokens.get(&order.scope, now, life) {
                Some(token) => Some(token),
                None => return DispatchOutcome::CredentialMissing,
            },
        };
        let secret = token.as_ref().map(|token| &token.secret);
        let cargo = match meta::load(order, pool, &takes, secret) {
            Ok(cargo) => cargo,
            Err(reason) => {
                self.forget(&place, &order.parent);
                return DispatchOutcome::Refused { reason };
            }
        };
        let request = DispatchRequest {
            idempotency_token: &order.idempotency_token,
            payload: cargo.payload.as_ref(),
            meta: &cargo.meta,
        };
        let ends = token.map(|token| token.ends);
        match self.nomad.dispatch(&place, &order.parent, &request).await {
            Ok(dispatched) if order.again && !dispatched.repeated => {
                // Of two dispatches with one token the loser may be told a child that is not
                // there (Nomad 1.11.2 on), and this token was sent before.
                self.confirmed(&place, dispatched.child, &takes, ends).await
            }
            Ok(dispatched) => accepted(dispatched.child, &takes, ends),
            Err(DispatchError::NotSent(reason)) => DispatchOutcome::NotSent { reason },
            Err(DispatchError::Unknown(reason)) => DispatchOutcome::Unknown { reason },
            Err(DispatchError::Refused { kind, .. }) => {
                self.forget(&place, &order.parent);
                DispatchOutcome::Refused { reason: kind.to_string() }
            }
        }
    }

    async fn confirmed(
        &self,
        place: &Place,
        child: String,
        takes: &Parameterized,
        ends: Option<Time>,
    ) -> DispatchOutcome {
        match self.nomad.job(place, &child).await {
            Ok(_) => accepted(child, takes, ends),
            Err(error) => DispatchOutcome::Unknown { reason: error.to_string() },
        }
    }

    /// Which keys the parameterized job takes; an outcome where it cannot be dispatched.
    async fn declared(
        &self,
        place: &Place,
        parent: &str,
    ) -> Result<Arc<Parameterized>, DispatchOutcome> {
        let key = key(place, parent);
        if let Some((since, takes)) = self.lock().get(&key)
            && since.elapsed() < BELIEVED
        {
            return Ok(takes.clone());
        }
        let namespace = &place.namespace;
        let refused = |reason| Err(DispatchOutcome::Refused { reason });
        let job = match self.nomad.job(place, parent).await {
            Ok(job) => job,
            Err(nomad::Error::NotFound { .. }) => {
                return refused(format!(
                    "the parameterized job \"{parent}\" does not exist in namespace \"{namespace}\"; \
                     register it with nomad job run, or mend nomad_job of the pool"
                ));
            }
            Err(error @ (nomad::Error::Unavailable { .. } | nomad::Error::Protocol { .. })) => {
                return Err(DispatchOutcome::NotSent { reason: error.to_string() });
            }
            Err(error) => return refused(error.to_string()),
        };
        if job.stop {
            return refused(format!(
                "the parameterized job \"{parent}\" is stopped; start it again with nomad job run"
            ));
        }
        let Some(takes) = job.parameterized else {
            return refused(format!(
                "the job \"{parent}\" in namespace \"{namespace}\" is not parameterized; it needs a parameterized block"
            ));
        };
        let takes = Arc::new(takes);
        self.lock().insert(key, (Instant::now(), takes.clone()));
        Ok(takes)
    }

    /// What a refusal made doubtful is asked for anew.
    fn forget(&self, place: &Place, parent: &str) {
        self.lock().remove(&key(place, parent));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Declared> {
        // Every entry is whole whatever panicked beside it.
        self.takes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accepted(
    child: String,
    takes: &Parameterized,
    credential_ends: Option<Time>,
) -> DispatchOutcome {
    let named = |keys: &[String]| keys.iter().any(|key| key == "runner_name");
    let nameless = !named(&takes.meta_required) && !named(&takes.meta_optional);
    DispatchOutcome::Accepted { child, nameless, credential_ends }
}

fn key(place: &Place, parent: &str) -> (String, Option<String>, String) {
    (place.namespace.clone(), place.region.clone(), parent.to_owned())
}

/// Where a pool's job lives: as the pool says, else as the connection does.
pub fn place(nomad: &Client, namespace: Option<&String>, region: Option<&String>) -> Place {
    let own = nomad.place();
    Place {
        namespace: namespace.cloned().unwrap_or_else(|| own.namespace.clone()),
        region: region.cloned().or_else(|| own.region.clone()),
    }
}
