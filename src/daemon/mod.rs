//! The daemon that is up: opens the store, takes up unfinished work, opens the doors, goes on by
//! another config, and ends in order. It knows no command line: `serve` starts it, and so does the
//! demo. Read next: `connections.rs` (its client of Nomad), `systemd.rs` (sockets that it is passed).

pub mod connections;
pub mod systemd;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clock::Clock;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, SignedOut};
use crate::claims;
use crate::config::{self, Listen, Settings};
use crate::engine::{self, Engine, Setup, Watcher};
use crate::forge::Forges;
use crate::metrics::Peer;
use crate::own_secrets;
use crate::reconcile;
use crate::store::Store;
use crate::vault;
use crate::webhook::listener::{self, Limits, Listener, Served, Socket};
use crate::webhook::{self, Apps, Bodies, Door, InFlight, Quota, Tally, Tls, signature::Secrets};
use systemd::Sockets;

/// Linux, on every architecture that this is built for (`signal(7)`).
const SIGXFSZ: i32 = 25;

/// Connections to the private door.
const ADMIN_CONNECTIONS: usize = 256;

pub struct Running {
    pub door: Option<SocketAddr>,
    pub admin: Listen,
    /// Where tasks claim their credentials.
    pub claims: Option<SocketAddr>,
    engine: Engine,
    store: Store,
    in_flight: InFlight,
    tally: Tally,
    /// What each door serves. Without a public door there is nothing to exchange.
    served_public: Option<watch::Sender<Served>>,
    served_private: watch::Sender<Served>,
    served_claims: Option<watch::Sender<Served>>,
    /// What the private door asks for where the config gives no token.
    made_token: SecretString,
    signed_out: SignedOut,
    /// Told whenever a forge or Nomad refuses a credential.
    refused: Arc<Notify>,
    stop: CancellationToken,
    /// Ends streams that were opened by an admin token that is no longer the one.
    watching: (SecretString, CancellationToken),
    doors: Vec<tokio::task::JoinHandle<()>>,
    #[cfg(feature = "otel")]
    traces: Option<crate::traces::Traces>,
    grace: Duration,
}

impl Running {
    pub async fn start(settings: Arc<Settings>) -> anyhow::Result<Self> {
        let vault = settings.vault.as_ref().map(own_secrets::client).transpose()?;
        Self::start_on(settings, Sockets::default(), vault).await
    }

