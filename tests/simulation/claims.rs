//! Pools with `delivery = "claim"`: the task of a runner asks the daemon's own listener for its
//! credential, with the identity that Nomad gave it and a nonce, again and again like the curl of the
//! jobspecs. Thieves ask too, with what they have stolen or made up.
//!
//! Nothing is drawn for it in the other seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use http_body_util::BodyExt as _;
use ledger::pool::{CredentialKind, Delivery};
use ledger::{Request, Runner, RunnerName, RunnerState, State};
use rand::Rng as _;
use simulated::github::model::{MINUTE, Millis, SECOND};
use simulated::nomad::JobKey;
use simulated::runner::jit;
use tower::ServiceExt as _;

use crate::life::Shared;
use crate::runners::Step;
use crate::troubles::Trouble;
use crate::world::World;

/// What the config says by default, and the jobspecs.
const AUDIENCE: &str = "roustabout";
/// How the `identity` block is called.
const IDENTITY: &str = "roustabout";
/// curl's `--retry-max-time`, `--max-time` and `--retry-delay`.
const PATIENCE: Millis = 10 * MINUTE;
const ANSWERS_WITHIN: Millis = 30 * SECOND;
const ASK_AGAIN: Millis = 2 * SECOND;
/// Nomad's keys are not read again sooner.
const KEYS_READ_AGAIN: Millis = 2 * SECOND;

/// Two seeds in seven play with tasks that claim: of all pools, or of the first.
pub fn pools(seed: u64) -> BTreeSet<usize> {
    match seed % 7 {
        2 => (0..3).collect(),
        4 => BTreeSet::from([0]),
        _ => BTreeSet::new(),
    }
}

/// What a task has to claim with.
#[derive(Clone)]
pub struct Claiming {
    child: JobKey,
    jwt: String,
    nonce: String,
}

/// One question at the listener.
pub struct Asked {
    /// Who hears the answer. `None`: a thief, who makes nothing of it.
    process: Option<String>,
    with: Claiming,
    allocation: String,
    /// Whether it proves what it says.
    is_proof: bool,
    wants_json: bool,
}

/// What whoever asked gets to see.
pub enum Claimed {
    Credential(String),
    /// Nobody listens.
    Refused,
    /// The connection ended before an answer.
    Cut,
    /// There was no answer in time.
    Nothing,
    Status {
        code: u16,
        retry_after: Option<Millis>,
    },
}

/// What is remembered to judge by.
#[derive(Default)]
pub struct Claims {
    /// Which allocation has the credential of a child, and by which nonce.
    handed: BTreeMap<JobKey, (String, String)>,
    /// Claims that came to the door of a daemon, and allocations that it asked Nomad for.
    asked: u64,
    allocations_read: u64,
    /// When Nomad's keys were read last, and by which life.
    keys_read: Option<(Millis, u32)>,
    /// Whose own credential was asked for, and how often.
    minted_for: BTreeMap<RunnerName, u32>,
}

/// A question under way. Where the daemon dies meanwhile, there is no answer.
struct Asking {
    world: Shared,
    asked: Option<Asked>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.world.of_a_dead(|world| world.claimed(&asked, &Claimed::Cut));
        }
    }
}

