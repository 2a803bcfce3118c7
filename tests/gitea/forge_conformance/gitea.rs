//! A real Gitea as a stage, with real runners.

use std::time::Duration;

use local_parts::gitea::{Gitea, Person};
use roustabout::forge::Forge;
use roustabout::ledger::{JobId, RunId};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::forge_conformance::stage::{self, APP, LABELS, OWN, Stage};
use crate::support::gitea::{self, Runner, runs, until_jobs, workflow};
use crate::support::until;

const LIMIT: Duration = Duration::from_secs(60);

pub struct RealGitea {
    gitea: Gitea,
    owner: Person,
    forge: Forge,
    runner: Option<Runner>,
    /// While this file is not there, the job at work goes on.
    over: tempfile::TempDir,
    pushes: u32,
}

pub async fn start() -> RealGitea {
    let gitea = gitea::start().await;
    let owner = gitea.owner();
    owner.add_organization("octo").await.unwrap();
    owner.add_repository(APP, true).await.unwrap();
    owner.add_repository(OWN, false).await.unwrap();
    let forge = stage::forge(&address(&gitea), owner.token.expose_secret());
    let over = tempfile::tempdir().unwrap();
    RealGitea { gitea, owner, forge, runner: None, over, pushes: 0 }
}

fn address(gitea: &Gitea) -> String {
    format!("kind = \"gitea\"\napi_url = \"{}\"", gitea.api_url())
}

impl RealGitea {
    fn file(&self) -> std::path::PathBuf {
        self.over.path().join("over")
    }

    /// The newest run for which this holds, and its job.
    async fn run_where(&self, repository: &str, holds: impl Fn(&Value) -> bool) -> RunId {
        let mut found = None;
        until("the run is there", LIMIT, async || {
            let runs = self.owner.runs(repository).await.unwrap();
            found = runs.iter().find(|run| holds(run)).and_then(|run| run["id"].as_u64());
            found.is_some()
        })
        .await;
        RunId(found.unwrap())
    }
}

impl Stage for RealGitea {
    fn forge(&self) -> &Forge {
        &self.forge
    }

    fn with_a_wrong_token(&self) -> Forge {
        stage::forge(&address(&self.gitea), &"0".repeat(40))
    }

    fn actor(&self) -> &str {
        &self.owner.name
    }

    fn reruns_keep_ids(&self) -> bool {
        true
    }

    async fn push(&mut self) -> (RunId, JobId) {
        self.pushes += 1;
        let wait = format!("while [ ! -e {} ]; do sleep 0.2; done", self.file().display());
        let text = format!("# {}\n{}", self.pushes, workflow(&[("one", &runs(&wait))]));
        let sha = self.owner.push(APP, "main", ".gitea/workflows/ci.yml", &text).await.unwrap();
        let run = self.run_where(APP, |run| run["head_sha"] == sha.as_str()).await;
        let jobs = until_jobs(&self.owner, APP, 1, "queued", LIMIT).await;
        let job = jobs.iter().find(|job| job["run_id"] == run.0).unwrap();
        (run, JobId(job["id"].as_u64().unwrap()))
    }

    async fn register(&mut self, name: &str) {
        let place = format!("repos/{APP}");
        self.runner = Some(Runner::register(&self.gitea, &self.owner, &place, name, &LABELS).await);
    }

    async fn work(&mut self) {
        self.runner.as_mut().unwrap().work();
        until_jobs(&self.owner, APP, 1, "in_progress", LIMIT).await;
    }

    async fn finish(&mut self) {
        std::fs::write(self.file(), "").unwrap();
        assert!(self.runner.take().unwrap().ended().await);
        std::fs::remove_file(self.file()).unwrap();
    }

    async fn rerun(&mut self, run: RunId) {
        self.owner.rerun(APP, run.0).await.unwrap();
    }

    async fn cancel(&mut self, run: RunId) {
        self.owner.cancel(APP, run.0).await.unwrap();
    }

    async fn push_and_pull(&mut self) -> (RunId, RunId) {
        let both = workflow(&[("one", &runs("true"))]).replace("push", "[push, pull_request]");
        self.owner.push(OWN, "main", ".gitea/workflows/ci.yml", &both).await.unwrap();
        let pushed = self.run_where(OWN, |run| run["event"] == "push").await;
        let stranger = self.owner.add_user("stranger").await.unwrap();
        let fork = stranger.fork(OWN).await.unwrap();
        stranger.push(&fork, "main", "README.md", "changed").await.unwrap();
        stranger.open_pull(OWN, "stranger:main").await.unwrap();
        let pulled = self.run_where(OWN, |run| run["event"] == "pull_request").await;
        (pushed, pulled)
    }

    async fn add_hook(&mut self, url: &str) {
        self.owner.add_hook(&format!("repos/{APP}"), url, "0123456789abcdef").await.unwrap();
    }
}
