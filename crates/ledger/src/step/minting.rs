//! A runner's own credential (JIT): asked for after its launch and before its dispatch.
//!
//! The forge registers the runner by that. So one that ends before it was dispatched leaves a
//! registration, which is deleted by its id. A request whose answer was lost is made again with the
//! same name: where the first one arrived the name is taken, and its registration is deleted
//! before another is asked for, because nobody has its credential.

use rand::Rng;

use super::Fold;
use super::gates::Closed;
use crate::event::{Answer, AtForge, Deletion, Failure, MintOutcome};
use crate::runner::{Runner, RunnerState, Sending};
use crate::state::{Gate, Timer};
use crate::{ClassKey, Gone, Happened, Request, RunnerName, backoff};

impl<R: Rng> Fold<'_, R> {
    /// Whether credentials of the class can be asked for: after a failure one at a time.
    pub(super) fn may_mint(&self, key: &ClassKey) -> bool {
        let gate = self.state.minting.get(&key.breaker());
        gate.is_none_or(|gate| gate.may_pass(self.now))
    }

    /// What a runner without a credential is owed. `None`: its pool is gone.
    pub(super) fn mint_order(&self, runner: &Runner) -> Option<Request> {
        let pool = self.state.rules.pool(&runner.class.pool)?;
        Some(Request::MintFor {
            runner: runner.name.clone(),
            target: self.target_of(runner),
            labels: pool.labels_of(&runner.class),
            group: pool.runner_group.clone(),
            replaces: runner.by_claim,
        })
    }

    /// Asked for by name alone: nothing of it can run.
    pub(super) fn find_registration(&self, runner: &Runner) -> Request {
        Request::FindAtForge {
            runner: runner.name.clone(),
            target: self.target_of(runner),
            id: None,
            repositories: Vec::new(),
            runs: Vec::new(),
        }
    }

    pub(super) fn minted_for(&mut self, name: &RunnerName, outcome: MintOutcome) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.by_claim {
            return self.minted_for_claim(name, outcome);
        }
        let (key, again) = (
            runner.class.breaker(),
            match runner.state {
                RunnerState::Dispatching(Sending::Minting) => false,
                RunnerState::Dispatching(Sending::MintingAgain) => true,
                _ => return self.drive(name),
            },
        );
        match outcome {
            MintOutcome::Registered { id } => {
                if self.state.minting.remove(&key).is_some() {
                    self.touch_minting(name);
                }
                self.is_minted(name, id);
            }
            MintOutcome::NameTaken => {
                let tries = if again { 0 } else { runner.tries };
                self.release_probe(name);
                self.unregister(name);
                self.change(name, |runner| runner.tries = tries + 1);
                match tries {
                    0 => self.drive(name),
                    // It was looked for before, and not found: listings lag.
                    _ => {
                        let at = self.now + backoff(tries - 1, self.rng);
                        self.set_timer(at, Timer::Runner(name.clone()));
                    }
                }
            }
            MintOutcome::Refused(failure) => {
                self.mint_failed(name, &failure);
                match again {
                    false => self.owed_again(name, failure.reason),
                    // An earlier request may have arrived.
                    true => {
                        self.unregister(name);
                        self.try_again(name, failure);
                    }
                }
            }
            MintOutcome::Unknown(failure) => {
                self.mint_failed(name, &failure);
                self.change(name, |runner| {
                    runner.state = RunnerState::Dispatching(Sending::MintingAgain);
                });
                self.try_again(name, failure);
            }
        }
    }

    fn is_minted(&mut self, name: &RunnerName, id: u64) {
        let now = self.now;
        self.change(name, |runner| {
            runner.github_id = Some(id);
            runner.state = RunnerState::Dispatching(Sending::Sent);
            runner.first_sent_at = Some(now);
            runner.tries = 0;
            runner.reason = None;
        });
        self.happened_to(name, Happened::RunnerMinted { id });
        // The answer may take long: its jobs may be refused or held back by now, or its pool be paused.
        let is_needed = self.state.runners.get(name).is_some_and(|runner| {
            !runner.unwanted && !self.is_surplus(runner) && !self.is_paused(&runner.class.pool)
        });
        match is_needed {
            true => self.drive(name),
            false => self.end_unsent(name, Gone::NotNeededBeforeDispatch),
        }
    }

    pub(super) fn unregister(&mut self, name: &RunnerName) {
        self.change(name, |runner| {
            runner.state = RunnerState::Dispatching(Sending::Unregistering);
            runner.tries = 0;
        });
    }

    pub(super) fn mint_failed(&mut self, name: &RunnerName, failure: &Failure) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let (key, scope) = (runner.class.breaker(), runner.class.scope.clone());
        let before = self.state.minting.get(&key);
        let closed = Gate::closed(before, name, failure, self.now, self.rng);
        let Some(Closed { gate, is_news }) = closed else { return };
        if is_news {
            self.happened_to(name, Happened::MintFailed { reason: failure.reason.clone() });
        }
        self.set_timer(gate.until, Timer::Credential(scope));
        self.state.minting.insert(key, gate);
        self.touch_minting(name);
    }

    fn touch_minting(&mut self, name: &RunnerName) {
        let scope = self.state.runners.get(name).map(|runner| runner.class.scope.clone());
        scope.into_iter().for_each(|scope| self.touch_scope(&scope));
    }

    /// Where the forge knows the name of one that nobody has started.
    pub(super) fn registration_found(&mut self, name: &RunnerName, answer: Answer<AtForge>) {
        match answer {
            Err(failure) => self.try_again(name, failure),
            Ok(AtForge::Nowhere) => self.is_unregistered(name),
            Ok(AtForge::Registered { id, busy: false, online: false }) => {
                self.change(name, |runner| runner.github_id = Some(id));
                self.drive(name);
            }
            Ok(AtForge::Registered { .. } | AtForge::Named(_)) => self.was_sent(name),
        }
    }

    /// The same, after its deletion.
    pub(super) fn unregistering(&mut self, name: &RunnerName, answer: Answer<Deletion>) {
        match answer {
            Err(failure) => self.try_again(name, failure),
            Ok(Deletion::NoNewJob) => {
                self.change(name, |runner| runner.github_id = None);
                self.is_unregistered(name);
            }
            Ok(Deletion::Busy) => self.was_sent(name),
        }
    }

    fn is_unregistered(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.unwanted || self.is_surplus(runner) {
            return self.end_runner(name, Gone::NeverDispatched);
        }
        let reason = runner.reason.clone();
        let forge = self.state.rules.forge.name;
        let reason =
            reason.unwrap_or_else(|| format!("an earlier registration at {forge} was deleted"));
        self.owed_again(name, reason);
    }

    /// Somebody runs it all the same, so it reached Nomad.
    fn was_sent(&mut self, name: &RunnerName) {
        self.change(name, |runner| {
            runner.state = RunnerState::Dispatching(Sending::LookingUp);
            runner.sends = runner.sends.max(1);
        });
        self.drive(name);
    }

    /// It has a registration, and is not at Nomad: forgotten, as soon as that is deleted.
    pub(super) fn end_unsent(&mut self, name: &RunnerName, how: Gone) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if !runner.is_minted() {
            return self.end_runner(name, how);
        }
        self.release_probe(name);
        self.release_cause(name);
        self.clear(name);
        self.change(name, |runner| runner.reason = Some(how.to_string()));
        self.drive(name);
    }

    /// Nomad has no child with its token, and the forge says that it has never connected.
    pub(super) fn never_started(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.unwanted || self.is_surplus(runner) {
            return self.end_unsent(name, Gone::NeverDispatched);
        }
        if !self.may_be_sent_again(runner) {
            return self.end_unsent(name, Gone::OutcomeUnknown);
        }
        self.send_again(name);
    }
}
