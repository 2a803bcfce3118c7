//! The machine's clock was set: every moment that is remembered moves with it, so that what has
//! lasted a minute has still lasted a minute and what is due in an hour is still due in an hour.
//!
//! The engine notices (`engine::steady`); between two such events `now` never jumps. After a start
//! nothing lies in the future: a row that says so was written while the clock was wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;

use super::Fold;
use crate::deposit::Deposits;
use crate::runner::Leaving;
use crate::state::{CredentialState, Gate, NomadState, State, Swept};
use crate::{About, Breaker, Happened, InVain, Job, Record, Runner, RunnerName, Time};

/// From here on people are told, and rows are written anew, for a restart reads them.
const TOLD: Duration = Duration::from_secs(60);

impl<R: Rng> Fold<'_, R> {
    /// `by` milliseconds, ahead or back; `now` is what the clock says from here on.
    pub(super) fn clock_jumped(&mut self, by: i64) {
        shift(self.state, by);
        // What the forge said of their end was by its own clock.
        for credential in self.state.credentials.values_mut() {
            credential.ends = None;
        }
        let scopes: Vec<_> = self.state.credentials.keys().cloned().collect();
        for scope in scopes {
            self.touch_scope(&scope);
        }
        if u128::from(by.unsigned_abs()) < TOLD.as_millis() {
            return;
        }
        self.jobs.extend(self.state.jobs.keys().copied());
        self.runners.extend(self.state.runners.keys().cloned());
        self.breakers.extend(self.state.breakers.keys().cloned());
        for (pool, until) in self.state.pauses.clone() {
            let at = self.now;
            self.effects.records.push(Record::Pause { pool, until: Some(until), at });
        }
        self.happened(Happened::ClockSet { by }, About::default());
    }

    /// After a start: what rows date later than now is taken to be of now.
    pub(super) fn believe_no_future(&mut self) {
        let now = self.now;
        let mut runners: BTreeSet<RunnerName> = BTreeSet::new();
        for name in self.state.runners.keys().cloned().collect::<Vec<_>>() {
            let clamped = self.state.runners.change(&name, |runner| {
                let before = runner.clone();
                times_of_runner(runner, &mut |time| *time = (*time).min(now));
                *runner != before
            });
            if clamped == Some(true) {
                runners.insert(name);
            }
        }
        self.runners.extend(runners);
        for (id, job) in &mut self.state.jobs {
            if job.received_at > now {
                job.received_at = now;
                self.jobs.insert(*id);
            }
        }
    }
}

/// Every field by name, so that none that is added is forgotten.
fn shift(state: &mut State, by: i64) {
    let move_on = &mut |time: &mut Time| *time = time.moved(by);
    let State {
        rules: _,
        repositories: _,
        jobs,
        runners,
        // A class remembers no moment: it waits for an answer or a timer.
        classes: _,
        hungry: _,
        hungry_people: _,
        turn: _,
        run_turns: _,
        credentials,
        minting,
        claims: _,
        deposits,
        refusals,
        breakers,
        pauses,
        swept,
        nomad,
        run_questions,
        reruns,
        enlisted: _,
        by_repository: _,
        by_run: _,
        looks: _,
        outdated: _,
        timers,
        ended,
        ended_order: _,
        left,
        unserved,
        // Remembers no moment: it waits for an answer or a timer.
        superseded: _,
        floors,
    } = state;
    jobs.values_mut().chain(ended.values_mut()).for_each(|job| times_of_job(job, move_on));
    reruns.values_mut().for_each(|(job, _)| times_of_job(job, move_on));
    for name in runners.keys().cloned().collect::<Vec<_>>() {
        runners.change(&name, |runner| times_of_runner(runner, move_on));
    }
    for CredentialState { ends, minting: _, life: _, failed } in credentials.values_mut() {
        ends.iter_mut().for_each(&mut *move_on);
        failed.iter_mut().for_each(|gate| times_of_gate(gate, move_on));
    }
    minting.values_mut().for_each(|gate| times_of_gate(gate, move_on));
    run_questions.held.values_mut().for_each(|gate| times_of_gate(gate, move_on));
    refusals.values_mut().for_each(|gate| times_of_gate(gate, move_on));
    let Deposits { refused, owed: _, closed } = deposits;
    let closed = closed.values_mut();
    refused.values_mut().chain(closed).for_each(|gate| times_of_gate(gate, move_on));
    for Breaker { ends: _, counted_at, from: _, gate } in breakers.values_mut() {
        counted_at.iter_mut().for_each(&mut *move_on);
        gate.iter_mut().for_each(|gate| times_of_gate(gate, move_on));
    }
    pauses.values_mut().flatten().for_each(&mut *move_on);
    let Swept { all: _, settled: _, refused: _ } = swept;
    for state in nomad.values_mut() {
        match state {
            NomadState::Unlisted(_) | NomadState::Listed => {}
            NomadState::Away(gate) => times_of_gate(gate, move_on),
        }
    }
    *timers = std::mem::take(timers).into_iter().map(|(at, who)| (at.moved(by), who)).collect();
    left.iter_mut().for_each(|(_, at)| move_on(at));
    unserved.times(move_on);
    // Schedules are by the clock itself.
    floors.outdated = true;
}

/// Moments of ours; what the forge says of its own is its own.
fn times_of_job(job: &mut Job, visit: &mut impl FnMut(&mut Time)) {
    visit(&mut job.received_at);
    if let Some(InVain { ends: _, until, last: _ }) = &mut job.in_vain {
        visit(until);
    }
    job.ended_at.iter_mut().for_each(visit);
}

fn times_of_gate(gate: &mut Gate, visit: &mut impl FnMut(&mut Time)) {
    let Gate { reason: _, tries: _, until, probe: _ } = gate;
    visit(until);
}

fn times_of_runner(runner: &mut Runner, visit: &mut impl FnMut(&mut Time)) {
    let Runner {
        name: _,
        class: _,
        scope_name: _,
        place: _,
        credential: _,
        by_claim: _,
        claimed,
        deposit: _,
        told_of_claim: _,
        state,
        took: _,
        done_at,
        unwanted: _,
        spent: _,
        told_old: _,
        steps_back: _,
        not_before,
        cause: _,
        namespace: _,
        region: _,
        parent: _,
        child: _,
        nameless: _,
        hired_at,
        first_sent_at,
        last_sent_at,
        sends: _,
        credential_ends,
        placed_at,
        registered_at,
        github_id: _,
        offline,
        tries: _,
        reason: _,
        ended_at,
        in_flight: _,
        clock,
    } = runner;
    match state {
        crate::RunnerState::Withdrawing(Leaving::Booting { look_again: at }) => visit(at),
        crate::RunnerState::Withdrawing(Leaving::Ending { since: at }) => visit(at),
        _ => {}
    }
    visit(hired_at);
    claimed.iter_mut().for_each(|claimed| visit(&mut claimed.at));
    let others = [
        done_at,
        not_before,
        first_sent_at,
        last_sent_at,
        credential_ends,
        placed_at,
        registered_at,
        offline,
        ended_at,
        clock,
    ];
    others.into_iter().flatten().for_each(visit);
}
