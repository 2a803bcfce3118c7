//! The shell around the model: sockets, the clock, the lock, and the processes of the tasks. It
//! decides nothing.
//!
//! [`Server::with`] is the one way in: it locks, acts, and afterwards starts and ends processes and
//! wakes who waits. Read next: `answers/mod.rs` (the API), `tasks/mod.rs` (the processes).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answers::{self, Door};
use super::clock::{self, Clock};
use super::config::Config;
use super::connections::Entrance;
use super::identity::{Claims, Keyring, Sight};
use super::journal::{Entry, Journal};
use super::link::clients::Clients;
use super::link::downstream::{self, Heartbeats};
use super::link::upstream::Upstream;
use super::machine;
use super::model::{Knobs, Millis, Nomad, in_form_of_uuid};
use super::nodes::NodeSpec;
use super::scheduler_configuration::SchedulerConfiguration;
use super::standing::Standing;
use super::stream::{Buffer, Told};
use super::tables::Table;
use super::tasks::{Client, IdentityAsked, Items, VariableAsked, Workplace};
use super::wire;

/// How long a listener may be behind with what happens, in changes, before its stream is ended.
const BACKLOG: usize = 4_096;
/// How long all processes together may take to end at a shutdown.
const END_WITHIN: Duration = Duration::from_secs(5);
/// After a failed accept: let some connections be closed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// An agent of the stand-in, listening. Clones are the same one.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    config: Config,
    standing: Standing,
    heartbeats: Heartbeats,
    keys: Arc<Keyring>,
    /// For waits and silences, which are drawn outside the model.
    draws: Mutex<StdRng>,
    state: Mutex<State>,
    /// The model's index.
    /// The index that was told of last.
    index: AtomicU64,
    /// Wakes those who wait for a change, in the order in which they came.
    changed: Notify,
    told: broadcast::Sender<Arc<Told>>,
    stop: CancellationToken,
    connections: TaskTracker,
    /// Set once, right after this.
    client: OnceLock<Client>,
    upstream: Option<Upstream>,
}

pub(super) struct State {
    pub nomad: Nomad,
    buffer: Buffer,
    pub clients: Clients,
    /// Somebody else plays the tasks, and asks the model which.
    clients_apart: bool,
    pub clock: Clock,
    /// None: nothing is kept.
    journal: Option<Journal>,
}

/// Where an agent listens.
pub(crate) struct Doors {
    pub http: TcpListener,
    /// For clients in other processes.
    pub rpc: Option<TcpListener>,
}

/// What an agent is started with.
pub(crate) struct Setting {
    pub config: Config,
    pub workplace: Workplace,
    /// What tasks inherit.
    pub environment: BTreeMap<String, String>,
}

/// The state, locked.
pub(super) struct Held<'a> {
    server: &'a Server,
    pub state: MutexGuard<'a, State>,
    pub now: Millis,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.server.settle(&mut self.state, self.now);
    }
}

/// What requests are answered from.
pub(super) struct View<'a> {
    pub nomad: &'a mut Nomad,
}

impl Server {
    /// Starts as the configuration says, on the current tokio runtime, until [`Server::shutdown`].
    ///
    /// # Errors
    /// In words: files that the configuration names, or the state of before, cannot be used.
    pub(crate) async fn open(doors: Doors, setting: Setting) -> Result<Self, String> {
        let Setting { config, workplace, environment } = setting;
        let entrance = Entrance::new(&config)?;
        let standing = Standing::of(&config);
        let folder = &config.data_dir;
        let kept = match standing {
            Standing::Leader if !config.dev => Some(
                Journal::open(&folder.join("server"), rand::random())
                    .map_err(|why| format!("the server's state in {}: {why}", folder.display()))?,
            ),
            _ => None,
        };
        let (journal, seed, lines) = match kept {
            Some(kept) => (Some(kept.journal), kept.seed, kept.lines),
            None => (None, rand::random(), Vec::new()),
        };
        let begin = lines.first().map_or_else(clock::now, |line| line.at);
        let mut nomad = Nomad::new(StdRng::seed_from_u64(seed));
        nomad.acl_settings(config.acl.enabled, config.acl.lifetimes()?);
        nomad.has_vault = config.vault.enabled;
        let keys = keyring(&config, nomad.draw_id()).map_err(|why| format!("keyring: {why}"))?;
        nomad.write(Table::Keys);
        keys.id().clone_into(&mut nomad.signing_key);
        nomad.configure_scheduler(SchedulerConfiguration::default(), begin);
        let heartbeats = config.server.heartbeats()?;
        nomad.knobs = knobs(heartbeats);
        let (machine, node) = (machine::node(&config), machine::id(&config, nomad.draw_id())?);
        let site = machine::site(&config, &node, &machine, environment);
        let upstream = match &standing {
            Standing::Client { servers } => Some(Upstream::new(servers.clone())),
            _ => None,
        };
        let address = doors.http.local_addr().map_err(|error| error.to_string())?;
        let draws = StdRng::from_os_rng();
        let state = State {
            nomad,
            buffer: Buffer::default(),
            clients: Clients::default(),
            clients_apart: false,
            clock: Clock::default(),
            journal,
        };
        let server = Self::of(address, config, Arc::new(keys), upstream, draws, state)?;
        server.restore(lines).await;
        server.begin(Client::new(workplace, site, server.clone()), node, machine);
        if let Some(rpc) = doors.rpc {
            server.spawn(downstream::accept(server.clone(), rpc));
        }
        server.spawn(entrance.accept(server.clone(), doors.http));
        server.spawn(server.clone().pass_time());
        Ok(server)
    }

