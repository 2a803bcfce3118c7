//! What the demo sets up, and how it is taken down again, whatever happened in between.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

use super::agent::random;
use super::agent::{Agent, AgentOptions};
use super::folder::Folder;
use super::left::is_alive;
use super::notes::Note;
use super::which_nomad::WhichNomad;
use super::{log, runner_job};
use crate::admin;
use crate::cli::{Running, connections};
use crate::config::{self, Environment, Settings};
use crate::nomad::{ChildStub, Client, Error};
use crate::simulated::github::{HookSpec, Scope, Server, Visibility};

pub const REPOSITORIES: [&str; 2] = ["octo/app", "octo/lib"];
pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];
/// Small, so that jobs are seen to wait.
pub const MAX_RUNNERS: usize = 4;

/// How long runners may take to end when the demo is over before its time.
const END_WITHIN: Duration = Duration::from_secs(15);

/// Of this run alone.
pub struct Secrets {
    pub github_token: SecretString,
    pub webhook: SecretString,
}

pub struct Nomad {
    pub client: Client,
    /// The parameterized job that we register.
    pub parent: String,
    /// What our dispatches' names begin with.
    pub prefix: String,
    settings: Arc<Settings>,
}

impl Nomad {
    /// All of ours, dead or alive.
    pub async fn children(&self) -> Result<Vec<ChildStub>, Error> {
        let prefix = format!("{}-", self.prefix);
        let all = self.client.children_by_token_prefix(self.client.place(), &prefix).await?;
        let ours = |child: &ChildStub| child.parent_id.as_deref() == Some(self.parent.as_str());
        Ok(all.into_iter().filter(ours).collect())
    }

    /// Why dispatches of ours have no place, in the scheduler's words, each reason once.
    pub async fn not_placed(&self) -> BTreeSet<String> {
        let mut reasons = BTreeSet::new();
        for child in self.children().await.unwrap_or_default().iter().filter(|it| is_alive(it)) {
            let looks = self.client.evaluations(self.client.place(), &child.id).await;
            let failures = looks.unwrap_or_default().into_iter().flat_map(|it| it.failed_tg_allocs);
            reasons.extend(failures.map(|(_, failure)| failure.in_words()));
        }
        reasons
    }
}

pub struct Daemon {
    pub door: String,
    pub api: admin::Client,
    running: Running,
}

/// Everything that has to end. Filled one after the other, so that whatever is there can be
/// taken down at any moment.
#[derive(Default)]
pub struct Stage {
    pub folder: Option<Folder>,
    pub github: Option<Server>,
    pub agent: Option<Agent>,
    pub nomad: Option<Nomad>,
    pub daemon: Option<Daemon>,
}

/// What [`Stage::strike`] did.
#[derive(Debug, Default)]
pub struct Struck {
    pub purged: usize,
    pub agent_ended: bool,
    pub problems: Vec<String>,
    /// Where the daemon's log stays.
    pub kept: Option<PathBuf>,
}

