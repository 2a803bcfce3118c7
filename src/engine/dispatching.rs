//! Carries out one dispatch: asks the parameterized job which keys it takes, loads them, sends
//! it, and says for certain what is certain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::Clock;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::health::Health;
use super::meta;
use super::parents::Version;
use super::places::{at, forbidden, tell_words};
use crate::config::{self, Delivery, Settings};
use crate::credential::Tokens;
use crate::deposit::{Contents, Deposits, NotPut};
use crate::ledger::Time;
use crate::ledger::deposit::Deposit;
use crate::ledger::effect::DispatchOrder;
use crate::ledger::event::DispatchOutcome;
use crate::ledger::pool::CredentialKind;
use crate::nomad::{self, Client, DispatchError, DispatchRequest, Parameterized, Place};

/// Dispatches in flight at once. Nomad takes hardly more with more (measured: 768 a second
/// with 8 connections, 851 with 16), and an agent's limit is 100 connections an address.
const AT_ONCE: usize = 16;
/// How long a job's declared keys are believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// What lies ready for a task may be wanted so much longer than the pool's timeouts say: they begin when it is
/// dispatched.
const DISPATCHING: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub struct Dispatcher {
    settings: Arc<Settings>,
    nomad: Client,
    tokens: Arc<Tokens>,
    deposits: Deposits,
    health: Health,
    clock: Clock,
    places: Arc<Semaphore>,
    known: Arc<Mutex<Known>>,
}

/// A parameterized job: namespace, region, id.
type ParentKey = (String, Option<String>, String);

#[derive(Default)]
struct Known {
    declared: BTreeMap<ParentKey, Declared>,
    /// What the jobs were that refused a dispatch.
    refused: BTreeMap<ParentKey, Version>,
}

/// Which keys a parameterized job takes.
#[derive(Clone)]
struct Declared {
    since: Instant,
    version: Version,
    takes: Arc<Parameterized>,
}

impl Dispatcher {
    pub fn new(
        settings: Arc<Settings>,
        nomad: Client,
        tokens: Arc<Tokens>,
        deposits: Deposits,
        health: Health,
        clock: Clock,
    ) -> Self {
        Self {
            settings,
            nomad,
            tokens,
            deposits,
            health,
            clock,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            known: Arc::default(),
        }
    }

    pub async fn dispatch(&self, order: &DispatchOrder) -> DispatchOutcome {
        // Never closed, so there is always a permit to come.
        let _place = self.places.acquire().await;
        let outcome = self.attempt(order).await;
        let trouble = match &outcome {
            DispatchOutcome::NotSent { reason } | DispatchOutcome::Unknown { reason } => {
                Some(reason.clone())
            }
            DispatchOutcome::Accepted { .. } => None,
            DispatchOutcome::Refused { .. }
            | DispatchOutcome::TooLarge { .. }
            | DispatchOutcome::NotDeposited(_)
            | DispatchOutcome::DepositTaken { .. }
            | DispatchOutcome::CredentialMissing => return outcome,
        };
        if matches!(outcome, DispatchOutcome::Accepted { .. }) {
            self.tokens.jit.forget(&order.runner);
        }
        tell_words(&self.health, &self.nomad, &at(&order.place), trouble);
        outcome
    }

    async fn attempt(&self, order: &DispatchOrder) -> DispatchOutcome {
        let Some(pool) = self.settings.pools.iter().find(|pool| pool.name == order.pool.as_str())
        else {
            return DispatchOutcome::Refused {
                reason: format!("pool {} was removed from the config", order.pool),
            };
        };
        let place = at(&order.place);
        let believed = self.believed(&key(&place, &order.parent));
        let fresh = believed.is_none();
        let declared = match believed {
            Some(declared) => declared,
            None => match self.ask(&place, &order.parent).await {
                Ok(declared) => declared,
                Err(outcome) => return outcome,
            },
        };
        let mut deposit = order.deposit.clone();
        let outcome = self.send(order, pool, &mut deposit, &declared).await;
        if !matches!(outcome, DispatchOutcome::Refused { .. }) || fresh {
            return outcome;
        }
        // What was believed may be out of date: the job may take other keys by now.
        match self.ask(&place, &order.parent).await {
            Ok(newer) if newer.version != declared.version => {
                self.send(order, pool, &mut deposit, &newer).await
            }
            Ok(_) => outcome,
            Err(outcome) => outcome,
        }
    }

