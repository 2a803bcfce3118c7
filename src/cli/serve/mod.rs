//! `serve`: reads the config, runs the daemon (`crate::daemon`) until SIGTERM or SIGINT, and reloads the
//! config at SIGHUP, and its secrets when there are others in Vault or in their files. `changes` decides what a new config may
//! change while it runs.

mod changes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::Failed;
use super::logging::{self, Level};
use crate::config::{ConfigErrors, Environment, Loaded, Settings, Source};
use crate::daemon::Running;
use crate::daemon::systemd::{self, Sockets};
use crate::own_secrets::{Files, Keeper, NotLoaded};

pub async fn run(config: Option<PathBuf>) -> Result<(), Failed> {
    // Before anything else: it takes variables out of the environment.
    let sockets = Sockets::passed()?;
    let mut keeper = Keeper::default();
    let (loaded, mut source, level) = first(config.as_deref(), &mut keeper).await?;
    let Loaded { settings, warnings, file, secrets, .. } = loaded;
    let mut files = Files::of(&secrets);
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
    let vault = keeper.client_for(&settings)?;
    let mut running = Running::start_on(settings.clone(), sockets, vault).await?;
    let refused = running.refused();
    systemd::ready(&pools(&settings));
    // A reload that waits for Vault: how long before the next try.
    let mut waiting: Option<Duration> = None;
    loop {
        let cause = tokio::select! {
            signalled = signals.next() => match signalled {
                Signalled::Reload => {
                    waiting = None;
                    Cause::Signal
                }
                Signalled::End => break,
            },
            () = pass(waiting) => Cause::Signal,
            () = files.changed() => Cause::Files,
            load_again = keeper.changed(&refused) => {
                running.secrets_are_read("vault", keeper.trouble().map(str::to_owned));
                match load_again {
                    true => Cause::Vault,
                    false => continue,
                }
            }
        };
        let text = match cause {
            Cause::Signal => {
                systemd::reloading();
                if waiting.is_none() {
                    info!("reloading the config");
                }
                Source::read(config.as_deref(), &Environment::of_process())
            }
            // The config may be half written: it is read when somebody says so.
            Cause::Vault => {
                info!("a secret in Vault has changed; reloading the secrets");
                Ok(source.clone())
            }
            Cause::Files => {
                info!("a file with a secret has changed; reloading the secrets");
                Ok(source.clone())
            }
        };
        let reloaded = tokio::select! {
            reloaded = reload(text, &settings, &mut running, &mut keeper) => reloaded,
            // A reload that is not finished by now is abandoned.
            () = signals.end() => break,
        };
        running.secrets_are_read("vault", keeper.trouble().map(str::to_owned));
        let said = match reloaded {
            Reloaded::Done(new, text, read) => {
                level.set(&new.log);
                (settings, source, files) = (new, *text, read);
                running.secrets_are_read("secrets", None);
                waiting = None;
                pools(&settings)
            }
            Reloaded::Invalid(why) => {
                waiting = None;
                if cause == Cause::Files {
                    running.secrets_are_read("secrets", Some(format!("a file has changed: {why}")));
                }
                format!("{}; the new config is invalid, see the log", pools(&settings))
            }
            Reloaded::Away(reason) => {
                if waiting.is_none() {
                    error!(
                        reason,
                        "cannot read a secret from Vault; trying again, and the current config stays in effect until then"
                    );
                }
                // What another version of a secret asks for is asked for again by the next look.
                if cause != Cause::Vault {
                    let pause = waiting.map_or(FIRST_PAUSE, |pause| pause * 2);
                    waiting = Some(pause.min(LONGEST_PAUSE));
                }
                format!("{}; the new config waits for Vault", pools(&settings))
            }
        };
        systemd::ready(&said);
    }
    systemd::stopping();
    running.stop().await;
    // What is under way until then needs its token, which ends by itself too.
    let _ = tokio::time::timeout(LEAVING, keeper.leave()).await;
    Ok(())
}

/// How long a Vault that does not answer delays the end.
const LEAVING: Duration = Duration::from_secs(2);
/// After a Vault that did not answer, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Loads the config and begins to log. A Vault that does not answer is waited for: a restart of the machine
/// brings both up in any order, and without its secrets the daemon could verify no webhook. What is wrong is
/// told at once.
async fn first(
    config: Option<&Path>,
    keeper: &mut Keeper,
) -> Result<(Loaded, Source, Level), Failed> {
    let env = Environment::of_process();
    let mut level = None;
    let mut pause = FIRST_PAUSE;
    loop {
        // Each time, for somebody may correct it meanwhile.
        let source = Source::read(config, &env).map_err(super::wrong)?;
        let reason = match keeper.load(&source, &env).await {
            Ok(loaded) => {
                let level = level.unwrap_or_else(|| logging::start(&loaded.settings.log));
                return Ok((loaded, source, level));
            }
            Err(NotLoaded::Wrong(errors)) => return Err(super::wrong(errors)),
            Err(NotLoaded::Away(reason)) => reason,
        };
        if level.is_none() {
            let log = source.wanted(&env).map_err(super::wrong)?.log;
            level = log.map(|log| logging::start(&log));
        }
        warn!(
            reason,
            retry_s = pause.as_secs(),
            "waiting for Vault, which has secrets of the config"
        );
        systemd::starting("waiting for Vault", pause * 2 + LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn pools(settings: &Settings) -> String {
    let names: Vec<&str> = settings.pools.iter().map(|pool| pool.name.as_str()).collect();
    format!("serving {}", names.join(", "))
}

/// For ever where nothing waits.
async fn pass(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Why the config, or what it names, is loaded again.
#[derive(PartialEq, Eq)]
enum Cause {
    Signal,
    Vault,
    Files,
}

/// What became of a new config.
enum Reloaded {
    Done(Arc<Settings>, Box<Source>, Files),
    /// Every error is logged, and nothing changes; the first of them.
    Invalid(String),
    /// It wants a secret of a Vault that does not answer: it is to be tried again.
    Away(String),
}

/// Applies a config.
async fn reload(
    source: Result<Source, ConfigErrors>,
    before: &Arc<Settings>,
    running: &mut Running,
    keeper: &mut Keeper,
) -> Reloaded {
    let loaded = match source {
        Ok(source) => {
            let loaded = keeper.load(&source, &Environment::of_process()).await;
            loaded.map(|loaded| (loaded, source))
        }
        Err(errors) => Err(NotLoaded::Wrong(errors)),
    };
    let (loaded, source) = match loaded {
        Ok(loaded) => loaded,
        Err(NotLoaded::Wrong(errors)) => {
            for mistake in errors.iter() {
                error!("{mistake}");
            }
            error!("the new config is invalid; the current one stays in effect");
            let first = errors.iter().next().map(ToString::to_string);
            return Reloaded::Invalid(first.unwrap_or_default());
        }
        Err(NotLoaded::Away(reason)) => {
            return Reloaded::Away(reason);
        }
    };
    let files = Files::of(&loaded.secrets);
    for warning in loaded.warnings {
        warn!("{warning}");
    }
    let changes = changes::between(before, loaded.settings);
    let settings = Arc::new(changes.settings);
    let applied = match keeper.client_for(&settings) {
        Ok(vault) => running.reload(settings.clone(), vault).await,
        Err(error) => Err(error),
    };
    if let Err(error) = applied {
        error!("{error:#}; the current config stays in effect");
        return Reloaded::Invalid(format!("{error:#}"));
    }
    keeper.leave_those_before(&settings);
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
    Reloaded::Done(settings, Box::new(source), files)
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
