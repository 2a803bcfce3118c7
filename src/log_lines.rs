//! Log lines on their way to standard error: those that are told together leave together, and
//! the journal is told the priority of each.
//!
//! A write for each line was a noticeable part of what a webhook costs. What the lines look
//! like is said in `cli::logging`.

use std::cell::RefCell;
use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

thread_local! {
    static GATHERED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What this thread logs in `tell` is written at its end, in one piece.
pub fn together(tell: impl FnOnce()) {
    GATHERED.set(Some(Vec::new()));
    tell();
    if let Some(lines) = GATHERED.take() {
        // A log that nobody takes any more must not end the daemon.
        let _ = io::stderr().write_all(&lines);
    }
}

pub struct Lines {
    to_journal: bool,
}

impl Lines {
    /// To standard error as it is: systemd's journal, as it says itself (`systemd.exec(5)`), or
    /// anything else.
    pub fn to_standard_error() -> Self {
        let said = std::env::var("JOURNAL_STREAM").ok();
        let is = rustix::fs::fstat(io::stderr()).ok();
        let is_journal =
            |(said, is): (String, rustix::fs::Stat)| said == format!("{}:{}", is.st_dev, is.st_ino);
        Self { to_journal: said.zip(is).is_some_and(is_journal) }
    }

    /// What the journal takes off the beginning of a line (`sd-daemon(3)`).
    pub fn priority(&self, level: Level) -> &'static str {
        match level {
            _ if !self.to_journal => "",
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            _ => "<7>",
        }
    }
}

/// Each event is one of these, written at once: to standard error, or to what is gathered for it.
pub struct Line {
    priority: &'static str,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { priority: "" }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        Line { priority: self.priority(*event.level()) }
    }
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let priority = std::mem::take(&mut self.priority).as_bytes();
        let gathered = GATHERED.with_borrow_mut(|gathered| {
            let lines = gathered.as_mut()?;
            lines.extend_from_slice(priority);
            lines.extend_from_slice(text);
            Some(())
        });
        if gathered.is_some() {
            return Ok(text.len());
        }
        if priority.is_empty() {
            return io::stderr().write(text);
        }
        // One write, so that no other line comes between.
        io::stderr().write_all(&[priority, text].concat())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
