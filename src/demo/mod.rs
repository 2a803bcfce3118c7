//! The whole thing on one machine: what `roustabout demo` starts, shows and ends again.
//!
//! The daemon in it is the real one, started as `serve` does; the demo only listens: to the
//! simulated GitHub's log (`news.rs`) and to the lines that the engine writes (`notes.rs`).
//! `story.rs` makes steps of both, `screen.rs` shows them, `stage.rs` sets up and takes down.

mod account;
pub mod agent;
mod folder;
pub mod gitea;
mod left;
mod log;
mod news;
mod notes;
mod play;
pub mod runner_job;
mod screen;
mod stage;
mod step;
mod story;
mod summary;
mod which_nomad;

use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Environment;
use agent::random;
use folder::Folder;
use news::Listening;
use play::Play;
use screen::Screen;
use stage::{Secrets, Stage};
use summary::Summary;
pub use which_nomad::said;
use which_nomad::{WhichNomad, choose};

/// From the start until what runs is taken down; that takes at most 25 s more.
const WITHIN: Duration = Duration::from_secs(95);

#[derive(Debug)]
pub struct Options {
    /// A Nomad that runs already, from [`said`].
    pub nomad: Option<url::Url>,
    pub jobs: usize,
    pub json: bool,
}

/// # Errors
/// With everything that did not happen, or was left over.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let environment = Environment::of_process();
    let (which, passed_over) = choose(options.nomad.clone(), &environment)?;
    if let Some(why) = passed_over {
        eprintln!("roustabout: {why}");
    }
    let screen = Screen::new(options.json);
    let mut stage = Stage { folder: Some(Folder::new(&mark())?), ..Stage::default() };
    let secrets = Secrets {
        github_token: format!("ghp_{}", hex::encode(random::<16>())).into(),
        webhook: hex::encode(random::<16>()).into(),
    };
    let mut signals = Signals::new()?;
    screen.title(options.jobs);
    let outcome = tokio::select! {
        outcome = perform(&options, &which, &environment, &mut stage, &secrets, &screen, began) => {
            Ended::of(outcome)
        }
        () = signals.any() => Ended::Interrupted,
    };
    let keep_log = match &outcome {
        Ended::Through(summary) => !summary.ok,
        Ended::Failed(_) => true,
        Ended::Interrupted => false,
    };
    if matches!(outcome, Ended::Interrupted) {
        screen.interrupted();
    }
    let struck = stage.strike(keep_log).await;
    let (summary, mut problems) = match outcome {
        Ended::Through(mut summary) => {
            let problems = std::mem::take(&mut summary.problems);
            (Some(summary), problems)
        }
        Ended::Failed(error) => (None, vec![format!("{error:#}")]),
        Ended::Interrupted => (None, vec!["interrupted".to_owned()]),
    };
    problems.extend(struck.problems.iter().cloned());
    let whole = began.elapsed().as_secs_f64();
    match summary {
        Some(summary) => {
            screen.summary(&Summary { problems: problems.clone(), ..summary }, &struck, whole)
        }
        None => screen.cut_short(&problems, &struck, whole),
    }
    if !problems.is_empty() {
        bail!("the demo did not go through: {}", problems.join("\n  "));
    }
    Ok(())
}

/// What ends a demo before its time. Its processes are not in the terminal's process group, so
/// they end only if it ends them, also when the terminal is closed.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

enum Ended {
    Through(Summary),
    Failed(anyhow::Error),
    Interrupted,
}

impl Ended {
    fn of(outcome: anyhow::Result<Summary>) -> Self {
        outcome.map_or_else(Self::Failed, Self::Through)
    }
}

async fn perform(
    options: &Options,
    which: &WhichNomad,
    environment: &Environment,
    stage: &mut Stage,
    secrets: &Secrets,
    screen: &Screen,
    began: Instant,
) -> anyhow::Result<Summary> {
    let repositories = stage.build_github(secrets).await?;
    screen.built("GitHub", &format!("simulated, at {}", stage.github()?.url()));

    let started = Instant::now();
    stage.build_nomad(which, environment, secrets).await?;
    let nomad = stage.nomad()?;
    let version = nomad.client.agent_version().await.ok().flatten().unwrap_or_default();
    let told = match (which, &stage.agent) {
        (WhichNomad::Running { address, named_by }, _) => {
            format!("{version}, real, the one at {} ({named_by})", without_slash(address))
        }
        (WhichNomad::Own(_), agent) => format!(
            "{version}, real, started for this at {} in {:.1} s",
            agent.as_ref().map_or(String::new(), |agent| without_slash(&agent.address())),
            started.elapsed().as_secs_f64()
        ),
    };
    screen.built("Nomad", told.trim_start_matches(", "));
    screen.built("job", &format!("{}, from {}", nomad.parent, runner_job::JOBSPEC_FILE));

    let (hooks, notes) = stage.build_daemon(secrets, repositories).await?;
    let log = match log::is_on_terminal() {
        true => "its log below, as RUST_LOG says".to_owned(),
        false => format!("its log in {}", stage.log_file()?.display()),
    };
    let daemon = stage.daemon()?;
    screen.built("daemon", &format!("takes webhooks at {}; {log}", daemon.door));

    let listening = Listening::new(stage.github()?.clone(), hooks, notes);
    let play = Play::new(stage, secrets, screen, listening);
    play.run(options.jobs, repositories, (began + WITHIN).into()).await
}

fn without_slash(address: &url::Url) -> String {
    address.as_str().trim_end_matches('/').to_owned()
}

/// Eight letters that tell this run from others on the machine.
fn mark() -> String {
    hex::encode(random::<4>())
}
