//! `…/actions/runs` and `…/actions/jobs`.
//!
//! There is no listing of jobs over all runs (ubicloud#3022). Read next: `../runs.rs` for the rules.

use serde_json::json;

use super::access::Needs;
use super::paging::Page;
use super::{Answer, Call};
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::runs::{Job, Run};
use crate::github::tokens::{Level, Scope, Token};

/// A filtered listing of runs shows no more (docs, REST "List workflow runs for a repository").
const MOST_RUNS: usize = 1_000;

impl GitHub {
    pub(super) fn route_actions(
        &mut self,
        call: &Call,
        repository: u64,
        rest: &[&str],
        token: &Token,
        now: Millis,
    ) -> Answer {
        let level = if call.method == "GET" { Level::Read } else { Level::Write };
        let needs = Needs("actions", level);
        if let Err(refusal) = self.check_access(token, Scope::Repository(repository), needs) {
            return refusal;
        }
        let run = |id: &str| {
            let id: u64 = id.parse().ok()?;
            self.runs.get(&id).filter(|run| run.repository == repository)
        };
        match (call.method.as_str(), rest) {
            ("GET", ["jobs"]) => self.list_all_jobs(call, Scope::Repository(repository)),
            ("GET", ["runs"]) => self.list_runs(call, |run| run.repository == repository),
            ("GET", ["runs", id]) => match run(id) {
                Some(run) => Answer::ok(json::run(self, run)),
                None => Answer::not_found(),
            },
            ("GET", ["runs", id, "jobs"]) => match run(id) {
                Some(run) => self.list_jobs(call, run),
                None => Answer::not_found(),
            },
            ("GET", ["runs", id, "attempts", attempt, "jobs"]) => {
                match (run(id), attempt.parse()) {
                    (Some(run), Ok(attempt)) => self.page_of_jobs(call, self.jobs_of(run, attempt)),
                    _ => Answer::not_found(),
                }
            }
            ("GET", ["jobs", id]) => {
                let job = id.parse().ok().and_then(|id: u64| self.jobs.get(&id));
                match job.filter(|job| run(&job.run.to_string()).is_some()) {
                    Some(job) => Answer::ok(json::job(self, job)),
                    None => Answer::not_found(),
                }
            }
            ("POST", ["runs", id, how @ ("cancel" | "force-cancel")]) => {
                match run(id).map(|run| run.id) {
                    Some(id) => self.cancel(id, *how == "force-cancel", now),
                    None => Answer::not_found(),
                }
            }
            ("GET", ["runs", id, "concurrency_groups"]) => match run(id).map(|run| run.id) {
                Some(id) => self.groups_of_run(id),
                None => Answer::not_found(),
            },
            ("GET", ["concurrency_groups", name]) => self.concurrency_group(repository, name),
            _ => Answer::not_found(),
        }
    }

    /// Newest first; `status` takes a status or a conclusion.
    pub(super) fn list_runs(&self, call: &Call, of: impl Fn(&Run) -> bool) -> Answer {
        let asked = |name: &str, is: &str| call.query.get(name).is_none_or(|value| value == is);
        let found = self.runs.values().rev().filter(|run| of(run));
        let found = found.filter(|run| {
            let (status, conclusion) = self.run_status(run);
            let is = call.query.get("status").is_none_or(|wanted| {
                let is = |one: &str| wanted.split(',').any(|wanted| wanted == one);
                is(status.as_str()) || conclusion.is_some_and(|one| is(one.as_str()))
            });
            is && asked("event", &run.spec.event)
                && asked("branch", &run.spec.head_branch)
                && asked("actor", &run.spec.actor)
                && asked("head_sha", &run.head_sha)
        });
        let mut found: Vec<&Run> = found.collect();
        let total = found.len();
        if call.query.contains_key("status") {
            found.truncate(MOST_RUNS);
        }
        let page = Page::of(call, found);
        let shown: Vec<_> = page.items.iter().map(|run| json::run(self, run)).collect();
        let answer = Answer::ok(json!({ "total_count": total, "workflow_runs": shown }));
        page.link_on(answer)
    }

    fn list_jobs(&self, call: &Call, run: &Run) -> Answer {
        let jobs = if call.query.get("filter").is_some_and(|filter| filter == "all") {
            run.jobs.iter().filter_map(|id| self.jobs.get(id)).collect()
        } else {
            self.jobs_of(run, run.attempt)
        };
        self.page_of_jobs(call, jobs)
    }

    pub(super) fn page_of_jobs(&self, call: &Call, jobs: Vec<&Job>) -> Answer {
        let page = Page::of(call, jobs);
        let shown: Vec<_> = page.items.iter().map(|job| json::job(self, job)).collect();
        let answer = Answer::ok(json!({ "total_count": page.total, "jobs": shown }));
        page.link_on(answer)
    }
}
