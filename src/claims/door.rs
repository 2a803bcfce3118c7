//! `POST /claim`, step by step: who asks, whose allocation that is, and the ledger's answer. The sender
//! learns little of why it is refused; the log says it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use clock::Clock;
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tracing::warn;

use super::keys::{Found, Keys, NotFound};
use super::verify::{Identity, Unproven, Unverified};
use crate::config::{Delivery, Settings};
use crate::engine::{Claims, Handed};
use crate::ledger::pool::CredentialKind;
use crate::ledger::{Claim, ClaimRefusal, NoCredential, NomadPlace, RunnerName, runner_name};
use crate::nomad::{self, Client, PlacedChild};
use crate::webhook::Quota;

/// Questions to Nomad at once: an agent has 100 connections for an address, and the rest of the daemon
/// needs some.
const AT_ONCE: usize = 32;
/// The answer comes by then, or the task asks again.
const LIMIT: Duration = Duration::from_secs(25);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Everything that a claim is judged by. A reload makes another.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    keys: Keys,
    nomad: Client,
    claims: Claims,
    audience: String,
    name_prefix: String,
    served: Vec<Served>,
    clock: Clock,
    places: Semaphore,
    told: Quota,
}

/// A parameterized job whose children claim.
struct Served {
    place: NomadPlace,
    parent: String,
}

