//! Robots that push to their branches again and again, and what the daemon may cancel of it.

use simulated::github::{RunSpec, Status};
use transport::Request;

use crate::stage::ROBOT;
use crate::troubles::Trouble;
use crate::world::World;

/// A job that began so long ago has been heard of, by a webhook or a look.
const HEARD_OF: i64 = 10 * 60_000;

impl World {
    /// The robot pushes to one of its branches, where there are storms.
    pub fn storm(&mut self, run: &mut RunSpec) {
        if !self.weather.has(Trouble::Storms) || self.is_gitea() || self.draw(0, 2) == 0 {
            return;
        }
        "pull_request".clone_into(&mut run.event);
        ROBOT.clone_into(&mut run.actor);
        run.head_branch = format!("robot/{}", self.draw(0, 1));
    }

    /// Only robots' runs are cancelled, of which there is a newer one, and none that works.
    pub fn before_run_is_cancelled(&mut self, request: &Request) {
        let path = request.url.path();
        let Some((rest, "cancel" | "force-cancel")) = path.rsplit_once('/') else { return };
        let id = rest.rsplit_once('/').and_then(|(_, id)| id.parse::<u64>().ok());
        let Some(run) = id.and_then(|id| self.github.run(id)).cloned() else { return };
        let same = |other: &simulated::github::runs::Run| {
            other.id > run.id
                && other.repository == run.repository
                && other.spec.head_branch == run.spec.head_branch
                && other.spec.event == run.spec.event
                && other.head_sha != run.head_sha
        };
        let runs: std::collections::BTreeSet<u64> = self.github.jobs().map(|job| job.run).collect();
        let superseded = runs.into_iter().filter_map(|id| self.github.run(id)).any(same);
        let of_a_robot = run.spec.actor == ROBOT && run.spec.head_branch != "main";
        if !superseded || !of_a_robot || run.spec.event != "pull_request" {
            self.watching.broken(|| format!("run {} is cancelled, and matters", run.id));
        }
        let late = self.weather.has(Trouble::RequestsActLate);
        let jobs = self.github.jobs_of(&run, run.attempt);
        let works = jobs.iter().any(|job| {
            job.status == Status::InProgress
                && job.started_at.is_some_and(|at| at + HEARD_OF < self.now)
        });
        if works && !late {
            self.watching.broken(|| format!("run {} is cancelled at work", run.id));
        }
        for job in run.jobs {
            self.watching.excuse(job);
        }
    }
}
