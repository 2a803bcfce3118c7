//! One seed in four plays with a Gitea. Here is what its adapter does otherwise than GitHub's, as
//! `forge::gitea`: names of runners that are not registered any more are remembered, a runner is
//! taken away in steps, and one listing serves a whole sweep.

use std::collections::{BTreeMap, BTreeSet};

use roustabout::ledger::effect::Target;
use roustabout::ledger::event::{Answer, Deletion};
use roustabout::ledger::pool::Forge;
use roustabout::ledger::{JobReport, Repository, RepositoryId, RunId, Time};
use serde_json::Value;
use simulated::github::model::{Millis, SECOND};
use simulated::github::{Kind, Status};

use crate::calls::{Luck, Side};
use crate::reconciler::looks;
use crate::troubles::Trouble;
use crate::world::World;

/// How long after a runner was disabled it is looked at again.
pub const SETTLES: Millis = 2 * SECOND;

/// What cannot trouble a Gitea: it has no rate limit, no environments and no log of deliveries,
/// and its listings are as new as its database.
pub const NOT_ITS: &[Trouble] =
    &[Trouble::GitHubLimits, Trouble::GitHubLags, Trouble::Environments, Trouble::NobodyRedelivers];

/// What is played in a seed. One Gitea in three is too old to disable a runner.
pub fn kind_of(seed: u64) -> Kind {
    match seed % 4 {
        3 => Kind::Gitea { disables: !seed.is_multiple_of(3) },
        _ => Kind::GitHub,
    }
}

/// As `engine::rules` fills it.
pub fn forge(kind: Kind) -> Forge {
    match kind {
        Kind::GitHub => Forge::default(),
        Kind::Gitea { .. } => Forge {
            name: "Gitea",
            runner_url: Some("http://github.test".to_owned()),
            ends_are_final: false,
        },
    }
}

/// What the adapter remembers of one life.
#[derive(Default)]
pub struct Memory {
    names: BTreeMap<u64, String>,
    /// Who was busy in a scope's last listing.
    busy: BTreeMap<String, BTreeSet<u64>>,
    /// What all looks of a sweep share: the open jobs of the owner, and when they were asked for.
    pub open: Option<(Time, Vec<(RepositoryId, JobReport)>)>,
}

/// The next call on the way to take a runner away.
#[derive(Clone, Copy, Debug)]
pub enum Taking {
    Look {
        disabled: bool,
    },
    Jobs {
        disabled: bool,
        can_be_disabled: bool,
    },
    Disable,
    /// `seen` is when the last look showed it idle.
    Delete {
        disabled: bool,
        seen: Millis,
    },
    LookBack,
}

/// What one of these calls came to.
pub enum Taken {
    Next(Taking, Millis),
    Answer(Answer<Deletion>),
}

impl World {
    pub fn is_gitea(&self) -> bool {
        self.github.knobs.kind.is_gitea()
    }

    /// A runner whose registration is gone has an id in a job, and no name: it is known where it
    /// was seen before.
    pub fn name_runner(&mut self, job: &Value, report: &mut JobReport) {
        let (Some(id), Some(daemon)) = (job["runner_id"].as_u64(), &mut self.daemon) else {
            return;
        };
        let names = &mut daemon.gitea.names;
        match &report.runner_name {
            Some(name) => {
                names.insert(id, name.clone());
            }
            None => report.runner_name = names.get(&id).cloned(),
        }
    }

    /// Looked at, disabled, looked at again when what was under way is to be seen, and only then
    /// deleted. One call at a time: the daemon may die between any two.
    pub fn take_away(&mut self, target: &Target, id: u64, taking: Taking) -> Taken {
        let page = looks::page(target);
        let path = format!("{page}/actions/runners/{id}");
        let answer = match taking {
            Taking::Look { disabled } => self.get_if_there(&path).map(|runner| match runner {
                None => Taken::Answer(Ok(Deletion::NoNewJob)),
                Some(runner) if runner["busy"] == true => Taken::Answer(Ok(Deletion::Busy)),
                Some(runner) => {
                    let can_be_disabled = runner["disabled"].is_boolean();
                    Taken::Next(Taking::Jobs { disabled, can_be_disabled }, 0)
                }
            }),
            Taking::Jobs { disabled, can_be_disabled } => {
                let seen = self.now;
                self.has_job(&page, id).map(|has| match has {
                    true => Taken::Answer(Ok(Deletion::Busy)),
                    false if can_be_disabled && !disabled => Taken::Next(Taking::Disable, 0),
                    false => Taken::Next(Taking::Delete { disabled, seen }, 0),
                })
            }
            Taking::Disable => self.github("PATCH", &path).map(|(status, _)| match status {
                404 => Taken::Answer(Ok(Deletion::NoNewJob)),
                _ => Taken::Next(Taking::Look { disabled: true }, SETTLES),
            }),
            Taking::Delete { disabled, seen } => self.delete_as_seen(&path, id, seen).map(|()| {
                if disabled {
                    Taken::Answer(Ok(Deletion::NoNewJob))
                } else {
                    Taken::Next(Taking::LookBack, 0)
                }
            }),
            Taking::LookBack => self.has_job(&page, id).map(|has| {
                Taken::Answer(Ok(if has { Deletion::Busy } else { Deletion::NoNewJob }))
            }),
        };
        answer.unwrap_or_else(|failure| Taken::Answer(Err(failure)))
    }

