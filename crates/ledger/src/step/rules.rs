//! What follows when the operator decides otherwise while jobs wait and runners live: a pool that
//! is new, changed or gone, another policy, other caps.
//!
//! Runners of a pool that is gone lose their demand, and so take the usual way out: the idle are
//! let go, the busy are followed to their end.

use std::collections::BTreeSet;

use rand::Rng;

use super::Fold;
use super::looking::OLD_NEWS;
use crate::class::Hold;
use crate::state::NomadState;
use crate::{Job, JobId, NomadPlace, Pool, PoolName, Release, RepositoryId, Rules, RunnerName};

impl<R: Rng> Fold<'_, R> {
    pub(super) fn new_rules(&mut self, rules: Rules) {
        let before = std::mem::replace(&mut self.state.rules, rules);
        self.forget_other_parents(&before);
        let rules = &self.state.rules;
        let places: BTreeSet<NomadPlace> =
            rules.pools.iter().map(|pool| rules.place_of(pool)).collect();
        self.state.nomad.retain(|place, _| places.contains(place));
        let open: Vec<JobId> = self.state.jobs.keys().copied().collect();
        self.state.unserved.tell_anew();
        self.state.superseded.told.clear();
        self.state.floors.outdated = true;
        for id in open {
            self.judge_again(id);
        }
        self.judge_unserved(Vec::new());
        self.let_go_of_what_waits_by_old_orders(&before);
        self.tell_of_former_names();
        self.touch_all();
        self.try_everything_once();
        let runners: Vec<RunnerName> = self.state.runners.keys().cloned().collect();
        for name in &runners {
            self.start_clocks(name);
        }
    }

    /// What Nomad has no place for yet: what was wrong may be mended by what is dispatched now.
    fn let_go_of_what_waits_by_old_orders(&mut self, before: &Rules) {
        let told = |pool: &Pool| {
            (pool.delivery.clone(), pool.labels.clone(), pool.credential, pool.runner_group.clone())
        };
        let others: BTreeSet<PoolName> = {
            let pools = before.pools.iter();
            let now = |pool: &Pool| self.state.rules.pool(&pool.name).map(told);
            let others = pools.filter(|pool| now(pool).is_some_and(|now| now != told(pool)));
            others.map(|pool| pool.name.clone()).collect()
        };
        let old = self.state.runners.values().filter(|runner| {
            self.is_unplaced(runner)
                && (others.contains(&runner.class.pool) || self.is_of_another_order(runner))
        });
        for name in old.map(|runner| runner.name.clone()).collect::<Vec<_>>() {
            self.let_go_for_good(&name, Release::OtherNomadJob);
        }
    }

    /// Jobs that no pool had; most of them left memory long ago, and only their rows know them.
    pub(super) fn judge_unserved(&mut self, rows: Vec<Job>) {
        for mut job in self.state.left_unserved(rows).into_values() {
            // It may be over by now, for nobody looked.
            job.unconfirmed |= self.now.since(job.received_at) > OLD_NEWS;
            self.judge_and_place(job);
        }
    }

    /// The same for one repository, whose topics have changed.
    pub(super) fn judge_unserved_of(&mut self, repository: RepositoryId) {
        let left = self.state.left_unserved(Vec::new()).into_values();
        for job in left.filter(|job| job.repository == repository) {
            self.judge_and_place(job);
        }
    }

    /// What one parameterized job refused, and how its runners ended, says nothing of another.
    fn forget_other_parents(&mut self, before: &Rules) {
        let parent = |rules: &Rules, name: &PoolName| {
            let pool = rules.pool(name)?;
            Some((pool.nomad_job.clone(), rules.place_of(pool), pool.delivery.clone()))
        };
        let same = |name: &PoolName| {
            let now = parent(&self.state.rules, name);
            now.is_some() && now == parent(before, name)
        };
        let known = before.pools.iter().map(|pool| pool.name.clone());
        let others: Vec<PoolName> = known.filter(|name| !same(name)).collect();
        for name in others {
            self.state.refusals.remove(&name);
            self.state.deposits.refused.remove(&name);
            self.forget_ends(&name);
        }
    }

    /// Tokens and addresses may be others now: backoff is over, for one try each.
    fn try_everything_once(&mut self) {
        let now = self.now;
        let away = self.state.nomad.values_mut().filter_map(NomadState::gate);
        let refusals = self.state.refusals.values_mut();
        let credentials = self.state.credentials.values_mut().filter_map(|c| c.failed.as_mut());
        let minting = self.state.minting.values_mut();
        let deposits = &mut self.state.deposits;
        let ways: Vec<_> = deposits.closed.keys().cloned().collect();
        let deposits = deposits.refused.values_mut().chain(deposits.closed.values_mut());
        let refusals = refusals.chain(deposits);
        for gate in refusals.chain(credentials).chain(minting).chain(away) {
            gate.until = gate.until.min(now);
        }
        ways.iter().for_each(|way| self.remove_deposits(way));
        self.state.run_questions.held.clear();
        let unanswered = self.state.classes.iter();
        let unanswered = unanswered
            .filter(|(_, class)| class.hold == Some(Hold::Asking { sent: false }))
            .map(|(key, _)| key.clone());
        self.asks.extend(unanswered);
    }
}
