//! What the wires see of the requests that pass: who was looked for and when, whose registration was
//! taken away, and whether a request may be made at all. The daemon never sees this.

use ledger::RunnerName;
use reqwest::Method;
use serde_json::Value;
use simulated::github::Kind;
use simulated::github::model::Millis;
use simulated::nomad::JobKey;
use transport::Request;

use crate::wires::Side;
use crate::world::World;

/// The token that dispatches are told apart by: `<runner>@<scope>`.
fn runner_of(token: &str) -> RunnerName {
    RunnerName(token.split('@').next().unwrap_or_default().to_owned())
}

fn dispatched(request: &Request) -> Option<Value> {
    let is_one = request.method != Method::GET && request.url.path().ends_with("/dispatch");
    is_one.then(|| serde_json::from_slice(request.body.as_deref()?).ok()).flatten()
}

impl World {
    /// It leaves the daemon.
    pub fn leaves(&mut self, side: Side, request: &Request) {
        if side == Side::Nomad
            && let Some(body) = dispatched(request)
        {
            self.check_meta(&body);
        }
    }

    /// A dispatch that was given up has arrived.
    pub fn came_late(&mut self, request: &Request) {
        let mut asked = request.url.query_pairs();
        let Some((_, token)) = asked.find(|(name, _)| name == "idempotency_token") else { return };
        let nomad = self.nomad.lock();
        let is_its = |token_of: &Option<String>| token_of.as_deref() == Some(&*token);
        let mut children = nomad.children().filter(|(_, child)| is_its(&child.token));
        self.watching.late.extend(children.next().map(|(key, _)| key.clone()));
    }

    /// It left then.
    pub fn before_nomad_acts(&mut self, request: &Request, left: Millis) {
        self.before_a_variable_is_written(request);
        let Some(id) = request.url.path().strip_prefix("/v1/job/") else { return };
        if request.method != Method::DELETE {
            return;
        }
        let id = id.replace("%2F", "/");
        let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let namespace = query.iter().find(|(name, _)| name == "namespace");
        let key = JobKey::new(namespace.map_or("default", |(_, value)| value), &id);
        let token = self.nomad.lock().child(&key).and_then(|child| child.token.clone());
        if let Some(token) = token {
            self.check_stop(&runner_of(&token), &key, left);
        }
    }

    pub fn before_github_acts(&mut self, request: &Request) {
        let Some(id) = deleted(request) else {
            self.before_run_is_cancelled(request);
            if request.url.path().ends_with("/actions/jobs") {
                self.watching.jobs_listed_at = self.now;
            }
            return;
        };
        let runner = self.github.runner(id);
        self.watching.given = runner.and_then(|one| one.job.as_ref()).map(|one| (one.job, one.at));
    }

    /// Nobody is deleted at work; but where Gitea's runners cannot be disabled a job may be given out
    /// between the last look and this. GitHub refuses by itself, or its own word lags.
    pub fn after_github_acted(&mut self, request: &Request) {
        let given = self.watching.given.take();
        let (Some(id), Some((job, at)), true) = (deleted(request), given, self.is_gitea()) else {
            return;
        };
        if self.github.runner(id).is_none() {
            self.watching.excuse(job);
            let disables = self.github.knobs.kind == (Kind::Gitea { disables: true });
            if disables || at <= self.watching.jobs_listed_at {
                self.watching.broken(|| format!("runner {id} is deleted at work on job {job}"));
            }
        }
    }
}

/// The runner whose registration is to be taken away.
fn deleted(request: &Request) -> Option<u64> {
    let (_, id) = request.url.path().rsplit_once("/actions/runners/")?;
    (request.method == Method::DELETE).then(|| id.parse().ok()).flatten()
}
