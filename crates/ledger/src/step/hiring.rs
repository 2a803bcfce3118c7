//! Holds supply to demand: `supply = min(demand, room)` for every class, room going round the
//! classes in turn. How a single dispatch is followed is in `dispatching`.

use std::ops::Bound;

use rand::Rng;

use super::Fold;
use crate::class::Hold;
use crate::effect::DispatchOrder;
use crate::pool::Delivery;
use crate::runner::{Runner, RunnerState, Sending};
use crate::state::{Gate, NomadState};
use crate::{
    ClassKey, Happened, Job, JobId, Pool, Release, Request, RunnerName, ScopeKey, runner_name, work,
};

/// What keeps a hungry class from hiring, and with it its neighbours.
pub(super) enum Obstacle {
    Pool,
    Scope,
}

impl<R: Rng> Fold<'_, R> {
    /// Lets go of whoever is more than demand needs, the least advanced first.
    pub(super) fn let_go_of_surplus(&mut self, key: &ClassKey) {
        loop {
            let Some(class) = self.state.classes.get(key) else { return };
            let supply = self.state.runners.counts(key).supply;
            let any = supply > class.demand() && self.may_let_go(key);
            if !any && (supply <= class.demand() || !self.may_let_warm_go(key)) {
                return;
            }
            work::count(class.runners.len());
            let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
            let may = |r: &&Runner| r.is_supply() && (any || r.registered_at.is_some());
            let least = runners.filter(may).min_by_key(|r| r.advance());
            let Some(name) = least.map(|runner| runner.name.clone()) else { return };
            self.let_go(&name, Release::NoJobWaits);
        }
    }

    /// Takes back whom nobody needed a moment ago, the most advanced first, before anybody
    /// new is hired.
    pub(super) fn take_back(&mut self, key: &ClassKey) {
        loop {
            let Some(class) = self.state.classes.get(key) else { return };
            let counts = self.state.runners.counts(key);
            if counts.returning == 0 || counts.supply >= class.demand() {
                return;
            }
            work::count(class.runners.len());
            let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
            let most = runners
                .filter(|r| r.can_return() && !self.is_past_use(r))
                .max_by_key(|r| r.advance());
            let Some(name) = most.map(|runner| runner.name.clone()) else { return };
            self.return_to_work(&name);
        }
    }

    /// Whether the class would hire if there were room. Asks for a credential on the way.
    pub(super) fn refresh(&mut self, key: &ClassKey) {
        work::count(1);
        let sent = self.state.runners.counts(key).sent();
        let class = self.state.classes.get(key);
        let wants = class.is_some_and(|class| class.hold.is_none() && sent < class.wanted());
        let for_people = class.is_some_and(|class| sent < class.people());
        if wants && self.state.scope_may_try(key, self.now) && self.has_credential(key) {
            self.state.hungry.insert(key.clone());
            match for_people {
                true => self.state.hungry_people.insert(key.clone()),
                false => self.state.hungry_people.remove(key),
            };
        } else {
            self.state.sated(key);
        }
    }

    /// Gives what room there is to the hungry classes in turn.
    pub(super) fn fill_room(&mut self) {
        if self.state.hungry.is_empty() {
            return;
        }
        let max = self.state.rules.max as usize;
        while self.state.runners.alive() < max {
            let Some(key) = self.next_hungry() else { return };
            // It may have waited for room longer than its credential lived.
            if !self.has_credential(&key) {
                self.state.sated(&key);
                self.touch(&key);
                continue;
            }
            self.state.turn = Some(key.clone());
            if let Some(run) = key.run {
                self.state.run_turns.insert(key.breaker(), run);
            }
            let alive = self.state.runners.alive();
            self.hire(&key);
            self.refresh(&key);
            if self.state.runners.alive() == alive {
                // Nobody could be: it must not be its turn for ever.
                self.state.sated(&key);
            }
            self.touch(&key);
        }
    }

    /// The class whose turn it is. Turns go round the scopes of the pools; within a scope whose
    /// runs are classes of their own they go round these.
    fn next_hungry(&self) -> Option<ClassKey> {
        let after = self.state.turn.as_ref().map(|turn| turn.runs_of_scope().into_inner().1);
        let round = |people_first| {
            let after = after.clone().map(Bound::Excluded);
            after
                .and_then(|after| self.hungry_from(after, people_first))
                .or_else(|| self.hungry_from(Bound::Unbounded, people_first))
        };
        // Robots' cap holds while people wait elsewhere; who could use the room goes first.
        round(true).or_else(|| round(false).filter(|_| !self.state.people_wait_for_a_token()))
    }

    /// Skips a whole pool or scope that is full, so that many waiting classes cost nothing.
    fn hungry_from(&self, mut from: Bound<ClassKey>, people_first: bool) -> Option<ClassKey> {
        loop {
            let key = self.state.hungry.range((from, Bound::Unbounded)).next()?;
            let skipped = match self.obstacle(key) {
                None => match self.next_run(key, people_first) {
                    Some(key) => return Some(key.clone()),
                    None => key.runs_of_scope(),
                },
                Some(Obstacle::Scope) => key.runs_of_scope(),
                Some(Obstacle::Pool) => ClassKey::all_of_pool(&key.pool),
            };
            from = Bound::Excluded(skipped.into_inner().1);
        }
    }

    /// Of the hungry classes of a scope the one whose turn it is.
    fn next_run(&self, of: &ClassKey, people_first: bool) -> Option<&ClassKey> {
        let (first, last) = of.runs_of_scope().into_inner();
        let pool = self.state.rules.pool(&of.pool)?;
        let classes = match people_first && self.state.robots_have_theirs(of, pool) {
            true => &self.state.hungry_people,
            false => &self.state.hungry,
        };
        let served = self.state.run_turns.get(&of.breaker());
        let after = served.and_then(|run| {
            let served = ClassKey { run: Some(*run), ..first.clone() };
            classes.range((Bound::Excluded(served), Bound::Included(last.clone()))).next()
        });
        after.or_else(|| classes.range(first..=last).next())
    }

    /// What stands against hiring for any class of this one's scope.
    pub(super) fn obstacle(&self, key: &ClassKey) -> Option<Obstacle> {
        self.closed(key).or_else(|| self.full(key))
    }

    /// The same, where the room of warm runners counts as free: they give way.
    pub(super) fn obstacle_but_warm(&self, key: &ClassKey) -> Option<Obstacle> {
        self.closed(key).or_else(|| {
            let taken = self.state.runners.alive_of_pool(&key.pool);
            let pool = self.state.rules.pool(&key.pool)?;
            match taken - self.state.warm_of_pool(&key.pool) >= pool.max_runners as usize {
                true => Some(Obstacle::Pool),
                false => {
                    self.scope_is_full(key, self.state.warm_of(key)).then_some(Obstacle::Scope)
                }
            }
        })
    }

    /// What it is besides caps.
    pub(super) fn closed(&self, key: &ClassKey) -> Option<Obstacle> {
        work::count(1);
        let Some(pool) = self.state.rules.pool(&key.pool) else { return Some(Obstacle::Pool) };
        let tried = |gate: &Gate| gate.probe.is_some();
        let breaker = self.state.breaker(&key.pool, None).and_then(|b| b.gate.as_ref());
        let refused = self.state.refusals.get(&key.pool);
        let refused = refused.into_iter().chain(self.state.deposits.refused.get(&key.pool));
        let closed = refused.into_iter().any(|gate| !gate.may_pass(self.now));
        let closed = closed || self.is_paused(&key.pool);
        if closed || breaker.is_some_and(tried) || !self.nomad_takes_more(pool) {
            return Some(Obstacle::Pool);
        }
        let own = self.state.breaker(&key.pool, Some(&key.scope)).filter(|own| own.is_open());
        if own.and_then(|own| own.gate.as_ref()).is_some_and(tried) {
            return Some(Obstacle::Scope);
        }
        None
    }

    fn full(&self, key: &ClassKey) -> Option<Obstacle> {
        let pool = self.state.rules.pool(&key.pool)?;
        if self.state.runners.alive_of_pool(&key.pool) >= pool.max_runners as usize {
            return Some(Obstacle::Pool);
        }
        self.scope_is_full(key, 0).then_some(Obstacle::Scope)
    }

    /// Where so many of its runners do not count.
    pub(super) fn scope_is_full(&self, key: &ClassKey, spare: usize) -> bool {
        let cap = self.state.rules.pool(&key.pool).and_then(|it| it.max_runners_per_repository);
        let (Some(cap), ScopeKey::Repository(_)) = (cap, &key.scope) else { return false };
        let here = self.state.runners.alive_of_scope(&key.pool, &key.scope);
        here.saturating_sub(spare) >= cap as usize
    }

    /// Whether a dispatch of the pool may be sent at all: Nomad has shown its children there since
    /// the start, and after a failure one at a time until it answers again.
    fn nomad_takes_more(&self, pool: &Pool) -> bool {
        match self.state.nomad.get(&self.state.rules.place_of(pool)) {
            None | Some(NomadState::Unlisted(_)) => false,
            Some(NomadState::Listed) => true,
            Some(NomadState::Away(gate)) => gate.may_pass(self.now),
        }
    }

    /// Hires one runner for the class: one that is still owed a dispatch, else a new one.
    pub(super) fn hire(&mut self, key: &ClassKey) {
        let any = self.state.runners.counts(key).owed > 0;
        let owed = self.state.classes.get(key).filter(|_| any).and_then(|class| {
            let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
            let mut owed = runners.filter(|r| r.state == RunnerState::Wanted && r.is_supply());
            owed.next().map(|runner| runner.name.clone())
        });
        let name = match owed {
            Some(name) => {
                self.renew(&name);
                name
            }
            None => match self.new_runner(key) {
                Some(name) => name,
                None => return,
            },
        };
        let now = self.now;
        self.change(&name, |runner| {
            runner.state = match runner.is_minted_first() {
                true => RunnerState::Dispatching(Sending::Minting),
                false => {
                    runner.first_sent_at.get_or_insert(now);
                    RunnerState::Dispatching(Sending::Sent)
                }
            };
            runner.reason = None;
        });
        self.state.each_gate_of(key, |gate| {
            gate.probe.get_or_insert_with(|| name.clone());
        });
        self.drive(&name);
    }

    fn new_runner(&mut self, key: &ClassKey) -> Option<RunnerName> {
        let class = self.state.classes.get(key)?;
        let pool = self.state.rules.pool(&key.pool)?;
        // A job is the cause of one live dispatch at most, so the first that is of none yet.
        let cause = class.unnamed.first().map(|(_, job)| *job);
        let first = class.waiting.first().and_then(|id| self.state.jobs.get(id));
        let mut known = self.state.repositories.values();
        let scope_name = match (&key.scope, first) {
            (ScopeKey::Repository(id), _) => self.state.repositories.get(id)?.full_name.clone(),
            (ScopeKey::Organization(_), Some(job)) => {
                self.state.repositories.get(&job.repository)?.owner().to_owned()
            }
            (ScopeKey::Organization(login), None) => {
                known.find(|it| it.owner().eq_ignore_ascii_case(login))?.owner().to_owned()
            }
        };
        let name = runner_name::draw(&self.state.rules.name_prefix, &key.pool, self.rng);
        let runner = Runner {
            cause,
            place: Some(self.state.rules.place_of(pool)),
            credential: pool.credential,
            by_claim: pool.delivery == Delivery::Claim,
            parent: pool.nomad_job.clone(),
            ..Runner::new(name.clone(), key.clone(), scope_name, self.now)
        };
        let (waiting, supply) = (class.waiting.len(), self.state.runners.counts(key).supply + 1);
        self.state.runners.insert(runner);
        if let Some(class) = self.state.classes.get_mut(key) {
            class.runners.insert(name.clone());
        }
        self.name_cause(&name, cause);
        let asked = self.state.floors.asked.get(key).copied().unwrap_or_default();
        let what = match supply > waiting {
            true => Happened::WarmLaunched { idle: supply - waiting, asked },
            false => Happened::RunnerLaunched { waiting, supply },
        };
        self.happened_to(&name, what);
        Some(name)
    }

    /// A runner that is still owed goes out by the rules of today, and for a job that waits.
    fn renew(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let Some(class) = self.state.classes.get(&runner.class) else { return };
        let Some(pool) = self.state.rules.pool(&runner.class.pool).cloned() else { return };
        let (old, cause) = (runner.cause, class.unnamed.first().map(|(_, job)| *job));
        // One that is held back is launched for nobody: not for it either.
        let waits = |job: &JobId| class.waiting.contains(job) && !class.held.contains(job);
        let stale = old.is_none_or(|job| !waits(&job));
        let place = self.state.rules.place_of(&pool);
        self.change(name, |runner| {
            runner.place = Some(place);
            runner.parent = pool.nomad_job;
            runner.credential = pool.credential;
            runner.by_claim = pool.delivery == Delivery::Claim;
        });
        if !stale || cause.is_none() {
            return;
        }
        if let Some(job) = old.and_then(|id| self.state.jobs.get_mut(&id))
            && job.cause_of.as_ref() == Some(name)
        {
            let id = job.id();
            job.cause_of = None;
            self.jobs.insert(id);
            self.unname(id);
        }
        self.change(name, |runner| runner.cause = cause);
        self.name_cause(name, cause);
    }

    /// Who is kept is there for a job that waits, and that nobody else was launched for: its own, if that is
    /// queued again.
    pub(super) fn find_cause(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let Some(class) = self.state.classes.get(&runner.class) else { return };
        let job = runner.cause.and_then(|id| self.state.jobs.get(&id));
        if job.is_some_and(|job| job.cause_of.as_ref() == Some(name)) {
            return;
        }
        let free = |job: &&Job| job.cause_of.is_none() && class.waiting.contains(&job.id());
        let own = job.filter(free).map(Job::id);
        let cause = own.or_else(|| class.unnamed.first().map(|(_, id)| *id));
        self.change(name, |runner| runner.cause = cause);
        self.name_cause(name, cause);
    }

    fn name_cause(&mut self, name: &RunnerName, cause: Option<JobId>) {
        let Some(job) = cause.and_then(|id| self.state.jobs.get_mut(&id)) else { return };
        let id = job.id();
        job.cause_of = Some(name.clone());
        self.jobs.insert(id);
        let key = self.state.enlisted.get(&id);
        if let Some(class) = key.and_then(|key| self.state.classes.get_mut(key)) {
            class.withdraw(job);
        }
    }

    /// The request that a runner in `Dispatching(Sent)` is owed.
    pub(super) fn order(&self, runner: &Runner) -> Option<Request> {
        let pool = self.state.rules.pool(&runner.class.pool)?;
        let target = self.target_of(runner);
        let cause = runner.cause.and_then(|id| self.state.known_job(id)).cloned();
        let repository_id = match (&runner.class.scope, &cause) {
            (ScopeKey::Repository(id), _) => Some(*id),
            (ScopeKey::Organization(_), Some(job)) => Some(job.repository),
            // Any repository of the organization has its page under the organization's.
            (ScopeKey::Organization(_), None) => self
                .state
                .repositories
                .values()
                .find(|r| r.owner().eq_ignore_ascii_case(&runner.scope_name))
                .map(|r| r.id),
        };
        let repository = repository_id.and_then(|id| self.state.repositories.get(&id)).cloned();
        let page =
            repository.as_ref().map(|r| r.html_url.trim_end_matches('/')).unwrap_or_default();
        let runner_url = match (&self.state.rules.forge.runner_url, &runner.class.scope) {
            (Some(url), _) => url.clone(),
            (None, ScopeKey::Repository(_)) => page.to_owned(),
            (None, ScopeKey::Organization(_)) => {
                page.rsplit_once('/').map_or_else(String::new, |(owner, _)| owner.to_owned())
            }
        };
        Some(Request::Dispatch(Box::new(DispatchOrder {
            runner: runner.name.clone(),
            pool: pool.name.clone(),
            idempotency_token: runner.idempotency_token(),
            scope: runner.class.scope.clone(),
            target,
            credential: runner.credential,
            deposit: runner.deposit.clone(),
            labels: pool.labels_of(&runner.class),
            runner_url,
            place: self.state.rules.place_of_runner(runner),
            parent: runner.parent.clone(),
            // In organization scope without a cause nothing says which repository it is for.
            repository: repository.filter(|_| {
                cause.is_some() || matches!(runner.class.scope, ScopeKey::Repository(_))
            }),
            cause,
            again: runner.sends > 0,
        })))
    }

    /// Puts a class on hold, or lifts it.
    pub(super) fn set_hold(&mut self, key: &ClassKey, hold: Option<Hold>) {
        if let Some(class) = self.state.classes.get_mut(key) {
            class.hold = hold;
        }
        self.touch(key);
    }
}
