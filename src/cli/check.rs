//! `check`: one line per finding, with a suggested fix. Exit 1 on any `fail`.

use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::Context;

use super::Failed;
use crate::check::{self, Report, Unit, View};
use crate::config::{Environment, Source};
use crate::daemon::connections;

#[derive(clap::Args)]
pub struct Options {
    /// Print one JSON object: {"findings": [{level, subject, message, mend}], "failed"}.
    #[arg(long)]
    json: bool,
    /// Check only that the config loads. Contacts nothing, and assumes that systemd's credentials exist.
    #[arg(long)]
    config_only: bool,
    /// Check with the environment of this systemd unit; default: roustabout.service, if it is
    /// installed and runs this config.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config_only", "no_unit"])]
    unit: Option<String>,
    /// Check with the environment of this command, whatever units are installed.
    #[arg(long)]
    no_unit: bool,
    /// This process already has the environment of the unit.
    #[arg(long, hide = true, requires = "unit")]
    entered: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let report = if options.config_only {
        let env = Environment::of_process().with_credentials_taken_as_given();
        let source = Source::read(config.as_deref(), &env).map_err(super::wrong)?;
        check::config_only(&source.load(&env).map_err(super::wrong)?)
    } else {
        let view = match options.no_unit {
            true => View::Here,
            false => {
                View::find(config.as_deref(), options.unit.as_deref(), &Environment::of_process())
                    .map_err(Failed::Wrong)?
            }
        };
        if let (Some(unit), false) = (view.unit(), options.entered) {
            return enter(unit, config, &options);
        }
        let loaded = super::load_by(config, &view.environment()).await?;
        check::check(&loaded, &view, connections::nomad(&loaded.settings)).await
    };
    print(&report, options.json)
}

/// Failed, if one of the findings is.
pub(super) fn print(report: &Report, json: bool) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    let colour =
        out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = match json {
        true => format!("{}\n", check::json(report)),
        false => check::text(report, colour),
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write")?;
    if report.failed() { Err(Failed::Said) } else { Ok(()) }
}

/// Replaces this process by the same command in the environment of the unit.
fn enter(unit: &Unit, config: Option<PathBuf>, options: &Options) -> Result<(), Failed> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = check::entered(unit, &program);
    let config = config.unwrap_or_else(|| unit.config.clone());
    command.args(["check", "--entered", "--unit", &unit.name, "--config"]).arg(config);
    if options.json {
        command.arg("--json");
    }
    Err(anyhow::Error::new(command.exec()).context("cannot start this program again").into())
}
