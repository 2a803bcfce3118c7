//! `demo`: replaces itself by the program `roustabout-demo`, which contains what the daemon does not need:
//! the simulated GitHub, the stand-in for Nomad, the screen.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::anyhow;

use super::Failed;

const PROGRAM: &str = "roustabout-demo";

#[derive(clap::Args)]
pub struct Options {
    /// Arguments of roustabout-demo; --help lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Returns only if that program could not be started.
pub fn run(options: Options) -> Result<(), Failed> {
    let beside = beside();
    let program = match &beside {
        Some(beside) => beside.as_os_str(),
        None => PROGRAM.as_ref(),
    };
    let error = Command::new(program).args(options.arguments).exec();
    let said = program.display().to_string();
    let failed = match error.kind() {
        ErrorKind::NotFound if beside.is_none() => anyhow!(
            "the demo is a separate program, {PROGRAM}, which is neither beside this one nor on PATH. In a clone of roustabout's sources scripts/demo builds and starts it; cargo install --locked --path crates/demo puts it on PATH"
        ),
        _ => anyhow::Error::new(error).context(format!("cannot start {said}")),
    };
    Err(failed.into())
}

/// Its path beside this program, if it is there.
fn beside() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.with_file_name(PROGRAM);
    beside.is_file().then_some(beside)
}
