//! The client of a node: all of its allocations. It is told what to run and what to end, and tells
//! the servers some times a second what has changed.
//!
//! It decides nothing about placement. Read next: `servers.rs` (whom it tells), `allocation.rs`
//! (one allocation).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use super::allocation::{self, ASSIGNMENT, Hand, Hands, Order, Shared};
use super::assignment::Assignment;
use super::folder::Folder;
use super::life::{Kill, Life, Request};
use super::servers::Update;
use super::supervise;
use super::workplace::{Site, Workplace};
use crate::http::Server;
use crate::task_events::TaskEvent;
use crate::task_states::{Life as State, TaskStates};

/// What has changed is gathered so long before the servers are told (`allocSyncIntv`).
const TELL_AFTER: Duration = Duration::from_millis(200);

/// Clones are the same client.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub workplace: Workplace,
    pub site: Site,
    pub server: Server,
    runs: Mutex<BTreeMap<String, Run>>,
    news: Mutex<BTreeSet<String>>,
    wake: Notify,
    running: TaskTracker,
}

struct Run {
    shared: Arc<Shared>,
    orders: watch::Sender<Order>,
    hands: Arc<Hands>,
    /// Nothing of it runs any more.
    over: bool,
    /// The servers have forgotten it: so does the client once it is over.
    forgotten: bool,
}

impl Client {
    pub(crate) fn new(workplace: Workplace, site: Site, server: Server) -> Self {
        let inner = Arc::new(Inner {
            workplace,
            site,
            server,
            runs: Mutex::default(),
            news: Mutex::default(),
            wake: Notify::new(),
            running: TaskTracker::new(),
        });
        Self { inner }
    }

    /// Tells the servers of every change, for ever.
    pub(crate) async fn tell(self) {
        loop {
            self.inner.wake.notified().await;
            tokio::time::sleep(TELL_AFTER).await;
            self.inner.tell();
        }
    }

    /// Runs an allocation, unless it is known already.
    pub fn start(&self, assignment: Assignment) {
        let folder = Folder::new(&self.inner.workplace.root, &assignment.allocation);
        if self.inner.runs().contains_key(&assignment.allocation) {
            return;
        }
        if let Err(error) = folder.make_shared() {
            eprintln!("[ERROR] client: cannot make {}: {error}", folder.path().display());
            return;
        }
        supervise::note(folder.notes(), ASSIGNMENT, &assignment);
        self.run(assignment);
    }

    /// Takes up what an earlier agent on the same folder has left: tasks that still run are
    /// followed, others go on from where they were. Says which allocations there are.
    pub fn restore(&self) -> Vec<String> {
        let root = &self.inner.workplace.root;
        let all = Folder::noted(root);
        for id in &all {
            let folder = Folder::new(root, id);
            if let Some(assignment) = supervise::read_note(folder.notes(), ASSIGNMENT) {
                self.run(assignment);
                self.inner.has_news(id);
            }
        }
        all
    }

    fn run(&self, assignment: Assignment) {
        let id = assignment.allocation.clone();
        let (orders, heard) = watch::channel(Order::Run);
        let shared = match Shared::new(self.inner.clone(), assignment, heard.clone()) {
            Ok(shared) => Arc::new(shared),
            Err(why) => {
                eprintln!("[ERROR] client: cannot run allocation {id}: {why}");
                return;
            }
        };
        let (mut hands, mut lives) = (Hands::new(), Vec::new());
        for task in &shared.group.tasks {
            let (kill, killed) = watch::channel(Kill::No);
            let (requests, asked) = mpsc::unbounded_channel();
            hands.insert(task.name.clone(), Hand { kill, requests });
            lives.push(Life::new(shared.clone(), task.clone(), killed, asked));
        }
        let hands = Arc::new(hands);
        let run = Run {
            shared: shared.clone(),
            orders,
            hands: hands.clone(),
            over: false,
            forgotten: false,
        };
        self.inner.runs().insert(id.clone(), run);
        let inner = self.inner.clone();
        self.inner.running.spawn(async move {
            allocation::run(shared, hands, lives, heard).await;
            inner.is_over(&id);
        });
    }

    /// Ends an allocation's tasks, with time to do so.
    pub fn stop(&self, id: &str, without_delay: bool) {
        let order = if without_delay { Order::EndWithoutDelay } else { Order::End };
        if let Some(run) = self.inner.runs().get(id) {
            run.raise(order);
        }
    }

