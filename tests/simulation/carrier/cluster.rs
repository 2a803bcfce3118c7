//! Questions and commands to Nomad, as `engine::workers` puts them; dispatches have a file of their
//! own.

use roustabout::ledger::effect::ChildAt;
use roustabout::ledger::event::{Answer, ChildPhase, FoundChild};
use roustabout::ledger::{Event, PoolName, Request, RunnerName};
use simulated::github::model::{HOUR, Millis, SECOND};
use simulated::nomad::JobKey;

use super::{Landing, Stage};
use crate::agenda::Act;
use crate::calls::{Luck, Side};
use crate::follower::{NAMESPACE, phase_of};
use crate::world::World;

impl World {
    pub(super) fn find_child(
        &mut self,
        runner: &RunnerName,
        token: &str,
        parent: &str,
        stage: Stage,
    ) -> Landing {
        let luck = self.luck(Side::Nomad);
        let answer = match (luck, stage) {
            (Luck::Fine, Stage::Details(child)) => {
                let found = self.nomad.child(&JobKey::new(NAMESPACE, &child));
                Ok(found.map(|found| {
                    let nameless = !found.meta.contains_key("runner_name");
                    FoundChild { child, nameless }
                }))
            }
            (Luck::Fine, _) => {
                match self.nomad.child_by_token(&JobKey::new(NAMESPACE, parent), token) {
                    Some(key) => return Landing::Next(Stage::Details(key.id.clone())),
                    None => Ok(None),
                }
            }
            (luck, _) => Err(self.failure(luck)),
        };
        Landing::Answer(Event::ChildLookedUp { runner: runner.clone(), answer })
    }

    /// First the job, then its allocations: two calls.
    pub(super) fn look_at_placement(
        &mut self,
        runner: &RunnerName,
        at: &ChildAt,
        stage: Stage,
    ) -> Landing {
        let luck = self.luck(Side::Nomad);
        let key = JobKey::new(NAMESPACE, &at.child);
        let answer: Answer<ChildPhase> = match (luck, stage) {
            (Luck::Fine, Stage::First) if self.nomad.child(&key).is_some() => {
                return Landing::Next(Stage::Details(at.child.clone()));
            }
            (Luck::Fine, _) => Ok(phase_of(&self.nomad, &key)),
            (luck, _) => Err(self.failure(luck)),
        };
        if answer == Ok(ChildPhase::NotPlaced) {
            self.watching.looked(runner, self.now);
        }
        Landing::Answer(Event::PlacementSeen { runner: runner.clone(), answer })
    }

    pub(super) fn stop_child(
        &mut self,
        request: &Request,
        runner: &RunnerName,
        at: &ChildAt,
    ) -> Event {
        let luck = self.luck(Side::Nomad);
        if luck.acts() {
            let key = JobKey::new(NAMESPACE, &at.child);
            self.check_stop(runner, &key);
            self.nomad.stop(&key, false, self.now);
        }
        if luck == Luck::Late {
            self.act_later(request, Stage::First);
        }
        let answer = if luck == Luck::Fine { Ok(()) } else { Err(self.failure(luck)) };
        Event::ChildStopped { runner: runner.clone(), answer }
    }

    pub(super) fn watch_parent(&mut self, pool: &PoolName, orphan: bool) {
        let Some(daemon) = self.daemon.as_mut().filter(|_| !orphan) else { return };
        if daemon.watched.contains(pool) {
            return;
        }
        daemon.watched.push(pool.clone());
        let refused = daemon.refused.get(pool).copied().flatten();
        let until = self.now + HOUR;
        self.look_at_parent(self.life, pool.clone(), refused, until);
    }

    pub fn look_at_parent(
        &mut self,
        life: u32,
        pool: PoolName,
        refused: Option<u64>,
        until: Millis,
    ) {
        if life != self.life {
            return;
        }
        let version = self.parent_version(&pool);
        let asked = self.luck(Side::Nomad) == Luck::Fine;
        let Some(daemon) = &mut self.daemon else { return };
        let changed = asked && version != refused;
        if changed || self.now > until {
            daemon.watched.retain(|watched| *watched != pool);
        }
        if changed {
            daemon.incoming.push_back(Event::ParentChanged { pool });
        } else if self.now <= until {
            let again = Act::LookAtParent { life, pool, refused, until };
            self.agenda.enter(self.now + SECOND, again);
        }
    }

    /// What the pool's parameterized job is now; None where there is none.
    pub(super) fn parent_version(&self, pool: &PoolName) -> Option<u64> {
        let pool = self.rules.pool(pool)?;
        let job = self.nomad.job(&JobKey::new(NAMESPACE, &pool.nomad_job))?;
        Some(job.job_modify_index)
    }
}
