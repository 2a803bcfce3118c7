//! What the demo sets up, and how it is taken down again, whatever happened in between.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use local_parts::agent::{Agent, AgentOptions, Program};
use local_parts::gitea::Parts;
use local_parts::{random, runner_job};
use nomad::{ChildStub, Client, Error, JobStatus};
use roustabout::admin;
use roustabout::config::{self, Environment, Settings};
use roustabout::daemon::{Running, connections};
use roustabout::engine::Watcher;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::demo::MOMENT;
use crate::folder::Folder;
use crate::forge::{Feed, Forge};
use crate::log;
use crate::scene::{HUGE_LABELS, HUGE_MEMORY, LABELS, PLACES};
use crate::screen::Screen;
use crate::which_nomad::{ToldOf, WhichNomad};

/// How long runners may take to end when the demo is over before its time.
const END_WITHIN: Duration = Duration::from_secs(15);

pub struct Nomad {
    pub client: Client,
    pub told: ToldOf,
    /// The parameterized jobs that we register: the pool's, and the one that has room nowhere.
    pub parent: String,
    pub huge: String,
    /// What our dispatches' names begin with.
    pub prefix: String,
    settings: Arc<Settings>,
}

impl Nomad {
    /// All of ours, dead or alive.
    pub async fn children(&self) -> Result<Vec<ChildStub>, Error> {
        let prefix = format!("{}-", self.prefix);
        let all = self.client.children_by_token_prefix(self.client.place(), &prefix).await?;
        let ours = |child: &ChildStub| {
            let parent = child.parent_id.as_deref();
            parent.is_some_and(|parent| parent == self.parent || parent == self.huge)
        };
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
    /// Address and port of the private door.
    pub admin: String,
    pub api: admin::Client,
    running: Running,
}

/// Everything that has to end. Filled one after the other, so that whatever is there can be
/// taken down at any moment.
#[derive(Default)]
pub struct Stage {
    pub folder: Option<Folder>,
    pub forge: Option<Forge>,
    pub agent: Option<Agent>,
    pub nomad: Option<Nomad>,
    pub daemon: Option<Daemon>,
}

/// How the daemon is to be set up.
pub struct Plan<'a> {
    /// Of its door.
    pub secret: &'a SecretString,
    /// It waits for webhooks for a long time before it asks the forge by itself.
    pub patient: bool,
}

/// What [`Stage::strike`] did.
#[derive(Debug, Default)]
pub struct Struck {
    pub purged: usize,
    pub nomad_ended: bool,
    pub problems: Vec<String>,
    /// Where the daemon's log stays.
    pub kept: Option<PathBuf>,
}

impl Stage {
    /// The forge where the jobs come from, listening: the real one where there are parts for it.
    pub async fn build_forge(&mut self, gitea: Option<&Parts>) -> anyhow::Result<()> {
        self.forge = Some(match gitea {
            Some(parts) => Forge::start_gitea(parts).await?,
            None => Forge::simulate(self.folder()?.runner_program()?).await?,
        });
        Ok(())
    }

    /// Nomad, ours or the one that runs, with the shipped jobspec registered.
    pub async fn build_nomad(
        &mut self,
        which: &WhichNomad,
        environment: &Environment,
        plan: &Plan<'_>,
    ) -> anyhow::Result<()> {
        let (address, mark) = match which {
            WhichNomad::Own(binary) => {
                (self.start_agent(Program::Nomad(binary.clone())).await?, None)
            }
            WhichNomad::StandIn => {
                let program = Program::StandIn(self.folder()?.runner_program()?);
                (self.start_agent(program).await?, None)
            }
            WhichNomad::Running { address, .. } => {
                (address.clone(), Some(hex::encode(random::<2>())))
            }
        };
        // On a Nomad that runs the names are of this run alone: nobody else's job is touched, and
        // no daemon that uses it takes our dispatches for its own.
        let (parent, huge, prefix) = match mark {
            None => {
                let job = self.forge()?.runner_job();
                (format!("{job}-x64"), format!("{job}-huge"), "roustabout".to_owned())
            }
            Some(mark) => (
                format!("roustabout-demo-{mark}"),
                format!("roustabout-demo-{mark}-huge"),
                format!("demo{mark}"),
            ),
        };
        let text = self.config(&address, [&parent, &huge], &prefix, plan)?;
        let environment = match which {
            WhichNomad::Own(_) | WhichNomad::StandIn => Environment::default(),
            WhichNomad::Running { .. } => nomad_variables(environment),
        };
        let settings = config::from_text(&text, "the demo's config", &environment)
            .map_err(|errors| anyhow!("{errors}"))?
            .settings;
        let client = connections::nomad(&settings)?;
        client.leader().await.with_context(|| format!("cannot use the Nomad at {address}"))?;
        let own = client.agent_self().await.ok().flatten();
        let told = ToldOf::of(which, &address, own.as_ref());
        let settings = Arc::new(settings);
        self.nomad = Some(Nomad { client, told, parent, huge, prefix, settings });
        let nomad = self.nomad()?;
        for (job, memory) in [(&nomad.parent, runner_job::MEMORY), (&nomad.huge, HUGE_MEMORY)] {
            self.forge()?.register_job(&nomad.client, job, memory).await?;
        }
        Ok(())
    }

