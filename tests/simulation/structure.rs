//! What holds within the ledger's memory after each fold: counts and indexes are what they count, no
//! timer is missing, and what is said to happen at a time has not happened yet.

use std::collections::BTreeSet;
use std::time::Duration;

use ledger::state::Timer;
use ledger::{State, Time, why};

use crate::world::World;

impl World {
    pub fn check_structure(&mut self, state: &State) {
        if let Err(broken) = structure(state).and_then(|()| times(state, self.ledger_time())) {
            self.watching.broken(|| broken);
        }
    }

    /// What the daemon takes for now.
    pub fn ledger_time(&self) -> Time {
        Time(self.now + self.skew)
    }
}

fn structure(state: &State) -> Result<(), String> {
    state.runners.check_counts()?;
    let mut causes = BTreeSet::new();
    for runner in state.runners.values() {
        let cause =
            runner.cause.filter(|job| runner.is_supply() && state.enlisted.contains_key(job));
        if let Some(job) = cause.filter(|job| !causes.insert(*job)) {
            return Err(format!("job {job} is the cause of two dispatches that wait for it"));
        }
    }
    for (key, class) in &state.classes {
        if !class.held.is_subset(&class.waiting) {
            return Err(format!("held, and not waiting: {key:?}"));
        }
        let jobs = class.waiting.difference(&class.held).filter_map(|id| state.jobs.get(id));
        let free = jobs.filter(|job| job.cause_of.is_none());
        let unnamed: BTreeSet<_> = free.map(|job| (job.ends_in_vain(), job.id())).collect();
        if class.unnamed != unnamed {
            return Err(format!("{:?} may be named as causes in {key:?}", class.unnamed));
        }
        for job in class.held.iter().filter_map(|id| state.jobs.get(id)) {
            let until = job.in_vain.as_ref().map_or(Time(0), |vain| vain.until);
            if !state.timers.contains(&(until, Timer::Held(job.id()))) {
                return Err(format!("job {} is held for ever", job.id()));
            }
        }
        if class.repositories.values().sum::<usize>() != class.waiting.len() {
            return Err(format!("{:?} of {key:?} wait", class.repositories));
        }
    }
    Ok(())
}

/// What stands before a time that is still to come.
const TIMES: [&str; 3] = ["tried again at ", "is launched at ", "is paused until "];

/// Unless the tick that says that a time is over is still to come.
fn times(state: &State, now: Time) -> Result<(), String> {
    if state.next_timer().is_some_and(|at| at <= now) {
        return Ok(());
    }
    for (id, key) in &state.enlisted {
        let Some(reason) = why::class_waits(state, key, now) else { continue };
        if reason.contains("about to be launched") {
            return Err(format!("job {id} waits, and whoever can be launched is not"));
        }
        let after = TIMES.iter().filter_map(|words| Some(reason.split_once(words)?.1));
        let at = after.filter_map(|rest| rest.split([' ', ';', ',']).next()?.parse().ok());
        for at in at {
            let at: jiff::Timestamp = at;
            // It is printed without its fraction of a second.
            if Time::from(at) + Duration::from_secs(1) <= now {
                return Err(format!("job {id} waits for what is over: {reason}"));
            }
        }
    }
    Ok(())
}
