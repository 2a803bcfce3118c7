//! The one function through which everything goes: `step(state, event, now, rng) → effects`.
//!
//! One file a theme: `job_events` folds what GitHub says (`run_questions` what a run is, `busy`
//! which runner took which job), `hiring` holds supply to demand, `credentials` and `gates` say
//! whether it can, `minting` gets a runner its own credential, `claims` hands it to the task that asks, `deposits` sees to where it lies, `dispatching` follows a dispatch to a certain outcome, `children` what Nomad
//! shows, `clock` what a clock that is set moves, `deadlines` how long anything may take, `letting_go` the way out, `asking` the
//! questions about runners that ended unseen and `breaker` what follows when that goes on,
//! `looking` at one repository out of turn, `observing` what sweeps and listings show, `renames` repositories that are called otherwise, `superseding` runs that a newer push has made pointless, `reruns` jobs that are queued again under their
//! ids, `operator` what people ask for, `rules` what a reload changes, `warm` what waits for jobs.

mod asking;
mod breaker;
mod busy;
mod children;
mod claims;
mod clock;
mod credentials;
mod deadlines;
mod deposits;
mod dispatching;
mod gates;
mod hiring;
mod job_events;
mod letting_go;
mod looking;
mod minting;
mod observing;
mod operator;
mod renames;
mod reruns;
mod rules;
mod run_questions;
mod superseding;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod unserved;
mod warm;

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;

use super::deposit::Keeper;
use super::effect::Target;
use super::event::Failure;
use super::runner::RunnerState;
use super::state::Timer;
use super::{
    About, BreakerKey, ClassKey, Effects, Event, Gone, Happened, JobId, Record, Request, Runner,
    RunnerName, State, Time, backoff, work,
};

/// GitHub's word on a job whose runner has ended is waited for this long before it is asked.
const ASK_AFTER_END: Duration = Duration::from_secs(60);

/// Whoever says "come back after" is not asked again sooner than this, for "at once" would be a
/// storm.
const SOONEST: Duration = Duration::from_secs(10);

/// Nor later than this: GitHub's limits are for an hour.
const LATEST: Duration = Duration::from_secs(65 * 60);

/// When a question that failed is asked again: when the other side said, else by backoff.
fn when_to_retry(failure: &Failure, tries: u32, now: Time, rng: &mut impl Rng) -> Time {
    match failure.retry_after {
        Some(wait) => now + wait.clamp(SOONEST, LATEST),
        None => now + backoff(tries, rng),
    }
}

/// Folds one event and says what is to be recorded and asked for. Total: no event, in no
/// order, makes it fail.
pub fn step(state: &mut State, event: Event, now: Time, rng: &mut impl Rng) -> Effects {
    let mut fold = Fold::new(state, now, rng);
    match event {
        Event::Webhook(webhook) => fold.webhook(*webhook),
        Event::RunKnown { run, answer } => fold.run_known(run, answer),
        Event::SupersededSeen { older, answer } => fold.superseded_seen(older, answer),
        Event::RunCancelled { run, answer } => fold.run_cancelled(run, answer),
        Event::JobsSeen { class, names, answer } => fold.jobs_seen(class, names, answer),
        Event::JobSeen { job, answer } => fold.job_seen(job, answer),
        Event::SeenAgain { past, report } => fold.seen_again(*past, *report),
        Event::CredentialMinted { scope, answer } => fold.credential_minted(scope, answer),
        Event::MintedFor { runner, outcome } => fold.minted_for(&runner, outcome),
        Event::Claimed { ticket, claim } => fold.claimed(ticket, *claim),
        Event::CredentialLost { ticket, runner } => fold.credential_lost(ticket, &runner),
        Event::DispatchAnswered { runner, outcome } => fold.dispatch_answered(&runner, outcome),
        Event::ChildLookedUp { runner, answer } => fold.child_looked_up(&runner, answer),
        Event::LookedForAtForge { runner, answer } => fold.looked_for_at_forge(&runner, answer),
        Event::PlacementSeen { runner, answer } => fold.placement_seen(&runner, answer),
        Event::ChildStopped { runner, answer } => fold.child_stopped(&runner, answer),
        Event::DepositRemoved { at, answer } => fold.deposit_removed(&at, answer),
        Event::RegistrationDeleted { runner, answer } => fold.registration_deleted(&runner, answer),
        Event::ChildrenSeen(children) => fold.children_seen(children),
        Event::ChildrenHeldUp(told) => fold.children_held_up(told),
        Event::NomadAway { place, trouble } => fold.nomad_away(place, None, &trouble),
        Event::ForgeRecovered { owners } => fold.forge_recovered(&owners),
        Event::VaultRecovered => fold.keeper_recovered(Keeper::Vault, None),
        Event::AccessChanged { owner } => fold.access_changed(&owner),
        Event::RepositoryChanged(repository) => fold.repository_changed(*repository),
        Event::ParentChanged { pool } => fold.parent_changed(&pool),
        Event::Pause { pool, until } => fold.pause(&pool, until),
        Event::Resume { pool } => fold.resume_pool(&pool),
        Event::Retry { job } => fold.retry(job),
        Event::Rules(rules) => fold.new_rules(*rules),
        Event::Unserved(rows) => fold.judge_unserved(rows),
        Event::LookAt(repository) => fold.look_at(repository.id, &repository.full_name),
        Event::Looked { repository, full_name, answer } => {
            fold.looked(repository, full_name, answer);
        }
        Event::Observed(observation) => fold.observed(*observation),
        Event::ClockJumped { by } => fold.clock_jumped(by),
        Event::Tick => fold.tick(),
    }
    fold.finish()
}

