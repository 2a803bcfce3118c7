//! `check`: one line per finding, with a suggested fix. Exit 1 on any `fail`.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::Context;

use super::{Failed, output};
use crate::check::{self, Finding, Report, Unit, View};
use crate::config::{ConfigErrors, Environment, Source};
use crate::daemon::connections;
use crate::own_secrets;

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
    let json = options.json;
    let wrong = |errors: ConfigErrors| match json {
        true => unloaded(errors, Vec::new()),
        false => super::wrong(errors),
    };
    let report = if options.config_only {
        let env = Environment::of_process().with_credentials_taken_as_given();
        let source = Source::read(config.as_deref(), &env).map_err(wrong)?;
        check::config_only(&source.load(&env).map_err(wrong)?)
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
        let env = view.environment();
        let source = Source::read(config.as_deref(), &env).map_err(wrong)?;
        let loaded = match own_secrets::load_once(&source, &env).await {
            Ok(loaded) => loaded,
            Err(errors) => {
                let more = about_vault(&source, &env).await;
                if json {
                    return Err(unloaded(errors, more));
                }
                if !more.is_empty() {
                    // The errors are what it ends with.
                    let _ = print(&Report(more), false);
                }
                return Err(super::wrong(errors));
            }
        };
        check::check(&loaded, &view, connections::nomad(&loaded.settings)).await
    };
    print(&report, json)
}

/// For programs the errors of the config are findings too. On standard error they are as ever.
fn unloaded(errors: ConfigErrors, more: Vec<Finding>) -> Failed {
    let findings = errors.iter().map(|error| {
        let key = if error.key.is_empty() { "" } else { ": " };
        let what = format!("{}{key}{}: {}", error.origin, error.key, error.what);
        Finding::fail("config", what, error.fix.clone())
    });
    match print(&Report(findings.chain(more).collect()), true) {
        Err(failed @ Failed::Because(_)) => failed,
        _ => super::wrong(errors),
    }
}

/// What there is to say about Vault, where nothing else is wrong with the config than what is there: that a secret
/// cannot be read says little of why.
async fn about_vault(source: &Source, env: &Environment) -> Vec<Finding> {
    match source.load(env) {
        Ok(loaded) => check::vault(&loaded).await,
        Err(_) => Vec::new(),
    }
}

/// Failed, if one of the findings is.
pub(super) fn print(report: &Report, json: bool) -> Result<(), Failed> {
    let colour = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = match json {
        true => format!("{}\n", check::json(report)),
        false => check::text(report, colour),
    };
    match output::print(&text) {
        // Also if only its first lines were read.
        Ok(()) | Err(Failed::Unread) if report.failed() => Err(Failed::Said),
        printed => printed,
    }
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
