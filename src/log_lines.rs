//! Log lines on their way to standard error: those that are told together leave together.
//!
//! A write for each line was a noticeable part of what a webhook costs. What the lines look
//! like is said in `cli::logging`.

use std::cell::RefCell;
use std::io::{self, Write};

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

/// Standard error, or what is gathered for it.
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let gathered = GATHERED.with_borrow_mut(|gathered| {
            gathered.as_mut().map(|lines| lines.extend_from_slice(line)).is_some()
        });
        if gathered { Ok(line.len()) } else { io::stderr().write(line) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        Lines
    }
}
