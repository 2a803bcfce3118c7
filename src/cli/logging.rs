//! Where log lines go and what they look like: standard error, text on a terminal, else JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Called once a process; `RUST_LOG` wins over the config's level.
pub fn start(log: &Log) {
    let said = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|said| !said.is_empty());
    let parsed = said.as_deref().map(EnvFilter::try_new);
    let unread = matches!(parsed, Some(Err(_)));
    let filter = parsed
        .and_then(Result::ok)
        .or_else(|| EnvFilter::try_new(&log.level).ok())
        // The config's level was checked when it was read.
        .unwrap_or_else(|| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that nobody takes any more must not end the daemon: the complaint about it
        // would go to standard error too, and panic there.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(colour);
    // An error means that a subscriber is there already, as in a test.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
    if unread {
        tracing::warn!(RUST_LOG = said, "RUST_LOG is not understood; [log] level is used instead");
    }
}
