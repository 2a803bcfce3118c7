//! Runners: how they register, what they are told, and how they go.
//!
//! Which job a runner gets is in `runners/assignment.rs`; the stand-in that is at the other end is
//! in `simulated/runner/`. Read next: `runners/assignment.rs`.

mod assignment;
#[cfg(test)]
mod tests;

use rand::Rng;

use super::happenings::What;
use super::json;
use super::model::{DAY, GitHub, Millis};
use super::runs::{Conclusion, RanOn, Status};
use super::tokens::{Purpose, Scope};
use crate::protocol::{Beat, JobMessage, Poll, Registered, Registration, Step};

/// The job a runner was given.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub job: u64,
    pub at: Millis,
    /// How long `busy` will stay false.
    pub lag: Millis,
    pub picked_up: bool,
}

#[derive(Clone, Debug)]
pub struct Runner {
    pub id: u64,
    pub name: String,
    pub scope: Scope,
    pub labels: Vec<String>,
    pub group: u64,
    pub ephemeral: bool,
    secret: String,
    /// False once DELETE has removed it while it had a job that it still ends.
    pub registered: bool,
    pub registered_at: Millis,
    pub last_seen: Option<Millis>,
    pub job: Option<Given>,
    /// When it first asked for a job.
    pub listening_since: Option<Millis>,
    /// One that was registered before it started: how long it may be idle.
    pub jit_idle_limit: Option<Millis>,
    /// From when on it is given no more jobs: Gitea's.
    pub disabled_from: Option<Millis>,
}

impl Runner {
    /// What GitHub *says*: it lags behind (terraform-aws-github-runner PR #5228, actions/runner#4422).
    #[must_use]
    pub fn shows_busy(&self, now: Millis) -> bool {
        self.job.is_some_and(|given| given.at + given.lag <= now)
    }

    pub(super) fn is_disabled(&self, now: Millis) -> bool {
        self.disabled_from.is_some_and(|from| from <= now)
    }
}

/// What a runner registers as.
pub(super) struct NewRunner {
    pub name: String,
    pub labels: Vec<String>,
    pub group: u64,
    pub ephemeral: bool,
    pub replace: bool,
}

/// Why a registration was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
}

/// What `DELETE …/actions/runners/ID` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// 204. No new job; one that it was just given goes on.
    Deleted,
    /// 404.
    Unknown,
    /// 422 (meows#136).
    Busy,
}

impl GitHub {
    #[must_use]
    pub fn runner(&self, id: u64) -> Option<&Runner> {
        self.runners.get(&id)
    }

    /// What the runner listing of the scope shows, by id.
    pub fn runners_of(&self, scope: Scope) -> impl Iterator<Item = &Runner> {
        self.runners.values().filter(move |runner| runner.registered && runner.scope == scope)
    }

    /// Registers a runner: `config.sh`.
    ///
    /// # Errors
    /// An unknown token or one of another scope answers 404 and an expired one 401; a name that is
    /// taken 409 (runs-on#30); a group that is not there 404.
    pub fn register(&mut self, asked: &Registration, now: Millis) -> Result<Registered, Refusal> {
        let refuse = |status, message: String| Refusal { status, message };
        let scope = self.check_runner_token(&asked.token, Purpose::Register, now)?;
        // At Gitea the scope is in the token, and everybody registers at the root.
        let fits = match self.is_gitea() {
            true => asked.url.trim_end_matches('/') == self.base,
            false => self.scope_of_url(&asked.url) == Some(scope),
        };
        if !fits {
            return Err(refuse(404, "Not Found".to_owned()));
        }
        let group = self.group_for(scope, |group| match &asked.group {
            Some(name) => group.name.eq_ignore_ascii_case(name),
            None => group.default,
        });
        let Some(group) = group else {
            let group = asked.group.as_deref().unwrap_or_default();
            let message = format!("Could not find any self-hosted runner group named {group:?}.");
            return Err(refuse(404, message));
        };
        let asked = NewRunner {
            name: asked.name.clone(),
            labels: asked.labels.clone(),
            group,
            ephemeral: asked.ephemeral,
            replace: asked.replace,
        };
        self.add_runner(scope, asked, now)
    }

