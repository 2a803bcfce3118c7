//! Credentials that are laid down for tasks to read: written with the dispatch, removed as soon as the runner
//! is registered or gone.
//!
//! The row says where one lies before the request leaves. A removal that failed is tried again, one at a time
//! in each way; what a crash left behind is found by listing, once all children of ours are known.

use std::collections::btree_map::Entry;

use rand::Rng;

use super::Fold;
use super::gates::Closed;
use crate::deposit::{Deposit, DepositAt, DepositRule, Keeper, Owed, Way};
use crate::event::{Answer, Failure};
use crate::observation::FoundDeposit;
use crate::pool::Delivery;
use crate::runner::{Runner, RunnerState, Sending};
use crate::state::{Gate, Timer};
use crate::{About, Gone, Happened, NomadPlace, Pool, PoolName, Request, RunnerName, runner_name};

impl Pool {
    pub fn deposit_rule(&self) -> Option<&DepositRule> {
        match &self.delivery {
            Delivery::Deposit(rule) => Some(rule),
            _ => None,
        }
    }
}

/// Of a child that was dispatched before anything that is known: it may lie there.
pub(super) fn adopted_deposit(pool: &Pool, name: &RunnerName) -> Option<Deposit> {
    let deposit = pool.deposit_rule()?.deposit_of(name);
    Some(Deposit { tried: true, ..deposit })
}