    fn of(
        address: SocketAddr,
        config: Config,
        keys: Arc<Keyring>,
        upstream: Option<Upstream>,
        draws: StdRng,
        state: State,
    ) -> Result<Self, String> {
        Ok(Self {
            shared: Arc::new(Shared {
                address,
                standing: Standing::of(&config),
                heartbeats: config.server.heartbeats()?,
                config,
                keys,
                draws: Mutex::new(draws),
                index: AtomicU64::new(state.nomad.index()),
                changed: Notify::new(),
                told: broadcast::Sender::new(BACKLOG),
                state: Mutex::new(state),
                stop: CancellationToken::new(),
                connections: TaskTracker::new(),
                client: OnceLock::new(),
                upstream,
            }),
        })
    }

    /// A server of that state which has no doors, no nodes of its own, and a clock that stands.
    pub(super) fn without_doors(
        mut nomad: Nomad,
        keys: Arc<Keyring>,
        draws: StdRng,
    ) -> Result<Self, String> {
        nomad.knobs.tells = true;
        let state = State {
            nomad,
            buffer: Buffer::default(),
            clients: Clients::default(),
            clients_apart: true,
            clock: Clock::default(),
            journal: None,
        };
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 4646));
        Self::of(nowhere, Config::default(), keys, None, draws, state)
    }

    /// Between 0 and 1.
    pub(super) fn draw(&self) -> f64 {
        self.shared.draws.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// The client of this agent, where it is to have one, and the nodes of others.
    fn begin(&self, client: Client, node: String, machine: NodeSpec) {
        let leads = *self.standing() == Standing::Leader;
        let own = self.config().is_client().then_some(node);
        if leads {
            self.expect_nodes(own.as_deref());
        }
        let Some(node) = own else { return };
        self.spawn(client.clone().tell());
        // It is new, so nobody has set it.
        let _ = self.shared.client.set(client.clone());
        if leads {
            self.own_node_joins(&node, machine, &client);
        } else if self.upstream().is_some() {
            client.restore();
            let server = self.clone();
            self.spawn(async move {
                if let Some(upstream) = server.upstream() {
                    upstream.follow(&client, &node, &machine).await;
                }
            });
        }
    }

    /// Looks at the model or changes it; what follows from that is set going before this returns.
    pub fn with<R>(&self, act: impl FnOnce(&mut Nomad, Millis) -> R) -> R {
        self.view(|view, now| act(view.nomad, now))
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Cuts all connections and waits until that is done. In dev mode every process is ended before
    /// that; otherwise tasks live on, and the next agent finds them.
    pub async fn shutdown(&self) {
        if let Some(client) = self.client().filter(|_| self.config().dev) {
            client.leave(END_WITHIN).await;
        }
        self.shared.stop.cancel();
        self.shared.connections.close();
        self.shared.connections.wait().await;
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.shared.standing
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Looks at the state. What changes it besides time is [`Server::change`]'s.
    pub(super) fn view<R>(&self, act: impl FnOnce(&mut View<'_>, Millis) -> R) -> R {
        self.locked(None::<fn() -> Entry>, act)
    }

    /// Changes the state, in such a way that it is changed again after a restart: `entry` says how.
    pub(super) fn change<R>(
        &self,
        entry: impl FnOnce() -> Entry,
        act: impl FnOnce(&mut View<'_>, Millis) -> R,
    ) -> R {
        self.locked(Some(entry), act)
    }

    fn locked<R>(
        &self,
        entry: Option<impl FnOnce() -> Entry>,
        act: impl FnOnce(&mut View<'_>, Millis) -> R,
    ) -> R {
        let mut held = self.hold();
        let now = held.now;
        let state = &mut *held.state;
        if let (Some(entry), Some(journal), false) =
            (entry, &mut state.journal, state.clock.stands())
            && let Err(why) = journal.add(now, entry())
        {
            eprintln!("[ERROR] server: a write will be lost at the next start: {why}");
        }
        act(&mut View { nomad: &mut state.nomad }, now)
    }

    /// The state at this moment. What follows from a change is set going when it is dropped.
    pub(super) fn hold(&self) -> Held<'_> {
        let mut state = self.lock();
        let now = state.clock.read();
        state.nomad.tick(now);
        Held { server: self, state, now }
    }

    fn settle(&self, state: &mut State, now: Millis) {
        state.nomad.tick(now);
        if !state.clients_apart {
            state.clients.pass_on(&mut state.nomad);
        }
        let frames = state.nomad.take_frames();
        let view = View { nomad: &mut state.nomad };
        for told in frames.into_iter().filter_map(|frame| answers::told(&view, frame)) {
            let told = Arc::new(told);
            state.buffer.add(told.clone());
            // Fails only when nobody listens.
            let _ = self.shared.told.send(told);
        }
        let index = state.nomad.index();
        if index > self.shared.index.swap(index, Ordering::Relaxed) {
            self.shared.changed.notify_waiters();
        }
    }

    /// None: this agent runs no tasks.
    pub(super) fn client(&self) -> Option<&Client> {
        self.shared.client.get()
    }

    /// The servers of a client that is none itself.
    pub(super) fn upstream(&self) -> Option<&Upstream> {
        self.shared.upstream.as_ref()
    }

    pub(super) fn heartbeats(&self) -> Heartbeats {
        self.shared.heartbeats
    }

    /// An identity of a task, as the servers sign it when they place an allocation, and when its
    /// client asks for another one.
    pub(super) async fn identity(&self, asked: IdentityAsked) -> Result<String, String> {
        if let Some(upstream) = self.upstream() {
            return upstream.identity(asked).await;
        }
        // Not drawn by the model, whose draws are repeated when its journal is read again.
        let id = in_form_of_uuid(rand::random());
        let claims = self.with(|nomad, now| {
            let region = &self.config().region;
            let workload = nomad.workload(region, &asked.allocation, &asked.task)?;
            Some(Claims::of(&workload, &asked.spec, id, now))
        });
        let claims = claims.ok_or("allocation not found")?;
        self.keys().sign(&claims).map_err(|error| format!("cannot sign an identity: {error}"))
    }

    /// A Variable for a task's template; None: there is none, or the task may not read it.
    pub(super) async fn variable(&self, asked: VariableAsked) -> Result<Option<Items>, String> {
        if let Some(upstream) = self.upstream() {
            return upstream.variable(asked).await;
        }
        let VariableAsked { namespace, path, allocation, task } = asked;
        let seen = self.with(|nomad, _| {
            let workload = nomad.workload(&self.config().region, &allocation, &task)?;
            Some(nomad.variable_seen_by(&workload, &namespace, &path))
        });
        Ok(seen.and_then(Sight::items))
    }

    pub(super) fn changes(&self) -> &Notify {
        &self.shared.changed
    }

    /// What was told since that index, and whatever will be.
    pub(super) fn listen(&self, index: u64) -> (Vec<Arc<Told>>, broadcast::Receiver<Arc<Told>>) {
        // Under the lock, so that nothing is told in between.
        let state = self.lock();
        (state.buffer.since(index), self.shared.told.subscribe())
    }

    /// What identities are signed with.
    pub(super) fn keys(&self) -> &Keyring {
        &self.shared.keys
    }

    /// Answers on a task's own socket until it is closed.
    pub(super) fn serve_task(&self, listener: UnixListener, closed: CancellationToken) {
        let server = self.clone();
        self.spawn(async move {
            let accepting = async {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => server.spawn(serve(stream, server.clone(), Door::Task)),
                        Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
                    }
                }
            };
            closed.run_until_cancelled(accepting).await;
        });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked inside has said so; the others may go on.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until it ends or the server stops.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.shared.stop.clone();
        self.shared.connections.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Lets whatever is due happen when it is.
    async fn pass_time(self) {
        loop {
            let due = self.with(|nomad, now| nomad.next_due().map(|due| due - now));
            let changed = self.changes().notified();
            let due = due.and_then(|due| u64::try_from(due).ok()).unwrap_or(u64::from(u32::MAX));
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(due)) => {}
                () = changed => {}
            }
        }
    }
}

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    server: Server,
    door: Door,
) {
    wire::serve(stream, |request| answers::answer(server.clone(), door, request)).await;
}

/// In dev mode nothing is kept.
fn keyring(config: &Config, new: String) -> std::io::Result<Keyring> {
    if config.dev || !config.is_server() {
        return Keyring::new(new);
    }
    Keyring::kept_in(&config.data_dir.join("server/keystore"), new)
}

/// As quick as a real agent in dev mode; what takes time is done by real clients.
fn knobs(heartbeats: Heartbeats) -> Knobs {
    let millis = |length: Duration| Millis::try_from(length.as_millis()).unwrap_or(Millis::MAX);
    let (ttl, grace) = (millis(heartbeats.ttl), millis(heartbeats.grace));
    Knobs {
        scheduling: (10, 20),
        following: Some((1, 3)),
        starting: (0, 0),
        // A client is told its time with up to as much again added (`nomad/heartbeat.go`).
        heartbeat: (ttl + grace, ttl + ttl + grace),
        real_clients: true,
        tells: true,
        disconnect_replaces: false,
        ..Knobs::default()
    }
}