    async fn start_agent(&mut self, program: Program) -> anyhow::Result<Url> {
        let agent = Agent::start(AgentOptions::new(program)).await?;
        let address = agent.address();
        self.agent = Some(agent);
        Ok(address)
    }

    /// The agent, where it is the stand-in.
    pub fn stand_in(&self) -> Option<&Agent> {
        self.agent.as_ref().filter(|it| matches!(it.options().program, Program::StandIn(_)))
    }

    /// The daemon, and hooks at the forge that reach its door.
    pub async fn build_daemon(&mut self, secret: &SecretString) -> anyhow::Result<Watcher> {
        log::start(&self.log_file()?)?;
        let running = Running::start(self.nomad()?.settings.clone()).await?;
        let told = running.happenings();
        let door = running.door.context("the daemon has no door")?;
        let door = format!("http://{door}/webhook");
        let api = Url::parse(&format!("http://{}", running.admin))?;
        let address = running.admin.to_string();
        let api = admin::Client::new(api, Some(running.made_token().clone()))?;
        self.daemon = Some(Daemon { door: door.clone(), admin: address, api, running });
        self.forge.as_mut().context("there is no forge yet")?.hook(&door, secret).await?;
        Ok(told)
    }

    pub fn forge(&self) -> anyhow::Result<&Forge> {
        self.forge.as_ref().context("the forge is not up")
    }

    /// What happens at the forge from now on.
    pub fn feed(&mut self) -> anyhow::Result<Feed> {
        Ok(self.forge.as_mut().context("the forge is not up")?.feed())
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

    pub fn folder(&self) -> anyhow::Result<&Folder> {
        self.folder.as_ref().context("there is no folder yet")
    }

    fn config(
        &self,
        nomad: &Url,
        [parent, huge]: [&str; 2],
        prefix: &str,
        plan: &Plan<'_>,
    ) -> anyhow::Result<String> {
        let max = PLACES + 1;
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
{forge}
[nomad]
address = {nomad:?}
[runners]
name_prefix = {prefix:?}
max = {max}
[[pools]]
name = "x64"
nomad_job = {parent:?}
labels = {LABELS:?}
repositories = ["octo/*"]
delivery = "payload"
max_runners = {PLACES}
[[pools]]
name = "huge"
nomad_job = {huge:?}
labels = {HUGE_LABELS:?}
repositories = ["octo/*"]
delivery = "payload"
max_runners = 1
"#,
            secret = plan.secret.expose_secret(),
            folder = self.folder()?.path().display(),
            forge = self.forge()?.config(plan.patient),
            nomad = nomad.as_str(),
        ))
    }

    /// Ends everything, what the daemon left running in Nomad included. `keep_log`: the daemon's log
    /// stays.
    pub async fn strike(self, keep_log: bool, screen: &Screen) -> Struck {
        let Self { folder, forge, agent, nomad, daemon } = self;
        let mut struck = Struck::default();
        if let Some(daemon) = daemon {
            let what = "the daemon, which completes its requests in flight";
            telling(screen, what, daemon.running.stop()).await;
        }
        if let Some(nomad) = nomad {
            let most = END_WITHIN.as_secs();
            let what = format!("the dispatches in Nomad to end, at most {most} s");
            match telling(screen, &what, clear(&nomad)).await {
                Ok(purged) => struck.purged = purged,
                Err(error) => struck.problems.push(format!("{error:#}")),
            }
        }
        if let Some(forge) = forge {
            forge.shutdown().await;
        }
        if let Some(agent) = agent {
            telling(screen, "Nomad to end", agent.stop()).await;
            struck.nomad_ended = true;
        }
        if let Some(mut folder) = folder.filter(|_| keep_log) {
            struck.kept = folder.keep("roustabout.log");
        }
        struck
    }
}

/// Says what is waited for, where that takes longer than a moment.
async fn telling<T>(screen: &Screen, what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(MOMENT) => screen.waits_for(what),
    }
    work.await
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
    for parent in [&nomad.parent, &nomad.huge] {
        nomad.client.purge(place, parent).await?;
    }
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

/// A stop makes a job dead at once, its tasks a little later.
pub fn is_alive(child: &ChildStub) -> bool {
    let counts = child.counts;
    child.status != JobStatus::Dead || counts.starting + counts.running + counts.unknown > 0
}
