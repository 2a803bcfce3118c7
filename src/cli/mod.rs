//! The command line: one file per command. Exit codes: 0 done, 1 failed, 2 the command line or the config
//! is invalid.

mod admin_token;
mod app;
mod check;
mod completions;
mod daemon;
mod demo;
mod explain;
mod hooks;
mod logging;
mod operate;
mod output;
mod report;
mod send;
mod serve;
mod status;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
pub use completions::Shell;

use crate::config::{ConfigErrors, Environment, Loaded, Source};
use crate::log_lines::Lines;
use crate::own_secrets;

/// Launches one ephemeral runner on HashiCorp Nomad for each queued workflow job of GitHub or Gitea.
#[derive(Parser)]
#[command(name = "roustabout", version, about, disable_help_subcommand = true)]
struct Arguments {
    /// Config file; default: $ROUSTABOUT_CONFIG, ./roustabout.toml, /etc/roustabout/roustabout.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Serve,
    /// Check config, secrets, store, GitHub or Gitea, and Nomad; one line per finding, with a suggested fix.
    Check(check::Options),
    /// See everything at work on this machine in about a minute; starts the program roustabout-demo.
    #[command(disable_help_flag = true)]
    Demo(demo::Options),
    /// Sign a webhook payload and post it to a running daemon.
    Send(send::Options),
    /// Show what a running daemon is doing: pools, which jobs wait and why, webhook deliveries.
    Status(status::Options),
    /// Explain why a job waits, runs or failed: one sentence, and its history.
    Explain(explain::Options),
    /// Stop launching runners for a pool, until `resume` or for a given time.
    Pause(operate::Pause),
    /// Launch runners for a pool again.
    Resume(operate::Resume),
    /// Retry a job now, without waiting for its backoff.
    Retry(operate::Retry),
    /// Create a GitHub App, or show how the configured ones stand.
    App(app::Options),
    /// Print where the admin token is, or with --show the token itself.
    AdminToken(admin_token::Options),
    /// Show, create, correct or remove the webhooks of the repositories that the pools serve.
    Hooks(hooks::Options),
    /// Show what ran in a month: jobs, minutes, waits, what GitHub-hosted runners would have cost, superseded runs.
    Report(report::Options),
    /// Print a script that completes commands and options in bash, fish or zsh.
    Completions(completions::Options),
}

/// Why a command did not succeed.
enum Failed {
    /// Exit 1.
    Because(anyhow::Error),
    /// Exit 2: the command line or the config.
    Wrong(String),
    /// Exit 1; everything has been printed already.
    Said,
    /// Exit 0: standard output was closed by its reader.
    Unread,
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed::Because(error.into())
    }
}

/// The longest line, in bytes, that a command prints of an answer from the network.
const LONGEST_LINE: usize = 4096;

/// Another program's answer, safe to print on a terminal. A daemon sanitizes what it reads, but
/// whatever answers here need not be a daemon.
fn printable(text: &str) -> String {
    let lines = text.split('\n').map(|line| strangers_text::harmless_up_to(line, LONGEST_LINE));
    lines.collect::<Vec<_>>().join("\n")
}

/// No core dump, whatever the limits are, and nobody of the same user reads this process's memory or
/// environment: nearly every command holds a secret. Programs that it starts are as usual again.
fn refuse_to_be_dumped() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Runs the command of this process.
pub fn run() -> ExitCode {
    // First, because every TLS connection needs it. An error means that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = Arguments::parse();
    if let Err(error) = refuse_to_be_dumped() {
        complain(&format!("roustabout: cannot turn core dumps off: {error}"));
        return ExitCode::from(1);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("roustabout: cannot start threads: {error}"));
            return ExitCode::from(1);
        }
    };
    runtime.block_on(dispatch(arguments))
}

/// The command line, for what is made of it: manual pages and completions.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Whether a command line, without the program's name, is valid; with `lacking` also one without required
/// arguments. For the test of the commands in the documents; nothing is run.
pub fn understands(arguments: &[String], lacking: bool) -> Result<(), clap::Error> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, MissingRequiredArgument};
    let all = std::iter::once("roustabout").chain(arguments.iter().map(String::as_str));
    match Arguments::try_parse_from(all) {
        Err(error)
            if matches!(error.kind(), DisplayHelp | DisplayVersion)
                || (lacking && error.kind() == MissingRequiredArgument) =>
        {
            Ok(())
        }
        parsed => parsed.map(drop),
    }
}

async fn dispatch(arguments: Arguments) -> ExitCode {
    let Arguments { config, command } = arguments;
    let outcome = match command {
        Command::Serve => serve::run(config).await,
        Command::Check(options) => check::run(config, options).await,
        Command::Demo(options) => demo::run(options),
        Command::Send(options) => send::run(config, options).await,
        Command::Status(options) => status::run(config, options).await,
        Command::Explain(options) => explain::run(config, options).await,
        Command::Pause(options) => operate::pause(config, options).await,
        Command::Resume(options) => operate::resume(config, options).await,
        Command::Retry(options) => operate::retry(config, options).await,
        Command::App(options) => app::run(config, options).await,
        Command::AdminToken(options) => admin_token::run(config, options).await,
        Command::Hooks(options) => hooks::run(config, options).await,
        Command::Report(options) => report::run(config, options).await,
        Command::Completions(options) => completions::run(options),
    };
    match outcome {
        Ok(()) | Err(Failed::Unread) => ExitCode::SUCCESS,
        Err(Failed::Said) => ExitCode::from(1),
        Err(Failed::Because(error)) => {
            complain(&format!("roustabout: {error:#}"));
            ExitCode::from(1)
        }
        Err(Failed::Wrong(what)) => {
            complain(&what);
            ExitCode::from(2)
        }
    }
}

/// Unlike `eprintln!` it does not panic if standard error is closed; the exit code is still right.
fn complain(what: &str) {
    tell(tracing::Level::ERROR, what);
}

/// For what does not prevent the command from continuing.
fn warn(what: &str) {
    tell(tracing::Level::WARN, &format!("roustabout: warning: {what}"));
}

fn tell(level: tracing::Level, what: &str) {
    let priority = Lines::to_standard_error().priority(level);
    for line in what.lines() {
        let _ = writeln!(std::io::stderr(), "{priority}{line}");
    }
}

/// The settings, or every error in them.
async fn load(config: Option<PathBuf>) -> Result<Loaded, Failed> {
    load_by(config, &Environment::of_process()).await
}

/// With the secrets that are in Vault.
async fn load_by(config: Option<PathBuf>, env: &Environment) -> Result<Loaded, Failed> {
    let source = Source::read(config.as_deref(), env).map_err(wrong)?;
    own_secrets::load_once(&source, env).await.map_err(wrong)
}

fn wrong(errors: ConfigErrors) -> Failed {
    Failed::Wrong(errors.to_string().trim_end().to_owned())
}