/// Why there is no credential, before the ledger is asked or by its word.
enum Refusal {
    /// 400
    Nonce,
    /// 401
    Unproven(Unproven),
    /// 403: who it is, is known.
    Foreign(&'static str),
    /// 403 or 409
    Ledger(ClaimRefusal),
    /// 503
    NotYet { reason: String, retry_after: Duration },
}

impl Door {
    /// `None` without `[claims]`.
    pub fn new(settings: &Settings, nomad: Client, claims: Claims, clock: Clock) -> Option<Self> {
        let audience = settings.claims.as_ref()?.audience.clone();
        let home = NomadPlace {
            namespace: settings.nomad.namespace.clone(),
            region: settings.nomad.region.clone(),
        };
        let pools = settings.pools.iter().filter(|pool| pool.delivery == Delivery::Claim);
        let served = pools.map(|pool| Served {
            place: home.or(pool.namespace.as_ref(), pool.region.as_ref()),
            parent: pool.nomad_job.clone(),
        });
        Some(Self(Arc::new(Inner {
            keys: Keys::new(nomad.clone()),
            nomad,
            claims,
            audience,
            name_prefix: settings.runners.name_prefix.clone(),
            served: served.collect(),
            clock,
            places: Semaphore::new(AT_ONCE),
            told: Quota::default(),
        })))
    }
}

pub fn router(door: Door) -> Router {
    Router::new()
        .route("/claim", post(claim))
        .fallback(async || problem(StatusCode::NOT_FOUND, "not found", "use POST /claim"))
        .method_not_allowed_fallback(async || {
            let mut refused =
                problem(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "use POST");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            refused
        })
        .with_state(door)
}

async fn claim(State(Door(door)): State<Door>, headers: HeaderMap) -> Response {
    let answer = tokio::time::timeout(LIMIT, door.judge(&headers)).await;
    let answer = answer.unwrap_or_else(|_| Err(not_yet("there was no answer in time")));
    let handed = match answer {
        Ok(handed) => handed,
        Err(refusal) => return refusal.respond(),
    };
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let secret = handed.secret.expose_secret();
    let mut response = match accept.is_some_and(|accept| accept.contains("application/json")) {
        false => secret.to_owned().into_response(),
        true => Json(json!({
            "credential": match handed.kind {
                CredentialKind::RegistrationToken => "registration-token",
                CredentialKind::Jit => "jit",
            },
            "value": secret,
            "runner_name": handed.runner,
            "expires_at": handed.ends.map(|ends| ends.to_string()),
        }))
        .into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Inner {
    async fn judge(&self, headers: &HeaderMap) -> Result<Handed, Refusal> {
        let identity = self.prove(headers).await;
        let (identity, region) = match identity {
            Ok(proven) => proven,
            Err(refusal) => {
                self.tell(&refusal, None);
                return Err(refusal);
            }
        };
        let answer = self.judge_proven(headers, &identity, region).await;
        if let Err(refusal) = &answer {
            self.tell(refusal, Some(&identity));
        }
        answer
    }

    async fn prove(&self, headers: &HeaderMap) -> Result<(Identity, Option<String>), Refusal> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, jwt) = token.ok_or(Unproven::Missing)?;
        let unverified = Unverified::read(jwt.trim())?;
        let mut regions: Vec<Option<String>> =
            self.served.iter().map(|served| served.place.region.clone()).collect();
        regions.sort();
        regions.dedup();
        let found = self.keys.find(&unverified.key_id, &regions).await;
        let Found { region, key } = found.map_err(|why| match why {
            NotFound::Unknown => Refusal::Unproven(Unproven::UnknownKey),
            NotFound::NotYet(reason) => not_yet(&reason),
        })?;
        let identity = unverified.verify(&key, &self.audience, self.clock.now().into())?;
        Ok((identity, region))
    }

    async fn judge_proven(
        &self,
        headers: &HeaderMap,
        identity: &Identity,
        region: Option<String>,
    ) -> Result<Handed, Refusal> {
        let nonce = nonce(headers).ok_or(Refusal::Nonce)?;
        let served = self.served.iter().find(|served| {
            served.place.region == region
                && served.place.namespace == identity.namespace
                && served.parent == identity.job
        });
        let served = served
            .ok_or(Refusal::Foreign("no pool with delivery = \"claim\" dispatches this job"))?;
        let placed = self.placed(&served.place, &identity.allocation).await?;
        let claim = claim_of(&self.name_prefix, served, identity, &placed, nonce)?;
        match self.claims.claim(claim).await {
            None => Err(not_yet("the daemon is shutting down")),
            Some(Ok(handed)) => Ok(handed),
            Some(Err(NoCredential::Refused(why))) => Err(Refusal::Ledger(why)),
            Some(Err(NoCredential::NotYet { reason, retry_after })) => {
                Err(Refusal::NotYet { reason, retry_after })
            }
        }
    }

    async fn placed(&self, place: &NomadPlace, allocation: &str) -> Result<PlacedChild, Refusal> {
        // Never closed, so there is always a permit to come.
        let _place = self.places.acquire().await;
        match self.nomad.placed_child(place.region.as_deref(), allocation).await {
            Ok(placed) => Ok(placed),
            Err(nomad::Error::NotFound { .. }) => {
                Err(Refusal::Foreign("Nomad does not know the allocation"))
            }
            Err(error) => Err(not_yet(&error.to_string())),
        }
    }

    /// What the ledger tells of itself is not told again.
    fn tell(&self, refusal: &Refusal, identity: Option<&Identity>) {
        let reason = match refusal {
            Refusal::Nonce => "there is no Claim-Nonce of 16 to 128 characters".to_owned(),
            Refusal::Unproven(why) => why.to_string(),
            Refusal::Foreign(why) => (*why).to_owned(),
            Refusal::Ledger(
                ClaimRefusal::OtherAllocation | ClaimRefusal::OtherNonce | ClaimRefusal::Used,
            )
            | Refusal::NotYet { .. } => return,
            Refusal::Ledger(why) => why.to_string(),
        };
        if let crate::webhook::Tell::Yes { kept_back } = self.told.take(std::time::Instant::now()) {
            let of = |text: fn(&Identity) -> &String| {
                identity.map(|identity| strangers_text::harmless_up_to(text(identity), 200))
            };
            let (namespace, job) = (of(|it| &it.namespace), of(|it| &it.job));
            let allocation = of(|it| &it.allocation);
            warn!(namespace, job, allocation, kept_back, "claim refused: {reason}");
        }
    }
}

/// Everything that the identity says must be so at Nomad as well.
fn claim_of(
    name_prefix: &str,
    served: &Served,
    identity: &Identity,
    placed: &PlacedChild,
    nonce: String,
) -> Result<Claim, Refusal> {
    let foreign = |why| Err(Refusal::Foreign(why));
    if placed.allocation != identity.allocation
        || placed.namespace != identity.namespace
        || placed.parent.as_ref() != Some(&identity.job)
    {
        return foreign("the allocation is of another job than the identity");
    }
    if !identity.is_of(&placed.group, &placed.child) {
        return foreign("the identity is of another task group than the allocation");
    }
    if placed.client_status.is_terminal() || placed.desired_status != "run" {
        return foreign("the allocation has ended, or is being stopped");
    }
    let token = placed.idempotency_token.as_deref().unwrap_or_default();
    let name = token.split_once('@').map_or(token, |(name, _)| name);
    if runner_name::pool_of(name_prefix, name).is_none() {
        return foreign("the allocation belongs to no runner of this daemon");
    }
    Ok(Claim {
        runner: RunnerName(name.to_owned()),
        token: token.to_owned(),
        child: placed.child.clone(),
        parent: served.parent.clone(),
        place: served.place.clone(),
        allocation: identity.allocation.clone(),
        nonce,
        nameless: !placed.meta_keys.iter().any(|key| key == "runner_name"),
    })
}

/// A digest, so that no row tells what would let somebody ask again.
fn nonce(headers: &HeaderMap) -> Option<String> {
    let nonce = headers.get("claim-nonce")?.to_str().ok()?.trim();
    let fits = (16..=128).contains(&nonce.len());
    fits.then(|| hex::encode(Sha256::digest(nonce)))
}

fn not_yet(reason: &str) -> Refusal {
    Refusal::NotYet { reason: reason.to_owned(), retry_after: ASK_AGAIN }
}

impl From<Unproven> for Refusal {
    fn from(why: Unproven) -> Self {
        Refusal::Unproven(why)
    }
}

impl Refusal {
    fn respond(&self) -> Response {
        match self {
            Refusal::Nonce => problem(
                StatusCode::BAD_REQUEST,
                "bad request",
                "send Claim-Nonce with 16 to 128 random characters",
            ),
            // One and the same whatever is wrong with it: nothing to learn from it.
            Refusal::Unproven(_) => {
                let reason = "no valid workload identity; the log of roustabout says why";
                let mut refused = problem(StatusCode::UNAUTHORIZED, "unauthorized", reason);
                let bearer = HeaderValue::from_static("Bearer");
                refused.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
                refused
            }
            Refusal::Foreign(why) => problem(StatusCode::FORBIDDEN, "refused", why),
            Refusal::Ledger(why) => {
                let status = match why.is_conflict() {
                    true => StatusCode::CONFLICT,
                    false => StatusCode::FORBIDDEN,
                };
                problem(status, "refused", &why.to_string())
            }
            Refusal::NotYet { reason, retry_after } => {
                let mut refused = problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason);
                let seconds = retry_after.as_secs().max(1);
                refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                refused
            }
        }
    }
}

