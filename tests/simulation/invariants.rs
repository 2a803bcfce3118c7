//! What must hold at every step, whatever goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use roustabout::ledger::effect::{DispatchOrder, Target};
use roustabout::ledger::state::NomadState;
use roustabout::ledger::why;
use roustabout::ledger::{
    BreakerKey, ClassKey, Job, JobStatus, Request, RunnerName, RunnerState, ScopeKey, State, Time,
    Visibility,
};
use simulated::github::model::{MINUTE, SECOND};
use simulated::github::{GitHub, Head};
use simulated::nomad::{DispatchCall, JobKey};

use crate::calls::TOKEN;
use crate::daemon::Batch;
use crate::door::SECRET;
use crate::follower::{NAMESPACE, place};
use crate::troubles::Trouble;
use crate::watching::Watching;
use crate::world::World;

/// How long after a look a stop may act: one round trip, time-outs and all.
const ROUND_TRIP: i64 = 60 * SECOND;

impl World {
    /// After each fold: supply follows demand, caps hold, and each waiting job has its reason.
    pub fn check_ledger(&mut self) {
        let now = self.time();
        let Some(daemon) = &self.daemon else { return };
        let state = &daemon.state;
        let caps_may_be_passed = self.caps_may_be_passed();
        let watching = &mut self.watching;
        for (key, class) in &state.classes {
            let waiting = class.waiting.len();
            // Counted here from the runners themselves.
            let members = || class.runners.iter().filter_map(|name| state.runners.get(name));
            let sent =
                members().filter(|r| r.is_supply() && r.state != RunnerState::Wanted).count();
            if sent != state.runners.counts(key).sent() {
                let counts = state.runners.counts(key);
                watching.broken(|| format!("{sent} runners of {key:?} are supply, not {counts:?}"));
            }
            // After a start nobody is let go before everything was seen once.
            let refused = |id| state.swept.refused.contains(&id);
            let held = matches!(key.scope, ScopeKey::Repository(id) if refused(id));
            let shown = state.nomad.get(&place());
            let is_listed = matches!(shown, Some(NomadState::Listed | NomadState::Away(_)));
            if sent > waiting && state.swept.settled && !held && is_listed {
                watching.broken(|| format!("{sent} runners hired for {waiting} jobs of {key:?}"));
            }
            let reason = why::class_waits(state, key, now);
            if waiting > 0 && reason.is_none() {
                watching.broken(|| format!("{waiting} jobs of {key:?} wait without a reason"));
            }
            // Else the tick that says that a time is over is still to come.
            let is_due = state.next_timer().is_some_and(|at| at <= now);
            let told = reason.filter(|why| !(is_due && why.contains("is about to be launched")));
            if let Some(reason) = told.filter(|reason| !is_true(state, key, now, reason)) {
                watching
                    .broken(|| format!("{waiting} jobs of {key:?} wait, and not for: {reason}"));
            }
        }
        for job in state.jobs.values().filter(|job| job.report.status == JobStatus::Queued) {
            let id = job.id();
            let class = state.enlisted.get(&id).and_then(|key| state.classes.get(key));
            let waits = class.is_some_and(|class| class.waiting.contains(&id));
            if waits != job.is_demand() {
                watching.broken(|| format!("job {id} is demand, and in no class: or the reverse"));
            }
            if !waits && job.verdict.reason().is_none() {
                watching.broken(|| format!("job {id} is not served, and nobody says why"));
            }
        }
        let alive = state.runners.values().filter(|runner| runner.is_alive());
        let mut pools = BTreeMap::new();
        let mut repositories = BTreeMap::new();
        for runner in alive {
            *pools.entry(&runner.class.pool).or_insert(0) += 1;
            if let ScopeKey::Repository(id) = runner.class.scope {
                *repositories.entry((&runner.class.pool, id)).or_insert(0) += 1;
            }
        }
        if caps_may_be_passed {
            return;
        }
        if pools.values().sum::<u32>() > self.rules.max {
            watching.broken(|| format!("more than {} runners: {pools:?}", self.rules.max));
        }
        for pool in &self.rules.pools {
            if pools.get(&pool.name).is_some_and(|alive| *alive > pool.max_runners) {
                watching.broken(|| format!("more than max_runners of {}: {pools:?}", pool.name));
            }
            let cap = pool.max_runners_per_repository.unwrap_or(u32::MAX);
            if repositories.iter().any(|((of, _), alive)| **of == pool.name && *alive > cap) {
                watching.broken(|| format!("a repository has more than {cap} of {}", pool.name));
            }
        }
    }

