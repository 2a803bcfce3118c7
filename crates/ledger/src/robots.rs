//! What robots ([runners] robots) get while people wait elsewhere: `robots_per_repository`. Who
//! is hired in which order is in `step::hiring`, why somebody waits in `why`.

use super::state::State;
use super::{ClassKey, Pool, RunId, RunnerName, ScopeKey};

impl State {
    /// Whether people wait whose scope's token is on its way: in a moment they can use the room
    /// that robots would have now.
    pub(super) fn people_wait_for_a_token(&self) -> bool {
        let comes = |scope| self.credentials.get(scope).is_some_and(|c| c.minting);
        self.classes.iter().any(|(key, class)| {
            class.hold.is_none()
                && class.waiting.len() > class.robots.len()
                && comes(&key.scope)
                && self.runners.counts(key).sent() < class.waiting.len()
        })
    }

    /// Whether a class has as many runners for its people as it needs, and its repository's
    /// robots the few that they get while people wait elsewhere.
    pub(super) fn robots_have_theirs(&self, key: &ClassKey, pool: &Pool) -> bool {
        let (Some(cap), ScopeKey::Repository(_)) = (pool.robots_per_repository, &key.scope) else {
            return false;
        };
        let Some(class) = self.classes.get(key) else { return false };
        let people = class.waiting.len() - class.robots.len();
        let supply = self.runners.counts(key).sent();
        if supply < people {
            return false;
        }
        // In all of the repository's classes: with `{run_id}` each run is one.
        let first = ClassKey { run: None, ..key.clone() };
        let last = ClassKey { run: Some(RunId(u64::MAX)), ..key.clone() };
        let theirs = self.classes.range(first..=last).map(|(key, class)| {
            let at_work = class.runners.iter().filter(|name| self.works_for_a_robot(name)).count();
            let people = class.waiting.len() - class.robots.len();
            at_work + self.runners.counts(key).sent().saturating_sub(people)
        });
        supply >= class.waiting.len() || theirs.sum::<usize>() >= cap as usize
    }

    fn works_for_a_robot(&self, name: &RunnerName) -> bool {
        let took = self.runners.get(name).and_then(|runner| runner.took);
        let job = took.filter(|took| !took.done).and_then(|took| self.jobs.get(&took.job?));
        job.is_some_and(|job| job.robot)
    }
}
