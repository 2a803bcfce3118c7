//! A running task claims its runner's credential (`delivery = "claim"`): nothing is minted before, and
//! then once, for the first allocation that asks, which may repeat itself.
//!
//! A claim proves that the child exists, so it settles a dispatch whose answer is not here yet. Another
//! allocation or nonce means that an identity was stolen, or the first claim was made by a thief:
//! nobody can tell which, so the runner is released.

use std::time::Duration;

use rand::Rng;

use super::Fold;
use crate::claim::{Claim, ClaimRefusal, Claimed, NoCredential, Ticket};
use crate::event::{Failure, MintOutcome};
use crate::runner::{Leaving, Runner, RunnerState};
use crate::state::{Gate, NomadState};
use crate::{Happened, Release, Request, RunnerName, ScopeKey, Time};

/// When whoever was told to wait asks again, where nothing says more.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// The longest time that a task is told to wait: it has `boot_timeout` in all.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl<R: Rng> Fold<'_, R> {
    pub(super) fn claimed(&mut self, ticket: Ticket, claim: Claim) {
        match self.is_entitled(&claim) {
            Ok(()) => self.hand_out(ticket, &claim.runner),
            Err(why) => self.no_credential(ticket, why),
        }
    }

    fn no_credential(&mut self, ticket: Ticket, why: NoCredential) {
        self.request(Request::RefuseClaim { ticket, why });
    }

    fn is_entitled(&mut self, claim: &Claim) -> Result<(), NoCredential> {
        let name = &claim.runner;
        let refused = |why| Err(NoCredential::Refused(why));
        let Some(runner) = self.state.runners.get(name) else {
            return match self.state.nomad.get(&claim.place) {
                None | Some(NomadState::Unlisted(_)) => {
                    Err(not_yet("Nomad's children are not listed yet"))
                }
                Some(_) => refused(ClaimRefusal::UnknownRunner),
            };
        };
        let there = self.state.rules.place_of_runner(runner);
        if runner.idempotency_token() != claim.token
            || runner.parent != claim.parent
            || there.namespace != claim.place.namespace
            || runner.child.as_ref().is_some_and(|child| *child != claim.child)
        {
            return refused(ClaimRefusal::OtherChild);
        }
        if !runner.by_claim {
            return refused(ClaimRefusal::NotByClaim);
        }
        match runner.state {
            // The answer that says so is older than the child.
            RunnerState::Wanted => {
                return Err(not_yet("the outcome of its dispatch is not known yet"));
            }
            RunnerState::Dispatching(_) => self.settled_by(claim),
            _ => {}
        }
        let Some(runner) = self.state.runners.get(name) else {
            return refused(ClaimRefusal::Ended);
        };
        if runner.has_ended() {
            return refused(ClaimRefusal::Ended);
        }
        let breach = match &runner.claimed {
            Some(first) if first.allocation != claim.allocation => {
                Some(ClaimRefusal::OtherAllocation)
            }
            Some(first) if first.nonce != claim.nonce => Some(ClaimRefusal::OtherNonce),
            _ if runner.took.is_some() || runner.registered_at.is_some() => {
                Some(ClaimRefusal::Used)
            }
            _ => None,
        };
        if let Some(why) = breach {
            self.breached(claim, why);
            return refused(why);
        }
        if runner.state != RunnerState::Dispatched || runner.spent {
            // Its task ends by that, so it is of no use to a job that comes.
            self.change(name, |runner| runner.spent = true);
            return refused(ClaimRefusal::Withdrawn);
        }
        if runner.claimed.is_none() {
            let Claim { allocation, nonce, .. } = claim.clone();
            let claimed = Claimed { allocation: allocation.clone(), nonce, at: self.now };
            self.placed(name);
            self.change(name, |runner| runner.claimed = Some(claimed));
            self.happened_to(name, Happened::RunnerClaimed { allocation });
        }
        Ok(())
    }

    /// Its child runs, so the dispatch has arrived.
    fn settled_by(&mut self, claim: &Claim) {
        let name = &claim.runner;
        let Some(runner) = self.state.runners.get(name) else { return };
        let (place, pool) = (self.state.rules.place_of_runner(runner), runner.class.pool.clone());
        self.nomad_answers(&place);
        self.parent_changed(&pool);
        self.change(name, |runner| runner.nameless = claim.nameless && !runner.is_jit());
        self.child_known(name, claim.child.clone());
    }

    /// Told once, and released unless it has a job: that is most likely the one who asked, and it would
    /// be stopped for what it did to itself.
    fn breached(&mut self, claim: &Claim, why: ClaimRefusal) {
        let name = &claim.runner;
        let Some(runner) = self.state.runners.get(name) else { return };
        let (told, nameless) = (runner.told_of_claim, runner.nameless);
        let at_work = runner.took.is_some_and(|took| !took.done);
        let stays = matches!(runner.state, RunnerState::Dispatched | RunnerState::Registered);
        if !told {
            let allocation = claim.allocation.clone();
            self.happened_to(name, Happened::ClaimRefused { allocation, why });
            self.change(name, |runner| runner.told_of_claim = true);
        }
        if at_work || !stays {
            return;
        }
        let why = Release::ClaimedTwice;
        if nameless {
            return self.let_go_for_good(name, why);
        }
        self.happened_to(name, Happened::RunnerReleased { why });
        self.release_probe(name);
        self.change(name, |runner| {
            runner.spent = true;
            runner.tries = 0;
            runner.reason = Some(why.to_string());
        });
        // It is not waited for until its time to boot is over.
        self.leave(name, Leaving::LookingForJob);
    }

    /// To whom it belongs: from memory, or as soon as it is minted.
    fn hand_out(&mut self, ticket: Ticket, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else {
            return self.no_credential(ticket, NoCredential::Refused(ClaimRefusal::Ended));
        };
        let life = self.boot_timeout(runner);
        if runner.is_minted() {
            return self.hand_over(ticket, name, life);
        }
        let gate = match runner.is_jit() {
            true => self.state.minting.get(&runner.class.breaker()),
            false => {
                let credential = self.state.credentials.get(&runner.class.scope);
                if credential.and_then(|it| it.ends).is_some_and(|ends| ends >= self.now + life) {
                    return self.hand_over(ticket, name, life);
                }
                credential.and_then(|it| it.failed.as_ref())
            }
        };
        if let Some(gate) = gate.filter(|gate| !may_pass(gate, name, self.now)) {
            let why = wait_for(gate, self.now);
            return self.no_credential(ticket, why);
        }
        let waiting = self.state.claims.entry(name.clone()).or_default();
        waiting.push(ticket);
        match runner.is_jit() {
            true if waiting.len() == 1 => self.mint_for_claim(name),
            true => {}
            false => self.mint_for_claims_of(name, life),
        }
    }

    fn hand_over(&mut self, ticket: Ticket, name: &RunnerName, life: Duration) {
        let Some(runner) = self.state.runners.get(name) else { return };
        self.request(Request::HandOver {
            ticket,
            runner: name.clone(),
            scope: runner.class.scope.clone(),
            credential: runner.credential,
            life,
        });
    }

    /// One request a scope is under way, whoever it is for.
    fn mint_for_claims_of(&mut self, name: &RunnerName, life: Duration) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let (scope, target) = (runner.class.scope.clone(), self.target_of(runner));
        let credential = self.state.credentials.entry(scope.clone()).or_default();
        if credential.minting {
            return;
        }
        credential.minting = true;
        credential.life = life;
        self.request(Request::Mint { scope, target, life });
    }

    fn mint_for_claim(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let key = runner.class.breaker();
        let Some(request) = self.mint_order(runner) else {
            return self.refuse_all(name, &NoCredential::Refused(ClaimRefusal::Withdrawn));
        };
        if let Some(gate) = self.state.minting.get_mut(&key) {
            gate.probe = Some(name.clone());
        }
        self.change(name, |runner| runner.in_flight = true);
        self.request(request);
    }

    /// The scope's token is here, or is not.
    pub(super) fn claims_of_scope(&mut self, scope: &ScopeKey, failure: Option<&Failure>) {
        let of_scope = |name: &&RunnerName| {
            let runner = self.state.runners.get(*name);
            runner.is_some_and(|runner| runner.class.scope == *scope && !runner.is_jit())
        };
        let names: Vec<RunnerName> = self.state.claims.keys().filter(of_scope).cloned().collect();
        for name in names {
            match failure {
                None => self.hand_out_to_all(&name),
                Some(failure) => self.claims_failed(&name, failure),
            }
        }
    }

    /// What became of the configuration of a runner whose task waits for it.
    pub(super) fn minted_for_claim(&mut self, name: &RunnerName, outcome: MintOutcome) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let key = runner.class.breaker();
        let failure = match outcome {
            MintOutcome::Registered { id } => {
                self.state.minting.remove(&key);
                self.change(name, |runner| {
                    runner.github_id = Some(id);
                    runner.reason = None;
                });
                self.happened_to(name, Happened::RunnerMinted { id });
                let waits = |runner: &Runner| runner.state == RunnerState::Dispatched;
                if self.state.runners.get(name).is_some_and(waits) {
                    return self.hand_out_to_all(name);
                }
                self.refuse_all(name, &NoCredential::Refused(ClaimRefusal::Withdrawn));
                return self.drive(name);
            }
            MintOutcome::NameTaken => {
                let forge = self.state.rules.forge.name;
                let reason = format!("{forge} lists a runner of this name that may be in use");
                Failure { reason, retry_after: None }
            }
            MintOutcome::Refused(failure) | MintOutcome::Unknown(failure) => failure,
        };
        self.mint_failed(name, &failure);
        self.claims_failed(name, &failure);
        self.drive(name);
    }

    /// It was in memory, and is not any more.
    pub(super) fn credential_lost(&mut self, ticket: Ticket, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else {
            return self.no_credential(ticket, NoCredential::Refused(ClaimRefusal::Ended));
        };
        if !runner.is_jit() {
            let scope = runner.class.scope.clone();
            self.credential_missing(&scope);
            return self.no_credential(ticket, not_yet("the registration token expired"));
        }
        // Nobody has the one before: its registration makes way for the next.
        let waiting = self.state.claims.entry(name.clone()).or_default();
        waiting.push(ticket);
        if waiting.len() == 1 {
            self.mint_for_claim(name);
        }
    }

    fn hand_out_to_all(&mut self, name: &RunnerName) {
        for ticket in self.state.claims.remove(name).unwrap_or_default() {
            self.hand_out(ticket, name);
        }
    }

    fn claims_failed(&mut self, name: &RunnerName, failure: &Failure) {
        let retry_after = failure.retry_after.unwrap_or(ASK_AGAIN).min(LONGEST_WAIT);
        let why = NoCredential::NotYet { reason: failure.reason.clone(), retry_after };
        self.change(name, |runner| runner.reason = Some(failure.reason.clone()));
        self.refuse_all(name, &why);
    }

    pub(super) fn refuse_all(&mut self, name: &RunnerName, why: &NoCredential) {
        for ticket in self.state.claims.remove(name).unwrap_or_default() {
            self.no_credential(ticket, why.clone());
        }
    }

    /// Nobody needs what is in memory for it any more.
    pub(super) fn forget_claim(&mut self, runner: &Runner) {
        self.refuse_all(&runner.name, &NoCredential::Refused(ClaimRefusal::Ended));
        if runner.claimed.is_some() && runner.is_jit() {
            self.request(Request::ForgetClaim { runner: runner.name.clone() });
        }
    }
}

/// After a failure one at a time, and the same one again.
fn may_pass(gate: &Gate, name: &RunnerName, now: Time) -> bool {
    gate.until <= now && gate.probe.as_ref().is_none_or(|probe| probe == name)
}

fn wait_for(gate: &Gate, now: Time) -> NoCredential {
    let retry_after = gate.until.since(now).clamp(ASK_AGAIN, LONGEST_WAIT);
    NoCredential::NotYet { reason: gate.reason.clone(), retry_after }
}

fn not_yet(reason: &str) -> NoCredential {
    NoCredential::NotYet { reason: reason.to_owned(), retry_after: ASK_AGAIN }
}
