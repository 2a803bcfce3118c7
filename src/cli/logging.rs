//! What log lines look like: text on a terminal, else JSON. How they get out is in `log_lines`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::log_lines::Lines;

/// How the level is changed later.
pub struct Level(Option<Box<dyn Fn(EnvFilter) + Send + Sync>>);

impl Level {
    /// Only the level: the form of the lines stays.
    pub fn set(&self, log: &Log) {
        let said = std::env::var(EnvFilter::DEFAULT_ENV).is_ok_and(|said| understood(&said));
        if let (Some(change), false) = (&self.0, said) {
            change(of_config(log));
        }
    }
}

fn understood(said: &str) -> bool {
    !said.is_empty() && EnvFilter::try_new(said).is_ok()
}

/// The config's level was checked when it was read.
fn of_config(log: &Log) -> EnvFilter {
    EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Called once a process; `RUST_LOG` wins over the config's level.
pub fn start(log: &Log) -> Level {
    let said = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|said| !said.is_empty());
    let parsed = said.as_deref().map(EnvFilter::try_new);
    let unread = matches!(parsed, Some(Err(_)));
    let filter = parsed.and_then(Result::ok).unwrap_or_else(|| of_config(log));
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines::to_standard_error())
        // A log that nobody takes any more must not end the daemon: the complaint about it
        // would go to standard error too, and panic there.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(colour);
    // An error means that a subscriber is there already, as in a test: then nothing is changed.
    let level: Option<Box<dyn Fn(EnvFilter) + Send + Sync>> = if json {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().ok().map(|()| changing(move |filter| handle.reload(filter)))
    } else {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().ok().map(|()| changing(move |filter| handle.reload(filter)))
    };
    if unread {
        tracing::warn!(RUST_LOG = said, "RUST_LOG is not understood; [log] level is used instead");
    }
    Level(level)
}

fn changing<E>(
    reload: impl Fn(EnvFilter) -> Result<(), E> + Send + Sync + 'static,
) -> Box<dyn Fn(EnvFilter) + Send + Sync> {
    // It fails only where the subscriber is gone, and with it all logging.
    Box::new(move |filter| drop(reload(filter)))
}
