//! `serve`: reads the config, runs the daemon (`crate::daemon`) until SIGTERM or SIGINT, and reloads the
//! config at SIGHUP. `changes` decides what a new config may change while it runs.

mod changes;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::{Failed, logging};
use crate::config::{self, Environment, Loaded, Settings};
use crate::daemon::Running;
use crate::daemon::systemd::{self, Sockets};

pub async fn run(config: Option<PathBuf>) -> Result<(), Failed> {
    // Before anything else: it takes variables out of the environment.
    let sockets = Sockets::passed()?;
    let Loaded { settings, warnings, file, .. } = super::load(config.clone())?;
    let level = logging::start(&settings.log);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config = file.map(|path| path.display().to_string()),
        "starting roustabout"
    );
    for warning in warnings {
        warn!("{warning}");
    }
    let mut signals = Signals::new()?;
    let mut settings = Arc::new(settings);
    let mut running = Running::start_on(settings.clone(), sockets).await?;
    systemd::ready(&pools(&settings));
    while signals.next().await == Signalled::Reload {
        systemd::reloading();
        let said = tokio::select! {
            reloaded = reload(config.clone(), &settings, &mut running) => match reloaded {
                Some(new) => {
                    level.set(&new.log);
                    settings = new;
                    pools(&settings)
                }
                None => format!("{}; the config file is invalid, see the log", pools(&settings)),
            },
            // A reload that is not finished by now is abandoned.
            () = signals.end() => break,
        };
        systemd::ready(&said);
    }
    systemd::stopping();
    running.stop().await;
    Ok(())
}

fn pools(settings: &Settings) -> String {
    let names: Vec<&str> = settings.pools.iter().map(|pool| pool.name.as_str()).collect();
    format!("serving {}", names.join(", "))
}

/// Applies the config as it is now. `None`: it is invalid, every error is logged, and nothing changes.
async fn reload(
    config: Option<PathBuf>,
    before: &Arc<Settings>,
    running: &mut Running,
) -> Option<Arc<Settings>> {
    info!("reloading the config");
    let loaded = match config::load(config.as_deref(), &Environment::of_process()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            for mistake in errors.iter() {
                error!("{mistake}");
            }
            error!("the new config is invalid; the current one stays in effect");
            return None;
        }
    };
    for warning in loaded.warnings {
        warn!("{warning}");
    }
    let changes = changes::between(before, loaded.settings);
    let settings = Arc::new(changes.settings);
    if let Err(error) = running.reload(settings.clone()).await {
        error!("{error:#}; the current config stays in effect");
        return None;
    }
    for key in changes.wait_for_restart {
        warn!(key, "changed; takes effect after a restart");
    }
    let list = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
    info!(
        added = list(&changes.added),
        gone = list(&changes.gone),
        changed = list(&changes.changed),
        "the new config is in effect"
    );
    Some(settings)
}

#[derive(PartialEq, Eq)]
enum Signalled {
    End,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signalled {
        tokio::select! {
            _ = self.terminate.recv() => Signalled::End,
            _ = self.interrupt.recv() => Signalled::End,
            _ = self.hang_up.recv() => Signalled::Reload,
        }
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
