//! The way out for a runner that nobody needs (architecture: "Letting go of a runner"), never
//! past one that has a job. Not placed: stop the child. Registered: delete the registration
//! and wait for its own end. Placed and not registered: wait until its time to boot is over.

use std::time::Duration;

use rand::Rng;

use super::job_events::Source;
use super::{ASK_AFTER_END, Fold};
use crate::event::{Answer, AtForge, ChildPhase, Deletion, Failure};
use crate::runner::{Leaving, Runner, RunnerState, Sending};
use crate::state::Timer;
use crate::{Gone, Happened, JobStatus, Release, Request, RunnerName, Time, pool};

/// First pause between two looks at a runner that is starting; doubled each time.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LONGEST_LOOK: Duration = Duration::from_secs(60);

impl<R: Rng> Fold<'_, R> {
    /// Nobody needs it: not sent is simply forgotten, an unknown outcome is waited for.
    pub(super) fn let_go(&mut self, name: &RunnerName, why: Release) {
        let Some(runner) = self.state.runners.get(name) else { return };
        match runner.state {
            RunnerState::Wanted => self.end_runner(name, Gone::NotNeeded),
            RunnerState::Dispatching(_) => self.change(name, |runner| runner.unwanted = true),
            _ => self.begin_leaving(name, why),
        }
    }

    /// The same for one whose time is over: it is not taken back when demand is.
    pub(super) fn let_go_for_good(&mut self, name: &RunnerName, why: Release) {
        self.change(name, |runner| runner.spent = true);
        self.let_go(name, why);
    }

    pub(super) fn begin_leaving(&mut self, name: &RunnerName, why: Release) {
        self.happened_to(name, Happened::RunnerReleased { why });
        self.change(name, |runner| {
            runner.unwanted = false;
            runner.tries = 0;
            runner.reason = Some(why.to_string());
        });
        if !self.is_unaccounted(name) {
            // It tells nothing of its pool any more, so another may try.
            self.release_probe(name);
        }
        self.leave(name, Leaving::LookingForPlacement);
    }

    pub(super) fn leave(&mut self, name: &RunnerName, leaving: Leaving) {
        let touches = matches!(leaving, Leaving::Stopping | Leaving::Deleting);
        self.change(name, |runner| {
            runner.spent |= touches;
            runner.state = RunnerState::Withdrawing(leaving);
        });
        self.drive(name);
    }

    /// What a runner on its way out is owed now.
    pub(super) fn leaving_request(&self, runner: &Runner, leaving: &Leaving) -> Option<Request> {
        let name = runner.name.clone();
        match leaving {
            Leaving::LookingForPlacement => {
                Some(Request::LookAtPlacement { runner: name, at: self.child_at(runner)? })
            }
            Leaving::Stopping => {
                Some(Request::StopChild { runner: name, at: self.child_at(runner)? })
            }
            Leaving::LookingForRegistration | Leaving::LookingForJob => {
                Some(self.find_at_forge(runner))
            }
            Leaving::Deleting => Some(self.deletion(runner, runner.github_id?)),
            Leaving::Booting { .. } | Leaving::Ending { .. } | Leaving::LeftAlone => None,
        }
    }

    /// Until when a runner on its way out is only waited for.
    pub(super) fn pause_of(&self, runner: &Runner, leaving: &Leaving) -> Option<Time> {
        match leaving {
            Leaving::Booting { look_again } => Some(*look_again),
            Leaving::Ending { since } => Some(*since + self.release_grace(runner)),
            _ => None,
        }
    }

    pub(super) fn release_grace(&self, runner: &Runner) -> Duration {
        let pool = self.state.rules.pool(&runner.class.pool);
        pool.map_or(pool::GONE_RELEASE_GRACE, |pool| pool.release_grace)
    }

    pub(super) fn boot_timeout(&self, runner: &Runner) -> Duration {
        let pool = self.state.rules.pool(&runner.class.pool);
        pool.map_or(pool::GONE_BOOT_TIMEOUT, |pool| pool.boot_timeout)
    }

    /// Demand is back before anything was done to it: it is supply again.
    pub(super) fn return_to_work(&mut self, name: &RunnerName) {
        self.happened_to(name, Happened::RunnerKept);
        self.change(name, |runner| {
            runner.unwanted = false;
            if matches!(runner.state, RunnerState::Withdrawing(_)) {
                runner.state = match runner.registered_at {
                    Some(_) => RunnerState::Registered,
                    None => RunnerState::Dispatched,
                };
                runner.tries = 0;
                runner.reason = None;
            }
        });
        self.find_cause(name);
        self.start_clocks(name);
    }

    pub(super) fn placement_seen(&mut self, name: &RunnerName, answer: Answer<ChildPhase>) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.state != RunnerState::Withdrawing(Leaving::LookingForPlacement) {
            return self.drive(name);
        }
        let nameless = runner.nameless;
        match answer {
            Err(failure) => self.try_again(name, failure),
            Ok(ChildPhase::Ended { how, placed }) => self.child_ended(name, &how, placed),
            Ok(ChildPhase::NotPlaced) => self.leave(name, Leaving::Stopping),
            Ok(ChildPhase::Placed | ChildPhase::Replaced) => {
                let now = self.now;
                self.change(name, |runner| {
                    runner.placed_at.get_or_insert(now);
                });
                let next =
                    if nameless { Leaving::LeftAlone } else { Leaving::LookingForRegistration };
                self.leave(name, next);
            }
        }
    }

    pub(super) fn child_stopped(&mut self, name: &RunnerName, answer: Answer<()>) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.state != RunnerState::Withdrawing(Leaving::Stopping) {
            return self.drive(name);
        }
        if let Err(failure) = answer {
            // It may get a job before the next try, so that one starts with the look before it.
            let look = runner.look_before_stopping();
            self.change(name, |runner| runner.state = RunnerState::Withdrawing(look));
            self.try_again(name, failure);
        }
        // Its end is seen where all ends are: when its allocations are terminal.
    }

    /// It is to be looked for at GitHub; an answer that is under way may be older than its end.
    pub(super) fn clear(&mut self, name: &RunnerName) {
        let asking = |runner: &Runner| {
            runner.in_flight
                && matches!(
                    runner.state,
                    RunnerState::Dispatched
                        | RunnerState::Withdrawing(
                            Leaving::LookingForRegistration | Leaving::LookingForJob
                        )
                )
        };
        if self.state.runners.get(name).is_some_and(asking) {
            self.state.outdated.insert(name.clone());
        }
        self.change(name, |runner| {
            runner.state = RunnerState::Clearing;
            runner.tries = 0;
        });
    }

    /// It ended at work, as far as we know: news of its job is on the way, or its machine is
    /// gone, and then its registration may be left.
    pub(super) fn clear_later(&mut self, name: &RunnerName) {
        self.set_timer(self.now + ASK_AFTER_END, Timer::Runner(name.clone()));
    }

    /// Where GitHub knows the name, for whoever asked: a dispatch in doubt, a runner on its
    /// way out, or one whose child has ended.
    pub(super) fn looked_for_at_forge(&mut self, name: &RunnerName, answer: Answer<AtForge>) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        if runner.state == RunnerState::Dispatching(Sending::Unregistering) {
            return self.registration_found(name, answer);
        }
        let asked = matches!(
            runner.state,
            RunnerState::Dispatching(Sending::AskingForge)
                | RunnerState::Withdrawing(
                    Leaving::LookingForRegistration | Leaving::LookingForJob
                )
                | RunnerState::Clearing
        ) || self.is_late_to_boot(runner)
            || self.may_have_registered(runner);
        if !asked {
            // A webhook was faster, or a schedule has ended, and its state may want something else by now.
            self.drive(name);
            self.start_clocks(name);
            return;
        }
        // A job that has ended keeps naming it while others of its run are open.
        let is_done = runner.took.is_some_and(|took| took.done);
        let goes_on = self.goes_on_without_a_job(runner) || (is_done && self.is_old(runner));
        let (scope, outdated) = (runner.class.scope.clone(), self.state.outdated.remove(name));
        let at_forge = match answer {
            Ok(AtForge::Nowhere) if outdated => return self.drive(name),
            Ok(at_forge) => at_forge,
            Err(failure) => return self.try_again(name, failure),
        };
        let in_doubt = matches!(runner.state, RunnerState::Dispatching(_));
        let listed = matches!(at_forge, AtForge::Registered { busy: false, online: false, .. });
        // It is listed because it was registered beforehand.
        let never_seen = runner.is_jit() && runner.registered_at.is_none() && listed;
        if never_seen && runner.state == RunnerState::Dispatched {
            return self.has_not_booted(name);
        }
        if in_doubt {
            self.carrier_known(name, &at_forge);
        }
        match at_forge {
            AtForge::Named(report) if report.status == JobStatus::Completed && goes_on => {
                self.is_nowhere(name);
            }
            AtForge::Named(report) => {
                let done = report.status == JobStatus::Completed;
                let repository = self.repository_of(&report, &scope);
                self.runner_took(name, Some(report.id), done);
                if let Some(repository) = repository {
                    self.fold_report(*report, repository, Source::Asked, None);
                }
                if self.state.runners.get(name).is_some_and(|r| r.has_ended()) {
                    self.end_runner(name, Gone::EndedAtWork);
                }
            }
            // What follows from that has been asked for.
            AtForge::Registered { .. } if in_doubt && never_seen => {}
            AtForge::Registered { id, busy, online } => {
                self.seen_online(name, online);
                self.is_registered(name, id, busy);
            }
            AtForge::Nowhere => self.is_nowhere(name),
        }
    }

    fn is_registered(&mut self, name: &RunnerName, id: u64, busy: bool) {
        self.change(name, |runner| {
            runner.github_id = Some(id);
            runner.tries = 0;
        });
        let Some(runner) = self.state.runners.get(name) else { return };
        match &runner.state {
            RunnerState::Withdrawing(_) if busy => {
                self.runner_took(name, None, false);
            }
            RunnerState::Withdrawing(_) => self.leave(name, Leaving::Deleting),
            RunnerState::Dispatched if busy => self.runner_took(name, None, false),
            RunnerState::Dispatched => self.registered(name, id),
            _ => self.drive(name),
        }
    }

    fn is_nowhere(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        match runner.state {
            RunnerState::Clearing => {
                let forge = self.state.rules.forge.name.to_owned();
                self.end_runner(name, Gone::NothingLeft { forge });
            }
            RunnerState::Withdrawing(Leaving::LookingForJob) => self.leave(name, Leaving::Stopping),
            RunnerState::Withdrawing(Leaving::LookingForRegistration)
                if self.goes_on_without_a_job(runner) =>
            {
                self.leave(name, Leaving::Stopping);
            }
            // Not registered again after its job: it is about to end.
            RunnerState::Withdrawing(Leaving::LookingForRegistration)
                if runner.took.is_some_and(|took| took.done) && !self.is_old(runner) =>
            {
                self.change(name, |runner| runner.state = RunnerState::Dispatched);
                self.start_clocks(name);
            }
            RunnerState::Withdrawing(Leaving::LookingForRegistration) => {
                let over = runner.placed_at.unwrap_or(runner.hired_at) + self.boot_timeout(runner);
                if self.now >= over {
                    self.leave(name, Leaving::Stopping);
                    return;
                }
                let pause = FIRST_LOOK.saturating_mul(1 << runner.tries.min(5)).min(LONGEST_LOOK);
                let look_again = (self.now + pause).min(over);
                self.change(name, |runner| runner.tries += 1);
                self.leave(name, Leaving::Booting { look_again });
            }
            RunnerState::Dispatched => self.has_not_booted(name),
            _ => {}
        }
    }

    pub(super) fn registration_deleted(&mut self, name: &RunnerName, answer: Answer<Deletion>) {
        self.change(name, |runner| runner.in_flight = false);
        let Some(runner) = self.state.runners.get(name) else { return };
        match (&runner.state, answer) {
            (RunnerState::Dispatching(Sending::Unregistering), answer) => {
                self.unregistering(name, answer);
            }
            (RunnerState::Withdrawing(Leaving::Deleting) | RunnerState::Clearing, Err(failure)) => {
                self.try_again(name, failure);
            }
            (RunnerState::Withdrawing(Leaving::Deleting), Ok(Deletion::NoNewJob)) => {
                self.leave(name, Leaving::Ending { since: self.now });
            }
            (RunnerState::Withdrawing(Leaving::Deleting), Ok(Deletion::Busy)) => {
                self.happened_to(name, Happened::RunnerStillBusy);
                self.runner_took(name, None, false);
            }
            (RunnerState::Clearing, Ok(Deletion::NoNewJob)) => {
                self.end_runner(name, Gone::ClearedAway);
            }
            // GitHub has yet to notice that its machine is gone.
            (RunnerState::Clearing, Ok(Deletion::Busy)) => {
                let reason = format!(
                    "{} lists it as busy although its child has ended",
                    self.state.rules.forge.name
                );
                self.try_again(name, Failure { reason, retry_after: None });
            }
            _ => self.drive(name),
        }
    }

    /// A runner's timer: look again, try again, or the grace is over.
    pub(super) fn runner_timer(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if let RunnerState::Withdrawing(leaving) = &runner.state
            && let Some(until) = self.pause_of(runner, leaving)
        {
            let next = match leaving {
                Leaving::Booting { .. } => Leaving::LookingForRegistration,
                _ => Leaving::LookingForJob,
            };
            // An older timer may be due while a later pause lasts.
            if self.now >= until {
                self.leave(name, next);
            }
            return;
        }
        match runner.state {
            // The look whether it has booted failed.
            RunnerState::Dispatched => self.check_deadlines(name),
            _ => self.drive(name),
        }
    }
}