    /// Nobody is deleted at work; but where runners cannot be disabled a job may be given out
    /// between the last look and this.
    fn delete_as_seen(&mut self, path: &str, id: u64, seen: Millis) -> Answer<()> {
        let given = self.github.runner(id).and_then(|runner| runner.job);
        let answer = self.github("DELETE", path);
        if let Some(given) = given.filter(|_| self.github.runner(id).is_none()) {
            let job = given.job;
            self.watching.excuse(job);
            let disables = self.github.knobs.kind == (Kind::Gitea { disables: true });
            if disables || given.at <= seen {
                self.watching.broken(|| format!("runner {id} is deleted at work on job {job}"));
            }
        }
        answer.map(drop)
    }

    fn has_job(&mut self, page: &str, id: u64) -> Answer<bool> {
        let jobs = self.get(&format!("{page}/actions/jobs?status=in_progress&per_page=100"))?;
        let mut jobs = jobs["jobs"].as_array().into_iter().flatten();
        Ok(jobs.any(|job| job["runner_id"] == id))
    }

    fn get_if_there(&mut self, path: &str) -> Answer<Option<Value>> {
        match self.github("GET", path)? {
            (404, _) => Ok(None),
            (_, body) => Ok(Some(body)),
        }
    }

    /// A run does not name its head: only a pull request's can be a fork.
    pub fn is_fork_at_gitea(
        &mut self,
        repository: RepositoryId,
        full_name: &str,
        run: RunId,
    ) -> Answer<bool> {
        let run = self.get(&format!("/repos/{full_name}/actions/runs/{run}"))?;
        if !run["event"].as_str().is_some_and(|event| event.starts_with("pull_request")) {
            return Ok(false);
        }
        let path = run["path"].as_str().unwrap_or_default();
        let number = path.split_once("@refs/pull/").and_then(|(_, rest)| rest.split_once('/'));
        let Some((number, _)) = number else { return Ok(true) };
        let pull = self.get(&format!("/repos/{full_name}/pulls/{number}"))?;
        Ok(pull["head"]["repo"]["id"] != repository.0)
    }

    /// The open jobs of a repository, out of the listing that the looks of one sweep share; and
    /// when that was asked for.
    pub fn open_jobs_at_gitea(
        &mut self,
        repository: &Repository,
    ) -> Answer<(Time, Vec<JobReport>)> {
        let shared = self.daemon.as_ref().is_some_and(|daemon| daemon.gitea.open.is_some());
        if !shared {
            let luck = self.luck(Side::GitHub);
            if luck != Luck::Fine {
                return Err(self.failure(luck));
            }
            let open: Vec<_> =
                self.github.jobs().filter(|job| job.status != Status::Completed).collect();
            let open = open.into_iter().filter_map(|job| {
                let run = self.github.run(job.run)?;
                let report = JobReport { workflow: None, ..looks::report(job, &run.spec) };
                Some((RepositoryId(run.repository), report))
            });
            let open = Some((self.time(), open.collect()));
            if let Some(daemon) = &mut self.daemon {
                daemon.gitea.open = open;
            }
        }
        let open = self.daemon.as_ref().and_then(|daemon| daemon.gitea.open.as_ref());
        let Some((began, open)) = open else { return Err(self.failure(Luck::NotSent)) };
        let here = open.iter().filter(|(id, _)| *id == repository.id);
        Ok((*began, here.map(|(_, report)| report.clone()).collect()))
    }

    /// Busy is who was so in the last listing too: who runs what is known by then.
    pub fn busy_for_two_listings(&mut self, path: &str, busy: BTreeSet<u64>) -> BTreeSet<u64> {
        let Some(daemon) = &mut self.daemon else { return busy };
        let before = daemon.gitea.busy.insert(path.to_owned(), busy.clone()).unwrap_or_default();
        busy.intersection(&before).copied().collect()
    }
}