    pub(super) fn add_runner(
        &mut self,
        scope: Scope,
        asked: NewRunner,
        now: Millis,
    ) -> Result<Registered, Refusal> {
        let refuse = |status, message: String| Refusal { status, message };
        let taken = self.runners_of(scope).find(|runner| runner.name == asked.name);
        // At Gitea two of one name are two runners.
        let taken = taken.filter(|_| !self.is_gitea());
        match taken.map(|runner| runner.id) {
            Some(id) if asked.replace => self.drop_runner(id, "replaced", now),
            Some(_) => {
                let name = &asked.name;
                let message =
                    format!("Already exists - A runner with the name {name} already exists.");
                return Err(refuse(409, message));
            }
            None => {}
        }
        let id = self.new_id(20);
        let secret = self.draw_guid();
        self.runners.insert(
            id,
            Runner {
                id,
                name: asked.name.clone(),
                scope,
                labels: asked.labels,
                group: asked.group,
                ephemeral: asked.ephemeral,
                secret: secret.clone(),
                registered: true,
                registered_at: now,
                last_seen: None,
                job: None,
                listening_since: None,
                jit_idle_limit: None,
                disabled_from: None,
            },
        );
        let scope = self.scope_name(scope);
        self.note(now, What::RunnerRegistered { id, name: asked.name.clone(), scope });
        Ok(Registered { id, secret })
    }

    /// Removes a runner with a removal token: `config.sh remove`.
    ///
    /// # Errors
    /// As [`GitHub::register`]; also 404 for a runner that is not there, 422 for one at work.
    pub fn unregister(&mut self, id: u64, token: &str, now: Millis) -> Result<(), Refusal> {
        let scope = self.check_runner_token(token, Purpose::Remove, now)?;
        // Not for these (actions/runner#2920).
        if self.runners.get(&id).is_some_and(|runner| runner.jit_idle_limit.is_some()) {
            return Err(Refusal { status: 401, message: "not authorized".to_owned() });
        }
        match self.delete_runner(scope, id, now) {
            Deletion::Deleted => Ok(()),
            Deletion::Unknown => Err(Refusal { status: 404, message: "Not Found".to_owned() }),
            Deletion::Busy => {
                let message = format!("Runner {id} is still running a job");
                Err(Refusal { status: 422, message })
            }
        }
    }

    /// Deletes a registration, as far as GitHub knows that the runner is idle: while `busy` lags,
    /// "the DELETE call also succeeds" and the job goes on (terraform-aws-github-runner PR #5228).
    pub fn delete_runner(&mut self, scope: Scope, id: u64, now: Millis) -> Deletion {
        if self.is_gitea() {
            return self.delete_without_a_look(scope, id, now);
        }
        let Some(runner) = self.runners.get_mut(&id) else { return Deletion::Unknown };
        if !runner.registered || runner.scope != scope {
            return Deletion::Unknown;
        }
        if runner.shows_busy(now) {
            return Deletion::Busy;
        }
        if runner.job.is_some() {
            runner.registered = false;
            let name = runner.name.clone();
            self.note(now, What::RunnerRemoved { id, name, why: "deleted while at work" });
        } else {
            self.drop_runner(id, "deleted", now);
        }
        Deletion::Deleted
    }

    /// A listening runner asks for its next job. A sign of life too.
    pub fn poll(&mut self, id: u64, secret: &str, now: Millis) -> Poll {
        let deprecated = self.knobs.runner_deprecated;
        let Some(runner) = self.authentic(id, secret) else { return Poll::Gone };
        runner.last_seen = Some(now);
        runner.listening_since.get_or_insert(now);
        if deprecated {
            return Poll::Deprecated;
        }
        self.fetch(id, now);
        let given = self.runners.get_mut(&id).and_then(|runner| runner.job.as_mut());
        let Some(given) = given else { return Poll::Wait };
        given.picked_up = true;
        let job = given.job;
        self.job_message(job).map_or(Poll::Wait, |job| Poll::Job { job })
    }

    /// The runner has begun the job: `in_progress` is sent. False where it is no longer its job.
    pub fn started(&mut self, id: u64, secret: &str, job: u64, now: Millis) -> bool {
        let Some(runner) = self.authentic(id, secret) else { return false };
        runner.last_seen = Some(now);
        if runner.job.is_none_or(|given| given.job != job) {
            return false;
        }
        let on = RanOn { id, name: runner.name.clone(), group: runner.group };
        if self.jobs.get(&job).is_some_and(|job| job.status == Status::Queued) {
            self.begin_job(job, on, now);
        }
        true
    }

    /// A sign of life of a runner at work.
    pub fn beat(&mut self, id: u64, secret: &str, job: u64, now: Millis) -> Beat {
        let Some(runner) = self.authentic(id, secret) else { return Beat::NotYours };
        runner.last_seen = Some(now);
        if runner.job.is_none_or(|given| given.job != job) {
            return Beat::NotYours;
        }
        match self.jobs.get(&job) {
            Some(job) if job.cancel_requested => Beat::Cancelled,
            _ => Beat::GoOn,
        }
    }

