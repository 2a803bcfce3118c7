//! Follows a dispatch until its outcome is certain: Nomad's answer, or looking its token up.
//! An unknown outcome is a state, not an exception; nothing here ever makes a second runner.

use std::time::Duration;

use rand::Rng;

use super::{Fold, when_to_retry};
use crate::effect::ChildAt;
use crate::event::{Answer, AtForge, DispatchOutcome, Failure, FoundChild, NomadTrouble};
use crate::runner::{Runner, RunnerState, Sending};
use crate::state::Timer;
use crate::{
    Gone, Happened, JobStatus, PoolName, Release, Request, RunnerName, ScopeKey, Time, backoff,
    runner_name,
};

/// How long after the first attempt the same token may be sent again: Nomad forgets tokens of
/// children that it has collected, at the earliest some hours after their submission.
const SEND_AGAIN_WITHIN: Duration = Duration::from_secs(3600);

impl Runner {
    pub fn idempotency_token(&self) -> String {
        runner_name::idempotency_token(&self.name, &self.scope_name, self.class.run)
    }
}

impl<R: Rng> Fold<'_, R> {
    pub(super) fn child_at(&self, runner: &Runner) -> Option<ChildAt> {
        let place = self.state.rules.place_of_runner(runner);
        Some(ChildAt { place, child: runner.child.clone()? })
    }

    /// Asks what a runner's state asks for, unless that question is under way already.
    pub(super) fn drive(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.in_flight {
            return;
        }
        if runner.unwanted && runner.state == RunnerState::Dispatching(Sending::MintingAgain) {
            self.unregister(name);
            return self.drive(name);
        }
        if runner.state == RunnerState::Dispatching(Sending::Sent) {
            self.choose_deposit(name);
        }
        let Some(runner) = self.state.runners.get(name) else { return };
        let request = match &runner.state {
            RunnerState::Dispatching(Sending::Minting | Sending::MintingAgain) => {
                self.mint_order(runner)
            }
            RunnerState::Dispatching(Sending::Unregistering) => Some(match runner.github_id {
                Some(id) => self.deletion(runner, id),
                None => self.find_registration(runner),
            }),
            RunnerState::Dispatching(Sending::Sent) => self.order(runner),
            RunnerState::Dispatching(Sending::LookingUp | Sending::LookingAgain) => {
                Some(Request::FindChild {
                    runner: name.clone(),
                    token: runner.idempotency_token(),
                    place: self.state.rules.place_of_runner(runner),
                    parent: runner.parent.clone(),
                })
            }
            RunnerState::Dispatching(Sending::AskingForge) => Some(self.find_at_forge(runner)),
            RunnerState::Withdrawing(leaving) => {
                if let Some(at) = self.pause_of(runner, leaving) {
                    return self.set_timer(at, Timer::Runner(name.clone()));
                }
                self.leaving_request(runner, leaving)
            }
            // First the question about its class: most likely a job names it.
            RunnerState::Clearing if self.is_unaccounted(name) => None,
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
            match runner.state {
                RunnerState::Dispatching(Sending::Sent | Sending::Minting) => {
                    self.end_unsent(name, Gone::NeverDispatchedPoolRemoved);
                }
                RunnerState::Dispatching(Sending::MintingAgain) => {
                    self.change(name, |runner| runner.unwanted = true);
                    self.drive(name);
                }
                _ => {}
            }
            return;
        };
        let sends = matches!(request, Request::Dispatch(_));
        let now = self.now;
        self.change(name, |runner| {
            runner.in_flight = true;
            if sends {
                runner.sends += 1;
                runner.last_sent_at = Some(now);
                runner.deposit.iter_mut().for_each(|deposit| deposit.tried = true);
            }
        });
        self.request(request);
    }

    pub(super) fn find_at_forge(&self, runner: &Runner) -> Request {
        // Jobs that may carry the name: in the repositories where jobs of the class wait, and
        // in that of the job it was hired for.
        let mut repositories = match runner.class.scope {
            ScopeKey::Repository(_) => vec![self.target_of(runner).name().to_owned()],
            ScopeKey::Organization(_) => {
                let class = self.state.classes.get(&runner.class);
                let cause = runner.cause.and_then(|id| self.state.known_job(id));
                let waiting = class.into_iter().flat_map(|class| class.repositories.keys());
                let ids = waiting.copied().chain(cause.map(|job| job.repository));
                let known = ids.filter_map(|id| self.state.repositories.get(&id));
                known.map(|repository| repository.full_name.clone()).collect()
            }
        };
        repositories.sort();
        repositories.dedup();
        // One whose child Nomad has forgotten may have run, and ended, long ago.
        let runs = match runner.state {
            RunnerState::Dispatching(_) => {
                let class = self.state.classes.get(&runner.class);
                let waiting = class.into_iter().flat_map(|class| class.waiting.iter());
                self.runs_of(runner.cause.iter().chain(waiting).copied())
            }
            _ => Vec::new(),
        };
        Request::FindAtForge {
            runner: runner.name.clone(),
            target: self.target_of(runner),
            id: runner.github_id.filter(|_| runner.is_jit()),
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
        let at = when_to_retry(&failure, runner.tries, self.now, self.rng);
        let news = runner.reason.as_deref() != Some(failure.reason.as_str());
        if news {
            self.happened_to(name, Happened::RequestFailed { reason: failure.reason.clone() });
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
        if runner.state != RunnerState::Dispatching(Sending::Sent) {
            return self.drive(name);
        }
        let (pool, scope) = (runner.class.pool.clone(), runner.class.scope.clone());
        let place = self.state.rules.place_of_runner(runner);
        match outcome {
            DispatchOutcome::Accepted { child, nameless, credential_ends } => {
                self.change(name, |runner| {
                    runner.nameless = nameless && !runner.is_jit();
                    runner.credential_ends = credential_ends;
                });
                self.nomad_answers(&place);
                self.parent_changed(&pool);
                self.deposits_are_taken(&pool);
                self.child_known(name, child);
            }
            DispatchOutcome::Refused { reason } => {
                self.nomad_answers(&place);
                self.refused(name, &pool, reason);
            }
            DispatchOutcome::TooLarge { reason } => self.too_large(name, &pool, reason),
            DispatchOutcome::NotDeposited(failure) => self.not_deposited(name, &pool, failure),
            DispatchOutcome::DepositTaken { reason } => self.deposit_taken(name, &pool, reason),
            DispatchOutcome::NotSent { reason } => {
                let trouble = NomadTrouble::Unreachable(reason.clone());
                self.nomad_away(place, Some(name), &trouble);
                self.owed_again(name, reason);
            }
            // It was in memory only.
            DispatchOutcome::CredentialMissing if runner.is_jit() => match runner.sends {
                0 | 1 => {
                    self.change(name, |runner| runner.sends = 0);
                    self.unregister(name);
                    self.drive(name);
                }
                _ => self.end_unsent(name, Gone::NeverDispatched),
            },
            DispatchOutcome::CredentialMissing => {
                let (class, waits) = (runner.class.clone(), self.waits_for_its_credential(runner));
                if !waits {
                    self.owed_again(name, "its credential expired".to_owned());
                }
                self.credential_missing(&scope);
                if waits {
                    // It is not owed, so nobody else asks for one.
                    self.has_credential(&class);
                    self.drive_in_time(name);
                }
            }
            DispatchOutcome::Unknown { reason } => {
                self.happened_to(name, Happened::DispatchUnknown { reason: reason.clone() });
                self.probe_is_lost(name, &reason);
                self.change(name, |runner| {
                    runner.state = RunnerState::Dispatching(Sending::LookingUp);
                    runner.reason =
                        Some(format!("the outcome of its dispatch is unknown: {reason}"));
                });
                self.drive_in_time(name);
            }
        }
    }

    /// What the dispatch carries of its job is too much for Nomad: that job waits, and no other one of
    /// the pool. Without such a job it is the pool's own.
    fn too_large(&mut self, name: &RunnerName, pool: &PoolName, reason: String) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let (in_doubt, class) = (runner.sends > 1 || runner.took.is_some(), &runner.class);
        let cause = runner.cause.filter(|job| self.state.enlisted.get(job) == Some(class));
        let Some(job) = cause else { return self.refused(name, pool, reason) };
        self.happened_to(name, Happened::DispatchRefused { reason: reason.clone() });
        self.hold_job(job, Some(reason.clone()));
        if in_doubt {
            return self.owed_again(name, reason);
        }
        self.release_probe(name);
        self.end_unsent(name, Gone::TooLarge { reason });
    }

    /// Sent before, and in doubt: looked up a moment ago, so that only the secret is missing. While
    /// Nomad is sure to know its token still.
    fn waits_for_its_credential(&self, runner: &Runner) -> bool {
        runner.sends > 1 && self.may_be_sent_again(runner)
    }

    /// Who waits for a credential of the scope and is not owed goes on at once.
    pub(super) fn drive_with_credential(&mut self, scope: &ScopeKey) {
        let waits = |runner: &&Runner| {
            runner.state == RunnerState::Dispatching(Sending::Sent) && runner.class.scope == *scope
        };
        let waiting = self.state.runners.values().filter(waits);
        let names: Vec<RunnerName> = waiting.map(|runner| runner.name.clone()).collect();
        for name in names {
            self.drive(&name);
        }
    }

    /// One whose outcome is in doubt goes on.
    fn drive_in_time(&mut self, name: &RunnerName) {
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

    pub(super) fn child_known(&mut self, name: &RunnerName, child: String) {
        self.change(name, |runner| {
            runner.child = Some(child.clone());
            runner.state = RunnerState::Dispatched;
            runner.tries = 0;
            runner.reason = None;
        });
        self.happened_to(name, Happened::RunnerDispatched { child });
        if self.state.runners.get(name).is_some_and(|runner| runner.unwanted) {
            self.begin_leaving(name, Release::NoJobWaits);
        } else if let Some(runner) = self.state.runners.get(name)
            && let Some(id) = runner.github_id.filter(|_| !runner.is_jit())
        {
            return self.registered(name, id);
        }
        self.start_clocks(name);
    }

    /// This request made nothing. Nor did an earlier one: let go if nobody wants it any more, else
    /// still owed. But an earlier one whose outcome nobody knows may still arrive.
    pub(super) fn owed_again(&mut self, name: &RunnerName, reason: String) {
        self.release_probe(name);
        if self.state.runners.get(name).is_some_and(|runner| runner.sends > 1) {
            self.change(name, |runner| {
                runner.state = RunnerState::Dispatching(Sending::LookingUp);
                runner.reason = Some(reason);
            });
            return self.drive_in_time(name);
        }
        self.change(name, |runner| runner.sends = 0);
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.unwanted {
            return self.end_unsent(name, Gone::NotNeededBeforeDispatch);
        }
        if runner.took.is_some() {
            // GitHub has seen it meanwhile, so an earlier attempt did arrive.
            self.change(name, |runner| {
                runner.state = RunnerState::Dispatching(Sending::LookingUp);
            });
            return self.drive(name);
        }
        if runner.is_minted() {
            // Another is launched when the way is open, and registered then.
            return self.end_unsent(name, Gone::NotSent { reason });
        }
        self.change(name, |runner| {
            runner.state = RunnerState::Wanted;
            runner.first_sent_at = None;
            runner.reason = Some(reason);
        });
    }

    pub(super) fn child_looked_up(
        &mut self,
        name: &RunnerName,
        answer: Answer<Option<FoundChild>>,
    ) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        let again = match runner.state {
            RunnerState::Dispatching(Sending::LookingUp) => false,
            RunnerState::Dispatching(Sending::LookingAgain) => true,
            _ => return self.drive(name),
        };
        match answer {
            Ok(Some(FoundChild { child, nameless })) => {
                self.change(name, |runner| runner.nameless = nameless && !runner.is_jit());
                self.child_known(name, child);
            }
            // It was dispatched, and Nomad no longer has its child.
            Ok(None) if again => {
                self.clear(name);
                self.drive(name);
            }
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

    pub(super) fn is_surplus(&self, runner: &Runner) -> bool {
        let class = self.state.classes.get(&runner.class);
        let supply = self.state.runners.counts(&runner.class).supply;
        class.is_none_or(|class| supply > class.demand())
    }

    pub(super) fn may_be_sent_again(&self, runner: &Runner) -> bool {
        let first_sent = runner.first_sent_at.unwrap_or(Time(0));
        self.now.since(first_sent) < SEND_AGAIN_WITHIN
    }

    pub(super) fn send_again(&mut self, name: &RunnerName) {
        self.happened_to(name, Happened::DispatchResent);
        self.change(name, |runner| {
            runner.state = RunnerState::Dispatching(Sending::Sent);
            runner.tries = 0;
        });
        self.drive(name);
    }

    /// Nomad has no child with its token; GitHub's word on the name decides.
    pub(super) fn carrier_known(&mut self, name: &RunnerName, carrier: &AtForge) {
        let Some(runner) = self.state.runners.get(name) else { return };
        match carrier {
            // It was registered before it was sent.
            AtForge::Registered { busy: false, online: false, .. } if runner.is_jit() => {
                self.never_started(name);
            }
            // It was started, and had a job or stayed idle for too long.
            AtForge::Nowhere if runner.is_minted() => {
                self.change(name, |runner| {
                    runner.state = RunnerState::Dispatching(Sending::LookingAgain);
                });
                self.drive(name);
            }
            // It was dispatched, and Nomad no longer has its child, or will.
            AtForge::Named(report) if report.status == JobStatus::Completed => {
                self.change(name, |runner| runner.state = RunnerState::Clearing);
            }
            AtForge::Registered { .. } | AtForge::Named(_) => {
                self.change(name, |runner| {
                    runner.state = RunnerState::Dispatching(Sending::LookingAgain);
                });
            }
            AtForge::Nowhere if runner.took.is_some() => {
                let forge = self.state.rules.forge.name.to_owned();
                self.end_runner(name, Gone::UnknownToBoth { forge });
            }
            // Also where nobody may be let go yet: sending again would be hiring anew.
            AtForge::Nowhere if runner.unwanted || self.is_surplus(runner) => {
                self.end_runner(name, Gone::NeverDispatched);
            }
            AtForge::Nowhere if self.may_be_sent_again(runner) => self.send_again(name),
            AtForge::Nowhere => {
                let class = runner.class.clone();
                self.end_runner(name, Gone::OutcomeUnknown);
                self.ask_before_hiring(&class, None);
            }
        }
    }
}
