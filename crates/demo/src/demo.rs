//! The whole thing on one machine: what the demo starts, shows and ends again.
//!
//! The daemon in it is the real one, started as `roustabout serve` does; the demo only listens: to what
//! happens at the forge (`forge.rs`) and to what the engine tells (`roustabout::engine::Happenings`).
//! `story.rs` makes steps of both, `screen.rs` shows them, `stage.rs` sets up and takes down.

use std::time::{Duration, Instant};

use anyhow::bail;
use local_parts::gitea::Parts;
use local_parts::random;
use roustabout::config::Environment;
use secrecy::SecretString;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::folder::Folder;
use crate::kept::Kept;
use crate::left::Left;
use crate::listening::Listening;
use crate::log;
use crate::play::Play;
use crate::screen::Screen;
use crate::stage::{Plan, Stage};
use crate::story::Story;
use crate::summary::Summary;
use crate::which_nomad::{WhichNomad, choose};

/// From the start until what runs is taken down; that takes at most 25 s more.
const WITHIN: Duration = Duration::from_secs(95);
/// So long the daemon has, after something ran on, to let go of what is there.
const LET_GO_WITHIN: Duration = Duration::from_secs(20);
/// Of what takes longer it is said that it does.
pub const MOMENT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Options {
    /// A Nomad that runs already, from [`said`](crate::which_nomad::said).
    pub nomad: Option<url::Url>,
    pub jobs: usize,
    pub json: bool,
    /// Everything runs on until a signal comes.
    pub keep: bool,
    /// A real Gitea in the place of the simulated GitHub.
    pub gitea: Option<Parts>,
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
    let secret: SecretString = hex::encode(random::<16>()).into();
    let mut signals = Signals::new()?;
    screen.title(options.jobs);
    let demo = Demo { options: &options, which: &which, secret: &secret, screen: &screen, began };
    let outcome = demo.play(&environment, &mut stage, &mut signals).await;
    let keep_log = match &outcome {
        Ended::Through(summary) => !summary.ok,
        Ended::Failed(_) => true,
        Ended::Interrupted => false,
    };
    if matches!(outcome, Ended::Interrupted) {
        screen.interrupted();
    }
    screen.table_is_over();
    let struck = stage.strike(keep_log, &screen).await;
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
            let ok = summary.ok && problems.is_empty();
            let summary = Summary { ok, problems: problems.clone(), ..*summary };
            screen.ended(Some(&summary), &struck, whole);
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
    Through(Box<Summary>),
    Failed(anyhow::Error),
    Interrupted,
}

struct Demo<'a> {
    options: &'a Options,
    which: &'a WhichNomad,
    /// Of the daemon's door, and of this run alone.
    secret: &'a SecretString,
    screen: &'a Screen,
    began: Instant,
}

impl Demo<'_> {
    /// The burst, and what comes after it where everything is to run on.
    async fn play(
        &self,
        environment: &Environment,
        stage: &mut Stage,
        signals: &mut Signals,
    ) -> Ended {
        let built = tokio::select! {
            built = self.build(environment, stage) => built,
            () = signals.any() => return Ended::Interrupted,
        };
        let listening = match built {
            Ok(listening) => listening,
            Err(error) => return Ended::Failed(error),
        };
        let stage = &*stage;
        let story = match stage.forge() {
            Ok(forge) => Story::new(forge),
            Err(error) => return Ended::Failed(error),
        };
        let mut play = Play::new(stage, self.screen, listening, story);
        let outcome = tokio::select! {
            outcome = play.run(self.options.jobs, (self.began + WITHIN).into()) => outcome,
            () = signals.any() => return Ended::Interrupted,
        };
        let mut summary = match outcome {
            Ok(summary) => summary,
            Err(error) => return Ended::Failed(error),
        };
        self.screen.summary(&summary);
        if !self.options.keep || !summary.ok {
            return Ended::Through(Box::new(summary));
        }
        match Kept::prepare(stage, self.secret) {
            Ok(kept) => self.screen.kept(&kept),
            Err(error) => return Ended::Failed(error),
        }
        tokio::select! {
            () = play.watch() => {}
            () = signals.any() => {}
        }
        self.screen.interrupted();
        let left = tokio::select! {
            left = let_go(stage, self.screen) => left,
            // Whoever asks twice does not want to wait.
            () = signals.any() => Left::ask(stage).await,
        };
        match left {
            Ok(left) => {
                self.screen.left_at_last(&left);
                summary.leaves(left);
                Ended::Through(Box::new(summary))
            }
            Err(error) => Ended::Failed(error),
        }
    }

    async fn build(
        &self,
        environment: &Environment,
        stage: &mut Stage,
    ) -> anyhow::Result<Listening> {
        let Self { which, screen, .. } = self;
        stage.build_forge(self.options.gitea.as_ref()).await?;
        let forge = stage.forge()?;
        screen.built(forge.name(), &forge.told());

        let started = Instant::now();
        let plan = Plan { secret: self.secret, patient: self.options.keep };
        stage.build_nomad(which, environment, &plan).await?;
        let nomad = stage.nomad()?;
        screen.nomad(&nomad.told, started.elapsed().as_secs_f64());
        screen.built("job", &format!("{}, from {}", nomad.parent, stage.forge()?.jobspec_file()));

        let told = stage.build_daemon(self.secret).await?;
        let log = match log::is_on_terminal() {
            true => "its log below, as RUST_LOG says".to_owned(),
            false => format!("its log in {}", stage.log_file()?.display()),
        };
        screen.built("daemon", &format!("takes webhooks at {}; {log}", stage.daemon()?.door));
        Ok(Listening::new(stage.feed()?, told))
    }
}

/// Cancels what is open and waits until nothing is left of it; what is left then.
async fn let_go(stage: &Stage, screen: &Screen) -> anyhow::Result<Left> {
    stage.forge()?.cancel_all().await?;
    let began = Instant::now();
    let mut told = false;
    loop {
        let left = Left::ask(stage).await?;
        if left.is_nothing() || began.elapsed() > LET_GO_WITHIN {
            return Ok(left);
        }
        if !told && began.elapsed() > MOMENT {
            told = true;
            let (most, what) = (LET_GO_WITHIN.as_secs(), left.counts());
            screen.waits_for(&format!("{what}, at most {most} s; Ctrl-C again ends it at once"));
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// Eight letters that tell this run from others on the machine.
fn mark() -> String {
    hex::encode(random::<4>())
}