    /// What an earlier config allowed may still live; and a dispatch that was given up, looked
    /// for and not found may arrive after all.
    fn caps_may_be_passed(&self) -> bool {
        let excuses = [Trouble::ConfigChanges, Trouble::RequestsActLate];
        excuses.into_iter().any(|trouble| self.weather.has(trouble))
    }

    /// Scopes of pools of which the rows say that nobody is launched now, and until when.
    pub fn closed_in_rows(&self) -> BTreeMap<BreakerKey, Time> {
        let now = self.time();
        let gates = self.disk.breakers.iter().filter(|(key, _)| key.scope.is_some());
        let gates = gates.filter_map(|(key, it)| Some((key.clone(), it.gate.as_ref()?.until)));
        gates.filter(|(_, until)| *until > now).collect()
    }

    /// Whatever life of the daemon counted an end without a job: nobody is launched before the
    /// pause is over that followed from it.
    pub fn check_pauses(&mut self, closed: &BTreeMap<BreakerKey, Time>, requests: &[Request]) {
        let now = self.time();
        let still = self.closed_in_rows();
        for request in requests {
            let Request::Dispatch(order) = request else { continue };
            if order.again {
                continue;
            }
            let cause = order.cause.as_ref().and_then(|job| self.disk.jobs.get(&job.id()));
            let held = cause.is_some_and(|job| job.is_held(now));
            let key = BreakerKey { pool: order.pool.clone(), scope: Some(order.scope.clone()) };
            if held || still.get(&key).is_some_and(|until| closed.get(&key) == Some(until)) {
                let runner = &order.runner;
                self.watching.broken(|| format!("{runner} is launched before a pause is over"));
            }
        }
    }

    /// After each commit: the rows are what is in memory, so a crash now loses nothing.
    pub fn check_rows(&mut self) {
        let Some(daemon) = self.daemon.as_ref().filter(|daemon| !daemon.rows_lag) else { return };
        for (id, job) in &daemon.state.jobs {
            if self.disk.jobs.get(id) != Some(job) {
                let row = self.disk.jobs.get(id);
                self.watching.broken(|| format!("job {id} is not its row: {job:?}, {row:?}"));
            }
        }
        for (name, runner) in daemon.state.runners.iter() {
            let mut known = runner.clone();
            let row = self.disk.runners.get(name);
            // Neither is written: a start sets them anew.
            known.in_flight = row.is_some_and(|row| row.in_flight);
            known.clock = row.and_then(|row| row.clock);
            if row != Some(&known) {
                self.watching
                    .broken(|| format!("runner {name} is not its row: {known:?}, {row:?}"));
            }
        }
        let open = self.disk.runners.values().filter(|row| row.ended_at.is_none());
        for row in open {
            if !daemon.state.runners.contains_key(&row.name) {
                self.watching
                    .broken(|| format!("the row of {} is open, and nobody knows it", row.name));
            }
        }
    }

    /// Nothing that people or disks get to see holds a credential.
    pub fn check_secrets(&mut self, batch: &Batch) {
        let Some(daemon) = &self.daemon else { return };
        let tokens = daemon.tokens.values().map(|(secret, _)| secret.as_str());
        let tokens: Vec<&str> = tokens.chain([TOKEN, SECRET]).collect();
        let seen = batch.happenings.iter().map(|happening| format!("{happening:?}"));
        let sent = batch.requests.iter().map(|request| format!("{request:?}"));
        let kept = batch.records.iter().map(|record| format!("{record:?}"));
        for text in seen.chain(sent).chain(kept) {
            if tokens.iter().any(|token| text.contains(token)) {
                self.watching.broken(|| format!("a credential is in sight: {text}"));
                return;
            }
        }
    }

    /// Whoever may list jobs in Nomad sees meta; the payload takes a right of its own.
    pub fn check_meta(&mut self, call: &DispatchCall) {
        let Some(secret) = &call.payload else { return };
        let secret = std::str::from_utf8(secret).unwrap();
        if let Some((key, _)) = call.meta.iter().find(|(_, value)| value.contains(secret)) {
            self.watching.broken(|| format!("a credential is in sight: meta key {key}"));
        }
    }

