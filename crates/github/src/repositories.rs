//! A repository's own data, and the short form of it that runs carry.

use reqwest::StatusCode;
use serde::Deserialize;

use super::conditional::Conditional;
use super::error::Error;
use super::paging::Pages;
use super::registration;
use super::transport::{self, Call, Client};

/// A repository as a run names it. Know repositories by `id`: names change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RepositoryRef {
    pub id: u64,
    /// `owner/name`.
    pub full_name: String,
    /// It is itself a fork of another.
    #[serde(default)]
    pub fork: bool,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub id: u64,
    /// `owner/name`, as it is spelled now.
    pub full_name: String,
    /// True for internal ones too.
    pub private: bool,
    /// `public`, `private` or `internal`; older Enterprise Servers do not say it.
    pub visibility: Option<String>,
    pub fork: bool,
    /// Told only to those who may know.
    pub allow_forking: Option<bool>,
    pub forks_count: u64,
    pub html_url: String,
    /// What the token's user may do here; None where GitHub does not say.
    pub permissions: Option<RepositoryPermissions>,
    pub archived: bool,
    /// Its owner is an organization, not a personal account.
    pub owned_by_organization: bool,
    /// None where GitHub does not say.
    pub topics: Option<Vec<String>>,
    pub default_branch: Option<String>,
}

/// The user's role, not the token's permissions: a fine-grained token may have less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RepositoryPermissions {
    pub admin: bool,
    pub maintain: bool,
    pub push: bool,
    pub pull: bool,
}

#[derive(Deserialize)]
pub(super) struct WireRepository {
    id: u64,
    full_name: String,
    private: bool,
    visibility: Option<String>,
    #[serde(default)]
    fork: bool,
    allow_forking: Option<bool>,
    #[serde(default)]
    forks_count: u64,
    html_url: String,
    permissions: Option<RepositoryPermissions>,
    #[serde(default)]
    archived: bool,
    owner: Option<WireOwner>,
    topics: Option<Vec<String>>,
    default_branch: Option<String>,
}

#[derive(Deserialize)]
struct WireOwner {
    #[serde(rename = "type", default)]
    kind: String,
}

impl From<WireRepository> for Repository {
    fn from(wire: WireRepository) -> Repository {
        Repository {
            id: wire.id,
            full_name: wire.full_name,
            private: wire.private,
            visibility: wire.visibility,
            fork: wire.fork,
            allow_forking: wire.allow_forking,
            forks_count: wire.forks_count,
            html_url: wire.html_url,
            permissions: wire.permissions,
            archived: wire.archived,
            owned_by_organization: wire.owner.is_some_and(|owner| owner.kind == "Organization"),
            topics: wire.topics,
            default_branch: wire.default_branch,
        }
    }
}

impl Client {
    /// `GET /repos/:owner/:name`. A renamed repository is found under its old name too: compare
    /// `full_name`.
    pub async fn repository(&self, repo: &str) -> Result<Repository, Error> {
        let call = Call::get(registration::repository(repo));
        Ok(self.read::<WireRepository>(call).await?.0.into())
    }

    /// As [`repository`](Self::repository), if it is another than when `etag` was told.
    pub async fn repository_if_changed(
        &self,
        repo: &str,
        etag: Option<&str>,
    ) -> Result<Conditional<Repository>, Error> {
        let mut call = Call::get(registration::repository(repo));
        call.etag = etag;
        let request = call.name();
        let answer = self.call(call).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Conditional::Unchanged);
        }
        let wire: WireRepository = transport::parse(request, &answer)?;
        Ok(Conditional::Fresh { value: wire.into(), etag: answer.etag() })
    }

    /// `GET /user/repos`: every repository that the token's user owns, works on, or sees through
    /// an organization.
    pub async fn my_repositories(&self) -> Result<Vec<Repository>, Error> {
        let items = |page: Vec<WireRepository>| page.into_iter().map(Repository::from).collect();
        self.pages(Call::get(vec!["user", "repos"]), items).await
    }

    /// The same, for what is known of them already.
    pub async fn my_repositories_again<T>(
        &self,
        known: &mut Pages<T>,
        keep: impl Fn(Repository) -> T,
    ) -> Result<(), Error> {
        let items = |page: Vec<WireRepository>| page.into_iter().map(Repository::from).collect();
        self.pages_again(Call::get(vec!["user", "repos"]), known, items, keep).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_renamed_repository_is_followed_on_its_origin_only() {
        let server = MockServer::start().await;
        let elsewhere = MockServer::start().await;
        let moved = |to: String| ResponseTemplate::new(301).insert_header("location", to);
        let renamed = moved(format!("{}/repositories/7", server.uri()));
        Mock::given(path("/repos/o/old")).respond_with(renamed).mount(&server).await;
        let stolen = moved(format!("{}/repositories/7", elsewhere.uri()));
        Mock::given(path("/repos/o/stolen")).respond_with(stolen).mount(&server).await;
        Mock::given(path("/repositories/7"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({
                "id": 7, "full_name": "o/new", "private": true, "visibility": "internal",
                "html_url": "https://github.com/o/new", "forks_count": 2, "permissions": {"admin": true}
            })))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let repository = client.repository("o/old").await.unwrap();
        assert_eq!((repository.id, repository.full_name.as_str()), (7, "o/new"));
        assert!(repository.permissions.unwrap().admin);
        let error = client.repository("o/stolen").await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
        assert!(elsewhere.received_requests().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn redirects_that_turn_in_a_circle_end() {
        let server = MockServer::start().await;
        let circle = ResponseTemplate::new(301).insert_header("location", "/repos/o/r");
        Mock::given(path("/repos/o/r")).respond_with(circle).mount(&server).await;
        let error = testing::client(&server.uri()).repository("o/r").await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
    }
}
