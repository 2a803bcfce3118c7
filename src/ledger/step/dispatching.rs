//! Follows a dispatch until its outcome is certain: Nomad's answer, or looking its token up.
//! An unknown outcome is a state, not an exception; nothing here ever makes a second runner.

use std::time::Duration;

use rand::Rng;

use super::Fold;
use crate::ledger::effect::ChildAt;
use crate::ledger::event::{Answer, AtForge, DispatchOutcome, Failure};
use crate::ledger::runner::{Runner, RunnerState, Sending};
use crate::ledger::state::{Gate, NomadState, Timer};
use crate::ledger::{PoolName, Request, RunnerName, Time, backoff, runner_name};

/// How long after the first attempt the same token may be sent again: Nomad forgets tokens of
/// children that it has collected, at the earliest some hours after their submission.
const SEND_AGAIN_WITHIN: Duration = Duration::from_secs(3600);

impl Runner {
    pub fn idempotency_token(&self) -> String {
        runner_name::idempotency_token(&self.name, &self.scope_name, self.class.run)
    }

    pub(super) fn child_at(&self) -> Option<ChildAt> {
        Some(ChildAt {
            namespace: self.namespace.clone(),
            region: self.region.clone(),
            child: self.child.clone()?,
        })
    }
}

impl<R: Rng> Fold<'_, R> {
    /// Asks what a runner's state asks for, unless that question is under way already.
    pub(super) fn drive(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.in_flight {
            return;
        }
        let request = match &runner.state {
            RunnerState::Dispatching(Sending::Sent) => self.order(runner),
            RunnerState::Dispatching(Sending::LookingUp) => Some(Request::FindChild {
                runner: name.clone(),
                token: runner.idempotency_token(),
                namespace: runner.namespace.clone(),
                region: runner.region.clone(),
                parent: runner.parent.clone(),
            }),
            RunnerState::Dispatching(Sending::AskingForge) => Some(self.find_at_forge(runner)),
            RunnerState::Withdrawing(leaving) => self.leaving_request(runner, leaving),
            RunnerState::Clearing => Some(match runner.github_id {
                Some(id) => self.deletion(runner, id),
                None => self.find_at_forge(runner),
            }),
            RunnerState::Wanted
            | RunnerState::Dispatched
            | RunnerState::Registered
            | RunnerState::Gone => None,
        };
        let Some(request) = request else {
            if runner.state == RunnerState::Dispatching(Sending::Sent) {
                self.end_runner(name, "never dispatched, and its pool is no longer in the config");
            }
            return;
        };
        let sends = u32::from(matches!(request, Request::Dispatch(_)));
        self.change(name, |runner| {
            runner.in_flight = true;
            runner.sends += sends;
        });
        self.request(request);
    }

    pub(super) fn find_at_forge(&self, runner: &Runner) -> Request {
        // Jobs that may carry the name: those of the class, by their repositories.
        let class = self.state.classes.get(&runner.class);
        let jobs = class.into_iter().flat_map(|class| class.waiting.iter()).chain(&runner.cause);
        let mut repositories: Vec<String> = jobs
            .filter_map(|id| self.state.known_job(*id))
            .map(|job| job.repository_name.clone())
            .collect();
        if let super::super::ScopeKey::Repository(_) = runner.class.scope {
            repositories.push(self.target_of(runner).name().to_owned());
        }
        repositories.sort();
        repositories.dedup();
        // One whose child Nomad has forgotten may have run, and ended, long ago.
        let runs = match runner.state {
            RunnerState::Dispatching(_) => {
                let waiting = class.into_iter().flat_map(|class| class.waiting.iter());
                self.runs_of(runner.cause.iter().chain(waiting).copied())
            }
            _ => Vec::new(),
        };
        Request::FindAtForge {
            runner: runner.name.clone(),
            target: self.target_of(runner),
            repositories,
            runs,
        }
    }

    pub(super) fn deletion(&self, runner: &Runner, id: u64) -> Request {
        Request::DeleteRegistration {
            runner: runner.name.clone(),
            target: self.target_of(runner),
            id,
        }
    }

    /// Tries the same again later: when the other side said, else by backoff.
    pub(super) fn try_again(&mut self, name: &RunnerName, failure: Failure) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let wait = self.now + backoff(runner.tries, self.rng);
        let at = failure.retry_at.map_or(wait, |at| at.max(self.now));
        let news = runner.reason.as_deref() != Some(failure.reason.as_str());
        if news {
            self.note_runner(true, name, failure.reason.clone());
        }
        self.change(name, |runner| {
            runner.tries += 1;
            runner.reason = Some(failure.reason);
        });
        self.set_timer(at, Timer::Runner(name.clone()));
    }

    pub(super) fn dispatch_answered(&mut self, name: &RunnerName, outcome: DispatchOutcome) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        if !matches!(runner.state, RunnerState::Dispatching(_)) {
            return;
        }
        let (pool, scope) = (runner.class.pool.clone(), runner.class.scope.clone());
        match outcome {
            DispatchOutcome::Accepted { child, nameless, credential_ends } => {
                self.change(name, |runner| {
                    runner.nameless = nameless;
                    runner.credential_ends = credential_ends;
                });
                self.nomad_answers();
                self.state.refusals.remove(&pool);
                self.touch_pool(&pool);
                self.child_known(name, child);
            }
            DispatchOutcome::Refused { reason } => {
                self.nomad_answers();
                self.refused(name, &pool, reason);
            }
            DispatchOutcome::NotSent { reason } => {
                self.unreachable(Some(name), reason.clone());
                self.owed_again(name, reason);
            }
            DispatchOutcome::CredentialMissing => {
                self.owed_again(name, "its credential had ended".to_owned());
                self.credential_missing(&scope);
            }
            DispatchOutcome::Unknown { reason } => {
                self.note_runner(
                    true,
                    name,
                    format!("dispatch outcome unknown, looking it up: {reason}"),
                );
                self.release_probe(name);
                self.change(name, |runner| {
                    runner.state = RunnerState::Dispatching(Sending::LookingUp);
                    runner.reason =
                        Some(format!("the outcome of its dispatch is unknown: {reason}"));
                });
                match self.state.runners.get(name).map_or(0, |runner| runner.sends) {
                    // At once: the answer is what everything else waits for.
                    0 | 1 => self.drive(name),
                    // It was looked up and sent again before, and again in vain: no storm.
                    sends => {
                        let at = self.now + backoff(sends - 2, self.rng);
                        self.set_timer(at, Timer::Runner(name.clone()));
                    }
                }
            }
        }
    }

    fn child_known(&mut self, name: &RunnerName, child: String) {
        self.change(name, |runner| {
            runner.child = Some(child.clone());
            runner.state = RunnerState::Dispatched;
            runner.tries = 0;
            runner.reason = None;
        });
        self.note_runner(false, name, format!("runner dispatched as {child}"));
        if self.state.runners.get(name).is_some_and(|runner| runner.unwanted) {
            self.begin_leaving(name);
        }
    }

    /// Certainly not in Nomad: let go if nobody wants it any more, else still owed.
    fn owed_again(&mut self, name: &RunnerName, reason: String) {
        self.release_probe(name);
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.unwanted {
            self.end_runner(name, "not wanted any more before it was dispatched");
            return;
        }
        self.change(name, |runner| {
            runner.state = RunnerState::Wanted;
            runner.reason = Some(reason);
        });
    }

    fn refused(&mut self, name: &RunnerName, pool: &PoolName, reason: String) {
        let gate = self.state.refusals.get(pool);
        // Those that were sent before the first refusal came back count once.
        let counts = gate.is_none_or(|gate| gate.probe.as_ref() == Some(name));
        if counts {
            let tries = gate.map_or(0, |gate| gate.tries);
            let until = self.now + backoff(tries, self.rng);
            if gate.is_none_or(|gate| gate.reason != reason) {
                self.note_runner(true, name, format!("dispatch refused: {reason}"));
            }
            let gate = Gate { reason: reason.clone(), tries: tries + 1, until, probe: None };
            self.state.refusals.insert(pool.clone(), gate);
            self.set_timer(until, Timer::Refusal(pool.clone()));
            if let Some(pool) = self.state.rules.pool(pool) {
                let request = Request::WatchParent {
                    pool: pool.name.clone(),
                    namespace: pool.namespace.clone(),
                    region: pool.region.clone(),
                    parent: pool.nomad_job.clone(),
                };
                self.request(request);
            }
        }
        self.owed_again(name, reason);
        self.touch_pool(pool);
    }

    /// The parameterized job changed: what was refused is sent again at once.
    pub(super) fn parent_changed(&mut self, pool: &PoolName) {
        if self.state.refusals.remove(pool).is_some() {
            self.touch_pool(pool);
        }
    }

    pub(super) fn touch_pool(&mut self, pool: &PoolName) {
        let keys: Vec<_> =
            self.state.classes.keys().filter(|key| key.pool == *pool).cloned().collect();
        for key in keys {
            self.touch(&key);
        }
    }

    /// Nomad cannot be reached: everybody waits, and one at a time tries.
    pub(super) fn unreachable(&mut self, probe: Option<&RunnerName>, reason: String) {
        let now = self.now;
        let tries = match &self.state.nomad {
            NomadState::Unlisted { .. } => {
                self.state.nomad = NomadState::Unlisted { reason: Some(reason) };
                return;
            }
            NomadState::Listed => 0,
            NomadState::Away(gate) if gate.probe.is_some() && gate.probe.as_ref() == probe => {
                gate.tries
            }
            NomadState::Away(_) => return,
        };
        let until = now + backoff(tries, self.rng);
        self.state.nomad = NomadState::Away(Gate { reason, tries: tries + 1, until, probe: None });
        self.set_timer(until, Timer::Nomad);
        self.touch_all();
    }

    /// Nomad answered something: the way is open.
    pub(super) fn nomad_answers(&mut self) {
        if let NomadState::Away(_) = self.state.nomad {
            self.state.nomad = NomadState::Listed;
            self.touch_all();
        }
    }

    pub(super) fn touch_all(&mut self) {
        self.classes.extend(self.state.classes.keys().cloned());
    }

    fn release_probe(&mut self, name: &RunnerName) {
        let gates = self.state.refusals.values_mut();
        let away = match &mut self.state.nomad {
            NomadState::Away(gate) => Some(gate),
            _ => None,
        };
        for gate in gates.chain(away) {
            if gate.probe.as_ref() == Some(name) {
                gate.probe = None;
            }
        }
    }

    pub(super) fn child_looked_up(&mut self, name: &RunnerName, answer: Answer<Option<String>>) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.state != RunnerState::Dispatching(Sending::LookingUp) {
            return;
        }
        match answer {
            Ok(Some(child)) => self.child_known(name, child),
            Ok(None) => {
                self.change(name, |runner| {
                    runner.state = RunnerState::Dispatching(Sending::AskingForge);
                    runner.tries = 0;
                });
                self.drive(name);
            }
            Err(failure) => self.try_again(name, failure),
        }
    }

    /// Nomad has no child with its token; GitHub's word on the name decides.
    pub(super) fn carrier_known(&mut self, name: &RunnerName, carrier: &AtForge) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let first_sent = runner.first_sent_at.unwrap_or(Time(0));
        match carrier {
            AtForge::Registered { .. } | AtForge::Named(_) => {
                // It was dispatched, and Nomad has forgotten its child.
                self.change(name, |runner| runner.state = RunnerState::Clearing);
            }
            AtForge::Nowhere if runner.unwanted => {
                self.end_runner(name, "never dispatched, and not wanted any more");
            }
            AtForge::Nowhere if self.now.since(first_sent) < SEND_AGAIN_WITHIN => {
                self.note_runner(
                    false,
                    name,
                    "dispatch never arrived, sending it again".to_owned(),
                );
                self.change(name, |runner| {
                    runner.state = RunnerState::Dispatching(Sending::Sent);
                    runner.tries = 0;
                });
                self.drive(name);
            }
            AtForge::Nowhere => {
                let class = runner.class.clone();
                self.end_runner(name, "outcome of its dispatch unknown for an hour");
                self.ask_before_hiring(&class, None);
            }
        }
    }
}

impl Gate {
    /// One at a time, and not before its time.
    pub fn may_pass(&self, now: Time) -> bool {
        self.until <= now && self.probe.is_none()
    }
}
