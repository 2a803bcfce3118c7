//! The whole way for real with Gitea as the forge: a real Gitea, a real Nomad agent with the
//! jobspec that we ship, real runners, and the daemon between them. What ran is known by lines
//! that the steps write to a file outside of all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use roustabout::demo::agent::{Agent, AgentOptions};
use roustabout::demo::gitea::{Gitea, Person};
use roustabout::demo::runner_job;
use roustabout::nomad::{ChildStub, Client, DispatchRequest, JobStatus};
use secrecy::SecretString;
use serde_json::Value;

use super::world::{client, nomad_binary};
use super::{gitea, until};

pub const PARENT: &str = "gitea-runner-x64";
pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];

/// Gitea and Nomad, before there is a daemon.
pub struct GiteaParts {
    pub gitea: Gitea,
    pub owner: Person,
    pub agent: Agent,
    pub nomad: Client,
    /// Where steps write that they ran.
    outside: tempfile::TempDir,
}

impl GiteaParts {
    pub async fn start() -> Self {
        let (gitea, agent) =
            tokio::join!(gitea::start(), Agent::start(AgentOptions::new(nomad_binary())));
        let agent = agent.unwrap();
        let nomad = client(&agent);
        runner_job::register_for_gitea(&nomad, PARENT, gitea.runner_program()).await.unwrap();
        let outside = tempfile::tempdir().unwrap();
        // The agent, and so the steps, may be another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(outside.path(), open).unwrap();
        let owner = gitea.owner();
        Self { gitea, owner, agent, nomad, outside }
    }

    /// A file that steps can write.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    /// A command for a step: says that the job `name` ran, then `then`.
    pub fn says(&self, name: &str, then: &str) -> String {
        // One short write with O_APPEND, so that lines of jobs that run at once do not mix.
        format!("steps:\n  - run: echo \"{name}\" >>{} && {then}", self.outside("ran").display())
    }

    /// How often each job said that it ran.
    pub fn ran(&self) -> BTreeMap<String, usize> {
        let mut ran = BTreeMap::new();
        let lines = std::fs::read_to_string(self.outside("ran")).unwrap_or_default();
        for line in lines.lines() {
            *ran.entry(line.to_owned()).or_default() += 1;
        }
        ran
    }

    /// Children of the parent, dead or alive.
    pub async fn children(&self) -> Vec<ChildStub> {
        self.nomad.children_by_token_prefix(self.nomad.place(), "roustabout-").await.unwrap()
    }

    pub async fn alive(&self) -> usize {
        let children = self.children().await;
        children.iter().filter(|child| child.status != JobStatus::Dead).count()
    }

    /// Hires a runner of `place` (`repos/OWNER/NAME`, `orgs/NAME`) as the daemon would; the child.
    pub async fn dispatch(&self, parent: &str, place: &str, name: &str) -> String {
        let token = self.owner.registration_token(place).await.unwrap();
        self.dispatch_with(parent, name, token).await
    }

    pub async fn dispatch_with(&self, parent: &str, name: &str, token: SecretString) -> String {
        let meta = [
            ("runner_name", name.to_owned()),
            ("runner_url", self.gitea.url()),
            ("runner_labels", LABELS.join(",")),
            // What anybody who can open a pull request may choose.
            ("workflow_name", "$(touch /tmp/roustabout-was-here) \"'`".to_owned()),
        ];
        let meta = meta.map(|(key, value)| (key.to_owned(), SecretString::from(value)));
        let request = DispatchRequest {
            idempotency_token: &format!("roustabout-{name}"),
            payload: Some(&token),
            meta: &meta.into_iter().collect(),
        };
        self.nomad.dispatch(self.nomad.place(), parent, &request).await.unwrap().child
    }

    /// The allocation of a child once its last task has ended, as Nomad's API shows it.
    pub async fn allocation_after(&self, child: &str, limit: Duration) -> Value {
        let mut allocation = Value::Null;
        until(&format!("{child} has ended"), limit, async || {
            let mut found = self.nomad_api(&format!("/v1/job/{child}/allocations")).await;
            allocation = found[0].take();
            allocation["TaskStates"]["cleanup"]["State"] == "dead"
                && !["running", "pending"].map(Value::from).contains(&allocation["ClientStatus"])
        })
        .await;
        allocation
    }

    pub async fn nomad_api(&self, path: &str) -> Value {
        let url = self.agent.address().join(path).unwrap();
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    /// Every runner that Gitea knows.
    pub async fn registered(&self) -> Vec<Value> {
        self.owner.runners("admin").await.unwrap()
    }

    pub async fn until_registered(&self, count: usize, limit: Duration) {
        until(&format!("{count} runners are registered"), limit, async || {
            self.registered().await.len() == count
        })
        .await;
    }
}
