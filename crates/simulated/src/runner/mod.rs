//! The stand-in for actions/runner: takes the real one's commands, runs jobs by sleeping.
//!
//! `config.sh` and `run.sh` here are tiny and call this program again (`roustabout-demo
//! simulated-runner …`). It knows GitHub only by `simulated/protocol.rs`.
//! Read next: `options.rs`, `configure.rs`, `listen.rs`, `archive.rs`.

pub mod archive;
mod client;
mod configure;
mod files;
mod hook;
pub mod jit;
mod listen;
mod options;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// The hidden command of `roustabout-demo` that is this stand-in.
pub const COMMAND: &str = "simulated-runner";

/// The version it claims to be.
pub const VERSION: &str = "2.337.0";

/// Environment variables, handed in so that tests need not change the process's.
pub type Environment = BTreeMap<String, String>;

/// Why a command failed; the text is shown to whoever called it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("Http response code: {status} ({message})")]
    Refused { status: u16, message: String },
    #[error("failed to reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("failed to read or write the runner's files: {0}")]
    Files(#[from] std::io::Error),
}

/// The hidden command `simulated-runner`, without its own name: `config|run ROOT ARGUMENTS…`.
pub async fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    ExitCode::from(command(args, &environment).await)
}

/// The same with the environment as an argument and the exit code as a number.
///
/// `run` handles SIGINT and SIGTERM for the whole process that it is called in.
pub async fn command(args: impl IntoIterator<Item = String>, environment: &Environment) -> u8 {
    let mut args = args.into_iter();
    let (Some(command), Some(root)) = (args.next(), args.next()) else {
        eprintln!("usage: simulated-runner config|run ROOT ARGUMENTS…");
        return 1;
    };
    let root = PathBuf::from(root);
    let args: Vec<String> = args.collect();
    let result = match (command.as_str(), args.first().map(String::as_str)) {
        ("config", Some("remove")) => configure::remove(&root, &args[1..], environment).await,
        ("config", _) => configure::configure(&root, &args, environment).await,
        ("run", _) => {
            if let Err(failure) = jit::set_up(&root, &args, environment) {
                eprintln!("{failure}");
                return 0;
            }
            let mut environment = environment.clone();
            environment.remove(jit::VARIABLE);
            return listen::run(&root, &environment).await;
        }
        _ => Err(Failure::Usage(format!("unknown command {command:?}"))),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    }
}
