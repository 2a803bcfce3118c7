//! Ways that are closed after a failure: a pool whose parameterized job refuses dispatches, and
//! a place of Nomad that does not answer. One try when the time is over, then longer waits.

use rand::Rng;

use super::{Fold, when_to_retry};
use crate::deposit::Keeper;
use crate::event::{Failure, NomadTrouble};
use crate::state::{Gate, NomadState, Timer};
use crate::{ClassKey, Happened, NomadPlace, PoolName, Request, RunnerName, State, Time, backoff};

impl<R: Rng> Fold<'_, R> {
    /// Nomad said no to a dispatch of the pool.
    pub(super) fn refused(&mut self, name: &RunnerName, pool: &PoolName, reason: String) {
        let failure = Failure { reason: reason.clone(), retry_after: None };
        let before = self.state.refusals.get(pool);
        if let Some(Closed { gate, is_news }) =
            Gate::closed(before, name, &failure, self.now, self.rng)
        {
            if is_news {
                self.happened_to(name, Happened::DispatchRefused { reason: reason.clone() });
            }
            self.set_timer(gate.until, Timer::Refusal(pool.clone()));
            self.state.refusals.insert(pool.clone(), gate);
            if let Some(pool) = self.state.rules.pool(pool) {
                let request = Request::WatchParent {
                    pool: pool.name.clone(),
                    place: self.state.rules.place_of(pool),
                    parent: pool.nomad_job.clone(),
                };
                self.request(request);
            }
        }
        self.owed_again(name, reason);
        self.touch_pool(pool);
    }

    /// The parameterized job changed, or took a dispatch: what was refused is sent again at once.
    pub(super) fn parent_changed(&mut self, pool: &PoolName) {
        if self.state.refusals.remove(pool).is_some() {
            self.touch_pool(pool);
        }
    }

    pub(super) fn touch_pool(&mut self, pool: &PoolName) {
        let keys: Vec<_> =
            self.state.classes.keys().filter(|key| key.pool == *pool).cloned().collect();
        for key in keys {
            self.touch(&key);
        }
    }

    /// Nomad does not answer there: everybody of that place waits, and one at a time tries.
    pub(super) fn nomad_away(
        &mut self,
        place: NomadPlace,
        probe: Option<&RunnerName>,
        trouble: &NomadTrouble,
    ) {
        let reason = trouble.to_string();
        let tries = match self.state.nomad.get(&place) {
            None | Some(NomadState::Unlisted(_)) => {
                self.state.nomad.insert(place.clone(), NomadState::Unlisted(reason));
                return self.touch_place(&place);
            }
            Some(NomadState::Listed) => 0,
            Some(NomadState::Away(gate))
                if gate.probe.is_some() && gate.probe.as_ref() == probe =>
            {
                gate.tries
            }
            Some(NomadState::Away(_)) => return,
        };
        let until = self.now + backoff(tries, self.rng);
        let gate = Gate { reason, tries: tries + 1, until, probe: None };
        self.state.nomad.insert(place.clone(), NomadState::Away(gate));
        self.set_timer(until, Timer::Nomad(place.clone()));
        self.touch_place(&place);
    }

    /// Nobody can say whether a dispatch arrived. While Nomad was away that is no way back.
    pub(super) fn probe_is_lost(&mut self, name: &RunnerName, reason: &str) {
        let probes = |gate: &Gate| gate.probe.as_ref() == Some(name);
        let probed = self.state.nomad.iter().find_map(|(place, state)| {
            matches!(state, NomadState::Away(gate) if probes(gate)).then(|| place.clone())
        });
        if let Some(place) = probed {
            let trouble = NomadTrouble::Unreachable(reason.to_owned());
            self.nomad_away(place, Some(name), &trouble);
        }
        // Whether runners of its pool get jobs may still be seen by it.
        self.release_dispatch_probe(name);
    }

    /// Nomad answered something there: the way is open.
    pub(super) fn nomad_answers(&mut self, place: &NomadPlace) {
        if let Some(state @ NomadState::Away(_)) = self.state.nomad.get_mut(place) {
            *state = NomadState::Listed;
            self.touch_place(place);
            self.keeper_recovered(Keeper::Variable, Some(place));
        }
    }

    pub(super) fn touch_place(&mut self, place: &NomadPlace) {
        let rules = &self.state.rules;
        let there = rules.pools.iter().filter(|pool| rules.place_of(pool) == *place);
        for pool in there.map(|pool| pool.name.clone()).collect::<Vec<_>>() {
            self.touch_pool(&pool);
        }
    }

    pub(super) fn touch_all(&mut self) {
        self.classes.extend(self.state.classes.keys().cloned());
    }

    /// The one that tried found neither that the way is open nor that it is closed.
    pub(super) fn release_probe(&mut self, name: &RunnerName) {
        self.release_dispatch_probe(name);
        let Some(runner) = self.state.runners.get(name) else { return };
        for of in runner.class.breakers() {
            let gate = self.state.breakers.get_mut(&of).and_then(|breaker| breaker.gate.as_mut());
            if let Some(gate) = gate {
                gate.release(name);
            }
        }
    }

    fn release_dispatch_probe(&mut self, name: &RunnerName) {
        let away = self.state.nomad.values_mut().filter_map(NomadState::gate);
        let minting = self.state.minting.values_mut();
        let deposits = self.state.deposits.refused.values_mut();
        for gate in self.state.refusals.values_mut().chain(deposits).chain(minting).chain(away) {
            gate.release(name);
        }
    }
}