fn problem(status: StatusCode, outcome: &str, reason: &str) -> Response {
    (status, Json(json!({"outcome": outcome, "reason": reason}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomad::ClientStatus;

    const TOKEN: &str = "roustabout-x64-0123456789abc@octo/app";

    fn served() -> Served {
        let place = NomadPlace { namespace: "ci".into(), region: None };
        Served { place, parent: "gha".into() }
    }

    fn identity(namespace: &str, job: &str, group: &str) -> Identity {
        Identity {
            namespace: namespace.into(),
            job: job.into(),
            allocation: "a-1".into(),
            task: "claim".into(),
            subject: format!("global:{namespace}:{job}:{group}:claim:roustabout"),
        }
    }

    fn placed() -> PlacedChild {
        PlacedChild {
            allocation: "a-1".into(),
            namespace: "ci".into(),
            child: "gha/dispatch-1".into(),
            parent: Some("gha".into()),
            group: "runner".into(),
            client_status: ClientStatus::Running,
            desired_status: "run".into(),
            idempotency_token: Some(TOKEN.into()),
            meta_keys: vec!["runner_name".into()],
        }
    }

    fn judged(identity: &Identity, placed: &PlacedChild) -> Result<Claim, &'static str> {
        claim_of("roustabout", &served(), identity, placed, "n".into()).map_err(|refusal| {
            match refusal {
                Refusal::Foreign(why) => why,
                _ => "another refusal",
            }
        })
    }

    #[test]
    fn a_claim_is_what_identity_and_nomad_agree_on() {
        let claim = judged(&identity("ci", "gha", "runner"), &placed()).unwrap();
        assert_eq!(claim.runner.as_str(), "roustabout-x64-0123456789abc");
        assert_eq!((claim.token.as_str(), claim.nameless), (TOKEN, false));
        // Before its tasks run, Nomad calls it pending.
        let pending = PlacedChild { client_status: ClientStatus::Pending, ..placed() };
        assert!(judged(&identity("ci", "gha", "runner"), &pending).is_ok());
    }

    #[test]
    fn where_they_do_not_agree_it_is_foreign() {
        let ours = identity("ci", "gha", "runner");
        let of_others = [
            (identity("prod", "gha", "runner"), placed(), "another job"),
            (identity("ci", "other", "runner"), placed(), "another job"),
            (identity("ci", "gha", "other"), placed(), "another task group"),
            (ours.clone(), PlacedChild { allocation: "a-2".into(), ..placed() }, "another job"),
            (ours.clone(), PlacedChild { namespace: "prod".into(), ..placed() }, "another job"),
            (ours.clone(), PlacedChild { parent: None, ..placed() }, "another job"),
            (
                ours.clone(),
                PlacedChild { client_status: ClientStatus::Failed, ..placed() },
                "has ended",
            ),
            (
                ours.clone(),
                PlacedChild { desired_status: "stop".into(), ..placed() },
                "being stopped",
            ),
            (ours.clone(), PlacedChild { idempotency_token: None, ..placed() }, "no runner"),
            (
                ours.clone(),
                PlacedChild {
                    idempotency_token: Some("other-x64-0123456789abc@o/a".into()),
                    ..placed()
                },
                "no runner",
            ),
        ];
        for (identity, placed, expected) in of_others {
            let why = judged(&identity, &placed).unwrap_err();
            assert!(why.contains(expected), "{why}: {identity:?} {placed:?}");
        }
    }

    #[test]
    fn a_nonce_that_can_be_guessed_is_none() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("claim-nonce", HeaderValue::from_str(text).unwrap());
            nonce(&headers)
        };
        assert!(of("0123456789abcde").is_none() && of(&"a".repeat(129)).is_none());
        let digest = of("0123456789abcdef").unwrap();
        assert!(digest.len() == 64 && !digest.contains("0123456789abcdef"));
        assert!(nonce(&HeaderMap::new()).is_none());
    }
}
