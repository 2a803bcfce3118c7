//! An organization's runner groups, and which of its repositories may have runners of their own.

use serde::Deserialize;

use super::error::Error;
use super::transport::{Call, Client};
use super::wire;

/// Which repositories may use the runners of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerGroup {
    pub id: u64,
    pub name: String,
    /// The one that is there from the beginning, and that runners belong to where nothing is said.
    pub default: bool,
    /// False: jobs of public repositories wait for its runners for ever, and nobody says so.
    pub allows_public_repositories: bool,
    pub restricted_to_workflows: bool,
    /// `owner/repo/path@ref`.
    pub selected_workflows: Vec<String>,
}

/// Which repositories of an organization may have runners of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryRunners {
    All,
    Selected,
    None,
}

#[derive(Deserialize)]
struct WireGroups {
    runner_groups: Vec<WireGroup>,
}

#[derive(Deserialize)]
struct WireGroup {
    id: u64,
    name: String,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    allows_public_repositories: bool,
    #[serde(default)]
    restricted_to_workflows: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    selected_workflows: Vec<String>,
}

#[derive(Deserialize)]
struct WirePolicy {
    enabled_repositories: String,
}

impl From<WireGroup> for RunnerGroup {
    fn from(wire: WireGroup) -> RunnerGroup {
        RunnerGroup {
            id: wire.id,
            name: wire.name,
            default: wire.default,
            allows_public_repositories: wire.allows_public_repositories,
            restricted_to_workflows: wire.restricted_to_workflows,
            selected_workflows: wire.selected_workflows,
        }
    }
}

impl Client {
    /// `GET /orgs/:org/actions/runner-groups`, all pages; with `repository` (a name without owner),
    /// only those whose runners it may use. Needs [`Operation::Runners`](super::Operation::Runners).
    pub async fn runner_groups(
        &self,
        organization: &str,
        repository: Option<&str>,
    ) -> Result<Vec<RunnerGroup>, Error> {
        let mut call = Call::get(vec!["orgs", organization, "actions", "runner-groups"]);
        if let Some(repository) = repository {
            call = call.query("visible_to_repository", repository);
        }
        let items = |p: WireGroups| p.runner_groups.into_iter().map(RunnerGroup::from).collect();
        self.pages(call, items).await
    }

    /// `GET /orgs/:org/actions/permissions/self-hosted-runners`. [`Error::NotFound`] at an Enterprise
    /// Server before 3.19.
    pub async fn repository_runners(&self, organization: &str) -> Result<RepositoryRunners, Error> {
        let path = vec!["orgs", organization, "actions", "permissions", "self-hosted-runners"];
        let (wire, _) = self.read::<WirePolicy>(Call::get(path)).await?;
        Ok(match wire.enabled_repositories.as_str() {
            "none" => RepositoryRunners::None,
            "selected" => RepositoryRunners::Selected,
            _ => RepositoryRunners::All,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn groups_are_read_with_what_decides_whose_jobs_they_run() {
        let server = MockServer::start().await;
        let group = json!({
            "id": 2, "name": "big", "visibility": "selected", "default": false,
            "inherited": false, "allows_public_repositories": true,
            "restricted_to_workflows": true, "selected_workflows": ["octo/app/ci.yml@main"],
            "runners_url": "https://x", "workflow_restrictions_read_only": false,
        });
        Mock::given(method("GET"))
            .and(path("/orgs/octo/actions/runner-groups"))
            .and(query_param("visible_to_repository", "app"))
            .respond_with(ResponseTemplate::new(200).set_body_json(
                json!({"total_count": 2, "runner_groups": [group, {"id": 1, "name": "Default", "default": true}]}),
            ))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let groups = client.runner_groups("octo", Some("app")).await.unwrap();
        assert!(groups[0].allows_public_repositories && groups[0].restricted_to_workflows);
        assert_eq!(groups[0].selected_workflows, ["octo/app/ci.yml@main"]);
        assert!(groups[1].default && !groups[1].allows_public_repositories);
    }

    #[tokio::test]
    async fn the_policy_of_an_organization() {
        for (word, means) in [
            ("all", RepositoryRunners::All),
            ("selected", RepositoryRunners::Selected),
            ("none", RepositoryRunners::None),
            ("what comes next", RepositoryRunners::All),
        ] {
            let server = MockServer::start().await;
            Mock::given(path("/orgs/octo/actions/permissions/self-hosted-runners"))
                .respond_with(
                    ResponseTemplate::new(200).set_body_json(json!({"enabled_repositories": word})),
                )
                .mount(&server)
                .await;
            let client = testing::client(&server.uri());
            assert_eq!(client.repository_runners("octo").await.unwrap(), means);
        }
    }
}