impl Stage {
    /// The simulated GitHub with two repositories, listening; their ids.
    pub async fn build_github(&mut self, secrets: &Secrets) -> anyhow::Result<[u64; 2]> {
        let program = self.folder()?.runner_program()?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let github = Server::start(listener, u64::from_le_bytes(random()))?;
        github.set_runner_binary(program);
        let repositories = github.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_organization("octo", &[user]);
            github.add_full_token(secrets.github_token.expose_secret(), user);
            REPOSITORIES.map(|name| github.add_repository(name, Visibility::Private, now))
        });
        self.github = Some(github);
        Ok(repositories)
    }

    /// Nomad, ours or the one that runs, with the shipped jobspec registered.
    pub async fn build_nomad(
        &mut self,
        which: &WhichNomad,
        environment: &Environment,
        secrets: &Secrets,
    ) -> anyhow::Result<()> {
        let (address, parent, prefix) = match which {
            WhichNomad::Own(binary) => {
                let agent = Agent::start(AgentOptions::new(binary.clone())).await?;
                let address = agent.address();
                self.agent = Some(agent);
                (address, "github-runner-x64".to_owned(), "roustabout".to_owned())
            }
            // Names of this run alone: nobody else's job is touched, and no daemon that uses this
            // Nomad takes our dispatches for its own.
            WhichNomad::Running { address, .. } => {
                let mark = hex::encode(random::<2>());
                (address.clone(), format!("roustabout-demo-{mark}"), format!("demo{mark}"))
            }
        };
        let text = self.config(&address, &parent, &prefix, secrets)?;
        let environment = match which {
            WhichNomad::Own(_) => Environment::default(),
            WhichNomad::Running { .. } => nomad_variables(environment),
        };
        let settings = config::from_text(&text, "the demo's config", &environment)
            .map_err(|errors| anyhow!("{errors}"))?
            .settings;
        let client = connections::nomad(&settings)?;
        client.leader().await.with_context(|| format!("cannot use the Nomad at {address}"))?;
        let archive: Url = self.github()?.runner_archive_url().parse()?;
        self.nomad = Some(Nomad { client, parent, prefix, settings: Arc::new(settings) });
        let nomad = self.nomad()?;
        runner_job::register(&nomad.client, &nomad.parent, &archive).await
    }

    /// The daemon, and a hook on each repository that reaches its door; the hooks' ids.
    pub async fn build_daemon(
        &mut self,
        secrets: &Secrets,
        repositories: [u64; 2],
    ) -> anyhow::Result<(Vec<u64>, mpsc::UnboundedReceiver<Note>)> {
        let notes = log::start(&self.log_file()?)?;
        let running = Running::start(self.nomad()?.settings.clone()).await?;
        let door = running.door.context("the daemon has no door")?;
        let door = format!("http://{door}/webhook");
        let api = Url::parse(&format!("http://{}", running.admin))?;
        let api = admin::Client::new(api, None)?;
        self.daemon = Some(Daemon { door: door.clone(), api, running });
        let hooks = self.github()?.with(|github, now| {
            let mut hook = |repository| {
                let spec = HookSpec::new(&door, secrets.webhook.expose_secret());
                github.add_hook(Scope::Repository(repository), spec, now)
            };
            repositories.map(&mut hook).to_vec()
        });
        Ok((hooks, notes))
    }

    pub fn github(&self) -> anyhow::Result<&Server> {
        self.github.as_ref().context("the simulated GitHub is not up")
    }

    pub fn nomad(&self) -> anyhow::Result<&Nomad> {
        self.nomad.as_ref().context("there is no Nomad yet")
    }

    pub fn daemon(&self) -> anyhow::Result<&Daemon> {
        self.daemon.as_ref().context("the daemon is not up")
    }

    pub fn log_file(&self) -> anyhow::Result<PathBuf> {
        Ok(self.folder()?.path().join("roustabout.log"))
    }

    fn folder(&self) -> anyhow::Result<&Folder> {
        self.folder.as_ref().context("there is no folder yet")
    }

    fn config(
        &self,
        nomad: &Url,
        parent: &str,
        prefix: &str,
        secrets: &Secrets,
    ) -> anyhow::Result<String> {
        Ok(format!(
            r#"
shutdown_grace = "5s"
[webhook]
listen = "127.0.0.1:0"
secret = {secret:?}
[admin]
listen = "127.0.0.1:0"
[store]
url = "sqlite://{folder}/roustabout.db"
[github]
api_url = {github:?}
[[github.credentials]]
owners = ["octo"]
token = {token:?}
[nomad]
address = {nomad:?}
[runners]
name_prefix = {prefix:?}
max = {MAX_RUNNERS}
[[pools]]
name = "x64"
nomad_job = {parent:?}
labels = {LABELS:?}
repositories = ["octo/*"]
delivery = "payload"
"#,
            secret = secrets.webhook.expose_secret(),
            folder = self.folder()?.path().display(),
            github = self.github()?.url(),
            token = secrets.github_token.expose_secret(),
            nomad = nomad.as_str(),
        ))
    }

    /// Ends everything, what the daemon left running in Nomad included. `keep_log`: its folder
    /// stays.
    pub async fn strike(self, keep_log: bool) -> Struck {
        let Self { folder, github, agent, nomad, daemon } = self;
        let mut struck = Struck::default();
        if let Some(daemon) = daemon {
            daemon.running.stop().await;
        }
        if let Some(nomad) = nomad {
            match clear(&nomad).await {
                Ok(purged) => struck.purged = purged,
                Err(error) => struck.problems.push(format!("{error:#}")),
            }
        }
        if let Some(github) = github {
            github.shutdown().await;
        }
        if let Some(agent) = agent {
            agent.stop().await;
            struck.agent_ended = true;
        }
        if let Some(mut folder) = folder
            && keep_log
            && folder.path().join("roustabout.log").exists()
        {
            folder.keep();
            struck.kept = Some(folder.path().join("roustabout.log"));
        }
        struck
    }
}

/// Stops what is still alive, waits for its end, and purges it and its parent; how many
/// dispatches that were.
async fn clear(nomad: &Nomad) -> anyhow::Result<usize> {
    let place = nomad.client.place();
    let deadline = Instant::now() + END_WITHIN;
    let mut stopped = false;
    let children = loop {
        let children = nomad.children().await.context("cannot ask Nomad for our dispatches")?;
        let alive: Vec<&ChildStub> = children.iter().filter(|child| is_alive(child)).collect();
        if alive.is_empty() || Instant::now() > deadline {
            break children;
        }
        if !stopped {
            for child in alive {
                nomad.client.stop(place, &child.id).await?;
            }
            stopped = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let alive = children.iter().filter(|child| is_alive(child)).count();
    for child in &children {
        nomad.client.purge(place, &child.id).await?;
    }
    nomad.client.purge(place, &nomad.parent).await?;
    if alive > 0 {
        let seconds = END_WITHIN.as_secs();
        anyhow::bail!("{alive} dispatches were stopped and still ran {seconds} s later");
    }
    Ok(children.len())
}

/// How one gets into the Nomad that runs: the token and the certificates, not the address.
fn nomad_variables(environment: &Environment) -> Environment {
    let names = [
        "NOMAD_TOKEN",
        "NOMAD_NAMESPACE",
        "NOMAD_REGION",
        "NOMAD_CACERT",
        "NOMAD_CLIENT_CERT",
        "NOMAD_CLIENT_KEY",
        "NOMAD_TLS_SERVER_NAME",
        "NOMAD_SKIP_VERIFY",
    ];
    names.into_iter().filter_map(|name| Some((name, environment.get(name)?))).collect()
}
