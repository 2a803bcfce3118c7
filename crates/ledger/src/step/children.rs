//! Folds what Nomad shows of children: placed, ended, forgotten. A runner that ends without
//! having been busy is a question for GitHub, see `asking`.

use rand::Rng;

use super::{ASK_AFTER_END, Fold};
use crate::event::{ChildPhase, Children};
use crate::runner::{Leaving, Runner, RunnerState, Took};
use crate::state::{NomadState, Timer};
use crate::{Gone, Happened, Release, RunnerName};

impl<R: Rng> Fold<'_, R> {
    pub(super) fn children_seen(&mut self, Children { place, phases }: Children) {
        match self.state.nomad.get(&place) {
            None | Some(NomadState::Unlisted(_)) => {
                self.state.nomad.insert(place.clone(), NomadState::Listed);
                self.touch_place(&place);
            }
            Some(NomadState::Listed | NomadState::Away(_)) => self.nomad_answers(&place),
        }
        for (name, phase) in phases {
            match phase {
                ChildPhase::NotPlaced => self.not_placed(&name),
                ChildPhase::Placed => self.placed(&name),
                ChildPhase::Replaced => self.replaced(&name),
                ChildPhase::Ended { how, placed } => self.child_ended(&name, &how, placed),
            }
        }
    }

    /// In Nomad's words; they are told anew where they change, and noted once.
    pub(super) fn children_held_up(&mut self, told: Vec<(RunnerName, Option<String>)>) {
        for (name, why) in told {
            let Some(runner) = self.state.runners.get(&name) else { continue };
            let waits = runner.state == RunnerState::Dispatched && runner.took.is_none();
            if !waits || runner.reason == why {
                continue;
            }
            if let (None, Some(why)) = (&runner.reason, &why) {
                self.happened_to(&name, Happened::RunnerNotStarting { why: why.clone() });
            }
            self.change(&name, |runner| runner.reason = why);
        }
    }

    /// Between two starts its pool may have been given another job to dispatch.
    fn not_placed(&mut self, name: &RunnerName) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if self.is_unplaced(runner) && self.is_of_another_order(runner) {
            self.let_go_for_good(name, Release::OtherNomadJob);
        }
    }

    /// Nomad has it, and had no place for it when we last heard.
    pub(super) fn is_unplaced(&self, runner: &Runner) -> bool {
        runner.state == RunnerState::Dispatched && runner.is_supply() && runner.placed_at.is_none()
    }

    /// Its pool dispatches another parameterized job now, or the same elsewhere.
    pub(super) fn is_of_another_order(&self, runner: &Runner) -> bool {
        let rules = &self.state.rules;
        rules.pool(&runner.class.pool).is_some_and(|pool| {
            pool.nomad_job != runner.parent || rules.place_of(pool) != rules.place_of_runner(runner)
        })
    }

    pub(super) fn placed(&mut self, name: &RunnerName) {
        let now = self.now;
        if self.state.runners.get(name).is_some_and(|runner| runner.placed_at.is_none()) {
            self.change(name, |runner| {
                runner.placed_at = Some(now);
                if runner.state == RunnerState::Dispatched {
                    runner.reason = None;
                }
            });
            self.happened_to(name, Happened::RunnerPlaced);
            self.start_clocks(name);
        }
    }

    /// Its allocation was lost and Nomad has started another. One that had no job is let go:
    /// its credential is used up, and another is hired. One that had is left to its end.
    fn replaced(&mut self, name: &RunnerName) {
        self.placed(name);
        let Some(runner) = self.state.runners.get(name) else { return };
        let (supply, leaves) = (runner.is_supply(), runner.can_return());
        if supply {
            self.let_go_for_good(name, Release::AllocationLost);
        } else if leaves {
            self.change(name, |runner| runner.spent = true);
        }
    }

    pub(super) fn child_ended(&mut self, name: &RunnerName, how: &str, placed: bool) {
        let Some(runner) = self.state.runners.get(name) else { return };
        if let Some(took) = runner.took {
            return self.ended_at_work(name, took, how);
        }
        let placed = placed || runner.placed_at.is_some();
        let class = runner.class.clone();
        match &runner.state {
            RunnerState::Dispatched | RunnerState::Registered => {
                self.happened_to(name, Happened::RunnerEnded { how: how.to_owned() });
                self.clear(name);
                self.change(name, |runner| runner.reason = Some(how.to_owned()));
                self.ask_before_hiring(&class, Some(name));
            }
            // It was of no use, and GitHub's answer to that is yet to come.
            RunnerState::Withdrawing(_) if self.is_unaccounted(name) => self.clear(name),
            // Nothing of it is left but what it was registered as before it started.
            RunnerState::Withdrawing(Leaving::Stopping | Leaving::LookingForJob)
                if runner.is_minted() =>
            {
                self.clear(name);
                self.drive(name);
            }
            RunnerState::Withdrawing(Leaving::Ending { .. } | Leaving::LookingForJob) => {
                self.end_runner(name, Gone::Released);
            }
            // Nomad said so just before the stop, and it was not placed before it died.
            RunnerState::Withdrawing(Leaving::Stopping) if !placed => {
                self.end_runner(name, Gone::ReleasedBeforePlacement);
            }
            RunnerState::Withdrawing(_) if runner.nameless => {
                self.end_runner(name, Gone::ChildEnded { how: how.to_owned() });
            }
            RunnerState::Withdrawing(_) => {
                // It may have registered meanwhile: look once more.
                self.clear(name);
                self.drive(name);
            }
            RunnerState::Wanted
            | RunnerState::Dispatching(_)
            | RunnerState::Clearing
            | RunnerState::Gone => {}
        }
    }

    /// The usual end: its job is done, or news of that is on the way. Else its machine is gone.
    fn ended_at_work(&mut self, name: &RunnerName, took: Took, how: &str) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let nobody_can_ask = runner.nameless || took.done;
        if nobody_can_ask {
            return self.end_runner(name, Gone::ChildEnded { how: how.to_owned() });
        }
        if runner.has_ended() {
            return;
        }
        self.clear(name);
        self.change(name, |runner| runner.reason = Some(how.to_owned()));
        self.clear_later(name);
        if let Some(job) = took.job {
            self.set_timer(self.now + ASK_AFTER_END, Timer::Job(job));
        }
    }
}
