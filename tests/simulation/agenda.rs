//! What is to happen, and when: the simulation's only queue. Of two things at one time the one
//! that was entered first is first, so that a seed replays exactly.

use std::collections::BTreeMap;

use simulated::github::hooks::Delivery;
use simulated::github::model::Millis;

use crate::runners::Step;
use crate::scenario::Plan;
use crate::wires::Side;

/// One thing that happens.
pub enum Act {
    /// Something of the scenario.
    Plan(Plan),
    /// GitHub's own clock.
    Clock,
    /// A webhook is at the door.
    Arrive(Box<Delivery>),
    /// A request that was given up arrives after all.
    Late {
        side: Side,
        /// When it left.
        left: Millis,
        request: Box<transport::Request>,
    },
    /// A runner's process does its next step.
    Runner {
        process: String,
        step: Step,
    },
    Start,
    /// The scenario is over: nothing goes wrong any more.
    CalmDown,
}

#[derive(Default)]
pub struct Agenda {
    acts: BTreeMap<(Millis, u64), Act>,
    entered: u64,
}

impl Agenda {
    pub fn enter(&mut self, at: Millis, act: Act) {
        self.entered += 1;
        self.acts.insert((at, self.entered), act);
    }

    pub fn next(&self) -> Option<Millis> {
        self.acts.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn take(&mut self, now: Millis) -> Option<Act> {
        let ((at, _), _) = self.acts.first_key_value()?;
        if *at > now {
            return None;
        }
        self.acts.pop_first().map(|(_, act)| act)
    }
}
