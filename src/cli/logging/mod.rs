//! The format of log lines: text on a terminal, else JSON. `log_lines` writes them.

mod json;

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat};
use crate::log_lines::Lines;

const VARIABLE: &str = "RUST_LOG";

/// For changing the level later.
pub struct Level(Option<reload::Handle<Targets, Registry>>);

impl Level {
    /// Changes only the level: the format of the lines needs a restart.
    pub fn set(&self, log: &Log) {
        let said = std::env::var(VARIABLE).is_ok_and(|said| understood(&said).is_some());
        if let (Some(handle), false) = (&self.0, said) {
            // It fails only where the subscriber is gone, and with it all logging.
            let _ = handle.reload(of_config(log));
        }
    }
}

/// Levels, for everything or by part. Not `EnvFilter`, which can choose by spans and fields too: the daemon
/// has no spans, and that would bring the tables of a regex engine.
fn understood(said: &str) -> Option<Targets> {
    let said: String = said.split_whitespace().collect();
    said.parse().ok().filter(|_| !said.is_empty())
}

/// The config's level was checked when it was read.
fn of_config(log: &Log) -> Targets {
    understood(&log.level).unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO))
}

/// Called once per process; `RUST_LOG` takes precedence over the config's level.
pub fn start(log: &Log) -> Level {
    let said = std::env::var(VARIABLE).ok().filter(|said| !said.is_empty());
    let filter = said.as_deref().and_then(understood);
    let unread = said.is_some() && filter.is_none();
    let (filter, handle) = reload::Layer::new(filter.unwrap_or_else(|| of_config(log)));
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = fmt::layer()
        .with_writer(Lines::to_standard_error())
        // A closed log must not end the daemon: the error about it would go to standard error
        // too, and panic there.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(colour);
    let lines = match json {
        true => lines.event_format(json::Json).boxed(),
        false => lines.boxed(),
    };
    // An error means that a subscriber is there already, as in a test: then nothing is changed.
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    if unread {
        tracing::warn!(RUST_LOG = said, "RUST_LOG is not understood; [log] level is used instead");
    }
    Level(started.ok().map(|()| handle))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::understood;

    #[test]
    fn levels_for_everything_and_by_part() {
        let filter = understood("WARN, hyper=off,roustabout=debug").unwrap();
        assert!(filter.would_enable("rustls", &Level::WARN));
        assert!(!filter.would_enable("rustls", &Level::INFO));
        assert!(!filter.would_enable("hyper::client", &Level::ERROR));
        assert!(filter.would_enable("roustabout::engine", &Level::DEBUG));
        for nonsense in ["", " ", "a=b=c", "roustabout=loud"] {
            assert!(understood(nonsense).is_none(), "{nonsense:?}");
        }
    }
}
