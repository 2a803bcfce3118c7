//! Says what was left out for want of an outside part, as the daemon's tests do: past the test runner,
//! which keeps what a test that passes prints, and in the file in which `scripts/test` counts it.

use std::fs::OpenOptions;
use std::io::Write;

/// `what` is what is not proved, `why` what is missing.
pub fn not_run(what: &str, why: &str) {
    let line = format!("NOT RUN: {what} {why}\n");
    if let Some(file) = std::env::var_os("ROUSTABOUT_TEST_NOT_RUN") {
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    let _ = std::io::stderr().write_all(line.as_bytes());
}
