//! The daemon: opens the store, takes up unfinished work, opens the doors, and ends in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Failed, connections, logging};
use crate::admin;
use crate::config::{Loaded, Settings};
use crate::engine::{self, Engine};
use crate::forge::Forges;
use crate::store::Store;
use crate::webhook::listener::{self, Limits};
use crate::webhook::{self, Bodies, Door, signature::Secrets};

/// Connections to the private door.
const ADMIN_CONNECTIONS: usize = 64;

pub async fn run(config: Option<PathBuf>) -> Result<(), Failed> {
    let Loaded { settings, warnings, file, .. } = super::load(config)?;
    logging::start(&settings.log);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config = file.map(|path| path.display().to_string()),
        "roustabout starts"
    );
    for warning in warnings {
        warn!("{warning}");
    }
    let mut signals = Signals::new()?;
    let running = Running::start(Arc::new(settings)).await?;
    signals.wait_for_end().await;
    running.stop().await;
    Ok(())
}

/// A daemon that is up: also what `demo` runs.
pub struct Running {
    pub door: Option<SocketAddr>,
    pub admin: SocketAddr,
    engine: Engine,
    stop_door: CancellationToken,
    stop_admin: CancellationToken,
    doors: Vec<tokio::task::JoinHandle<()>>,
    grace: Duration,
}

impl Running {
    pub async fn start(settings: Arc<Settings>) -> anyhow::Result<Self> {
        let store = Store::open(&settings.store.path)?;
        let forges = Forges::new(settings.clone())
            .context("cannot set up the connection to the forge ([github])")?;
        let nomad = connections::nomad(&settings)?;
        // Bound before the engine starts: two daemons by mistake meet here, and not at GitHub.
        let admin_listener = bind(settings.admin.listen, "[admin] listen").await?;
        let door_listener = match settings.webhook.enabled {
            true => Some(bind(settings.webhook.listen, "[webhook] listen").await?),
            false => None,
        };
        let explainer = admin::Explainer {
            forges: forges.clone(),
            nomad: nomad.clone(),
            settings: settings.clone(),
            rules: engine::rules(&settings),
        };
        let engine = Engine::start(settings.clone(), store.clone(), forges, nomad)?;
        let (stop_door, stop_admin) = (CancellationToken::new(), CancellationToken::new());
        let admin = admin_listener.local_addr()?;
        let mut doors = Vec::new();
        let router = admin::router(admin::Admin {
            asking: engine.asking(),
            store: store.clone(),
            reader: store.reader()?,
            token: settings.admin.token.clone(),
            explainer,
        });
        doors.push(tokio::spawn(listener::serve(
            admin_listener,
            router,
            // Nothing is to be kept there that comes after the end has begun.
            Limits {
                connections: ADMIN_CONNECTIONS,
                last_requests: Duration::ZERO,
                ..Limits::default()
            },
            stop_admin.clone(),
        )));
        let door = door_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        if let (Some(listener), Some(secret)) = (door_listener, settings.webhook.secret.clone()) {
            let router = webhook::router(
                &settings.webhook.path,
                Door {
                    secrets: Secrets::new(secret, settings.webhook.previous_secret.clone()),
                    rules: Arc::new(engine::rules(&settings)),
                    store,
                    hand: engine.hand.clone(),
                    bodies: Bodies::up_to(settings.webhook.max_body),
                },
            );
            let usual = Limits::default();
            let limits = Limits {
                connections: settings.webhook.max_connections,
                last_requests: usual.last_requests.min(settings.shutdown_grace / 2),
                ..usual
            };
            doors.push(tokio::spawn(listener::serve(listener, router, limits, stop_door.clone())));
        }
        info!(door = door.map(|address| address.to_string()), admin = %admin, "ready");
        Ok(Self {
            door,
            admin,
            engine,
            stop_door,
            stop_admin,
            doors,
            grace: settings.shutdown_grace,
        })
    }

    /// Accepts nobody new, keeps what comes on open connections, and ends what is in flight
    /// within the grace.
    pub async fn stop(self) {
        info!("ending: no new connections, finishing what is in flight");
        self.stop_door.cancel();
        self.stop_admin.cancel();
        let doors = async {
            for door in self.doors {
                // A door that panicked has ended, which is what is waited for.
                let _ = door.await;
            }
        };
        let doors = async {
            if tokio::time::timeout(self.grace, doors).await.is_err() {
                warn!("connections are still open after the grace; they are cut");
            }
        };
        // Side by side, so that both end within one grace. What the door keeps after the
        // engine's end waits in the inbox for the next start.
        tokio::join!(doors, self.engine.stop());
        info!("ended");
    }
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address} ({key}); is another roustabout running, or the port taken?"
        )
    })
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
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

    async fn wait_for_end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    warn!("SIGHUP: reading the config again is not yet built; restart instead, nothing is lost");
                }
            }
        }
    }
}
