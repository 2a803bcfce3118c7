//! The webhooks' way: from GitHub through the door into the ledger or the inbox, or into nothing.
//!
//! As `webhook::door` and `engine::taking`: verify, read, keep, and only then answer 2xx.

use std::sync::Arc;

use rand::Rng;
use roustabout::store;
use roustabout::webhook::read_workflow_job;
use roustabout::webhook::signature::{Given, Secrets, sign};
use secrecy::SecretString;
use serde_json::Value;
use simulated::github::hooks::{Delivery, Outcome};

use crate::agenda::Act;
use crate::daemon::Handed;
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
        let given = signature.and_then(Given::read);
        let holds = given.is_some_and(|given| {
            let mut checking = secrets.check(given);
            checking.update(delivery.body.as_bytes());
            checking.holds()
        });
        if !holds {
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
            look: read.unreadable.is_some(),
        };
        let takes = self.draw(0, 20);
        let (delivery, row) = (Box::new(delivery), Box::new(row));
        self.agenda.enter(self.now + takes, Act::HandIn { life: self.life, delivery, row });
    }

    pub fn hand_in(&mut self, life: u32, delivery: Delivery, row: store::Delivery) {
        match &mut self.daemon {
            Some(daemon) if life == self.life => {
                daemon.deliveries.push_back(Handed { row, waiting: Some(Box::new(delivery)) });
            }
            Some(_) => self.answered(delivery, None),
            None => self.left_in_inbox(delivery, row),
        }
    }

    /// The loop has ended. Either the daemon was killed, or it was told to end and the door keeps
    /// what comes in the inbox; then it may die before it has answered.
    pub fn left_in_inbox(&mut self, delivery: Delivery, row: store::Delivery) {
        if self.rng.random_bool(0.5) {
            return self.answered(delivery, None);
        }
        self.disk.keep(row);
        let answers = self.rng.random_bool(0.5);
        if answers {
            self.watching.promised(&delivery.guid);
        }
        self.answered(delivery, answers.then_some(202));
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