/// Takes up what an earlier life left: judges every open job by today's rules and asks for
/// whatever is owed or unknown. Called once, on a state made by `State::load`.
pub fn resume(state: &mut State, now: Time, rng: &mut impl Rng) -> Effects {
    let mut fold = Fold::new(state, now, rng);
    fold.believe_no_future();
    let jobs: Vec<JobId> = fold.state.jobs.keys().copied().collect();
    for id in jobs {
        // Most rows say already what is so, and are not written again.
        let row = fold.state.jobs.get(&id).filter(|_| !fold.jobs.contains(&id)).cloned();
        fold.resume_job(id);
        fold.judge_again(id);
        if row.is_some() && fold.state.jobs.get(&id) == row.as_ref() {
            fold.jobs.remove(&id);
        }
    }
    let runners: Vec<RunnerName> = fold.state.runners.keys().cloned().collect();
    fold.resume_breakers();
    for name in &runners {
        let class = fold.state.runners[name].class.clone();
        fold.touch(&class);
        fold.drive(name);
        fold.start_clocks(name);
        fold.let_go_of_deposit(name);
    }
    let pauses: Vec<_> =
        fold.state.pauses.iter().map(|(pool, until)| (pool.clone(), *until)).collect();
    for (pool, until) in pauses {
        if let Some(until) = until {
            fold.set_timer(until, Timer::Pause(pool));
        }
    }
    fold.tell_of_former_names();
    fold.asks.extend(fold.state.classes.keys().cloned());
    // Jobs at work with a runner that is gone: the timers that would ask were forgotten.
    let orphans: Vec<JobId> =
        fold.state.jobs.keys().copied().filter(|id| fold.runner_has_ended(*id)).collect();
    for id in orphans {
        fold.set_timer(now + ASK_AFTER_END, Timer::Job(id));
    }
    fold.finish()
}

/// One step under way: the state, and what has gathered so far.
struct Fold<'a, R> {
    state: &'a mut State,
    now: Time,
    rng: &'a mut R,
    effects: Effects,
    jobs: BTreeSet<JobId>,
    runners: BTreeSet<RunnerName>,
    classes: BTreeSet<ClassKey>,
    /// Classes that have a question; asked at the end, so that those that end together are
    /// asked about together.
    asks: BTreeSet<ClassKey>,
    /// Whose counts of ends have changed.
    breakers: BTreeSet<BreakerKey>,
    /// Runners that ended in this step; their last rows are still to be written.
    gone: Vec<Runner>,
}

impl<'a, R: Rng> Fold<'a, R> {
    fn new(state: &'a mut State, now: Time, rng: &'a mut R) -> Self {
        Self {
            state,
            now,
            rng,
            effects: Effects::default(),
            jobs: BTreeSet::new(),
            runners: BTreeSet::new(),
            classes: BTreeSet::new(),
            asks: BTreeSet::new(),
            breakers: BTreeSet::new(),
            gone: Vec::new(),
        }
    }

    fn touch(&mut self, class: &ClassKey) {
        if !self.classes.contains(class) {
            work::count(1);
            self.classes.insert(class.clone());
        }
    }

    fn request(&mut self, request: Request) {
        self.effects.requests.push(request);
    }

    fn happened(&mut self, what: Happened, about: About) {
        self.effects.happenings.push(what.about(about));
    }

    /// Changes a runner, if it is still there, and sees to it that its row is written.
    fn change(&mut self, name: &RunnerName, change: impl FnOnce(&mut Runner)) {
        let changed = self.state.runners.change(name, |runner| {
            change(runner);
            runner.class.clone()
        });
        if let Some(class) = changed {
            self.runners.insert(name.clone());
            self.touch(&class);
        }
    }