    /// The same on sockets that another process has opened, where it has, and with the client of `[vault]`, whose
    /// session somebody else may share.
    pub async fn start_on(
        settings: Arc<Settings>,
        sockets: Sockets,
        vault: Option<vault::Client>,
    ) -> anyhow::Result<Self> {
        // A write beyond a limit of the file's size is then an error of that write, not the end.
        if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
            warn!(%error, "cannot ignore SIGXFSZ");
        }
        // First of all, so that a second daemon by mistake changes and binds nothing.
        let locked = Store::lock(&settings.store.path)?;
        let setup = setup(&settings, vault)?;
        let made_token = made_token(&settings.store.path)?;
        // Bound before the engine starts: two daemons by mistake meet here, and not at GitHub.
        let private = match sockets.private.is_empty() {
            true => vec![private(&settings.admin.listen).await?],
            false => sockets.private.into_iter().map(Listener::from).collect(),
        };
        let public = match (settings.webhook.enabled, sockets.public.is_empty()) {
            (true, true) => vec![bind(settings.webhook.listen, "[webhook] listen").await?],
            (true, false) => sockets.public,
            (false, true) => Vec::new(),
            (false, false) => {
                warn!("a socket was passed for webhooks, and webhook.enabled is false");
                Vec::new()
            }
        };
        let claiming = match &settings.claims {
            Some(claims) => Some(bind(claims.listen, "[claims] listen").await?),
            None => None,
        };
        // Last, for it may bring the tables up to date.
        let store = locked.open()?;
        let engine = Engine::start(setup.clone(), store.clone(), reconcile::sweeps())?;
        let requests = engine.metrics.clone();
        let refused = Arc::new(Notify::new());
        let told = refused.clone();
        transport::observe(Box::new(move |method, url, status| {
            let status = status.map(|status| status.as_u16());
            let peer = requests.request(method.as_str(), url.path(), status);
            if let (Peer::Forge, Some(401)) | (Peer::Nomad, Some(403)) = (peer, status) {
                told.notify_one();
            }
        }));
        let in_flight = InFlight::in_folder(folder_of(&settings.store.path));
        let last_good = store.reader()?.last_delivery()?;
        let tally = Tally::new(setup.clock.now().into(), last_good);
        let admin = match &private[0] {
            Listener::Tcp(listener) => Listen::Tcp(listener.local_addr()?),
            Listener::Socket(_) => settings.admin.listen.clone(),
        };
        let signed_out = SignedOut::default();
        let door = public.first().map(TcpListener::local_addr).transpose()?;
        let stop = CancellationToken::new();
        let watching = (admin_token(&settings, &made_token), stop.child_token());
        let (served_private, private_door) = watch::channel(served_private(
            &setup,
            &engine,
            &store,
            Access { made_token: &made_token, signed_out: &signed_out },
            &tally,
            &watching.1,
        )?);
        let mut doors = Vec::new();
        for listener in private {
            doors.push(tokio::spawn(listener::serve(listener, private_door.clone(), stop.clone())));
        }
        let public_door = served_public(&setup, &engine, &in_flight, &tally);
        let served_public = public_door.filter(|_| !public.is_empty()).map(|public_door| {
            let (sender, public_door) = watch::channel(public_door);
            for listener in public {
                doors.push(tokio::spawn(listener::serve(
                    listener,
                    public_door.clone(),
                    stop.clone(),
                )));
            }
            sender
        });
        let claims = claiming.as_ref().map(TcpListener::local_addr).transpose()?;
        let served_claims = match served_claims(&setup, &engine)?.zip(claiming) {
            Some((door, listener)) => {
                let (sender, door) = watch::channel(door);
                doors.push(tokio::spawn(listener::serve(listener, door, stop.clone())));
                Some(sender)
            }
            None => None,
        };
        #[cfg(feature = "otel")]
        let traces = crate::traces::start(engine.happenings.watch(), store.readers())?;
        #[cfg(not(feature = "otel"))]
        if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
            info!("OTEL_EXPORTER_OTLP_ENDPOINT is ignored: this program was built without traces");
        }
        // The loop answers when what was unfinished is taken up.
        engine.asking().status().await;
        let (shown_door, shown_claims) =
            (door.map(|it| it.to_string()), claims.map(|it| it.to_string()));
        info!(door = shown_door, admin = %admin, claims = shown_claims, "ready");
        Ok(Self {
            door,
            admin,
            claims,
            engine,
            store,
            in_flight,
            tally,
            served_public,
            served_private,
            served_claims,
            made_token,
            signed_out,
            refused,
            stop,
            watching,
            doors,
            #[cfg(feature = "otel")]
            traces,
            grace: settings.shutdown_grace,
        })
    }

    /// Everything that happens from now on.
    pub fn happenings(&self) -> Watcher {
        self.engine.happenings.watch()
    }

    /// Is notified whenever a forge or Nomad refuses a credential.
    pub fn refused(&self) -> Arc<Notify> {
        self.refused.clone()
    }

    /// Whether the daemon's own secrets can be read where they are kept, or why not.
    pub fn secrets_are_read(&self, from: &str, trouble: Option<String>) {
        self.engine.health.report_secrets(from, trouble);
    }

    /// The token that the private door asks for, as long as the config gives none.
    pub fn made_token(&self) -> &SecretString {
        &self.made_token
    }

    /// Goes on by other settings, which differ only where a running daemon can follow
    /// (`changes`). No connection is closed, and no webhook refused.
    pub async fn reload(
        &mut self,
        settings: Arc<Settings>,
        vault: Option<vault::Client>,
    ) -> anyhow::Result<()> {
        let setup = setup(&settings, vault)?;
        self.made_token = made_token(&settings.store.path)?;
        let token = admin_token(&settings, &self.made_token);
        let is_same = token.expose_secret() == self.watching.0.expose_secret();
        let watching = if is_same { self.watching.1.clone() } else { self.stop.child_token() };
        let private = served_private(
            &setup,
            &self.engine,
            &self.store,
            Access { made_token: &self.made_token, signed_out: &self.signed_out },
            &self.tally,
            &watching,
        )?;
        let claims = served_claims(&setup, &self.engine)?;
        // First the ledger: what the door promises by the new rules, it must know.
        self.engine.reload(setup.clone()).await.map_err(|why| anyhow!(why))?;
        let public = served_public(&setup, &self.engine, &self.in_flight, &self.tally);
        if let (Some(sender), Some(public)) = (&self.served_public, public) {
            sender.send_replace(public);
        }
        if let (Some(sender), Some(claims)) = (&self.served_claims, claims) {
            sender.send_replace(claims);
        }
        self.served_private.send_replace(private);
        if !is_same {
            self.watching.1.cancel();
        }
        self.watching = (token, watching);
        self.grace = settings.shutdown_grace;
        Ok(())
    }

    /// Accepts nobody new, keeps what comes on open connections, and ends what is in flight
    /// within the grace.
    pub async fn stop(self) {
        info!("shutting down: draining connections");
        self.stop.cancel();
        let doors = async {
            for door in self.doors {
                // A door that panicked has ended, which is what is waited for.
                let _ = door.await;
            }
        };
        let doors = async {
            if tokio::time::timeout(self.grace, doors).await.is_err() {
                warn!("connections still open after shutdown_grace are closed");
            }
        };
        // Side by side, so that both end within one grace. What the door keeps after the
        // engine's end waits in the inbox for the next start.
        tokio::join!(doors, self.engine.stop());
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
        info!("ended");
    }
}

fn setup(settings: &Arc<Settings>, vault: Option<vault::Client>) -> anyhow::Result<Setup> {
    let forges = Forges::new(settings.clone()).context("cannot set up the connection to GitHub")?;
    let nomad = connections::nomad(settings)?;
    Ok(Setup { settings: settings.clone(), forges, nomad, vault, clock: Clock::system() })
}

