//! A repository's own data, and whose code a pull request brings.

use serde::Deserialize;

use super::error::Error;
use super::owner;
use super::paging::Page;
use super::transport::{Call, Client};

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    pub id: u64,
    /// `owner/name`, as it is spelled now.
    pub full_name: String,
    #[serde(default)]
    pub private: bool,
    /// Its owner is seen by those who have an account only.
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub html_url: String,
    #[serde(default)]
    pub archived: bool,
    /// Whether Actions are switched on; None where Gitea does not say.
    pub has_actions: Option<bool>,
    pub owner: Option<RepositoryOwner>,
    pub permissions: Option<Permissions>,
    /// None where Gitea does not say.
    pub topics: Option<Vec<String>>,
}

/// An account, or an organization. Gitea does not say which here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RepositoryOwner {
    #[serde(default)]
    pub login: String,
}

/// What the token's user may do here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Permissions {
    pub admin: bool,
    pub push: bool,
    pub pull: bool,
}

/// Whose code a pull request brings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PullRequest {
    pub head: Option<Branch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Branch {
    /// The branch's name; empty where the code was pushed without one, for review (AGit):
    /// anybody who may read the repository can do that.
    #[serde(default)]
    pub label: String,
    /// None: it was deleted.
    pub repo: Option<RepositoryId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RepositoryId {
    pub id: u64,
}

impl Client {
    /// `GET /repos/:owner/:name`. A renamed repository is found under its old name too: compare
    /// `full_name`.
    pub async fn repository(&self, repo: &str) -> Result<Repository, Error> {
        Ok(self.read(Call::get(owner::repository(repo))).await?.0)
    }

    /// `GET /user/repos`: those that the token's user owns, works on, or sees through a team.
    pub async fn my_repositories(&self) -> Result<Vec<Repository>, Error> {
        let page = |items: Vec<Repository>| Page { items, total: None };
        let list = self.pages(Call::get(vec!["user", "repos"]), page, |repo| repo.id).await?;
        Ok(list.items)
    }

    /// `GET /repos/…/pulls/:number`.
    pub async fn pull_request(&self, repo: &str, number: u64) -> Result<PullRequest, Error> {
        let number = number.to_string();
        let mut path = owner::repository(repo);
        path.extend(["pulls", &number]);
        Ok(self.read(Call::get(path)).await?.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::answering;

    #[tokio::test]
    async fn a_pull_request_says_whose_code_it_brings() {
        for (head, label, id) in [
            (json!({"label": "main", "repo_id": 3, "repo": {"id": 3}}), "main", Some(3)),
            (json!({"label": "main", "repo_id": 3, "repo": null}), "main", None),
            (json!({"label": "", "repo_id": 1, "repo": {"id": 1}}), "", Some(1)),
        ] {
            let (client, _server) =
                answering("GET", "/repos/o/r/pulls/12", json!({"number": 12, "head": head})).await;
            let head = client.pull_request("o/r", 12).await.unwrap().head.unwrap();
            assert_eq!((head.label.as_str(), head.repo.map(|repo| repo.id)), (label, id));
        }
    }
}
