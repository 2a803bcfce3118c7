//! The program `roustabout-demo`: the main job on one machine, every step shown. Also what runs on that
//! machine in place of the real thing: by hidden commands it is the stand-in for Nomad, that one's tasks,
//! and the stand-in for actions/runner.
//!
//! Here are the command line and the exit codes only: 0 done, 1 it failed, 2 the command line is wrong.
//! Read next: `demo.rs`.

mod demo;
mod folder;
mod forge;
mod kept;
mod left;
mod listening;
mod live;
mod log;
mod news;
mod play;
mod scene;
mod screen;
mod stage;
mod step;
mod story;
mod summary;
mod table;
mod which_nomad;

use std::process::ExitCode;

use clap::Parser;
use local_parts::gitea::find_parts;
use simulated_nomad::tasks::supervise;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The whole thing on this machine in about a minute; nothing to configure.
#[derive(Parser)]
#[command(name = "roustabout-demo", version, about)]
struct Arguments {
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

#[tokio::main]
async fn main() -> ExitCode {
    // The first thing: every TLS connection needs it. An error means it is there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Some(ended) = stand_in().await {
        return ended;
    }
    let Arguments { nomad, jobs, json, keep, gitea } = Arguments::parse();
    let parts = || find_parts(None, |name| std::env::var_os(name));
    let gitea = match gitea.then(parts) {
        Some(None) => return wrong(NO_GITEA),
        found => found.flatten(),
    };
    let nomad = match nomad.as_deref().map(which_nomad::said).transpose() {
        Ok(nomad) => nomad,
        Err(why) => return wrong(&why),
    };
    match demo::run(demo::Options { nomad, jobs: usize::from(jobs), json, keep, gitea }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("roustabout-demo: {error:#}"));
            ExitCode::from(1)
        }
    }
}

/// What this process is called as, where that is not the demo itself.
async fn stand_in() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next()?;
    let rest = arguments.collect();
    match command.as_str() {
        simulated::runner::COMMAND => Some(simulated::runner::main(rest).await),
        local_parts::agent::COMMAND => Some(simulated_nomad::command::main(rest).await),
        supervise::COMMAND => Some(supervise::main(rest).await),
        _ => None,
    }
}

fn wrong(what: &str) -> ExitCode {
    complain(what);
    ExitCode::from(2)
}

/// Unlike `eprintln!` it does not panic where nobody listens; the exit code still tells.
fn complain(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    /// The daemon's program only hands arguments on, so what documents show is held to these here.
    #[test]
    fn every_option_that_documents_show_is_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|file| file.unwrap().path());
        let all = [root.join("README.md"), root.join("CHANGELOG.md")].into_iter().chain(docs);
        let command = Arguments::command();
        let known: BTreeSet<String> =
            command.get_arguments().filter_map(|it| it.get_long()).map(str::to_owned).collect();
        let mut shown = 0;
        // Pictures lie beside the documents.
        for file in all.filter(|file| file.extension().is_some_and(|it| it == "md")) {
            let text = std::fs::read_to_string(&file).unwrap();
            for start in ["scripts/demo", "roustabout demo", "roustabout-demo", "`demo"] {
                for rest in text.split(start).skip(1) {
                    let of_it = rest.split(['`', '\n', '#', '|', ';']).next().unwrap_or_default();
                    for option in of_it.split(' ').filter_map(|word| word.strip_prefix("--")) {
                        let name = option.split('=').next().unwrap_or_default();
                        assert!(known.contains(name), "{}: --{option}", file.display());
                        shown += 1;
                    }
                }
            }
        }
        assert!(shown >= 4, "{shown}");
    }
}
