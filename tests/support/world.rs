//! The whole way: the simulated GitHub with its hooks, a Nomad agent (`cluster` says which) with the
//! jobspec that we ship, and the daemon between them.

use std::time::Duration;

use local_parts::agent::{Agent, AgentOptions};
use local_parts::runner_job;
use roustabout::nomad::{Address, ChildStub, Client, Connection, JobStatus};
use simulated::github::{HookSpec, JobSpec, RunSpec, Scope, Server, Visibility};
use tokio::net::TcpListener;

use super::daemon::{Daemon, GITHUB_TOKEN, SECRET};
use super::until;
use super::{cluster, programs};

pub const PARENT: &str = "github-runner-x64";
pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];

/// How the world is to be; the defaults are the usual way.
pub struct Plan {
    /// More keys of the one pool, and more pools after it.
    pub pool: String,
    /// `[runners]` and whatever else comes before the pools.
    pub before_pools: String,
    /// What the daemon takes for GitHub and Nomad, if not the real addresses (a proxy).
    pub github: Option<String>,
    pub nomad: Option<String>,
    pub top: String,
    /// More keys of `[webhook]`, and of `[github]`.
    pub webhook: String,
    pub github_keys: String,
    /// `[[github.credentials]]` that go before the usual one.
    pub credentials: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            pool: "delivery = \"payload\"".to_owned(),
            before_pools: String::new(),
            github: None,
            nomad: None,
            top: String::new(),
            webhook: String::new(),
            github_keys: String::new(),
            credentials: String::new(),
        }
    }
}

pub struct World {
    pub github: Server,
    pub nomad: Client,
    pub agent: Agent,
    pub daemon: Daemon,
    /// `octo/app` and `octo/lib`, of an organization, each with a hook to the daemon.
    pub app: u64,
    pub lib: u64,
    /// The hook of the first.
    pub hook: u64,
}

/// The parts that a daemon needs, before there is one.
pub struct Parts {
    pub github: Server,
    pub agent: Agent,
    pub nomad: Client,
}

impl Parts {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut AgentOptions)) -> Self {
        let mut options = cluster::options();
        change(&mut options);
        let agent = Agent::start(options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let github = Server::start(listener, 7).unwrap();
        github.set_runner_binary(programs::roustabout_demo());
        let nomad = client(&agent);
        let archive = github.runner_archive_url().parse().unwrap();
        runner_job::register(&nomad, PARENT, &archive).await.unwrap();
        Self { github, agent, nomad }
    }
}

/// A client that may do everything, over whatever the agent speaks.
pub fn client(agent: &Agent) -> Client {
    let tls = agent.options().tls.as_ref();
    let read = |path: &std::path::Path| std::fs::read(path).unwrap();
    Client::new(Connection {
        token: agent.token().cloned(),
        ca_cert_pem: tls.map(|tls| read(&tls.ca_cert)),
        client_identity_pem: tls.map(|tls| [read(&tls.cert), read(&tls.key)].concat()),
        ..Connection::to(Address::Http(agent.address()))
    })
    .unwrap()
}

impl World {
    pub async fn start() -> Self {
        Self::planned(Plan::default()).await
    }

    pub async fn planned(plan: Plan) -> Self {
        let parts = Parts::start().await;
        let mut world = Self::around(parts, plan).await;
        world.daemon.start().await;
        world
    }

    /// Everything but the start of the daemon.
    pub async fn around(parts: Parts, plan: Plan) -> Self {
        let Parts { github, agent, nomad } = parts;
        let github_url = plan.github.unwrap_or_else(|| github.url().to_string());
        let nomad_url = plan.nomad.unwrap_or_else(|| agent.address().to_string());
        let config = format!(
            "[github]\napi_url = \"{}\"\n{}\n{}\n[[github.credentials]]\nowners = [\"*\"]\ntoken = \"{GITHUB_TOKEN}\"\n\
             [nomad]\naddress = \"{}\"\n{}\n\
             [[pools]]\nname = \"x64\"\nnomad_job = \"{PARENT}\"\n\
             labels = [\"self-hosted\", \"linux\", \"x64\"]\nrepositories = [\"octo/*\"]\n{}\n",
            github_url.trim_end_matches('/'),
            plan.github_keys,
            plan.credentials,
            nomad_url.trim_end_matches('/'),
            plan.before_pools,
            plan.pool,
        );
        let daemon = Daemon::prepare_with(&plan.top, &plan.webhook, &config);
        let url = daemon.url();
        let ((app, hook), (lib, _)) = github.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_organization("octo", &[user]);
            github.add_full_token(GITHUB_TOKEN, user);
            let mut add = |name: &str| {
                let repository = github.add_repository(name, Visibility::Private, now);
                let hook = HookSpec::new(&url, SECRET);
                let hook = github.add_hook(Scope::Repository(repository), hook, now);
                (repository, hook)
            };
            (add("octo/app"), add("octo/lib"))
        });
        Self { github, nomad, agent, daemon, app, lib, hook }
    }

    /// A run with `count` jobs of `millis` each; their ids.
    pub fn queue(&self, repository: u64, count: usize, millis: i64) -> Vec<u64> {
        self.queue_run(repository, RunSpec::default(), &LABELS, count, millis)
    }

    /// The same for the pool of the label `name`.
    pub fn queue_for(&self, name: &str, repository: u64, count: usize) -> Vec<u64> {
        self.queue_run(repository, RunSpec::default(), &["self-hosted", name], count, 200)
    }

    pub fn queue_run(
        &self,
        repository: u64,
        spec: RunSpec,
        labels: &[&str],
        count: usize,
        millis: i64,
    ) -> Vec<u64> {
        let jobs = (0..count).map(|n| JobSpec::new(format!("job {n}"), labels).lasting(millis));
        let jobs: Vec<JobSpec> = jobs.collect();
        self.github.with(|github, now| {
            let run = github.add_run(repository, spec, jobs, now);
            github.run(run).unwrap().jobs.clone()
        })
    }

    /// Children of ours, dead or alive.
    pub async fn children(&self) -> Vec<ChildStub> {
        self.nomad.children_by_token_prefix(self.nomad.place(), "roustabout-").await.unwrap()
    }

    /// Every job has ended at GitHub, no child lives, no runner is registered, and the
    /// daemon's ledger is empty.
    pub async fn until_nothing_is_left(&self, limit: Duration) {
        until("every job has ended and nothing is left over", limit, async || {
            let left = self.github.with(|github, _| github.leftovers());
            let alive = self
                .children()
                .await
                .into_iter()
                .filter(|child| child.status != JobStatus::Dead)
                .count();
            let ours = self.daemon.api("/api/v1/status").await["capacity"]["alive"].as_u64();
            left.is_empty() && alive == 0 && ours == Some(0)
        })
        .await;
    }
}