    fn happened_to(&mut self, name: &RunnerName, what: Happened) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let about = About::runner(runner);
        self.happened(what, about);
    }

    /// The end of a runner: out of memory, its row closed.
    fn end_runner(&mut self, name: &RunnerName, how: Gone) {
        self.state.set_clock(name, None);
        self.release_probe(name);
        let Some(mut runner) = self.state.runners.remove(name) else { return };
        self.forget_claim(&runner);
        if let Some(child) = &runner.child {
            self.state.remember_left(child.clone(), self.now);
        }
        runner.state = RunnerState::Gone;
        runner.reason = Some(how.to_string());
        runner.ended_at = Some(self.now);
        let class = runner.class.clone();
        if let Some(entry) = self.state.classes.get_mut(&class) {
            entry.runners.remove(name);
            entry.unaccounted.remove(name);
        }
        self.release_cause_of(&runner);
        self.state.outdated.remove(name);
        self.runners.remove(name);
        // A job that it did not take is not told of its end.
        let job = runner.took.and_then(|took| took.job);
        self.happened(Happened::RunnerGone { how }, About { job, ..About::runner(&runner) });
        self.gone.push(runner);
        self.touch(&class);
    }

    /// The job that a runner was launched for may be another's cause.
    fn release_cause(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name).cloned() else { return };
        self.release_cause_of(&runner);
    }

    fn release_cause_of(&mut self, runner: &Runner) {
        if let Some(cause) = runner.cause
            && let Some(job) = self.state.jobs.get_mut(&cause)
            && job.cause_of.as_ref() == Some(&runner.name)
        {
            job.cause_of = None;
            self.jobs.insert(cause);
            self.unname(cause);
        }
    }

    /// A waiting job is no runner's cause any more, so that the next hiring may name it.
    fn unname(&mut self, job: JobId) {
        if let Some(key) = self.state.enlisted.get(&job)
            && let Some(class) = self.state.classes.get_mut(key)
            && let Some(job) = self.state.jobs.get(&job)
        {
            class.offer(job);
        }
    }

    /// Where none of a scope's classes is left, nothing is remembered of it for long.
    fn forget_scope(&mut self, key: &ClassKey) {
        if self.state.classes.range(key.runs_of_scope()).next().is_none() {
            self.state.run_turns.remove(&key.breaker());
            self.forget_breaker(&key.breaker());
        }
    }

    fn set_timer(&mut self, at: Time, timer: Timer) {
        self.state.set_timer(at, timer);
    }

    fn target_of(&self, runner: &Runner) -> Target {
        match &runner.class.scope {
            // The name of today, for the API is asked by name.
            super::ScopeKey::Repository(id) => Target::Repository(
                self.state
                    .repositories
                    .get(id)
                    .map_or_else(|| runner.scope_name.clone(), |r| r.full_name.clone()),
            ),
            super::ScopeKey::Organization(_) => Target::Organization(runner.scope_name.clone()),
        }
    }

    fn finish(mut self) -> Effects {
        for key in std::mem::take(&mut self.asks) {
            self.ask_class(&key);
        }
        self.ask_about_runs_for_surplus();
        self.settle_after_start();
        self.set_floors();
        // Letting go touches classes again, but never one that was not touched already.
        for key in self.classes.clone() {
            self.take_back(&key);
            self.let_go_of_surplus(&key);
            self.refresh(&key);
        }
        self.fill_room();
        self.give_way();
        self.ask_about_runs();
        self.warm_up();
        for key in std::mem::take(&mut self.classes) {
            if self.state.classes.get(&key).is_some_and(|class| class.is_empty()) {
                self.state.classes.remove(&key);
                self.state.sated(&key);
                self.forget_scope(&key);
            }
        }
        for job in self.gone.iter().filter_map(|runner| runner.took?.job) {
            if self.state.is_in_progress(job) {
                self.state.set_timer(self.now + ASK_AFTER_END, Timer::Job(job));
            }
        }
        self.let_go_of_deposits();
        let breakers = self.breaker_records();
        let Self { state, mut effects, jobs, runners, gone, .. } = self;
        effects.records.extend(breakers);
        let jobs = jobs.into_iter().filter_map(|id| state.known_job(id).cloned());
        effects.records.extend(jobs.map(|job| Record::Job(Box::new(job))));
        let runners = runners.into_iter().filter_map(|name| state.runners.get(&name).cloned());
        effects.records.extend(runners.chain(gone).map(|r| Record::Runner(Box::new(r))));
        effects
    }
}
