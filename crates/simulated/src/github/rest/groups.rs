//! `generate-jitconfig`, `runner-groups`, `permissions/self-hosted-runners`.
//!
//! Read next: `../jit.rs` and `../groups.rs` for the rules.

use serde_json::{Value, json};

use super::access::Needs;
use super::paging::Page;
use super::{Answer, Call};
use crate::github::groups::{RepositoryRunners, RunnerGroup};
use crate::github::jit::JitRequest;
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::{Level, Scope, Token};

impl GitHub {
    pub(super) fn jit(&mut self, call: &Call, scope: Scope, now: Millis) -> Answer {
        let labels = call.body["labels"].as_array().map(|labels| {
            labels.iter().map(|label| label.as_str().map(str::to_owned)).collect::<Option<_>>()
        });
        let (Some(name), Some(group), Some(Some(labels))) =
            (call.body["name"].as_str(), call.body["runner_group_id"].as_u64(), labels)
        else {
            return Answer::error(
                422,
                "Invalid request: name, runner_group_id, labels are required",
            );
        };
        let asked = JitRequest { name: name.to_owned(), labels, group };
        match self.jit_config(scope, &asked, now) {
            Ok((id, config)) => {
                let runner = self.runner(id).map(|runner| json::runner(self, runner, now));
                Answer::new(201, json!({ "runner": runner, "encoded_jit_config": config }))
            }
            Err(refusal) => Answer::error(refusal.status, refusal.message),
        }
    }

    pub(super) fn list_runner_groups(
        &self,
        call: &Call,
        organization: u64,
        token: &Token,
    ) -> Answer {
        let scope = Scope::Organization(organization);
        if let Err(refusal) = self.check_access(token, scope, Needs::runners(scope, Level::Read)) {
            return refusal;
        }
        let mut groups = self.runner_groups(organization);
        if let Some(name) = call.query.get("visible_to_repository") {
            let found = self
                .repositories
                .values()
                .find(|it| it.owner == organization && it.name.eq_ignore_ascii_case(name));
            let found = found.map(|repository| repository.id);
            groups.retain(|group| {
                let some = group.repositories.as_ref();
                found.is_some_and(|id| some.is_none_or(|some| some.contains(&id)))
            });
        }
        let page = Page::of(call, groups);
        let shown: Vec<Value> = page.items.iter().map(|group| self.group(group)).collect();
        let answer = Answer::ok(json!({ "total_count": page.total, "runner_groups": shown }));
        page.link_on(answer)
    }

    /// Schema `runner-groups-org`.
    fn group(&self, group: &RunnerGroup) -> Value {
        let login = self.accounts.get(&group.organization).map(|it| it.login.as_str());
        let url = format!(
            "{}/orgs/{}/actions/runner-groups/{}",
            self.base,
            login.unwrap_or_default(),
            group.id
        );
        let mut shown = json!({
            "id": group.id,
            "name": group.name,
            "visibility": if group.repositories.is_some() { "selected" } else { "all" },
            "default": group.default,
            "runners_url": format!("{url}/runners"),
            "inherited": false,
            "allows_public_repositories": group.allows_public_repositories,
            "workflow_restrictions_read_only": false,
            "restricted_to_workflows": !group.workflows.is_empty(),
            "selected_workflows": group.workflows,
        });
        if group.repositories.is_some() {
            shown["selected_repositories_url"] = json!(format!("{url}/repositories"));
        }
        shown
    }

    pub(super) fn get_repository_runners(&self, organization: u64, token: &Token) -> Answer {
        let scope = Scope::Organization(organization);
        let needs = Needs("organization_actions_policies", Level::Read);
        if let Err(refusal) = self.check_access(token, scope, needs) {
            return refusal;
        }
        let enabled = match self.repository_runners(organization) {
            RepositoryRunners::All => "all",
            RepositoryRunners::Selected(_) => "selected",
            RepositoryRunners::None => "none",
        };
        let mut shown = json!({ "enabled_repositories": enabled });
        if enabled == "selected" {
            let login = self.accounts.get(&organization).map(|it| it.login.as_str());
            shown["selected_repositories_url"] = json!(format!(
                "{}/orgs/{}/actions/permissions/self-hosted-runners/repositories",
                self.base,
                login.unwrap_or_default()
            ));
        }
        Answer::ok(shown)
    }
}
