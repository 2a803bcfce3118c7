//! What robots ([runners] robots) get while people wait elsewhere: `robots_per_repository`. Who
//! is hired in which order is in `step::hiring`, why somebody waits in `why`.

use super::state::State;
use super::{ClassKey, Pool, RunnerName, ScopeKey, work};

impl State {
    /// Whether people wait whose scope's token is on its way: in a moment they can use the room
    /// that robots would have now.
    pub(super) fn people_wait_for_a_token(&self) -> bool {
        let comes = |scope| self.credentials.get(scope).is_some_and(|c| c.minting);
        if !self.credentials.values().any(|credential| credential.minting) {
            return false;
        }
        self.classes.iter().any(|(key, class)| {
            class.hold.is_none()
                && class.waiting.len() > class.robots.len()
                && comes(&key.scope)
                && self.runners.counts(key).sent() < class.wanted()
        })
    }

    /// Whether a repository's robots have the few runners that they get while people wait
    /// elsewhere, in all of its classes: with `{run_id}` each run is one.
    pub(super) fn robots_have_theirs(&self, key: &ClassKey, pool: &Pool) -> bool {
        let (Some(cap), ScopeKey::Repository(_)) = (pool.robots_per_repository, &key.scope) else {
            return false;
        };
        // Only where runners are any can be for robots, and room bounds these.
        let theirs = self.runners.classes_of(key.runs_of_scope()).map(|(key, counts)| {
            work::count(1);
            let Some(class) = self.classes.get(key) else { return 0 };
            let at_work = class.runners.iter().filter(|name| self.works_for_a_robot(name)).count();
            at_work + counts.sent().saturating_sub(class.people() + class.floor)
        });
        theirs.sum::<usize>() >= cap as usize
    }

    /// The same of a class, if it has a runner for each of its people's jobs.
    pub(super) fn only_robots_wait(&self, key: &ClassKey, pool: &Pool) -> bool {
        let people = self.classes.get(key).map_or(0, super::Class::people);
        self.runners.counts(key).sent() >= people && self.robots_have_theirs(key, pool)
    }

    fn works_for_a_robot(&self, name: &RunnerName) -> bool {
        let took = self.runners.get(name).and_then(|runner| runner.took);
        let job = took.filter(|took| !took.done).and_then(|took| self.jobs.get(&took.job?));
        job.is_some_and(|job| job.robot)
    }
}
