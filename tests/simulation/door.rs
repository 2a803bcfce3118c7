//! The webhooks' way: from GitHub to the real door, and forgeries beside them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use rand::Rng;
use roustabout::webhook::signature::sign;
use secrecy::SecretString;
use serde_json::Value;
use simulated::github::hooks::{Delivery, Outcome};
use tower::ServiceExt as _;

use crate::life::Shared;
use crate::troubles::Trouble;
use crate::world::World;

/// What the hooks sign with.
pub const SECRET: &str = "It's a Secret to Everybody";
const FORGED: &str = "forged-";

/// A delivery at the door. Where the daemon dies before its answer, there was none.
struct Knocking {
    world: Shared,
    delivery: Option<Box<Delivery>>,
}

impl Drop for Knocking {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            self.world.of_a_dead(|world| world.answered(*delivery, None));
        }
    }
}

/// Brings a delivery to the door and tells GitHub what came of it.
pub async fn knock(world: Shared, door: Router, delivery: Box<Delivery>) {
    let mut request = axum::http::Request::post("/webhook");
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(delivery.body.as_bytes().to_vec())).unwrap();
    let mut knocking = Knocking { world: world.clone(), delivery: Some(delivery) };
    let answer = door.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let Some(delivery) = knocking.delivery.take() else { return };
    world.with(|world| {
        if (200..300).contains(&status) && delivery.event == "workflow_job" {
            if delivery.guid.starts_with(FORGED) {
                world.watching.broken(|| format!("a forgery is answered with {status}"));
            }
            world.watching.promised(&delivery.guid);
        }
        world.answered(*delivery, Some(status));
    });
}

impl World {
    pub fn arrive(&mut self, delivery: Delivery) {
        if self.daemon.is_none() {
            return self.answered(delivery, None);
        }
        if self.strikes(Trouble::Forgers, 0.1) {
            self.forge(&delivery);
        }
        self.errands.push(crate::life::Errand::Knock(Box::new(delivery)));
    }

    pub fn answered(&mut self, delivery: Delivery, status_code: Option<u16>) {
        if delivery.guid.starts_with(FORGED) {
            return;
        }
        let outcome = Outcome { status_code, ..Outcome::default() };
        self.github.delivered(delivery, outcome, self.now);
    }

    /// Tells of a job that GitHub does not have: with the signature of another body, another
    /// secret's, or none.
    fn forge(&mut self, real: &Delivery) {
        let Ok(mut payload) = serde_json::from_str::<Value>(&real.payload) else { return };
        let Some(job) = payload["workflow_job"]["id"].as_u64() else { return };
        payload["action"] = "queued".into();
        payload["workflow_job"]["id"] = (job + 1_000_000_000).into();
        payload["workflow_job"]["status"] = "queued".into();
        let body: Arc<str> = payload.to_string().into();
        let guid = format!("{FORGED}{}", self.rng.random::<u64>());
        let mut forged = Delivery {
            guid: guid.clone(),
            event: "workflow_job".to_owned(),
            body: body.clone(),
            payload: body.clone(),
            ..real.clone()
        };
        let named = |name: &str| name.eq_ignore_ascii_case("X-GitHub-Delivery");
        for (_, value) in forged.headers.iter_mut().filter(|(name, _)| named(name)) {
            value.clone_from(&guid);
        }
        let signed = |name: &str| name.eq_ignore_ascii_case("X-Hub-Signature-256");
        match self.rng.random_range(0..3) {
            0 => forged.headers.retain(|(name, _)| !signed(name)),
            1 => {
                let guess = sign(&SecretString::from("guessed"), body.as_bytes());
                for (_, value) in forged.headers.iter_mut().filter(|(name, _)| signed(name)) {
                    value.clone_from(&guess);
                }
            }
            // The signature that the real one had.
            _ => {}
        }
        self.errands.push(crate::life::Errand::Knock(Box::new(forged)));
    }

    /// Somebody has GitHub deliver again what failed.
    pub fn redeliver_failed(&mut self) {
        // A Gitea keeps no deliveries.
        if self.weather.has(Trouble::NobodyRedelivers) || self.is_gitea() {
            return;
        }
        for hook in self.setting.hooks.clone() {
            let log = self.github.deliveries(hook);
            let arrived: std::collections::BTreeSet<String> = log
                .iter()
                .filter(|one| one.outcome.status_code.is_some_and(|code| code < 500))
                .map(|one| one.delivery.guid.clone())
                .collect();
            let mut failed: Vec<(String, u64)> = log
                .iter()
                .filter(|one| !arrived.contains(&one.delivery.guid))
                .map(|one| (one.delivery.guid.clone(), one.delivery.id))
                .collect();
            failed.sort_by_key(|(_, id)| *id);
            failed.dedup_by(|(one, _), (other, _)| one == other);
            for (_, id) in failed {
                self.github.redeliver(hook, id, self.now);
            }
        }
    }
}
