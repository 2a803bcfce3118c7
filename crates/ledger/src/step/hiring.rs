//! Holds supply to demand: `supply = min(demand, room)` for every class, room going round the
//! classes in turn. How a single dispatch is followed is in `dispatching`.

use std::ops::Bound;

use rand::Rng;

use super::Fold;
use crate::class::Hold;
use crate::effect::DispatchOrder;
use crate::runner::{Runner, RunnerState, Sending};
use crate::state::NomadState;
use crate::{
    ClassKey, JobId, Note, Pool, PoolName, RepositoryId, Request, RunId, RunnerName, ScopeKey,
    runner_name,
};

/// What keeps a hungry class from hiring, and with it its neighbours.
enum Obstacle {
    Pool,
    Repository,
    Class,
}

impl<R: Rng> Fold<'_, R> {
    /// Lets go of whoever is more than demand needs, the least advanced first.
    pub(super) fn let_go_of_surplus(&mut self, key: &ClassKey) {
        loop {
            let Some(class) = self.state.classes.get(key) else { return };
            let supply = self.state.runners.counts(key).supply;
            if supply <= class.waiting.len() || !self.may_let_go(key) {
                return;
            }
            let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
            let least = runners.filter(|r| r.is_supply()).min_by_key(|r| r.advance());
            let Some(name) = least.map(|runner| runner.name.clone()) else { return };
            self.let_go(&name, "no job waits for it");
        }
    }

    /// Takes back whom nobody needed a moment ago, the most advanced first, before anybody
    /// new is hired.
    pub(super) fn take_back(&mut self, key: &ClassKey) {
        loop {
            let Some(class) = self.state.classes.get(key) else { return };
            let counts = self.state.runners.counts(key);
            if counts.returning == 0 || counts.supply >= class.waiting.len() {
                return;
            }
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
        let wants = self.state.classes.get(key).is_some_and(|class| {
            class.hold.is_none() && self.state.runners.counts(key).sent() < class.waiting.len()
        });
        if wants && self.has_credential(key) {
            self.state.hungry.insert(key.clone());
        } else {
            self.state.hungry.remove(key);
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
                self.state.hungry.remove(&key);
                self.touch(&key);
                continue;
            }
            self.state.turn = Some(key.clone());
            let alive = self.state.runners.alive();
            self.hire(&key);
            self.refresh(&key);
            if self.state.runners.alive() == alive {
                // Nobody could be: it must not be its turn for ever.
                self.state.hungry.remove(&key);
            }
            self.touch(&key);
        }
    }

    /// The first class after the one served last that may hire under its pool's caps.
    fn next_hungry(&self) -> Option<ClassKey> {
        let after = self.state.turn.clone().map(Bound::Excluded);
        let round = |people_first| {
            after
                .clone()
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
            from = match self.obstacle(key, people_first) {
                None => return Some(key.clone()),
                Some(Obstacle::Pool) => Bound::Included(ClassKey {
                    // The next possible name, and the first of its keys.
                    pool: PoolName(format!("{}\0", key.pool)),
                    scope: ScopeKey::Repository(RepositoryId(0)),
                    run: None,
                }),
                Some(Obstacle::Repository) => {
                    Bound::Excluded(ClassKey { run: Some(RunId(u64::MAX)), ..key.clone() })
                }
                Some(Obstacle::Class) => Bound::Excluded(key.clone()),
            };
        }
    }

    fn obstacle(&self, key: &ClassKey, people_first: bool) -> Option<Obstacle> {
        let Some(pool) = self.state.rules.pool(&key.pool) else { return Some(Obstacle::Pool) };
        let taken = self.state.runners.alive_of_pool(&key.pool);
        let breaker = self.state.breakers.get(&key.pool).and_then(|b| b.gate.as_ref());
        let mut gates = self.state.refusals.get(&key.pool).into_iter().chain(breaker);
        let closed = gates.any(|gate| !gate.may_pass(self.now));
        let full = taken >= pool.max_runners as usize || self.is_paused(&key.pool);
        if full || closed || !self.nomad_takes_more(pool) {
            return Some(Obstacle::Pool);
        }
        if people_first && self.state.robots_have_theirs(key, pool) {
            return Some(Obstacle::Class);
        }
        let (Some(cap), ScopeKey::Repository(_)) = (pool.max_runners_per_repository, &key.scope)
        else {
            return None;
        };
        let here = self.state.runners.alive_of_scope(&key.pool, &key.scope);
        (here >= cap as usize).then_some(Obstacle::Repository)
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
    fn hire(&mut self, key: &ClassKey) {
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
            runner.state = RunnerState::Dispatching(Sending::Sent);
            runner.first_sent_at.get_or_insert(now);
            runner.reason = None;
        });
        for gate in self.state.gates_of(&key.pool) {
            gate.probe.get_or_insert_with(|| name.clone());
        }
        self.drive(&name);
    }

    fn new_runner(&mut self, key: &ClassKey) -> Option<RunnerName> {
        let class = self.state.classes.get(key)?;
        let pool = self.state.rules.pool(&key.pool)?;
        // A job is the cause of one live dispatch at most, so the first that is of none yet.
        let cause = class.unnamed.first().copied();
        let first = class.waiting.first().and_then(|id| self.state.jobs.get(id))?;
        let repository = self.state.repositories.get(&first.repository)?;
        let scope_name = match &key.scope {
            ScopeKey::Repository(_) => repository.full_name.clone(),
            ScopeKey::Organization(_) => repository.owner().to_owned(),
        };
        let name = runner_name::draw(&self.state.rules.name_prefix, &key.pool, self.rng);
        let runner = Runner {
            cause,
            place: Some(self.state.rules.place_of(pool)),
            parent: pool.nomad_job.clone(),
            ..Runner::new(name.clone(), key.clone(), scope_name, self.now)
        };
        let (waiting, supply) = (class.waiting.len(), self.state.runners.counts(key).supply + 1);
        self.state.runners.insert(runner);
        if let Some(class) = self.state.classes.get_mut(key) {
            class.runners.insert(name.clone());
        }
        self.name_cause(&name, cause);
        self.note(Note {
            message: format!("runner hired ({waiting} waiting, {supply} hired for them)"),
            job: cause,
            run: key.run,
            repository: self.state.runners.get(&name).map(|r| r.scope_name.clone()),
            runner: Some(name.clone()),
            pool: Some(key.pool.clone()),
            ..Note::default()
        });
        Some(name)
    }

    /// A runner that is still owed goes out by the rules of today, and for a job that waits.
    fn renew(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let Some(class) = self.state.classes.get(&runner.class) else { return };
        let Some(pool) = self.state.rules.pool(&runner.class.pool).cloned() else { return };
        let (old, cause) = (runner.cause, class.unnamed.first().copied());
        let stale = old.is_none_or(|job| !class.waiting.contains(&job));
        let place = self.state.rules.place_of(&pool);
        self.change(name, |runner| {
            runner.place = Some(place);
            runner.parent = pool.nomad_job;
        });
        if !stale || cause.is_none() {
            return;
        }
        if let Some(job) = old.and_then(|id| self.state.jobs.get_mut(&id))
            && job.cause_of.as_ref() == Some(name)
        {
            job.cause_of = None;
            self.jobs.insert(job.report.id);
        }
        self.change(name, |runner| runner.cause = cause);
        self.name_cause(name, cause);
    }

    fn name_cause(&mut self, name: &RunnerName, cause: Option<JobId>) {
        let Some(job) = cause.and_then(|id| self.state.jobs.get_mut(&id)) else { return };
        let id = job.id();
        job.cause_of = Some(name.clone());
        self.jobs.insert(id);
        if let Some(class) =
            self.state.enlisted.get(&id).and_then(|key| self.state.classes.get_mut(key))
        {
            class.unnamed.remove(&id);
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
        let labels = match runner.class.run {
            Some(run) => pool.labels_for(run).collect(),
            None => pool.labels.clone(),
        };
        Some(Request::Dispatch(Box::new(DispatchOrder {
            runner: runner.name.clone(),
            pool: pool.name.clone(),
            idempotency_token: runner.idempotency_token(),
            scope: runner.class.scope.clone(),
            target,
            labels,
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
