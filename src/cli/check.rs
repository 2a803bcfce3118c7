//! The doctor: one line a finding, each with its mend. Exit 1 on any `fail`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context;

use super::{Failed, connections};
use crate::check;
use crate::config::Environment;

#[derive(clap::Args)]
pub struct Options {
    /// Print one JSON object: {"findings": [{level, subject, message, mend}], "failed"}.
    #[arg(long)]
    json: bool,
    /// Only whether the config loads, systemd's credentials taken as given; asks nobody.
    #[arg(long)]
    config_only: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let report = if options.config_only {
        let env = Environment::of_process().with_credentials_taken_as_given();
        check::config_only(&super::load_by(config, &env)?)
    } else {
        let loaded = super::load(config)?;
        check::check(&loaded, connections::nomad(&loaded.settings)).await
    };
    let mut out = std::io::stdout().lock();
    let colour =
        out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = match options.json {
        true => format!("{}\n", check::json(&report)),
        false => check::text(&report, colour),
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write")?;
    if report.failed() { Err(Failed::Said) } else { Ok(()) }
}
