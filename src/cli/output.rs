//! What commands print: to standard output, at once, and quietly no more where nobody reads any more.

use std::io::{ErrorKind, Write};

use anyhow::Context;

use super::Failed;

/// Writes all of it.
pub fn print(text: &str) -> Result<(), Failed> {
    print_to(std::io::stdout().lock(), text)
}

pub fn print_to(mut out: impl Write, text: &str) -> Result<(), Failed> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `status | head` has what it wants.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failed::Unread),
        written => Ok(written.context("cannot write")?),
    }
}
