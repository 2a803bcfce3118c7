//! How long anything in a runner's life may take: to be placed, to boot, to be given a job, to
//! live. One timer a runner; when it is due, whatever is overdue by then happens.

use std::time::Duration;

use rand::Rng;

use super::Fold;
use crate::pool::Pool;
use crate::runner::{Leaving, RunnerState};
use crate::{Happened, Release, Runner, RunnerName, Time, Unused};

/// How long a deadline waits while nobody may be let go yet, after a start.
const NOT_NOW: Duration = Duration::from_secs(30);

/// A warm runner is looked for at the forge so long after its placement, then at longer intervals: no news
/// of it comes by itself, and people see by it whether the floor is held.
const FIRST_LOOK: Duration = Duration::from_secs(10);
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// What a runner is late for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadline {
    Placement,
    Boot,
    Idle,
    /// Its job has ended, and nobody tells it.
    Done,
    Life,
    /// Nothing yet: it may have registered.
    Look,
}

impl<R: Rng> Fold<'_, R> {
    /// Sets the timer for whatever the runner may be late for next; what is overdue already
    /// is looked at at once, by the same way.
    pub(super) fn start_clocks(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let next = self.deadlines(runner).map(|(at, _)| at.max(self.now)).min();
        self.state.set_clock(name, next);
    }

    /// Everything a runner in this state can be late for, and from when on.
    fn deadlines(&self, runner: &Runner) -> impl Iterator<Item = (Time, Deadline)> + use<R> {
        let pool = self.state.rules.pool(&runner.class.pool);
        let supply = runner.is_supply() && runner.child.is_some();
        let waits = pool.is_some_and(Pool::expires_unplaced);
        let sent = runner.last_sent_at.or(runner.first_sent_at).unwrap_or(runner.hired_at);
        let placement = pool
            .filter(|_| supply && waits && runner.placed_at.is_none())
            .map(|pool| (sent + pool.placement_timeout, Deadline::Placement));
        let boot = runner
            .placed_at
            .filter(|_| supply && !runner.nameless && runner.state == RunnerState::Dispatched)
            .map(|at| (at + self.boot_timeout(runner), Deadline::Boot));
        let idle = runner
            .registered_at
            .filter(|_| supply && runner.state == RunnerState::Registered)
            .zip(pool)
            .map(|(at, pool)| {
                (at.max(self.waits_since(runner)) + pool.idle_timeout, Deadline::Idle)
            });
        let at_work = runner.took.is_some_and(|took| !took.done) && !runner.has_ended();
        // Its job is done, and it does not end: Nomad may have started it again.
        let lingers = runner.took.is_some_and(|took| took.done)
            && matches!(runner.state, RunnerState::Dispatched | RunnerState::Registered);
        let done = runner
            .done_at
            .filter(|_| lingers)
            .map(|at| (at + self.release_grace(runner), Deadline::Done));
        let life = pool
            .filter(|_| supply || lingers || (at_work && !runner.told_old))
            .map(|pool| (runner.hired_at + pool.max_lifetime, Deadline::Life));
        let look = runner
            .placed_at
            .filter(|_| self.may_have_registered(runner))
            .map(|at| (at + FIRST_LOOK, Deadline::Look));
        // A deadline that did not apply stands where it stood, so it is due again at once; what
        // was found then holds for a while.
        let pause = runner.not_before;
        let later = move |(at, deadline)| (pause.map_or(at, |pause| pause.max(at)), deadline);
        [placement, boot, idle, done, life, look].into_iter().flatten().map(later)
    }

    /// Since when a job waits that this runner could have been given; now, where none does.
    fn waits_since(&self, runner: &Runner) -> Time {
        let class = self.state.classes.get(&runner.class);
        // GitHub's ids ascend, so the first is the oldest.
        let oldest = class.and_then(|class| class.waiting.first());
        oldest.and_then(|id| self.state.jobs.get(id)).map_or(self.now, |job| job.received_at)
    }

    pub(super) fn deadline_is_due(&mut self, name: &RunnerName) {
        self.state.set_clock(name, None);
        self.check_deadlines(name);
    }

    pub(super) fn check_deadlines(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let mut missed = self.deadlines(runner).filter(|(at, _)| *at <= self.now);
        let Some((_, missed)) = missed.next() else { return self.start_clocks(name) };
        let waits = self.state.classes.get(&runner.class).is_some_and(|it| !it.waiting.is_empty());
        let warm = runner.is_supply() && !waits;
        if missed == Deadline::Life && !runner.told_old && !warm {
            self.happened_to(name, Happened::RunnerTooOld);
            self.change(name, |runner| runner.told_old = true);
            return self.start_clocks(name);
        }
        if runner.in_flight || !self.may_let_go(&runner.class.clone()) {
            return self.state.set_clock(name, Some(self.now + NOT_NOW));
        }
        match missed {
            // Not its pool's fault: no backoff, no breaker; the next has a fresh credential.
            Deadline::Placement => self.let_go_for_good(name, Release::NotPlacedInTime),
            Deadline::Boot | Deadline::Look => self.look_whether_it_booted(name),
            Deadline::Idle => self.idle_too_long(name),
            Deadline::Done => {
                self.let_go_for_good(name, Release::RunsOnAfterItsJob);
            }
            Deadline::Life => {
                self.let_go_for_good(name, Release::TooOld);
            }
        }
    }

    /// Placed for longer than it may take to register, and not known to have a job.
    pub(super) fn is_late_to_boot(&self, runner: &Runner) -> bool {
        let mut late = self.deadlines(runner).filter(|(at, _)| *at <= self.now);
        late.any(|(_, deadline)| deadline == Deadline::Boot)
    }

    /// A warm one that nobody has seen yet.
    pub(super) fn may_have_registered(&self, runner: &Runner) -> bool {
        let starts = runner.is_supply() && runner.state == RunnerState::Dispatched;
        starts && !runner.nameless && runner.placed_at.is_some() && self.is_warm(&runner.class)
    }

    /// It was looked for, and is not there: again later, where it is not late.
    pub(super) fn has_not_booted(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if self.is_late_to_boot(runner) || !self.may_have_registered(runner) {
            return self.did_not_boot(name);
        }
        let age = self.now.since(runner.placed_at.unwrap_or(self.now));
        let again = self.now + age.clamp(FIRST_LOOK, LONGEST_LOOK);
        self.change(name, |runner| runner.not_before = Some(again));
        self.start_clocks(name);
    }

    /// Whoever waits, it is of no use any more and does not return to work.
    pub(super) fn is_past_use(&self, runner: &Runner) -> bool {
        let Some(pool) = self.state.rules.pool(&runner.class.pool) else { return false };
        let sent = runner.first_sent_at.unwrap_or(runner.hired_at);
        let waits = pool.expires_unplaced();
        let unplaced = waits && runner.child.is_some() && runner.placed_at.is_none();
        let idle = |at: Time| self.now >= at + pool.idle_timeout;
        (unplaced && self.now >= sent + pool.placement_timeout)
            || runner.registered_at.is_some_and(idle)
            || self.now >= runner.hired_at + pool.max_lifetime
    }

    pub(super) fn is_old(&self, runner: &Runner) -> bool {
        let pool = self.state.rules.pool(&runner.class.pool);
        pool.is_some_and(|pool| self.now >= runner.hired_at + pool.max_lifetime)
    }

    /// Its job has ended for so long that it cannot be about to end by itself.
    pub(super) fn goes_on_without_a_job(&self, runner: &Runner) -> bool {
        let grace = self.release_grace(runner);
        runner.took.is_some_and(|took| took.done)
            && runner.done_at.is_some_and(|at| self.now >= at + grace)
    }

    fn look_whether_it_booted(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let request = self.find_at_forge(runner);
        self.change(name, |runner| runner.in_flight = true);
        self.request(request);
    }

    /// GitHub lists it: from here on it may be idle too long.
    pub(super) fn registered(&mut self, name: &RunnerName, id: u64) {
        let now = self.now;
        self.change(name, |runner| {
            runner.state = RunnerState::Registered;
            runner.github_id = Some(id);
            runner.reason = None;
            runner.registered_at.get_or_insert(now);
        });
        if let Some(runner) = self.state.runners.get(name).filter(|it| it.by_claim).cloned() {
            self.forget_claim(&runner);
        }
        self.happened_to(name, Happened::RunnerRegistered);
        self.start_clocks(name);
    }

    /// Neither a runner nor a running job carries its name: stop it, and look once more when
    /// it has ended.
    fn did_not_boot(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if !self.may_let_go(&runner.class.clone()) {
            return self.state.set_clock(name, Some(self.now + NOT_NOW));
        }
        self.ends_unused(name, Unused::NotRegisteredInTime);
        self.leave(name, Leaving::Stopping);
    }

    fn idle_too_long(&mut self, name: &RunnerName) {
        self.ends_unused(name, Unused::NoJobInTime);
        self.begin_leaving(name, Release::Idle);
    }

    /// Counts as one that ended without a job: GitHub is asked before another is hired.
    fn ends_unused(&mut self, name: &RunnerName, why: Unused) {
        self.happened_to(name, Happened::RunnerUnused { why });
        self.change(name, |runner| {
            runner.spent = true;
            runner.tries = 0;
            runner.reason = Some(why.to_string());
        });
        let Some(class) = self.state.runners.get(name).map(|runner| runner.class.clone()) else {
            return;
        };
        self.ask_before_hiring(&class, Some(name));
    }
}