    /// Before a request leaves: nobody is hired for whom the policy does not allow, as far as
    /// the ledger knows at this moment.
    pub fn check_requests(
        github: &GitHub,
        always_public: u64,
        state: &State,
        requests: &[Request],
        watching: &mut Watching,
    ) {
        for request in requests {
            let Request::Dispatch(order) = request else { continue };
            if state.pauses.contains_key(&order.pool) && !order.again {
                watching.broken(|| format!("{} is hired, and its pool is paused", order.runner));
            }
            if let Some(why) = stranger(github, always_public, state, order) {
                watching.broken(|| format!("{} is hired for {why}", order.runner));
            }
        }
    }

    /// Whenever Nomad has changed: one child a runner, and never more alive than allowed.
    pub fn check_cluster(&mut self) {
        if self.watching.index == self.nomad.index() {
            return;
        }
        self.watching.index = self.nomad.index();
        let mut tokens = BTreeMap::new();
        let mut parents = BTreeMap::new();
        for (key, child) in self.nomad.children() {
            if let Some(other) = tokens.insert(&child.token, key) {
                let token = child.token.clone().unwrap_or_default();
                self.watching.broken(|| format!("{token} has two children: {other:?}, {key:?}"));
            }
            // One that was dead may live once more, when its node comes back.
            let lives = self.nomad.is_alive(key);
            if !lives {
                self.watching.died(key, self.now);
            } else if !self.watching.was_dead(key) {
                *parents.entry(&child.parent).or_insert(0) += 1;
            }
        }
        if self.caps_may_be_passed() {
            return;
        }
        for pool in &self.rules.pools {
            let alive = parents.get(&pool.nomad_job).copied().unwrap_or(0);
            if alive > pool.max_runners {
                let cap = pool.max_runners;
                self.watching
                    .broken(|| format!("{alive} children of {} live, of {cap}", pool.name));
            }
        }
        let all = parents.values().sum::<u32>();
        if all > self.rules.max {
            let cap = self.rules.max;
            self.watching.broken(|| format!("{all} children live, of {cap}"));
        }
    }

    /// Before a request is sent: no dispatch of the same runner is under way.
    pub fn check_once(&mut self, request: &Request) {
        let (Request::Dispatch(order), Some(daemon)) = (request, &mut self.daemon) else { return };
        if !daemon.dispatching.insert(order.runner.clone()) {
            self.watching.broken(|| format!("two dispatches of {} at once", order.runner));
        }
    }

    /// Now and then: the end of a child is noticed.
    pub fn check_followed(&mut self) {
        let Some(daemon) = self.daemon.as_ref().filter(|one| one.since + MINUTE < self.now) else {
            return;
        };
        let spared = self.weather.has(Trouble::NomadFails) || self.setting.nomad_is_away;
        let supply = daemon.state.runners.values().filter(|runner| runner.is_supply());
        for (runner, child) in supply.filter_map(|runner| Some((runner, runner.child.as_ref()?))) {
            let key = JobKey::new(NAMESPACE, child);
            let known = self.watching.known_since(&key, self.now);
            let died = self.watching.death_of(&key).map(|at| at.max(known).max(self.nomad_back_at));
            let late = died.is_some_and(|at| at + MINUTE < self.now);
            if late && !spared && !self.nomad.is_alive(&key) {
                let name = &runner.name;
                self.watching.broken(|| format!("{name} is supply, and its child is long dead"));
                return;
            }
        }
    }

