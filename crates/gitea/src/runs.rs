//! Workflow runs: what event caused one, and who. The jobs of a run are in `jobs`.

use serde::Deserialize;

use super::error::Error;
use super::owner::Owner;
use super::paging::Page;
use super::transport::{Call, Client};
use super::wire;

/// A workflow run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: u64,
    /// What people see behind the `#`.
    pub run_number: Option<u64>,
    /// `push`, `pull_request`, `pull_request_target`, …
    pub event: String,
    /// `ci.yml@refs/heads/main`.
    pub path: String,
    /// The login that caused it.
    pub actor: Option<String>,
}

impl Run {
    /// The pull request whose head runs; None where the ref is none of one's. A run of
    /// `pull_request_target` has the ref of the base.
    pub fn pull_request(&self) -> Option<u64> {
        let (_, git_ref) = self.path.split_once('@')?;
        let (number, rest) = git_ref.strip_prefix("refs/pull/")?.split_once('/')?;
        number.parse().ok().filter(|_| matches!(rest, "head" | "merge"))
    }
}

#[derive(Deserialize)]
struct WireRuns {
    workflow_runs: Option<Vec<WireRun>>,
    total_count: Option<u64>,
}

#[derive(Deserialize)]
struct WireRun {
    id: u64,
    run_number: Option<u64>,
    #[serde(default)]
    event: String,
    #[serde(default)]
    path: String,
    actor: Option<WireActor>,
    trigger_actor: Option<WireActor>,
}

#[derive(Deserialize)]
struct WireActor {
    login: Option<String>,
}

impl From<WireRun> for Run {
    fn from(wire: WireRun) -> Run {
        let actor = wire.trigger_actor.or(wire.actor).and_then(|actor| actor.login);
        Run {
            id: wire.id,
            run_number: wire.run_number,
            event: wire.event,
            path: wire.path,
            actor: wire::said(actor),
        }
    }
}

impl Client {
    /// `GET /repos/…/actions/runs/:id`.
    pub async fn run(&self, repo: &str, run: u64) -> Result<Run, Error> {
        let id = run.to_string();
        let path = Owner::Repository(repo).actions(&["runs", &id]);
        Ok(self.read::<WireRun>(Call::get(path)).await?.0.into())
    }

    /// `GET …/actions/runs?status=…`, all pages. Under load one may be missing.
    pub async fn runs(&self, of: Owner<'_>, statuses: &[&str]) -> Result<Vec<Run>, Error> {
        let mut call = Call::get(of.actions(&["runs"]));
        for status in statuses {
            call = call.query("status", *status);
        }
        let page = |p: WireRuns| Page {
            items: p.workflow_runs.unwrap_or_default().into_iter().map(Run::from).collect(),
            total: p.total_count,
        };
        Ok(self.pages(call, page, |run| run.id).await?.items)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::answering;

    #[tokio::test]
    async fn a_run_says_which_pull_request_it_is_of() {
        let (client, _server) = answering(
            "GET",
            "/repos/o/r/actions/runs/5",
            json!({"id": 5, "run_number": 3, "event": "pull_request", "path": "ci.yml@refs/pull/12/head",
                "actor": {"login": "me"}, "trigger_actor": {"login": "stranger"}}),
        )
        .await;
        let run = client.run("o/r", 5).await.unwrap();
        assert_eq!(run.pull_request(), Some(12));
        assert_eq!(run.run_number, Some(3));
        assert_eq!(run.actor.as_deref(), Some("stranger"));
    }

    #[test]
    fn other_refs_are_of_no_pull_request() {
        let of = |path: &str| {
            let path = path.to_owned();
            Run { id: 1, run_number: None, event: "push".into(), path, actor: None }.pull_request()
        };
        for path in [
            "",
            "ci.yml",
            "ci.yml@refs/heads/main",
            "ci.yml@refs/pull/x/head",
            "ci.yml@refs/pull/1",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(of("ci.yml@refs/pull/1/merge"), Some(1));
    }
}
