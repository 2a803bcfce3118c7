//! Calls that only a Gitea answers: its version, all jobs and runs of an owner, a pull request,
//! disabling a runner.
//!
//! Read next: `../gitea.rs` for the rules.

use serde_json::{Value, json};

use super::{Answer, Call};
use crate::github::json;
use crate::github::kind::Kind;
use crate::github::model::{GitHub, Millis};
use crate::github::runs::{Job, Run};
use crate::github::tokens::Scope;

/// `GET /version`: one that can disable runners, or the last one that cannot.
pub(super) fn version(kind: Kind) -> Value {
    let version = if kind == (Kind::Gitea { disables: true }) { "1.26.1" } else { "1.25.4" };
    json!({ "version": version })
}

impl GitHub {
    /// `GET /orgs/ORGANIZATION/actions/runs?status=`: of all its repositories.
    pub(super) fn list_all_runs(&self, call: &Call, scope: Scope) -> Answer {
        if !self.is_gitea() {
            return Answer::not_found();
        }
        let owner = |run: &Run| self.repositories.get(&run.repository).map(|found| found.owner);
        self.list_runs(call, |run| owner(run).map(Scope::Organization) == Some(scope))
    }

    /// `GET …/actions/jobs?status=`: over all runs of a repository or an organization.
    pub(super) fn list_all_jobs(&self, call: &Call, scope: Scope) -> Answer {
        if !self.is_gitea() {
            return Answer::not_found();
        }
        let wanted = |job: &&Job| {
            let repository = self.runs.get(&job.run).map_or(0, |run| run.repository);
            let owner = self.repositories.get(&repository).map_or(0, |found| found.owner);
            let here =
                scope == Scope::Repository(repository) || scope == Scope::Organization(owner);
            here && call
                .query
                .get("status")
                .is_none_or(|asked| asked.split(',').any(|status| status == job.status.as_str()))
        };
        self.page_of_jobs(call, self.jobs.values().filter(wanted).collect())
    }

    pub(super) fn get_pull_request(&self, repository: u64, number: &str) -> Answer {
        let of = |run: &&Run| {
            run.repository == repository
                && run.number.to_string() == number
                && run.spec.event.starts_with("pull_request")
        };
        match self.runs.values().find(of).filter(|_| self.is_gitea()) {
            Some(run) => Answer::ok(json::pull_request(run)),
            None => Answer::not_found(),
        }
    }

    /// `PATCH …/runners/ID {"disabled":true}`: no other body is understood here.
    pub(super) fn disable(&mut self, scope: Scope, id: u64, now: Millis) -> Answer {
        match self.disable_runner(scope, id, now) {
            true => Answer::ok(json!({ "id": id, "disabled": true })),
            false => Answer::not_found(),
        }
    }
}