    /// Before a stop acts: it must not hit a runner that has a job, but in the one window that
    /// remains. A job that was there to be seen at the last look is never in it.
    pub fn check_stop(&mut self, runner: &RunnerName, child: &JobKey) {
        let Some(process) =
            self.nomad.allocations_of(child).find_map(|one| self.processes.get(&one.id))
        else {
            return;
        };
        let Some(registered) = &process.registered else { return };
        let given = self.github.runner(registered.id).and_then(|one| one.job);
        let Some(given) = given else { return };
        let job = self.github.job(given.job);
        let started = job.and_then(|job| job.started_at).filter(|_| process.job.is_some());
        self.watching.excuse(given.job);
        let Some(look) = self.watching.look_at(runner) else {
            return self.watching.broken(|| format!("{runner} is stopped at work, without a look"));
        };
        let visible = started.is_some_and(|at| at <= look) || given.at + MINUTE <= look;
        if visible || self.now > look + ROUND_TRIP {
            let (age, job) = (self.now - look, given.job);
            self.watching.broken(|| {
                format!("{runner} is stopped at work on job {job}, {age} ms after the last look")
            });
        }
        let grace = self.rules.pools.first().map_or(0, |pool| pool.release_grace.as_millis());
        let grace = i64::try_from(grace).unwrap_or(0);
        if self.watching.deletion_of(runner).is_some_and(|at| self.now < at + grace) {
            self.watching.broken(|| format!("{runner} is stopped at work before release_grace"));
        }
    }

    /// Whether each delivery that was answered with 2xx is in the inbox, or folded.
    pub fn check_promises(&mut self) {
        let lost: Vec<String> = self
            .watching
            .promises()
            .filter(|guid| !self.disk.deliveries.contains_key(&guid.as_str().into()))
            .cloned()
            .collect();
        if let Some(guid) = lost.first() {
            self.watching.broken(|| format!("delivery {guid} was answered with 2xx, and is lost"));
        }
        let folded = self.disk.deliveries.iter().filter(|(_, row)| row.is_none());
        if folded.count() > 0 && self.disk.jobs.is_empty() {
            self.watching.broken(|| "deliveries are folded, and no job is known".to_owned());
        }
    }
}

/// Whether what a reason claims is so at this moment.
fn is_true(state: &State, key: &ClassKey, now: Time, reason: &str) -> bool {
    let says = |text| reason.contains(text);
    // What is said to happen at a time has not happened yet; it is printed without its fraction of
    // a second.
    let mut times = ["tried again at ", "launched before ", "paused until "]
        .iter()
        .filter_map(|before| reason.split_once(before))
        .filter_map(|(_, rest)| rest.split([' ', ';', ',']).next()?.parse().ok());
    if times.any(|at: jiff::Timestamp| Time::from(at) + Duration::from_secs(1) <= now) {
        return false;
    }
    let alive = || state.runners.values().filter(|runner| runner.is_alive());
    let of_pool = || alive().filter(|runner| runner.class.pool == key.pool);
    let here = || of_pool().filter(|runner| runner.class.scope == key.scope);
    let pool = state.rules.pool(&key.pool);
    let reaches = |count: usize, cap: Option<u32>| cap.is_some_and(|cap| count >= cap as usize);
    if says("([runners] max)") {
        reaches(alive().count(), Some(state.rules.max))
    } else if says("(max_runners)") {
        reaches(of_pool().count(), pool.map(|pool| pool.max_runners))
    } else if says("(max_runners_per_repository)") {
        reaches(here().count(), pool.and_then(|pool| pool.max_runners_per_repository))
    } else if says("is about to be launched") {
        // Who could be hired has been.
        false
    } else if says("no longer in the config") {
        pool.is_none()
    } else if says("is paused") {
        state.pauses.contains_key(&key.pool)
    } else if says("Nomad cannot be reached") || says("first listing") {
        !matches!(state.nomad.get(&place()), Some(NomadState::Listed))
    } else if says("a registration token") {
        state.credentials.contains_key(&key.scope)
    } else if says("Nomad refused the dispatch") {
        state.refusals.contains_key(&key.pool)
    } else {
        true
    }
}

fn stranger(
    github: &GitHub,
    always_public: u64,
    state: &State,
    order: &DispatchOrder,
) -> Option<String> {
    if let Target::Repository(name) = &order.target {
        let known = state.repositories.values().find(|one| one.full_name == *name);
        if known.is_none_or(|one| one.visibility != Visibility::Private) {
            return Some(format!("{name}, which is public"));
        }
        if known.is_some_and(|one| one.id.0 == always_public) {
            return Some(format!("{name}, which was always public"));
        }
    }
    let cause = order.cause.as_ref().map(Job::id)?;
    let Some(job) = github.job(cause.0) else {
        return Some(format!("job {cause}, which GitHub does not have"));
    };
    let run = github.run(job.run)?;
    (run.spec.head != Head::Same).then(|| format!("job {cause} of a fork"))
}
