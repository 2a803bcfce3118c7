//! One dispatch, as `engine::dispatching` carries it out: what the parameterized job takes, the
//! request itself, and a second look where its token was sent before.

use std::collections::BTreeMap;

use roustabout::ledger::effect::DispatchOrder;
use roustabout::ledger::event::DispatchOutcome;
use roustabout::ledger::pool::Delivery;
use roustabout::ledger::{Event, Request, Time};
use simulated::github::model::{Millis, SECOND};
use simulated::nomad::{DispatchCall, JobKey};

use super::{Landing, Stage};
use crate::calls::{Luck, Side};
use crate::follower::NAMESPACE;
use crate::world::World;

/// How long a job's declared keys are believed.
const BELIEVED: Millis = 30 * SECOND;

/// What is sent, loaded when it leaves.
#[derive(Clone, Debug)]
pub struct Cargo {
    call: DispatchCall,
    nameless: bool,
    ends: Option<Time>,
}

enum Sent {
    ToConfirm(String),
    Done(DispatchOutcome),
}

impl World {
    pub(super) fn dispatch(
        &mut self,
        order: &DispatchOrder,
        stage: Stage,
        orphan: bool,
    ) -> Landing {
        let outcome = match stage {
            // Of a life that is over only what had left already can arrive.
            _ if orphan && !matches!(stage, Stage::Send(_)) => return Landing::Nothing,
            Stage::Send(cargo) => match self.send_dispatch(order, &cargo) {
                Sent::ToConfirm(child) => return Landing::Next(Stage::Confirm(cargo, child)),
                Sent::Done(outcome) => outcome,
            },
            Stage::Confirm(cargo, child) => match self.luck(Side::Nomad) {
                Luck::Fine if self.nomad.child(&JobKey::new(NAMESPACE, &child)).is_some() => {
                    accepted(child, &cargo)
                }
                luck => DispatchOutcome::Unknown { reason: luck.reason().to_owned() },
            },
            _ => match self.load(order) {
                Ok(cargo) => return Landing::Next(Stage::Send(Box::new(cargo))),
                Err(outcome) => outcome,
            },
        };
        if let DispatchOutcome::Refused { .. } = outcome {
            let version = self.parent_version(&order.pool);
            if let Some(daemon) = &mut self.daemon {
                daemon.believed.remove(&order.pool);
                daemon.refused.insert(order.pool.clone(), version);
            }
        }
        Landing::Answer(Event::DispatchAnswered { runner: order.runner.clone(), outcome })
    }

    fn load(&mut self, order: &DispatchOrder) -> Result<Cargo, DispatchOutcome> {
        let refused = |reason: &str| DispatchOutcome::Refused { reason: reason.to_owned() };
        let now = self.now;
        let believed =
            self.daemon.as_ref().and_then(|daemon| daemon.believed.get(&order.pool)).cloned();
        let spec = match believed.filter(|(since, _)| now - since < BELIEVED) {
            Some((_, spec)) => spec,
            None => {
                let luck = self.luck(Side::Nomad);
                if luck != Luck::Fine {
                    return Err(DispatchOutcome::NotSent { reason: luck.reason().to_owned() });
                }
                let job = self.nomad.job(&JobKey::new(NAMESPACE, &order.parent));
                let job = job.ok_or_else(|| refused("the parameterized job does not exist"))?;
                if job.stop {
                    return Err(refused("the parameterized job is stopped"));
                }
                let spec = job.spec.clone();
                if let Some(daemon) = &mut self.daemon {
                    daemon.believed.insert(order.pool.clone(), (now, spec.clone()));
                }
                spec
            }
        };
        let Some(pool) = self.rules.pool(&order.pool) else {
            return Err(refused("its pool is no longer in the config"));
        };
        let life = pool.credential_life();
        let token = match (pool.delivery, &self.daemon) {
            (Delivery::None, _) | (_, None) => None,
            (_, Some(daemon)) => {
                let token = daemon.tokens.get(&order.scope);
                let lives = token.filter(|(_, ends)| Time(*ends) >= self.time() + life);
                Some(lives.cloned().ok_or(DispatchOutcome::CredentialMissing)?)
            }
        };
        let facts = BTreeMap::from([
            ("runner_name", order.runner.0.clone()),
            ("runner_labels", order.labels.join(",")),
            ("runner_url", order.runner_url.clone()),
        ]);
        let declared = spec.meta_required.iter().chain(&spec.meta_optional);
        let meta: BTreeMap<String, String> = declared
            .filter_map(|key| Some((key.clone(), facts.get(key.as_str())?.clone())))
            .collect();
        if let Some(key) = spec.meta_required.iter().find(|key| !meta.contains_key(*key)) {
            return Err(refused(&format!("the job requires the meta key {key}")));
        }
        Ok(Cargo {
            nameless: !meta.contains_key("runner_name"),
            ends: token.as_ref().map(|(_, ends)| Time(*ends)),
            call: DispatchCall {
                token: Some(order.idempotency_token.clone()),
                payload: token.map(|(secret, _)| secret.into_bytes()),
                meta,
                ..DispatchCall::default()
            },
        })
    }

    fn send_dispatch(&mut self, order: &DispatchOrder, cargo: &Cargo) -> Sent {
        let luck = self.luck(Side::Nomad);
        let unknown = || DispatchOutcome::Unknown { reason: luck.reason().to_owned() };
        if luck == Luck::Late {
            let request = Request::Dispatch(Box::new(order.clone()));
            self.act_later(&request, Stage::Send(Box::new(cargo.clone())));
        }
        if luck == Luck::NotSent {
            return Sent::Done(DispatchOutcome::NotSent { reason: luck.reason().to_owned() });
        }
        if !luck.acts() {
            return Sent::Done(unknown());
        }
        self.check_meta(&cargo.call);
        let parent = JobKey::new(NAMESPACE, &order.parent);
        let answer = self.nomad.dispatch(&parent, cargo.call.clone(), self.now);
        if luck != Luck::Fine {
            return Sent::Done(unknown());
        }
        match answer {
            Ok(dispatched) if order.again && !dispatched.evaluation.is_empty() => {
                Sent::ToConfirm(dispatched.child)
            }
            Ok(dispatched) => Sent::Done(accepted(dispatched.child, cargo)),
            Err(refused) => Sent::Done(DispatchOutcome::Refused { reason: refused.text }),
        }
    }
}

fn accepted(child: String, cargo: &Cargo) -> DispatchOutcome {
    DispatchOutcome::Accepted { child, nameless: cargo.nameless, credential_ends: cargo.ends }
}
