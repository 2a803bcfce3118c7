//! The main job on one machine, every step shown.

use super::Failed;
use crate::demo;
use crate::demo::gitea::find_parts;

#[derive(clap::Args)]
pub struct Options {
    /// A Nomad that runs on this machine, such as http://127.0.0.1:4646; else NOMAD_ADDR where
    /// that is loopback, else one is started from NOMAD_BIN or PATH, else the stand-in for Nomad
    /// that is part of this program.
    #[arg(long, value_name = "ADDR")]
    nomad: Option<String>,
    /// How many jobs are queued at once.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// One JSON object a step, the summary last.
    #[arg(long)]
    json: bool,
    /// Leave everything running until Ctrl-C, with the addresses to look at and a command that
    /// sends a webhook, or pushes to the Gitea.
    #[arg(long)]
    keep: bool,
    /// A real Gitea in the place of the simulated GitHub, with real runners that run real steps:
    /// the one that scripts/get-gitea has built, or that GITEA_PARTS names.
    #[arg(long)]
    gitea: bool,
}

const NO_GITEA: &str = "no Gitea found. scripts/demo --gitea, in roustabout's sources, builds one with its runner (Go and \
                        a C compiler are needed) and runs this demo; or point GITEA_PARTS at a folder \
                        as scripts/get-gitea makes it";

pub async fn run(options: Options) -> Result<(), Failed> {
    let Options { nomad, jobs, json, keep, gitea } = options;
    let parts = || find_parts(None, |name| std::env::var_os(name));
    let gitea = match gitea {
        true => Some(parts().ok_or_else(|| Failed::Wrong(NO_GITEA.to_owned()))?),
        false => None,
    };
    let nomad = nomad.as_deref().map(demo::said).transpose().map_err(Failed::Wrong)?;
    demo::run(demo::Options { nomad, jobs: usize::from(jobs), json, keep, gitea }).await?;
    Ok(())
}
