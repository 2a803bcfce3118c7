//! `…/concurrency_groups` and what cancels runs.
//!
//! Read next: `../concurrency.rs` for the rules.

use rand::Rng;
use serde_json::{Value, json};

use super::Answer;
use crate::github::model::{GitHub, Millis};
use crate::github::runs::{Run, Status};

impl GitHub {
    /// `POST …/runs/ID/cancel` and `…/force-cancel`: 202 says that it was taken. The first may do nothing
    /// (gjsify/gjsify#1548).
    pub(super) fn cancel(&mut self, id: u64, by_force: bool, now: Millis) -> Answer {
        let Some(run) = self.runs.get(&id) else { return Answer::not_found() };
        if self.run_status(run).0 == Status::Completed {
            return Answer::error(409, "Cannot cancel a workflow run that is completed.");
        }
        let does_nothing = self.knobs.cancel_does_nothing.clamp(0.0, 1.0);
        if by_force || !self.rng.random_bool(does_nothing) {
            self.cancel_run(id, now);
        }
        Answer::new(202, json!({}))
    }

    /// Schema `concurrency-group-run-list`: only the run itself is shown as a member.
    pub(super) fn groups_of_run(&self, id: u64) -> Answer {
        let Some(run) = self.runs.get(&id) else { return Answer::not_found() };
        let mut groups = Vec::new();
        if let Some(concurrency) = &run.spec.concurrency {
            let members = self.members_of(run.repository, &concurrency.group);
            if let Some(position) = members.iter().position(|member| member.id == id) {
                let url = self.group_url(run.repository, &concurrency.group);
                let mut member = self.member(run);
                member["position"] = json!(position);
                member["position_url"] = json!(format!("{url}?ahead_of_run={id}"));
                groups.push(json!({
                    "group_name": concurrency.group,
                    "group_url": url,
                    "group_members": [member],
                }));
            }
        }
        Answer::ok(json!({ "total_count": groups.len(), "concurrency_groups": groups }))
    }

    /// Schema `concurrency-group`; 404 where nobody is in it.
    pub(super) fn concurrency_group(&self, repository: u64, name: &str) -> Answer {
        // As in a query, but for the plus, which means itself in a path.
        let query = format!("name={}", name.replace('+', "%2B"));
        let decoded = form_urlencoded::parse(query.as_bytes()).next().map(|(_, name)| name);
        let name = decoded.unwrap_or_default().into_owned();
        let members = self.members_of(repository, &name);
        if members.is_empty() {
            return Answer::not_found();
        }
        let shown: Vec<Value> = members.iter().map(|run| self.member(run)).collect();
        Answer::ok(json!({
            "group_name": name,
            "group_url": self.group_url(repository, &name),
            "total_count": shown.len(),
            "group_members": shown,
        }))
    }

    fn member(&self, run: &Run) -> Value {
        let full_name = self.full_name(run.repository);
        json!({
            "run_id": run.id,
            "run_name": run.spec.workflow_name,
            "run_url": format!("{}/repos/{full_name}/actions/runs/{}", self.api(), run.id),
            "run_html_url": format!("{}/{full_name}/actions/runs/{}", self.base, run.id),
            "status": if run.held { "pending" } else { "in_progress" },
        })
    }

    fn group_url(&self, repository: u64, group: &str) -> String {
        let name: String = form_urlencoded::byte_serialize(group.as_bytes()).collect();
        let name = name.replace('+', "%20");
        let full_name = self.full_name(repository);
        format!("{}/repos/{full_name}/actions/concurrency_groups/{name}", self.api())
    }
}