impl State {
    /// Every gate before the dispatches of a class: its parameterized job's, the breakers of its
    /// pool and its scope, that of its place of Nomad, and that of its runners' own credentials.
    pub(super) fn each_gate_of(&mut self, key: &ClassKey, mut see: impl FnMut(&mut Gate)) {
        let place = self.rules.pool(&key.pool).map(|pool| self.rules.place_of(pool));
        let away = place.and_then(|place| self.nomad.get_mut(&place)?.gate());
        let minting = self.minting.get_mut(&key.breaker());
        let refused = self.refusals.get_mut(&key.pool);
        let refused = refused.into_iter().chain(self.deposits.refused.get_mut(&key.pool));
        refused.chain(minting).chain(away).for_each(&mut see);
        for of in key.breakers() {
            let breaker = self.breakers.get_mut(&of);
            breaker.and_then(|breaker| breaker.gate.as_mut()).into_iter().for_each(&mut see);
        }
    }
}

impl NomadState {
    pub(super) fn gate(&mut self) -> Option<&mut Gate> {
        match self {
            NomadState::Away(gate) => Some(gate),
            NomadState::Unlisted(_) | NomadState::Listed => None,
        }
    }
}

/// A gate after a failure, and whether its reason is another than before.
pub(super) struct Closed {
    pub gate: Gate,
    pub is_news: bool,
}

impl Gate {
    /// After the failure of a runner's request. `None`: it does not count, for those that were sent before
    /// the first failure came back count once.
    pub(super) fn closed(
        before: Option<&Gate>,
        by: &RunnerName,
        failure: &Failure,
        now: Time,
        rng: &mut impl Rng,
    ) -> Option<Closed> {
        if before.is_some_and(|gate| gate.probe.as_ref() != Some(by)) {
            return None;
        }
        let tries = before.map_or(0, |gate| gate.tries);
        let is_news = before.is_none_or(|gate| gate.reason != failure.reason);
        let until = when_to_retry(failure, tries, now, rng);
        let reason = failure.reason.clone();
        Some(Closed { gate: Gate { reason, tries: tries + 1, until, probe: None }, is_news })
    }

    fn release(&mut self, name: &RunnerName) {
        self.probe.take_if(|probe| probe == name);
    }

    /// One at a time, and not before its time.
    pub fn may_pass(&self, now: Time) -> bool {
        self.until <= now && self.probe.is_none()
    }
}
