//! The side where jobs are queued: the simulated GitHub, or a real Gitea.
//!
//! `stage.rs` and `play.rs` know a forge by what is public here and by nothing else. Read next:
//! `news.rs`, what is heard of it.

mod gitea;
mod simulated;

use std::path::PathBuf;

use local_parts::gitea::Parts;
use local_parts::runner_job;
use nomad::Client;
use secrecy::SecretString;

use self::gitea::GiteaFeed;
pub use self::gitea::RealGitea;
pub use self::simulated::Simulated;
use self::simulated::SimulatedFeed;
use crate::news::News;
use crate::scene::Part;

pub enum Forge {
    Simulated(Simulated),
    Gitea(Box<RealGitea>),
}

impl Forge {
    /// `program` stands in for actions/runner.
    pub async fn simulate(program: PathBuf) -> anyhow::Result<Self> {
        Simulated::start(program).await.map(Self::Simulated)
    }

    /// A real Gitea, started for this.
    pub async fn start_gitea(parts: &Parts) -> anyhow::Result<Self> {
        Ok(Self::Gitea(Box::new(RealGitea::start(parts).await?)))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Simulated(_) => "GitHub",
            Self::Gitea(_) => "Gitea",
        }
    }

    /// What it is and where, for whoever watches.
    pub fn told(&self) -> String {
        match self {
            Self::Simulated(github) => github.told(),
            Self::Gitea(gitea) => gitea.told(),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Simulated(github) => github.url(),
            Self::Gitea(gitea) => gitea.url(),
        }
    }

    /// What the daemon's config says of it. `patient`: it is asked for what no webhook told only
    /// after a long time.
    pub fn config(&self, patient: bool) -> String {
        let sweeps = match patient {
            true => "sweep_interval = \"12h\"\nfull_sweep_interval = \"24h\"\n",
            false => "",
        };
        match self {
            Self::Simulated(github) => github.config(sweeps),
            Self::Gitea(gitea) => gitea.config(sweeps),
        }
    }

    /// What the names of its runners' jobs in Nomad begin with.
    pub fn runner_job(&self) -> &'static str {
        match self {
            Self::Simulated(_) => "github-runner",
            Self::Gitea(_) => "gitea-runner",
        }
    }

    /// The jobspec of its runners, as it lies in the sources.
    pub fn jobspec_file(&self) -> &'static str {
        match self {
            Self::Simulated(_) => runner_job::JOBSPEC_FILE,
            Self::Gitea(_) => runner_job::GITEA_JOBSPEC_FILE,
        }
    }

    /// Registers that at Nomad, with so much memory (MB).
    pub async fn register_job(&self, nomad: &Client, id: &str, memory: u64) -> anyhow::Result<()> {
        match self {
            Self::Simulated(github) => {
                let archive = github.runner_archive()?;
                runner_job::register_with(nomad, id, &archive, memory).await
            }
            Self::Gitea(gitea) => {
                runner_job::register_for_gitea(nomad, id, gitea.runner_program(), memory).await
            }
        }
    }

    /// A hook on each repository.
    pub async fn hook(&mut self, door: &str, secret: &SecretString) -> anyhow::Result<()> {
        match self {
            Self::Simulated(github) => {
                github.hook(door, secret);
                Ok(())
            }
            Self::Gitea(gitea) => gitea.hook(door, secret).await,
        }
    }

    /// Queues them all at once; their ids, in the same order.
    pub async fn queue(&self, parts: &[Part]) -> anyhow::Result<Vec<u64>> {
        match self {
            Self::Simulated(github) => Ok(github.queue(parts)),
            Self::Gitea(gitea) => gitea.queue(parts).await,
        }
    }

    /// As somebody who presses the button does.
    pub async fn cancel(&self, job: u64) -> anyhow::Result<()> {
        match self {
            Self::Simulated(github) => {
                github.cancel(job);
                Ok(())
            }
            Self::Gitea(gitea) => gitea.cancel(job).await,
        }
    }

    /// Every job that is not done.
    pub async fn cancel_all(&self) -> anyhow::Result<()> {
        match self {
            Self::Simulated(github) => {
                github.cancel_all();
                Ok(())
            }
            Self::Gitea(gitea) => gitea.cancel_all().await,
        }
    }

    /// How many runners its API lists for all repositories.
    pub async fn registered(&self) -> anyhow::Result<u64> {
        match self {
            Self::Simulated(github) => github.registered().await,
            Self::Gitea(gitea) => gitea.registered().await,
        }
    }

    /// Everything that happens there from now on. A Gitea tells it once.
    pub fn feed(&mut self) -> Feed {
        match self {
            Self::Simulated(github) => Feed::Simulated(github.feed()),
            Self::Gitea(gitea) => Feed::Gitea(gitea.feed()),
        }
    }

    /// Whether it tells how its webhooks were answered, and what tokens it handed out.
    pub fn tells_answers(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    pub async fn shutdown(self) {
        match self {
            Self::Simulated(github) => github.shutdown().await,
            Self::Gitea(gitea) => gitea.shutdown().await,
        }
    }
}

/// What happens at a forge, told once.
pub enum Feed {
    Simulated(SimulatedFeed),
    Gitea(GiteaFeed),
}

impl Feed {
    /// Waits until there is something new.
    pub async fn changed(&mut self) {
        match self {
            Self::Simulated(feed) => feed.changed().await,
            Self::Gitea(feed) => feed.changed().await,
        }
    }

    pub fn take(&mut self) -> Vec<News> {
        match self {
            Self::Simulated(feed) => feed.take(),
            Self::Gitea(feed) => feed.take(),
        }
    }
}
