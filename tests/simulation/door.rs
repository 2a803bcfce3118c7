//! The webhooks' way: from GitHub through the door into the inbox, or into nothing.
//!
//! As `webhook::door`: verify, read, keep, and only then answer 2xx.

use std::sync::Arc;

use rand::Rng;
use roustabout::simulated::github::hooks::{Delivery, Outcome};
use roustabout::simulated::github::model::SECOND;
use roustabout::store;
use roustabout::webhook::read_workflow_job;
use roustabout::webhook::signature::{Secrets, sign};
use secrecy::SecretString;
use serde_json::Value;

use crate::agenda::Act;
use crate::troubles::Trouble;
use crate::world::World;

/// What the hooks sign with.
pub const SECRET: &str = "It's a Secret to Everybody";
const FORGED: &str = "forged-";

impl World {
    pub fn arrive(&mut self, delivery: Delivery) {
        if self.daemon.is_none() {
            return self.answered(delivery, None);
        }
        if self.strikes(Trouble::Forgers, 0.1) {
            self.forge(&delivery);
        }
        let secrets = Secrets::new(SecretString::from(SECRET), None);
        let header = delivery.headers.iter().find(|(name, _)| name == "X-Hub-Signature-256");
        let signature = header.map(|(_, value)| value.as_bytes());
        if !secrets.signed(signature, delivery.body.as_bytes()) {
            return self.answered(delivery, Some(401));
        }
        if delivery.event != "workflow_job" {
            return self.answered(delivery, Some(200));
        }
        let read = read_workflow_job(delivery.payload.as_bytes()).unwrap();
        let row = store::Delivery {
            id: delivery.guid.as_str().into(),
            received_at: self.time(),
            repository: read.repository,
            report: read.report,
        };
        let takes = match self.strikes(Trouble::DiskSlow, 0.2) {
            true => self.draw(100, 5 * SECOND),
            false => self.draw(1, 20),
        };
        let kept = Act::Kept { life: self.life, delivery: Box::new(delivery), row: Box::new(row) };
        self.agenda.enter(self.now + takes, kept);
    }

    pub fn kept(&mut self, life: u32, delivery: Delivery, row: store::Delivery) {
        if life != self.life {
            // It died meanwhile; whether the row got to the disk before that, nobody knows.
            if self.daemon.is_none() && self.rng.random_bool(0.5) {
                self.disk.keep(row);
            }
            return self.answered(delivery, None);
        }
        if self.disk.keep(row.clone())
            && let Some(daemon) = &mut self.daemon
        {
            daemon.deliveries.push_back(row);
        }
        self.watching.promised(&delivery.guid);
        self.answered(delivery, Some(202));
    }

    fn answered(&mut self, delivery: Delivery, status_code: Option<u16>) {
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
        let mut forged = Delivery {
            guid: format!("{FORGED}{}", self.rng.random::<u64>()),
            event: "workflow_job".to_owned(),
            body: body.clone(),
            payload: body.clone(),
            ..real.clone()
        };
        let signed = |name: &str| name == "X-Hub-Signature-256";
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
        self.agenda.enter(self.now, Act::Arrive(Box::new(forged)));
    }

    /// Somebody has GitHub deliver again what failed: the daemon cannot yet.
    pub fn redeliver_failed(&mut self) {
        if self.weather.has(Trouble::NobodyRedelivers) {
            return;
        }
        for hook in self.setting.hooks.clone() {
            let log = self.github.deliveries(hook);
            let arrived: std::collections::BTreeSet<String> = log
                .iter()
                .filter(|one| one.outcome.status_code.is_some())
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
