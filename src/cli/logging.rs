//! Where log lines go and what they look like: standard error, text on a terminal, else JSON. The
//! journal is told the priority of each.

use std::io::{self, IsTerminal, Write};

use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

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
        .with_writer(Lines { to_journal: to_journal() })
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

/// Whether standard error is systemd's journal, as it says itself (`systemd.exec(5)`).
pub fn to_journal() -> bool {
    let said = std::env::var("JOURNAL_STREAM").ok();
    let is = rustix::fs::fstat(io::stderr()).ok();
    said.zip(is).is_some_and(|(said, is)| said == format!("{}:{}", is.st_dev, is.st_ino))
}

/// What the journal takes off the beginning of a line (`sd-daemon(3)`).
pub fn priority(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "<3>",
        tracing::Level::WARN => "<4>",
        tracing::Level::INFO => "<6>",
        _ => "<7>",
    }
}

struct Lines {
    to_journal: bool,
}

/// Each event is one of these, written at once.
struct Line {
    priority: &'static str,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { priority: "" }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        Line { priority: if self.to_journal { priority(*event.level()) } else { "" } }
    }
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match std::mem::take(&mut self.priority) {
            "" => io::stderr().write(text),
            // One write, so that no other line comes between.
            priority => {
                io::stderr().write_all(&[priority.as_bytes(), text].concat())?;
                Ok(text.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
