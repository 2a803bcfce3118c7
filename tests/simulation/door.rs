//! The webhooks' way: from GitHub through the door into the inbox, or into nothing.
//!
//! As `webhook::door`: read, keep, and only then answer 2xx.

use rand::Rng;
use roustabout::simulated::github::hooks::{Delivery, Outcome};
use roustabout::simulated::github::model::SECOND;
use roustabout::store;
use roustabout::webhook::read_workflow_job;

use crate::agenda::Act;
use crate::troubles::Trouble;
use crate::world::World;

impl World {
    pub fn arrive(&mut self, delivery: Delivery) {
        if self.daemon.is_none() {
            return self.answered(delivery, None);
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
        let outcome = Outcome { status_code, ..Outcome::default() };
        self.github.delivered(delivery, outcome, self.now);
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
