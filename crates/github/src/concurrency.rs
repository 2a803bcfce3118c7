//! Concurrency groups: which a run is in, and who is ahead there. No Enterprise Server up to 3.19 tells;
//! it answers 404, as GitHub does for a group in which nothing runs or waits.

use serde::Deserialize;

use super::error::Error;
use super::registration;
use super::transport::{Call, Client};

/// A run or a job that holds its group or waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupMember {
    pub run_id: u64,
    #[serde(default)]
    pub run_name: String,
    pub run_html_url: Option<String>,
    pub job_id: Option<u64>,
    pub job_name: Option<String>,
    /// `in_progress` or `pending`.
    #[serde(default)]
    pub status: String,
}

/// A group, with its members in the order of its queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ConcurrencyGroup {
    #[serde(rename = "group_name")]
    pub name: String,
    #[serde(rename = "group_members")]
    pub members: Vec<GroupMember>,
}

#[derive(Deserialize)]
struct WireGroups {
    concurrency_groups: Vec<ConcurrencyGroup>,
}

impl Client {
    /// `GET /repos/…/actions/runs/:id/concurrency_groups`: those that the run or one of its jobs is in, with
    /// these as members. The first page; nobody is in more.
    pub async fn groups_of_run(
        &self,
        repo: &str,
        run_id: u64,
    ) -> Result<Vec<ConcurrencyGroup>, Error> {
        let id = run_id.to_string();
        let mut path = registration::repository(repo);
        path.extend(["actions", "runs", &id, "concurrency_groups"]);
        let (groups, _) = self.read::<WireGroups>(Call::get(path)).await?;
        Ok(groups.concurrency_groups)
    }

    /// `GET /repos/…/actions/concurrency_groups/:name`: everybody who is in it.
    pub async fn concurrency_group(
        &self,
        repo: &str,
        name: &str,
    ) -> Result<ConcurrencyGroup, Error> {
        let mut path = registration::repository(repo);
        path.extend(["actions", "concurrency_groups", name]);
        Ok(self.read(Call::get(path)).await?.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_groups_name_may_hold_slashes() {
        let server = MockServer::start().await;
        let member = json!({"run_id": 7, "run_name": "CI", "run_url": null, "run_html_url": null,
            "status": "in_progress"});
        let group = json!({"group_name": "ci-refs/heads/main", "group_url": "https://x/y",
            "total_count": 1, "group_members": [member]});
        Mock::given(path("/repos/o/r/actions/concurrency_groups/ci-refs%2Fheads%2Fmain"))
            .respond_with(ResponseTemplate::new(200).set_body_json(group))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let group = client.concurrency_group("o/r", "ci-refs/heads/main").await.unwrap();
        assert_eq!((group.members[0].run_id, group.members[0].job_id), (7, None));
    }
}
