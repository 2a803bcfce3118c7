//! What must hold at every step, whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use ledger::effect::{DispatchOrder, Target};
use ledger::event::{AtForge, ChildPhase, Deletion};
use ledger::runner::Sending;
use ledger::state::NomadState;
use ledger::why;
use ledger::{
    Breaker, BreakerKey, ClassKey, Effects, Event, Job, JobId, JobStatus, Request, Runner,
    RunnerName, RunnerState, ScopeKey, State, Visibility,
};
use roustabout::store::{Reader, Unfinished};
use serde_json::Value;
use simulated::github::model::{MINUTE, Millis, SECOND};
use simulated::github::{GitHub, Head};
use simulated::nomad::JobKey;

use crate::door::SECRET;
use crate::life::Memory;
use crate::luck::Away;
use crate::settings::TOKEN;
use crate::troubles::Trouble;
use crate::warm;
use crate::world::World;

/// How long after a look a stop may leave: one round trip, time-outs and all. One that arrives long after it
/// was given up is nobody's fault.
const ROUND_TRIP: i64 = 60 * SECOND;

impl World {
    /// After each fold: supply follows demand, caps hold, and each waiting job has its reason.
    pub fn check_ledger(&mut self, state: &State) {
        self.check_structure(state);
        let now = self.ledger_time();
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
            let floor = warm::asked(state, key, now);
            if sent > waiting + floor && may_let_go(state, key) {
                watching.broken(|| {
                    format!(
                        "{sent} runners hired for {waiting} jobs of {key:?} and a floor of {floor}"
                    )
                });
            }
            let reason = why::class_waits(state, key, now);
            if waiting > 0 && reason.is_none() {
                watching.broken(|| format!("{waiting} jobs of {key:?} wait without a reason"));
            }
            if let Some(reason) = reason.filter(|reason| !is_true(state, key, reason, now)) {
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
        self.check_warm(state);
        self.check_caps(state);
    }

    /// By the config of this moment. Who lives by an earlier one, or came to light (another life's,
    /// whose rows are lost; one whose dispatch arrived after it was given up), may make it more than a
    /// cap; but nobody is added to what has reached one.
    fn check_caps(&mut self, state: &State) {
        let known = self.daemon.as_ref().map(|daemon| &daemon.seen.runners);
        let known =
            |name: &RunnerName| known.is_some_and(|known| known.iter().any(|(it, ..)| it == name));
        let is_new = |it: &&Runner| it.state == RunnerState::Wanted && !known(&it.name);
        let new: Vec<&Runner> = state.runners.values().filter(is_new).collect();
        for one in new {
            let class = &one.class;
            // By the machine's clock, whenever that is set.
            let (hired, now) = (one.hired_at.0, self.ledger_time().0);
            if hired.abs_diff(now) > SECOND.unsigned_abs() {
                let name = &one.name;
                self.watching.broken(|| format!("{name} is launched at {hired}, and it is {now}"));
            }
            let alive = |of: &dyn Fn(&ClassKey) -> bool| {
                let alive = state.runners.values().filter(|runner| runner.is_alive());
                count(alive.filter(|runner| of(&runner.class)))
            };
            let pool = state.rules.pool(&class.pool);
            let of_repository = match class.scope {
                ScopeKey::Repository(_) => pool.and_then(|pool| pool.max_runners_per_repository),
                ScopeKey::Organization(_) => None,
            };
            for (what, alive, cap) in [
                ("max", alive(&|_| true), Some(state.rules.max)),
                (
                    "max_runners",
                    alive(&|it| it.pool == class.pool),
                    Some(pool.map_or(0, |pool| pool.max_runners)),
                ),
                (
                    "max_runners_per_repository",
                    alive(&|it| it.pool == class.pool && it.scope == class.scope),
                    of_repository,
                ),
            ] {
                if cap.is_some_and(|cap| alive > cap) {
                    let name = &one.name;
                    self.watching.broken(|| format!("{name} is one of {alive}, over {what}"));
                }
            }
        }
    }

    /// After each commit: the rows are what is in memory, so a crash now loses nothing. Looked at where
    /// memory was kept for it, and nothing was folded since the rows were handed in.
    pub fn check_rows(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        let seen = &mut daemon.seen;
        if seen.written != seen.folds {
            return;
        }
        let Some(Memory { jobs, runners }) = seen.memory.take() else { return };
        let rows = self.rows();
        let kept: BTreeMap<_, _> = rows.runners.iter().map(|row| (&row.name, row)).collect();
        for known in &runners {
            let row = kept.get(&known.name).copied();
            let mut known = known.clone();
            // Neither is written: a start sets them anew.
            known.in_flight = row.is_some_and(|row| row.in_flight);
            known.clock = row.and_then(|row| row.clock);
            if row != Some(&known) {
                let name = &known.name;
                self.watching
                    .broken(|| format!("runner {name} is not its row: {known:?}, {row:?}"));
            }
        }
        let known: BTreeSet<_> = runners.iter().map(|runner| &runner.name).collect();
        if let Some(row) = rows.runners.iter().find(|row| !known.contains(&row.name)) {
            let name = &row.name;
            self.watching.broken(|| format!("the row of {name} is open, and nobody knows it"));
        }
        let kept: BTreeMap<_, _> =
            self.open_jobs().into_iter().map(|job| (job.report.id, job)).collect();
        for known in &jobs {
            let row = kept.get(&known.report.id);
            if row != Some(known) {
                let id = known.report.id;
                self.watching.broken(|| format!("job {id} is not its row: {known:?}, {row:?}"));
            }
        }
    }

    /// Who has a credential of its own is launched when that is asked for, and dispatched when it is there.
    fn check_pauses_at_launch(&mut self, state: &State, name: &RunnerName) {
        let minting = RunnerState::Dispatching(Sending::Minting);
        let launched = state.runners.get(name).filter(|it| it.state == minting && !it.by_claim);
        if let Some(runner) = launched {
            self.check_pauses(state, name, &runner.class.breaker(), runner.cause);
        }
    }

    /// Whatever life counted an end without a job: nobody is launched before the pause is over that
    /// followed from it.
    fn check_pauses(
        &mut self,
        state: &State,
        runner: &RunnerName,
        key: &BreakerKey,
        cause: Option<JobId>,
    ) {
        let now = self.ledger_time();
        let held = cause.and_then(|job| state.jobs.get(&job));
        let held = held.is_some_and(|job| job.is_held(now));
        let until = |breaker: &Breaker| breaker.gate.as_ref().map(|gate| gate.until);
        let closed = state.breakers.get(key).and_then(until).filter(|until| *until > now);
        if held || (closed.is_some() && self.rows().breakers.get(key).and_then(until) == closed) {
            self.watching.broken(|| format!("{runner} is launched before a pause is over"));
        }
    }

    /// What a start would find now.
    pub fn rows(&mut self) -> Unfinished {
        self.reader().unfinished().unwrap()
    }

    pub fn open_jobs(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        self.reader().each_open_job(|job| jobs.push(job)).unwrap();
        jobs
    }

    /// Opening one takes much longer than reading; the next life may have another file.
    fn reader(&mut self) -> &Reader {
        let path = self.database();
        self.reader.get_or_insert_with(|| Reader::open(&path).unwrap())
    }

    /// Nothing that people or disks get to see holds a credential.
    pub fn check_secrets(&mut self, effects: &Effects) {
        let seen = effects.happenings.iter().map(|happening| format!("{happening:?}"));
        let sent = effects.requests.iter().map(|request| format!("{request:?}"));
        let kept = effects.records.iter().map(|record| format!("{record:?}"));
        for text in seen.chain(sent).chain(kept) {
            let minted = self.watching.minted.iter().map(String::as_str);
            if [TOKEN, SECRET].into_iter().chain(minted).any(|token| text.contains(token)) {
                self.watching.broken(|| format!("a credential is in sight: {text}"));
                return;
            }
        }
    }

    /// Whoever may list jobs in Nomad sees meta; the payload takes a right of its own.
    pub fn check_meta(&mut self, dispatch: &Value) {
        let payload = dispatch["Payload"].as_str().unwrap_or_default();
        let secret = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
        let secret = String::from_utf8(secret).unwrap();
        let minted = self.watching.minted.iter().map(String::as_str);
        let secrets: Vec<&str> = minted.chain([&*secret]).filter(|it| !it.is_empty()).collect();
        let holds = |value: &str| secrets.iter().any(|secret| value.contains(secret));
        let meta = dispatch["Meta"].as_object().into_iter().flatten();
        let shown = meta.filter(|(_, value)| value.as_str().is_some_and(holds));
        let shown = shown.map(|(key, _)| key.clone()).collect::<Vec<_>>();
        if let Some(key) = shown.first() {
            self.watching.broken(|| format!("a credential is in sight: meta key {key}"));
        }
    }

    /// Before a request leaves: nobody is hired for whom the policy does not allow, as far as
    /// the ledger knows at this moment.
    pub fn check_requests(&mut self, state: &State, requests: &[Request]) {
        for request in requests {
            if let Request::MintFor { runner, .. } = request {
                self.check_pauses_at_launch(state, runner);
            }
            let Request::Dispatch(order) = request else { continue };
            if state.pauses.contains_key(&order.pool) && !order.again {
                let runner = &order.runner;
                self.watching.broken(|| format!("{runner} is hired, and its pool is paused"));
            }
            let is_minted = state.runners.get(&order.runner).is_some_and(Runner::is_minted);
            if !order.again && !is_minted {
                let key = BreakerKey { pool: order.pool.clone(), scope: Some(order.scope.clone()) };
                self.check_pauses(state, &order.runner, &key, order.cause.as_ref().map(Job::id));
            }
            if let Some(why) = stranger(&self.github, self.setting.public, state, order) {
                self.watching.broken(|| format!("{} is hired for {why}", order.runner));
            }
        }
    }

    /// No dispatch of the same runner is under way.
    pub fn check_once(&mut self, runner: &RunnerName) {
        if !self.watching.dispatching.insert(runner.clone()) {
            self.watching.broken(|| format!("two dispatches of {runner} at once"));
        }
    }

    /// An answer that the ledger builds on: what a look has shown, and when it was asked for.
    pub fn check_answer(&mut self, event: &Event) {
        let shown_idle = match event {
            Event::DispatchAnswered { runner, .. } => {
                self.watching.dispatching.remove(runner);
                return;
            }
            Event::RegistrationDeleted { runner, answer: Ok(Deletion::NoNewJob) } => {
                return self.watching.deleted(runner, self.now);
            }
            Event::LookedForAtForge { runner, answer: Ok(AtForge::Nowhere) }
            | Event::PlacementSeen { runner, answer: Ok(ChildPhase::NotPlaced) } => runner,
            _ => return,
        };
        let asked = self.watching.asked.get(shown_idle).copied().unwrap_or(self.now);
        self.watching.looked(shown_idle, asked);
    }

    /// Whenever Nomad has changed: one child a runner, and never more alive than allowed.
    pub fn check_cluster(&mut self) {
        let nomad = self.nomad.lock();
        if self.watching.index == nomad.index() {
            return;
        }
        self.watching.index = nomad.index();
        let mut tokens = BTreeMap::new();
        let mut parents: BTreeMap<String, u32> = BTreeMap::new();
        for (key, child) in nomad.children() {
            if let Some(other) = tokens.insert(&child.token, key) {
                let token = child.token.clone().unwrap_or_default();
                self.watching.broken(|| format!("{token} has two children: {other:?}, {key:?}"));
            }
            // One that was dead may live once more, when its node comes back.
            if !nomad.is_alive(key) {
                self.watching.died(key, self.now);
            } else if !self.watching.was_dead(key) {
                *parents.entry(child.parent.clone()).or_insert(0) += 1;
            }
        }
        // Who came late, after nobody counted on it any more, is one more than allowed, each. A crash has
        // requests under way in any weather.
        let late = count(self.watching.late.iter().filter(|key| nomad.is_alive(key)));
        drop(tokens);
        drop(nomad);
        // Nothing that the config says meanwhile is more than this.
        for pool in &self.rules.pools {
            let alive = parents.get(&pool.nomad_job).copied().unwrap_or(0);
            let cap = pool.max_runners + late;
            if alive > cap {
                self.watching
                    .broken(|| format!("{alive} children of {} live, of {cap}", pool.name));
            }
        }
        let (all, cap) = (parents.values().sum::<u32>(), self.rules.max + late);
        // Whose database was lost knows a place's children only once that place has shown them, and
        // the others do not wait for it.
        let places = self.rules.pools.iter().map(|pool| &pool.namespace).collect::<BTreeSet<_>>();
        let unknown = places.len() > 1 && self.weather.has(Trouble::DatabaseLost);
        if all > cap && !unknown {
            self.watching.broken(|| format!("{all} children live, of {cap}"));
        }
    }

    /// Now and then: the end of a child is noticed.
    pub fn check_followed(&mut self) {
        let Some(daemon) = self.daemon.as_ref().filter(|one| one.since + 2 * MINUTE < self.now)
        else {
            return;
        };
        if self.weather.has(Trouble::NomadFails) || self.setting.away != Away::Nobody {
            return;
        }
        // A look takes up to three answers, one after the other, and each can be late or lost.
        let unlucky = [Trouble::RequestsActLate, Trouble::NetworkSlow];
        let unlucky = unlucky.iter().filter(|trouble| self.weather.has(**trouble)).count();
        let noticed_within = MINUTE * (1 + unlucky as i64);
        let nomad = self.nomad.lock();
        let supply = daemon.seen.runners.iter().filter(|(_, _, is_supply)| *is_supply);
        for (name, child) in supply.filter_map(|(name, child, _)| Some((name, child.as_ref()?))) {
            let parent = child.split('/').next().unwrap_or_default();
            let key = JobKey::new(self.namespace_of(parent), child);
            let known = self.watching.known_since(&key, self.now);
            let died = self.watching.death_of(&key).map(|at| at.max(known).max(self.nomad_back_at));
            let late = died.is_some_and(|at| at + noticed_within < self.now);
            if late && !nomad.is_alive(&key) {
                self.watching.broken(|| format!("{name} is supply, and its child is long dead"));
                return;
            }
        }
    }

    /// Before a stop acts: it must not hit a runner that has a job, but in the one window that
    /// remains. A job that was there to be seen at the last look is never in it.
    pub fn check_stop(&mut self, runner: &RunnerName, child: &JobKey, left: Millis) {
        let nomad = self.nomad.lock();
        let mut allocations = nomad.allocations_of(child);
        let process = allocations.find_map(|one| self.processes.get(&one.id));
        let Some(process) = process else { return };
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
        if visible || left > look + ROUND_TRIP {
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
    /// What is dated 1970 by a wrong clock is pruned once the clock is right.
    pub fn check_promises(&mut self) {
        if self.weather.has(Trouble::ClockWrong) {
            return;
        }
        let reader = Reader::open(&self.database()).unwrap();
        let is_lost = |guid: &&String| !reader.is_kept(&guid.as_str().into()).unwrap();
        let lost = self.watching.promises().find(is_lost).cloned();
        if let Some(guid) = lost {
            self.watching.broken(|| format!("delivery {guid} was answered with 2xx, and is lost"));
        }
    }
}

/// Nothing keeps runners of the class that nobody needs.
pub fn may_let_go(state: &State, key: &ClassKey) -> bool {
    let refused = |id| state.swept.refused.contains(&id);
    let held = matches!(key.scope, ScopeKey::Repository(id) if refused(id));
    let shown = state.rules.pool(&key.pool).map(|pool| state.rules.place_of(pool));
    let shown = shown.and_then(|place| state.nomad.get(&place));
    let is_listed = matches!(shown, Some(NomadState::Listed | NomadState::Away(_)));
    state.swept.settled && !held && is_listed
}

fn count(of: impl Iterator) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}

/// Whether what a reason claims is so at this moment.
fn is_true(state: &State, key: &ClassKey, reason: &str, now: ledger::Time) -> bool {
    let says = |text| reason.contains(text);
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
        // What could be launched has been, but for what a timer that is due lets go.
        state.next_timer().is_some_and(|due| due <= now)
    } else if says("was removed from the config") {
        pool.is_none()
    } else if says("is paused") {
        state.pauses.contains_key(&key.pool)
    } else if says("Nomad is unreachable") || says("first listing") {
        let place = pool.map(|pool| state.rules.place_of(pool));
        !place.is_some_and(|at| matches!(state.nomad.get(&at), Some(NomadState::Listed)))
    } else if says("a registration token") {
        state.credentials.contains_key(&key.scope)
    } else if says("no JIT configuration") {
        state.minting.contains_key(&key.breaker())
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
    if run.spec.head != Head::Same {
        return Some(format!("job {cause} of a fork"));
    }
    // Where it was dispatched in the same step as its pool was removed, nothing is known of the pool.
    let pool = state.rules.pool(&order.pool)?;
    let (event, actor) = (&run.spec.event, &run.spec.actor);
    let refused = !pool.events.matches(event) || !pool.actors.matches(actor);
    refused.then(|| format!("job {cause}, by event {event} of {actor}"))
}