/// Asks, and tells the task what came of it.
pub async fn ask(world: Shared, door: Option<Router>, asked: Asked) {
    let mut request = axum::http::Request::post("/claim")
        .header(header::AUTHORIZATION, format!("Bearer {}", asked.with.jwt))
        .header("Claim-Nonce", &asked.with.nonce);
    if asked.wants_json {
        request = request.header(header::ACCEPT, "application/json");
    }
    let request = request.body(Body::empty()).unwrap();
    let mut asking = Asking { world: world.clone(), asked: Some(asked) };
    pause(world.with(|world| world.latency())).await;
    let claimed = match door {
        None => Claimed::Refused,
        Some(door) => {
            world.with(|world| world.watching.claims.asked += 1);
            let (head, body) = door.oneshot(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let Some(asked) = &asking.asked else { return };
            world.with(|world| world.check_claim(asked, head.status, &body));
            world.may_die("dies as a claim is answered", 0.01).await;
            let retry_after = head.headers.get(header::RETRY_AFTER);
            let retry_after = retry_after.and_then(|it| it.to_str().ok()?.parse::<Millis>().ok());
            match head.status {
                StatusCode::OK => Claimed::Credential(credential(asked, body)),
                status => Claimed::Status {
                    code: status.as_u16(),
                    retry_after: retry_after.map(|seconds| seconds * SECOND),
                },
            }
        }
    };
    let (lost, latency) = world.with(|world| {
        let lost = world.strikes(Trouble::RequestsActLate, 0.1)
            || world.strikes(Trouble::NetworkSlow, 0.1);
        (lost, world.latency())
    });
    let latency = if lost { ANSWERS_WITHIN } else { latency };
    pause(latency).await;
    let claimed = if lost { Claimed::Nothing } else { claimed };
    if let Some(asked) = asking.asked.take() {
        world.with(|world| world.claimed(&asked, &claimed));
    }
}

fn credential(asked: &Asked, body: String) -> String {
    if !asked.wants_json {
        return body;
    }
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["value"].as_str().unwrap().to_owned()
}

impl World {
    /// What the task of this allocation has to claim with.
    pub fn claiming(&mut self, child: &JobKey, allocation: &str) -> Option<Claiming> {
        let jwt = self.nomad.identity(allocation, IDENTITY, AUDIENCE)?;
        let nonce = self.nonce();
        Some(Claiming { child: child.clone(), jwt, nonce })
    }

    fn nonce(&mut self) -> String {
        format!("{:032x}", self.rng.random::<u128>())
    }

    pub fn claim(&mut self, id: &str) {
        let Some(with) = self.processes.get(id).and_then(|it| it.claims.clone()) else { return };
        let wants_json = self.rng.random_bool(0.3);
        let process = Some(id.to_owned());
        self.ask_for_credential(Asked {
            process,
            with,
            allocation: id.to_owned(),
            is_proof: true,
            wants_json,
        });
    }

    fn ask_for_credential(&mut self, asked: Asked) {
        match &self.daemon {
            None => self.claimed(&asked, &Claimed::Refused),
            Some(_) => self.errands.push(crate::life::Errand::Claim(Box::new(asked))),
        }
    }

    /// Somebody on the same machine has read the task's environment, or makes an identity up.
    pub fn steal(&mut self, id: &str) {
        let Some(mut with) = self.processes.get(id).and_then(|it| it.claims.clone()) else {
            return;
        };
        let mut is_proof = true;
        match self.draw(0, 4) {
            // The identity alone, in whoever's name.
            0 | 1 => with.nonce = self.nonce(),
            2 => {
                with.jwt.truncate(with.jwt.len() - 8);
                with.jwt.push_str("AAAAAAAA");
                is_proof = false;
            }
            3 => {
                let Some(jwt) = self.nomad.identity(id, "other", "vault.io") else { return };
                (with.jwt, is_proof) = (jwt, false);
            }
            _ => (with.nonce, is_proof) = ("short".to_owned(), false),
        }
        let allocation = id.to_owned();
        self.story.tell(self.now, "thief", || format!("claims as {allocation}: {is_proof}"));
        self.ask_for_credential(Asked {
            process: None,
            with,
            allocation,
            is_proof,
            wants_json: false,
        });
    }

    /// As curl takes it.
    pub fn claimed(&mut self, asked: &Asked, claimed: &Claimed) {
        let Some(id) = &asked.process else { return };
        let Some(process) = self.processes.get(id) else { return };
        let again = match claimed {
            Claimed::Credential(text) => return self.has_claimed(id, text.clone()),
            Claimed::Refused => Some(ASK_AGAIN),
            Claimed::Nothing => Some(ASK_AGAIN),
            // What is cut off in the middle curl does not ask for again, unless it waits in vain.
            Claimed::Cut if self.rng.random_bool(0.5) => None,
            Claimed::Cut => Some(ANSWERS_WITHIN),
            Claimed::Status { code: 503, retry_after } => {
                Some(retry_after.unwrap_or(0).max(ASK_AGAIN))
            }
            Claimed::Status { .. } => None,
        };
        let patience = process.began() + PATIENCE;
        match again.filter(|after| self.now + after < patience) {
            Some(after) => self.enter_step(id, after, Step::Claim),
            None => self.enter_step(id, 100, Step::Exit(1)),
        }
    }

    fn has_claimed(&mut self, id: &str, credential: String) {
        if self.strikes(Trouble::RunnersHang, 0.1) {
            return self
                .story
                .tell(self.now, "runner", || format!("{id} hangs with its credential"));
        }
        let first = match self.strikes(Trouble::RunnersFail, 0.1) {
            true => Step::Exit(1),
            false => Step::Register,
        };
        let after = self.draw(0, 5 * SECOND);
        let Some(process) = self.processes.get_mut(id) else { return };
        if let Some(config) = jit::Config::decoded(&credential) {
            process.asked.name.clone_from(&config.name);
            process.jit = Some(config.registered);
        }
        process.asked.token = credential;
        self.enter_step(id, after, first);
    }

    /// What is answered, whether or not it arrives: a credential only to who proves to be the task of a
    /// runner, and to one alone.
    fn check_claim(&mut self, asked: &Asked, status: StatusCode, body: &str) {
        let Asked { allocation, with: Claiming { child, nonce, .. }, is_proof, .. } = asked;
        self.story.tell(self.now, "claim", || format!("{allocation}: {}", status.as_u16()));
        if status != StatusCode::OK {
            if self.watching.minted.iter().any(|secret| body.contains(secret)) {
                self.watching.broken(|| format!("a credential is in sight: {body}"));
            }
            // But for a clock by which it is over, or not begun.
            let disbelieved = status == StatusCode::UNAUTHORIZED && *is_proof;
            if disbelieved && !self.weather.has(Trouble::ClockWrong) {
                self.watching.broken(|| format!("the identity of {allocation} is not believed"));
            }
            return;
        }
        if !is_proof {
            self.watching.broken(|| format!("a forged claim for {child:?} is answered with 200"));
        }
        let mine = (allocation.clone(), nonce.clone());
        let first =
            self.watching.claims.handed.entry(child.clone()).or_insert_with(|| mine.clone());
        // Who had it is in its row.
        if *first != mine && !self.weather.has(Trouble::DatabaseLost) {
            self.watching.broken(|| format!("the credential of {child:?} is handed to two"));
        }
    }

    /// What the ledger wants done: no credential is made for who may not have it, nor before it is
    /// asked for.
    pub fn check_credentials(&mut self, state: &State, requests: &[Request]) {
        for request in requests {
            let (runner, what) = match request {
                Request::HandOver { runner, .. } => (runner, "handed a credential"),
                Request::MintFor { runner, .. } => {
                    *self.watching.claims.minted_for.entry(runner.clone()).or_default() += 1;
                    (runner, "given a credential")
                }
                Request::Mint { scope, .. } => {
                    let by_token = |it: &ledger::Pool| {
                        !matches!(it.delivery, Delivery::Claim | Delivery::None)
                    };
                    let launched = self.rules.pools.iter().any(by_token);
                    let waits = |name: &&RunnerName| {
                        state.runners.get(*name).is_some_and(|it| it.class.scope == *scope)
                    };
                    if !launched && !state.claims.keys().any(|name| waits(&name)) {
                        self.watching.broken(|| format!("a token of {scope:?} is for nobody"));
                    }
                    continue;
                }
                _ => continue,
            };
            let is_entitled = |one: &Runner| {
                let asks =
                    one.claimed.is_some() && one.state == RunnerState::Dispatched && !one.spent;
                !one.by_claim || asks
            };
            if !state.runners.get(runner).is_some_and(is_entitled) {
                self.watching.broken(|| format!("{runner} is {what}, and may not have one"));
            }
        }
    }

    /// Nomad is asked for an allocation once for each claim, and for its keys now and then.
    pub fn check_claims_requests(&mut self, path: &str) {
        let claims = &mut self.watching.claims;
        if path.starts_with("/v1/allocation/") {
            claims.allocations_read += 1;
            if claims.allocations_read > claims.asked {
                let (read, asked) = (claims.allocations_read, claims.asked);
                self.watching.broken(|| format!("{read} allocations are read for {asked} claims"));
            }
        } else if path == "/.well-known/jwks.json" {
            let before = claims.keys_read.replace((self.now, self.life));
            let soon =
                |(at, life): (Millis, u32)| life == self.life && self.now < at + KEYS_READ_AGAIN;
            // A reload knows none.
            if before.is_some_and(soon) && !self.weather.has(Trouble::Reloads) {
                self.watching.broken(|| "Nomad's keys are read twice at once".to_owned());
            }
        }
    }

    /// In fair weather: one for each, for none was lost.
    pub fn each_was_minted_one(&self) -> Result<(), String> {
        let is_jit = |it: &ledger::Pool| it.credential == CredentialKind::Jit;
        let twice = self.watching.claims.minted_for.iter().find(|(_, times)| **times > 1);
        match twice.filter(|_| self.rules.pools.iter().any(is_jit)) {
            Some((runner, times)) => Err(format!("{runner} was given {times} credentials")),
            None => Ok(()),
        }
    }
}

async fn pause(millis: Millis) {
    tokio::time::sleep(Duration::from_millis(millis.unsigned_abs())).await;
}