    /// The servers know nothing of these others any more: they are ended and forgotten.
    pub fn keep_only(&self, is_known: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        self.inner.runs().retain(|id, run| {
            if is_known(id) {
                return true;
            }
            run.forgotten = true;
            run.raise(Order::End);
            if run.over {
                gone.push(run.shared.folder.clone());
            }
            !run.over
        });
        gone.iter().for_each(Folder::remove);
    }

    /// Ends everything at once, and waits for that so long.
    pub async fn leave(&self, within: Duration) {
        for run in self.inner.runs().values() {
            run.raise(Order::Leave);
        }
        self.inner.running.close();
        let _ = tokio::time::timeout(within, self.inner.running.wait()).await;
        self.inner.tell();
    }

    /// The servers did not know for a while how an allocation was; its tasks are told that.
    pub fn reconnects(&self, id: &str) {
        let shared = self.inner.runs().get(id).map(|run| run.shared.clone());
        let Some(shared) = shared else { return };
        for (task, state) in shared.states() {
            if state.state == State::Running {
                shared.record(&task, TaskEvent::reconnected());
            }
        }
    }

    /// The ids of all that it has.
    #[must_use]
    pub fn allocations(&self) -> Vec<String> {
        self.inner.runs().keys().cloned().collect()
    }

    /// How many allocations have tasks that are not over.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.inner.runs().values().filter(|run| !run.over).count()
    }

    /// Tells the servers everything again, as after they were away.
    pub fn tell_all(&self) {
        let ids: Vec<String> = self.inner.runs().keys().cloned().collect();
        ids.iter().for_each(|id| self.inner.has_news(id));
    }

    /// The folder of an allocation and the names of its tasks; None: it is not here.
    pub(crate) fn folder(&self, id: &str) -> Option<(Folder, Vec<String>)> {
        let runs = self.inner.runs();
        let shared = &runs.get(id)?.shared;
        let names = shared.group.tasks.iter().map(|task| task.name.clone()).collect();
        Some((shared.folder.clone(), names))
    }

    /// Restarts a task, or all that run.
    ///
    /// # Errors
    /// In Nomad's words.
    pub async fn restart(&self, id: &str, task: &str) -> Result<(), String> {
        self.ask(id, task, Request::Restart).await
    }

    /// Sends a signal to a task, or to all that run.
    ///
    /// # Errors
    /// In Nomad's words.
    pub async fn signal(&self, id: &str, task: &str, signal: &str) -> Result<(), String> {
        if super::process::named(signal).is_none() {
            return Err(format!("invalid signal: {signal}"));
        }
        self.ask(id, task, |done| Request::Signal(signal.to_owned(), done)).await
    }

    async fn ask(
        &self,
        id: &str,
        task: &str,
        request: impl Fn(oneshot::Sender<()>) -> Request,
    ) -> Result<(), String> {
        let mut waits = Vec::new();
        {
            let runs = self.inner.runs();
            let run = runs.get(id).ok_or_else(|| format!("Unknown allocation {id:?}"))?;
            let states = run.shared.states();
            if !task.is_empty() && !states.contains_key(task) {
                return Err(format!("Could not find task runner for task: {task}"));
            }
            for (name, hand) in run.hands.iter() {
                let wanted = if task.is_empty() { true } else { task == name };
                let lives = states.get(name).is_some_and(|it| it.state == State::Running);
                if wanted && lives {
                    let (done, wait) = oneshot::channel();
                    if hand.requests.send(request(done)).is_ok() {
                        waits.push(wait);
                    }
                }
            }
        }
        if waits.is_empty() {
            return Err("Task not running".to_owned());
        }
        for wait in waits {
            let _ = wait.await;
        }
        Ok(())
    }
}

impl Run {
    fn raise(&self, order: Order) {
        self.orders.send_if_modified(|now| {
            let more = order > *now;
            *now = order.max(*now);
            more
        });
    }
}

impl Inner {
    pub fn has_news(&self, id: &str) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        self.wake.notify_one();
    }

    fn tell(&self) {
        let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
        let update = |id: String| {
            let tasks: TaskStates = self.runs().get(&id)?.shared.states();
            Some(Update { allocation: id, tasks })
        };
        let updates: Vec<Update> = news.into_iter().filter_map(update).collect();
        if !updates.is_empty() {
            self.server.hear(updates);
        }
    }

    fn is_over(&self, id: &str) {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(id) else { return };
        run.over = true;
        if run.forgotten {
            run.shared.folder.remove();
            runs.remove(id);
        }
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