fn folder_of(database: &Path) -> &Path {
    database.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Made even where the config gives one: a reload may take that away.
fn made_token(database: &Path) -> anyhow::Result<SecretString> {
    let file = admin::token::beside(database);
    admin::token::read_or_make(&file)
        .with_context(|| format!("cannot use the admin token in {}", file.display()))
}

/// The one that the private door asks for.
fn admin_token(settings: &Settings, made: &SecretString) -> SecretString {
    settings.admin.token.clone().unwrap_or_else(|| made.clone())
}

/// What says who may use the private door, beside the config.
struct Access<'a> {
    made_token: &'a SecretString,
    signed_out: &'a SignedOut,
}

fn served_private(
    setup: &Setup,
    engine: &Engine,
    store: &Store,
    access: Access<'_>,
    tally: &Tally,
    stop: &CancellationToken,
) -> anyhow::Result<Served> {
    let settings = &setup.settings.admin;
    let door_is_on = setup.settings.webhook.enabled;
    let router = admin::router(admin::Admin {
        tally: door_is_on.then(|| tally.clone()),
        asking: engine.asking(),
        happenings: engine.happenings.clone(),
        metrics: engine.metrics.clone(),
        stop: stop.clone(),
        store: store.clone(),
        guard: admin::Guard::new(
            admin_token(&setup.settings, access.made_token),
            settings.hosts.clone(),
            access.signed_out.clone(),
        ),
        clock: setup.clock.clone(),
        explainer: admin::Explainer {
            forges: setup.forges.clone(),
            nomad: setup.nomad.clone(),
            settings: setup.settings.clone(),
            rules: engine::rules(&setup.settings),
        },
    });
    // Nothing is to be kept there that comes after the end has begun.
    let limits = Limits {
        connections: ADMIN_CONNECTIONS,
        last_requests: Duration::ZERO,
        ..Limits::default()
    };
    Ok(Served { router, limits, tls: None })
}

/// `None` without a secret: then there is no public door.
fn served_public(
    setup: &Setup,
    engine: &Engine,
    in_flight: &InFlight,
    tally: &Tally,
) -> Option<Served> {
    let settings = &setup.settings;
    let webhook = &settings.webhook;
    let secrets = secrets(settings);
    if secrets.is_empty() {
        return None;
    }
    let door = Door {
        secrets,
        apps: Apps::of(settings, engine::renewing(setup, engine.events())),
        rules: Arc::new(engine::rules(settings)),
        hand: engine.hand.clone(),
        bodies: Bodies::up_to(webhook.max_body),
        in_flight: in_flight.clone(),
        tally: tally.clone(),
        metrics: engine.metrics.clone(),
        refusals: Quota::default(),
        clock: setup.clock.clone(),
    };
    let usual = Limits::default();
    let limits = Limits {
        connections: webhook.max_connections,
        last_requests: usual.last_requests.min(settings.shutdown_grace / 2),
        ..usual
    };
    Some(Served { router: webhook::router(&webhook.path, door), limits, tls: None })
}

/// `None` without `[claims]`.
fn served_claims(setup: &Setup, engine: &Engine) -> anyhow::Result<Option<Served>> {
    let Some(settings) = &setup.settings.claims else { return Ok(None) };
    let (nomad, clock) = (setup.nomad.clone(), setup.clock.clone());
    let door = claims::Door::new(&setup.settings, nomad, engine.claims(), clock);
    let tls = settings.tls.as_ref().map(|files| Tls::of(&files.cert, &files.key)).transpose();
    let tls = tls.map_err(|why| anyhow!(why)).context("[claims] cannot use its certificate")?;
    // Nobody is kept waiting by the end: a task asks again.
    let limits = Limits { last_requests: Duration::ZERO, ..Limits::default() };
    Ok(door.map(|door| Served { router: claims::router(door), limits, tls }))
}

/// Of the webhooks of repositories and organizations, and of each App's.
fn secrets(settings: &Settings) -> Secrets {
    let webhook = &settings.webhook;
    let all = Secrets::default().and(None, webhook.secret.clone(), webhook.previous_secret.clone());
    settings.github.credentials.iter().enumerate().fold(all, |all, (index, credential)| {
        let Some(app) = credential.app() else { return all };
        let secret = |of: &Option<config::Secret>| of.as_ref().map(|one| one.secret.clone());
        all.and(Some(index), secret(&app.webhook), secret(&app.previous_webhook))
    })
}

async fn private(listen: &Listen) -> anyhow::Result<Listener> {
    match listen {
        Listen::Tcp(address) => Ok(bind(*address, "[admin] listen").await?.into()),
        Listen::Socket(path) => {
            let socket = Socket::bind(path);
            let socket =
                socket.with_context(|| format!("cannot listen on {listen} ([admin] listen)"))?;
            Ok(Listener::Socket(socket))
        }
    }
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address} ({key}); is another roustabout running, or the port taken?"
        )
    })
}