    /// Which steps of its job a runner has begun.
    pub fn steps_begun(&mut self, id: u64, secret: &str, job: u64, steps: Vec<String>) {
        let its = self.authentic(id, secret).and_then(|runner| runner.job).map(|given| given.job);
        if its == Some(job)
            && let Some(job) = self.jobs.get_mut(&job)
        {
            job.steps_begun = steps;
        }
    }

    /// The runner has ended the job. An ephemeral one is unregistered by that (docs, "Using
    /// ephemeral runners for autoscaling").
    pub fn finished(
        &mut self,
        id: u64,
        secret: &str,
        job: u64,
        conclusion: Conclusion,
        now: Millis,
    ) -> bool {
        let Some(runner) = self.authentic(id, secret) else { return false };
        runner.last_seen = Some(now);
        if runner.job.is_none_or(|given| given.job != job) {
            return false;
        }
        runner.job = None;
        let (ephemeral, registered) = (runner.ephemeral, runner.registered);
        let cancelled = self.jobs.get(&job).is_some_and(|job| job.cancel_requested);
        if ephemeral && self.is_gitea() {
            // Its registration is gone before its job is told to have ended.
            self.drop_runner(id, "its one job is done", now);
        }
        self.complete_job(job, if cancelled { Conclusion::Cancelled } else { conclusion }, now);
        if ephemeral || !registered {
            self.drop_runner(id, "its one job is done", now);
        }
        true
    }

    /// Runners that have not connected go: ephemeral ones after a day, others after 14 (docs,
    /// "Removing self-hosted runners"). A job whose runner shows no sign of life fails.
    pub(super) fn expire_runners(&mut self, now: Millis) {
        let ids: Vec<u64> = self.runners.keys().copied().collect();
        for id in ids {
            let Some(runner) = self.runners.get(&id) else { continue };
            let seen = runner.last_seen.unwrap_or(runner.registered_at);
            let patience = match runner.ephemeral {
                // Gitea keeps them.
                _ if self.is_gitea() => Millis::MAX / 2,
                true => DAY,
                false => 14 * DAY,
            };
            match runner.job {
                None if seen + patience <= now => self.drop_runner(id, "offline too long", now),
                Some(given) if !given.picked_up && given.at + self.knobs.pickup_limit <= now => {
                    self.take_back(given.job, now);
                }
                Some(given) if given.picked_up && seen + self.knobs.lost_after <= now => {
                    if let Some(runner) = self.runners.get_mut(&id) {
                        runner.job = None;
                    }
                    self.complete_job(given.job, Conclusion::Failure, now);
                    if self.runners.get(&id).is_some_and(|one| one.ephemeral || !one.registered) {
                        self.drop_runner(id, "lost with its job", now);
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn drop_runner(&mut self, id: u64, why: &'static str, now: Millis) {
        let Some(runner) = self.runners.remove(&id) else { return };
        if let Some(given) = runner.job {
            self.complete_job(given.job, Conclusion::Failure, now);
        }
        if runner.registered {
            self.note(now, What::RunnerRemoved { id, name: runner.name, why });
        }
    }

    fn check_runner_token(
        &self,
        token: &str,
        purpose: Purpose,
        now: Millis,
    ) -> Result<Scope, Refusal> {
        match self.runner_tokens.get(token) {
            Some(token) if token.purpose != purpose => {
                Err(Refusal { status: 404, message: "Not Found".to_owned() })
            }
            None => Err(Refusal { status: 404, message: "Not Found".to_owned() }),
            Some(token) if token.expires_at <= now => {
                Err(Refusal { status: 401, message: "Bad credentials".to_owned() })
            }
            Some(token) => Ok(token.scope),
        }
    }

    fn authentic(&mut self, id: u64, secret: &str) -> Option<&mut Runner> {
        self.runners.get_mut(&id).filter(|runner| runner.secret == secret)
    }

    fn job_message(&self, id: u64) -> Option<JobMessage> {
        let job = self.jobs.get(&id)?;
        let run = self.runs.get(&job.run)?;
        Some(JobMessage {
            id,
            name: job.spec.name.clone(),
            run_id: job.run,
            repository: self.full_name(run.repository),
            duration_ms: job.spec.duration,
            conclusion: job.spec.conclusion.as_str().to_owned(),
            steps: std::iter::once(Step { name: "Run".to_owned(), always: false })
                .chain(
                    job.spec.cleans_up.then(|| Step { name: "Clean up".to_owned(), always: true }),
                )
                .collect(),
            event_name: run.spec.event.clone(),
            actor: run.spec.actor.clone(),
            event: json::event::of_run(self, run),
        })
    }

    pub(super) fn draw_busy_lag(&mut self) -> Millis {
        self.rng.random_range(0..=self.knobs.busy_lag_max.max(0))
    }
}