impl<R: Rng> Fold<'_, R> {
    /// Where the credential of the next request is to lie, by the rules of today.
    pub(super) fn choose_deposit(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let Some(pool) = self.state.rules.pool(&runner.class.pool) else { return };
        let wanted = pool.deposit_rule().map(|rule| rule.deposit_of(name));
        let place = |deposit: &Option<Deposit>| {
            deposit.as_ref().map(|deposit| (deposit.keeper, deposit.path.clone()))
        };
        if place(&wanted) == place(&runner.deposit) {
            return;
        }
        if let Some(old) = self.deposit_at(runner) {
            self.owe_removal(old);
        }
        self.change(name, |runner| runner.deposit = wanted);
    }

    /// The keeper has taken one.
    pub(super) fn deposits_are_taken(&mut self, pool: &PoolName) {
        if self.state.deposits.refused.remove(pool).is_some() {
            self.touch_pool(pool);
        }
    }

    pub(super) fn not_deposited(&mut self, name: &RunnerName, pool: &PoolName, failure: Failure) {
        self.close_deposits(name, pool, &failure);
        self.owed_again(name, failure.reason);
        self.touch_pool(pool);
    }

    /// It is not touched: the next runner has another name.
    pub(super) fn deposit_taken(&mut self, name: &RunnerName, pool: &PoolName, reason: String) {
        let failure = Failure { reason, retry_after: None };
        self.close_deposits(name, pool, &failure);
        self.change(name, |runner| runner.deposit = None);
        match self.state.runners.get(name).is_some_and(|runner| runner.sends > 1) {
            true => self.owed_again(name, failure.reason),
            false => {
                self.release_probe(name);
                self.end_unsent(name, Gone::NotSent { reason: failure.reason });
            }
        }
        self.touch_pool(pool);
    }

    fn close_deposits(&mut self, name: &RunnerName, pool: &PoolName, failure: &Failure) {
        let before = self.state.deposits.refused.get(pool);
        let closed = Gate::closed(before, name, failure, self.now, self.rng);
        let Some(Closed { gate, is_news }) = closed else { return };
        if is_news {
            self.happened_to(name, Happened::DepositFailed { reason: failure.reason.clone() });
        }
        self.set_timer(gate.until, Timer::Refusal(pool.clone()));
        self.state.deposits.refused.insert(pool.clone(), gate);
    }

    /// What failed at a keeper (in one place of Nomad, if it is that one's) is tried at once: one first, and all
    /// others after it.
    pub(super) fn keeper_recovered(&mut self, keeper: Keeper, place: Option<&NomadPlace>) {
        let now = self.now;
        let rules = &self.state.rules;
        let is_there = |at: &NomadPlace| place.is_none_or(|place| place == at);
        let pools = rules.pools.iter().filter(|pool| {
            pool.deposit_rule().is_some_and(|rule| rule.keeper == keeper)
                && is_there(&rules.place_of(pool))
        });
        let pools: Vec<PoolName> = pools.map(|pool| pool.name.clone()).collect();
        for pool in pools {
            if let Some(gate) = self.state.deposits.refused.get_mut(&pool) {
                gate.until = gate.until.min(now);
                self.touch_pool(&pool);
            }
        }
        let closed = self.state.deposits.closed.iter_mut();
        let closed = closed.filter(|(way, _)| way.keeper == keeper && is_there(&way.place));
        let mut ways = Vec::new();
        for (way, gate) in closed {
            gate.until = gate.until.min(now);
            ways.push(way.clone());
        }
        ways.iter().for_each(|way| self.remove_deposits(way));
    }

    /// Where one of it may lie.
    fn deposit_at(&self, runner: &Runner) -> Option<DepositAt> {
        let deposit = runner.deposit.as_ref().filter(|deposit| deposit.tried)?;
        Some(DepositAt {
            way: Way {
                keeper: deposit.keeper,
                place: self.state.rules.place_of_runner(runner),
                pool: runner.class.pool.clone(),
            },
            runner: runner.name.clone(),
            path: deposit.path.clone(),
        })
    }

    /// Of everybody who changed in this step.
    pub(super) fn let_go_of_deposits(&mut self) {
        for name in self.runners.clone() {
            self.let_go_of_deposit(&name);
        }
        let gone = self.gone.iter().filter_map(|runner| self.deposit_at(runner));
        for at in gone.collect::<Vec<_>>() {
            self.owe_removal(at);
        }
    }

    /// Not while a request to write it is under way, which would come after its removal.
    pub(super) fn let_go_of_deposit(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let sending = runner.in_flight && runner.state == RunnerState::Dispatching(Sending::Sent);
        if !sending
            && !runner.needs_deposit()
            && let Some(at) = self.deposit_at(runner)
        {
            self.owe_removal(at);
        }
    }

    fn owe_removal(&mut self, at: DepositAt) {
        let way = at.way.clone();
        if let Entry::Vacant(vacant) = self.state.deposits.owed.entry(at) {
            vacant.insert(Owed::default());
            self.remove_deposits(&way);
        }
    }

    /// All that is owed in that way; after a failure one at a time, each in its turn.
    pub(super) fn remove_deposits(&mut self, way: &Way) {
        let deposits = &mut self.state.deposits;
        let waiting = deposits.owed.iter_mut().filter(|(at, owed)| at.way == *way && !owed.asked);
        let mut requests = Vec::new();
        match deposits.closed.get_mut(way) {
            None => {
                for (at, owed) in waiting {
                    owed.asked = true;
                    requests.push(Request::RemoveDeposit(at.clone()));
                }
            }
            Some(gate) if gate.may_pass(self.now) => {
                match waiting.min_by_key(|(_, owed)| owed.tries) {
                    Some((at, owed)) => {
                        owed.asked = true;
                        gate.probe = Some(at.runner.clone());
                        requests.push(Request::RemoveDeposit(at.clone()));
                    }
                    None => drop(deposits.closed.remove(way)),
                }
            }
            Some(_) => {}
        }
        self.effects.requests.extend(requests);
    }

    pub(super) fn deposit_removed(&mut self, at: &DepositAt, answer: Answer<()>) {
        let failure = match answer {
            Ok(()) => {
                self.state.deposits.owed.remove(at);
                self.is_removed(at);
                self.state.deposits.closed.remove(&at.way);
                return self.remove_deposits(&at.way);
            }
            Err(failure) => failure,
        };
        if let Some(owed) = self.state.deposits.owed.get_mut(at) {
            owed.asked = false;
            owed.tries += 1;
        }
        let before = self.state.deposits.closed.get(&at.way);
        let closed = Gate::closed(before, &at.runner, &failure, self.now, self.rng);
        let Some(Closed { gate, is_news }) = closed else { return };
        if is_news {
            let (path, reason) = (at.path.clone(), failure.reason);
            let about = About {
                runner: Some(at.runner.clone()),
                pool: Some(at.way.pool.clone()),
                ..About::default()
            };
            self.happened(Happened::DepositLeft { path, reason }, about);
        }
        self.set_timer(gate.until, Timer::Deposits(at.way.clone()));
        self.state.deposits.closed.insert(at.way.clone(), gate);
    }

    fn is_removed(&mut self, at: &DepositAt) {
        let lay_there = |runner: &Runner| {
            runner.deposit.as_ref().is_some_and(|it| {
                it.keeper == at.way.keeper && it.path == at.path && !runner.needs_deposit()
            })
        };
        if self.state.runners.get(&at.runner).is_some_and(lay_there) {
            self.change(&at.runner, |runner| runner.deposit = None);
        }
    }

    /// What lies there for a runner that does not need it, or that nobody knows.
    pub(super) fn deposits_listed(
        &mut self,
        keeper: Keeper,
        place: &NomadPlace,
        found: Vec<FoundDeposit>,
    ) {
        for FoundDeposit { runner: name, path } in found {
            let prefix = &self.state.rules.name_prefix;
            let Some(pool) = runner_name::pool_of(prefix, name.as_str()) else { continue };
            let pool = PoolName::from(pool);
            let of_nobody = match self.state.runners.get(&name) {
                Some(runner) => !runner.needs_deposit(),
                None => self.state.swept.settled && self.is_stray(&name),
            };
            if of_nobody {
                let way = Way { keeper, place: place.clone(), pool };
                self.owe_removal(DepositAt { way, runner: name, path });
            }
        }
    }
}
