//! The shell around the model: sockets, the clock, the lock, and the processes of the tasks. It
//! decides nothing.
//!
//! [`Server::with`] is the one way in: it locks, acts, and afterwards starts and ends processes and
//! wakes who waits. Read next: `answers/mod.rs` (the API), `tasks/mod.rs` (the processes).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answers::{self, Door};
use super::config::Config;
use super::connections::Entrance;
use super::identity::{Keyring, Sight};
use super::machine;
use super::model::{Knobs, Millis, Nomad};
use super::scheduler_configuration::SchedulerConfiguration;
use super::standing::Standing;
use super::stream::{Seen, Told};
use super::tables::Table;
use super::tasks::{Assignment, Client, Items, Update, VariableAsked, Workplace};
use super::wire;

/// How long a listener may be behind with what happens, in changes, before its stream is ended.
const BACKLOG: usize = 4_096;
/// How long all processes together may take to end at a shutdown.
const END_WITHIN: Duration = Duration::from_secs(5);
/// After a failed accept: let some connections be closed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The stand-in for Nomad, listening: one server, one client, one node. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    config: Config,
    standing: Standing,
    keys: Keyring,
    state: Mutex<State>,
    /// The model's index.
    changed: watch::Sender<u64>,
    told: broadcast::Sender<Arc<Told>>,
    stop: CancellationToken,
    connections: TaskTracker,
    /// Set once, right after this.
    client: OnceLock<Client>,
}

struct State {
    nomad: Nomad,
    seen: Seen,
}

/// What requests are answered from.
pub(super) struct View<'a> {
    pub nomad: &'a mut Nomad,
}

impl Server {
    /// Serves on the listener, on the current tokio runtime, until [`Server::shutdown`]: as an agent
    /// in dev mode with much room.
    ///
    /// # Errors
    /// When the listener has no address, or no key can be made.
    pub fn start(listener: TcpListener, workplace: Workplace, seed: u64) -> std::io::Result<Self> {
        let mut config = Config::default();
        config.client.cpu_total_compute = Some(64_000);
        config.client.memory_total_mb = Some(131_072);
        config.limits.http_max_conns_per_client = Some(0);
        // A program with a stand-in inside keeps its environment for itself.
        let inherited = std::env::vars().filter(|(name, _)| name == "PATH").collect();
        Self::open(listener, config, workplace, inherited, seed).map_err(std::io::Error::other)
    }

    /// The same, as the configuration says; `environment` is what tasks inherit.
    ///
    /// # Errors
    /// As there, and where the configuration names files that cannot be used.
    pub(crate) fn open(
        listener: TcpListener,
        config: Config,
        workplace: Workplace,
        environment: BTreeMap<String, String>,
        seed: u64,
    ) -> Result<Self, String> {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let entrance = Entrance::new(&config)?;
        let standing = Standing::of(&config);
        let mut nomad = Nomad::new(StdRng::seed_from_u64(seed));
        nomad.acl_settings(config.acl.enabled, config.acl.lifetimes()?);
        let keys = keyring(&config, nomad.draw_id()).map_err(|why| format!("keyring: {why}"))?;
        nomad.write(Table::Keys);
        keys.id().clone_into(&mut nomad.signing_key);
        nomad.configure_scheduler(SchedulerConfiguration::default(), now());
        // As quick as a real agent in dev mode; what takes time is done by real processes.
        nomad.knobs = Knobs {
            scheduling: (1, 5),
            starting: (0, 0),
            real_clients: true,
            tells: true,
            lasting_stops: true,
            disconnect_replaces: false,
            ..Knobs::default()
        };
        let (node, machine) = (nomad.draw_id(), machine::node(&config));
        let site = machine::site(&config, &node, &machine, environment);
        if config.is_client() && standing == Standing::Leader {
            nomad.add_node(&node, machine, now());
        }
        let server = Self {
            shared: Arc::new(Shared {
                address,
                config,
                standing,
                keys,
                changed: watch::Sender::new(nomad.index()),
                told: broadcast::Sender::new(BACKLOG),
                state: Mutex::new(State { nomad, seen: Seen::default() }),
                stop: CancellationToken::new(),
                connections: TaskTracker::new(),
                client: OnceLock::new(),
            }),
        };
        let client = Client::new(workplace, site, server.clone());
        server.spawn(client.clone().tell());
        // It is new, so nobody has set it.
        let _ = server.shared.client.set(client);
        server.spawn(entrance.accept(server.clone(), listener));
        server.spawn(server.clone().pass_time());
        Ok(server)
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

    /// Ends every process, cuts all connections and waits until all that is done.
    pub async fn shutdown(&self) {
        if let Some(client) = self.client() {
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

    /// How many allocations have processes.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.client().map_or(0, Client::busy)
    }

    pub(super) fn view<R>(&self, act: impl FnOnce(&mut View<'_>, Millis) -> R) -> R {
        let now = now();
        let mut guard = self.lock();
        let state = &mut *guard;
        state.nomad.tick(now);
        let result = act(&mut View { nomad: &mut state.nomad }, now);
        state.nomad.tick(now);
        self.order(state);
        let nomad = &state.nomad;
        for told in state.seen.changes(nomad) {
            // Fails only when nobody listens.
            let _ = self.shared.told.send(Arc::new(told));
        }
        let index = nomad.index();
        self.shared.changed.send_if_modified(|known| {
            let grown = index > *known;
            *known = index;
            grown
        });
        result
    }

    /// Tells the client what it is to run and to end.
    fn order(&self, state: &mut State) {
        let Some(client) = self.client() else { return };
        for started in state.nomad.take_started() {
            client.start(Assignment {
                allocation: started.allocation,
                index: started.number,
                namespace: started.child.namespace,
                job_id: started.child.id,
                parent: started.parent,
                group: started.group,
                meta: started.meta,
                payload: started.payload,
                job: started.definition.job.clone(),
            });
        }
        for id in state.nomad.take_signalled() {
            client.stop(&id, state.nomad.skips_shutdown_delay(&id));
        }
        client.keep_only(|id| state.nomad.allocation(id).is_some());
    }

    /// None only while the server is being made.
    pub(super) fn client(&self) -> Option<&Client> {
        self.shared.client.get()
    }

    /// What a client says of its allocations.
    pub(super) fn hear(&self, updates: Vec<Update>) {
        self.with(|nomad, now| {
            let updates = updates.into_iter().map(|update| (update.allocation, update.tasks));
            nomad.client_updates(updates, now);
        });
    }

    /// A Variable for a task's template; None: there is none, or the task may not read it.
    #[expect(clippy::unused_async, reason = "the servers may be in another process")]
    pub(super) async fn variable(&self, asked: VariableAsked) -> Result<Option<Items>, String> {
        let VariableAsked { namespace, path, allocation, task } = asked;
        let seen = self.with(|nomad, _| {
            let workload = nomad.workload(&self.config().region, &allocation, &task)?;
            Some(nomad.variable_seen_by(&workload, &namespace, &path))
        });
        Ok(seen.and_then(Sight::items))
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Told>> {
        self.shared.told.subscribe()
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

    fn lock(&self) -> MutexGuard<'_, State> {
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
        let mut changed = self.changes();
        loop {
            let due = self.with(|nomad, now| nomad.next_due().map(|due| due - now));
            changed.mark_unchanged();
            let due = due.and_then(|due| u64::try_from(due).ok()).unwrap_or(u64::from(u32::MAX));
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(due)) => {}
                _ = changed.changed() => {}
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

fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}