    async fn send(
        &self,
        order: &DispatchOrder,
        pool: &config::Pool,
        deposit: &mut Option<Deposit>,
        declared: &Declared,
    ) -> DispatchOutcome {
        let place = &at(&order.place);
        let takes = &declared.takes;
        let now = Time::from(self.clock.now());
        let life = pool.placement_timeout + pool.boot_timeout;
        let credential = match (pool.delivery, order.credential) {
            (Delivery::Claim | Delivery::None, _) => None,
            (_, CredentialKind::RegistrationToken) => {
                let token = self.tokens.get(&order.scope, now, life);
                Some(token.map(|token| (token.secret, Some(token.ends))))
            }
            // It has no end that is known.
            (_, CredentialKind::Jit) => {
                Some(self.tokens.jit.get(&order.runner).map(|config| (config, None)))
            }
        };
        let (secret, ends) = match credential {
            None => (None, None),
            Some(None) => return DispatchOutcome::CredentialMissing,
            Some(Some((secret, ends))) => (Some(secret), ends),
        };
        let refused = |reason| {
            self.note_refusal(key(place, &order.parent), declared.version);
            DispatchOutcome::Refused { reason }
        };
        let claims = self.settings.claims.as_ref();
        let claim_url = claims.map(config::Claims::claim_url);
        // What lies somewhere else is not carried.
        let carried = secret.as_ref().filter(|_| deposit.is_none());
        let cargo = match meta::load(order, pool, takes, carried, claim_url.as_deref()) {
            Ok(cargo) => cargo,
            Err(reason) => return refused(reason),
        };
        if let (Some(deposit), Some(secret)) = (deposit, secret) {
            let (runner, kind) = (order.runner.clone(), order.credential);
            let contents = Contents { runner, kind, secret, lives: life + DISPATCHING };
            match self.deposits.put(deposit, &order.place, &contents).await {
                // From here on what is there is ours.
                Ok(()) => deposit.tried = true,
                Err(NotPut::NomadAway(reason)) => return DispatchOutcome::NotSent { reason },
                Err(NotPut::Failed(failure)) => return DispatchOutcome::NotDeposited(failure),
                Err(NotPut::Taken(reason)) => return DispatchOutcome::DepositTaken { reason },
            }
        }
        let request = DispatchRequest {
            idempotency_token: &order.idempotency_token,
            payload: cargo.payload.as_ref(),
            meta: &cargo.meta,
        };
        match self.nomad.dispatch(place, &order.parent, &request).await {
            Ok(dispatched) if order.again && !dispatched.repeated => {
                // Of two dispatches with one token the loser may be told a child that is not
                // there (Nomad 1.11.2 on), and this token was sent before.
                self.confirmed(place, dispatched.child, takes, ends).await
            }
            Ok(dispatched) => accepted(dispatched.child, takes, ends),
            Err(DispatchError::NotSent(reason)) => DispatchOutcome::NotSent { reason },
            Err(DispatchError::Unknown(reason)) => DispatchOutcome::Unknown { reason },
            Err(DispatchError::Refused { kind, .. }) if kind.is_about_size() => {
                DispatchOutcome::TooLarge { reason: kind.to_string() }
            }
            Err(DispatchError::Refused { kind, .. }) => refused(kind.to_string()),
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

    /// Which keys the parameterized job takes, asked anew; an outcome where it cannot be
    /// dispatched.
    async fn ask(&self, place: &Place, parent: &str) -> Result<Declared, DispatchOutcome> {
        let answer = self.nomad.job(place, parent).await;
        let version = Version::seen(&answer);
        let refused = |reason| {
            if let Some(version) = version {
                self.note_refusal(key(place, parent), version);
            }
            Err(DispatchOutcome::Refused { reason })
        };
        let namespace = &place.namespace;
        let job = match answer {
            Ok(job) => job,
            Err(nomad::Error::NotFound { .. }) => {
                return refused(format!(
                    "the parameterized job \"{parent}\" does not exist in namespace \"{namespace}\"; \
                     register it with nomad job run, or correct nomad_job of the pool"
                ));
            }
            Err(error @ nomad::Error::Forbidden { .. }) => {
                return refused(forbidden(&error, place));
            }
            Err(error @ (nomad::Error::Unavailable { .. } | nomad::Error::Protocol { .. })) => {
                return Err(DispatchOutcome::NotSent { reason: error.to_string() });
            }
            Err(error) => return refused(error.to_string()),
        };
        let version = Version::of(&job);
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
        let declared = Declared { since: Instant::now(), version, takes: Arc::new(takes) };
        self.lock().declared.insert(key(place, parent), declared.clone());
        Ok(declared)
    }

    fn believed(&self, key: &ParentKey) -> Option<Declared> {
        let known = self.lock();
        known.declared.get(key).filter(|declared| declared.since.elapsed() < BELIEVED).cloned()
    }

    /// What the job was when it last refused a dispatch: whoever watches it waits for another.
    pub fn refused_as(&self, place: &Place, parent: &str) -> Option<Version> {
        self.lock().refused.get(&key(place, parent)).copied()
    }

    /// What a refusal made doubtful is asked for anew.
    fn note_refusal(&self, key: ParentKey, version: Version) {
        let mut known = self.lock();
        known.declared.remove(&key);
        known.refused.insert(key, version);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Every entry is whole whatever panicked beside it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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

fn key(place: &Place, parent: &str) -> ParentKey {
    (place.namespace.clone(), place.region.clone(), parent.to_owned())
}
