//! One allocation: its tasks in their order, and who ends with whom.
//!
//! The rules are in `coordination.rs`; here they are carried out. Read next: `life.rs`.
//! (Nomad `client/allocrunner/alloc_runner.go`.)

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assignment::Assignment;
use super::client::Inner;
use super::coordination;
use super::environment::Environment;
use super::folder::Folder;
use super::group::{Group, Role, Task};
use super::life::{Kill, Life, Request};
use super::process::Process;
use super::supervise;
use super::workplace::Site;
use crate::http::Server;
use crate::task_events::TaskEvent;
use crate::task_states::{Life as State, TaskState, TaskStates};

/// What the servers want of an allocation; it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    #[default]
    Run,
    /// End, with time to do so; what comes after the tasks still runs.
    End,
    /// The same, without shutdown delays.
    EndWithoutDelay,
    /// Now, and nothing comes after.
    Leave,
}

/// How it was when an earlier agent knew it.
pub(super) const STATES: &str = "states.json";
pub(super) const ASSIGNMENT: &str = "assignment.json";

/// What all tasks of the allocation share.
pub(super) struct Shared {
    pub assignment: Assignment,
    pub group: Group,
    pub folder: Folder,
    client: Arc<Inner>,
    states: Mutex<TaskStates>,
    changed: watch::Sender<()>,
    orders: watch::Receiver<Order>,
    /// Cancelled once nothing of it runs any more.
    pub over: CancellationToken,
}

/// By which a task is reached.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    pub kill: watch::Sender<Kill>,
    pub requests: mpsc::UnboundedSender<Request>,
}

pub(super) type Hands = BTreeMap<String, Hand>;

impl Shared {
    /// # Errors
    /// In words, where the assignment cannot be read.
    pub fn new(
        client: Arc<Inner>,
        assignment: Assignment,
        orders: watch::Receiver<Order>,
    ) -> Result<Self, String> {
        let group = Group::of(&assignment)?;
        let folder = Folder::new(&client.workplace.root, &assignment.allocation);
        let known: Option<TaskStates> = supervise::read_note(folder.notes(), STATES);
        let mut states = known.unwrap_or_default();
        for task in &group.tasks {
            states.entry(task.name.clone()).or_default();
        }
        let (states, changed) = (Mutex::new(states), watch::Sender::new(()));
        let over = CancellationToken::new();
        Ok(Self { assignment, group, folder, client, states, changed, orders, over })
    }

    pub fn states(&self) -> TaskStates {
        self.lock().clone()
    }

    pub fn record(&self, task: &str, event: TaskEvent) {
        self.change(task, |state, now| state.add(event, now));
    }

    pub fn becomes(&self, task: &str, life: State) {
        self.change(task, |state, now| state.becomes(life, now));
    }

    /// Both at once.
    pub fn record_and(&self, task: &str, event: TaskEvent, life: State) {
        self.change(task, |state, now| {
            state.add(event, now);
            state.becomes(life, now);
        });
    }

    fn change(&self, task: &str, act: impl FnOnce(&mut TaskState, Timestamp)) {
        let mut states = self.lock();
        let Some(state) = states.get_mut(task) else { return };
        let before = state.clone();
        act(state, Timestamp::now());
        if *state == before {
            return;
        }
        supervise::note(self.folder.notes(), STATES, &*states);
        drop(states);
        self.changed.send_replace(());
        self.client.has_news(&self.assignment.allocation);
    }

    pub fn environment(&self, task: &Task, more: &BTreeMap<String, String>) -> Environment {
        let (folder, site) = (&self.folder, self.site());
        Environment::of(&self.assignment, &self.group, task, folder, site, more)
    }

    pub fn site(&self) -> &Site {
        &self.client.site
    }

    pub fn program(&self) -> &Path {
        &self.client.workplace.program
    }

    pub fn server(&self) -> &Server {
        &self.client.server
    }

    /// Until every process is to be left, with nothing after it.
    pub async fn is_left(&self) {
        let mut orders = self.orders.clone();
        if orders.wait_for(|order| *order == Order::Leave).await.is_err() {
            // Whoever gives orders has forgotten it, and nobody else ends it.
            std::future::pending::<()>().await;
        }
    }

    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if holds(self) {
                return;
            }
            // Its sender is `self`'s.
            let _ = changed.changed().await;
        }
    }

    pub fn may_start(&self, role: Role) -> bool {
        coordination::may_start(&self.group, &self.lock(), role)
    }

    fn lives(&self, task: &Task) -> bool {
        self.lock().get(&task.name).is_some_and(|state| state.state != State::Dead)
    }

    fn lock(&self) -> MutexGuard<'_, TaskStates> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the allocation to its end.
pub(super) async fn run(
    shared: Arc<Shared>,
    hands: Arc<Hands>,
    lives: Vec<Life>,
    mut orders: watch::Receiver<Order>,
) {
    for life in &lives {
        if shared.lock().get(&life.task.name).is_some_and(|state| state.events.is_empty()) {
            shared.record(&life.task.name, TaskEvent::received());
        }
    }
    let mut changed = shared.changed.subscribe();
    let mut running = JoinSet::new();
    for life in lives {
        if shared.lives(&life.task) {
            let found = found(&shared, &life.task);
            running.spawn(life.run(found));
        }
    }
    let mut ending = JoinSet::new();
    let (mut stopping, mut siblings) = (false, false);
    loop {
        changed.mark_unchanged();
        let order = *orders.borrow_and_update();
        if order > Order::Run && !stopping {
            stopping = true;
            let kill = if order == Order::End { Kill::Yes } else { Kill::WithoutDelay };
            ending.spawn(end_all(shared.clone(), hands.clone(), kill));
        }
        if !siblings
            && let Some(why) = coordination::end_of_the_others(&shared.group, &shared.states())
        {
            siblings = true;
            for task in shared.group.tasks.iter().filter(|it| it.role() != Role::After) {
                if shared.lives(task) {
                    shared.record(&task.name, why.clone());
                }
            }
            ending.spawn(end_all(shared.clone(), hands.clone(), Kill::Yes));
        }
        tokio::select! {
            ended = running.join_next() => if ended.is_none() {
                shared.over.cancel();
                return;
            },
            _ = changed.changed() => {}
            Ok(()) = orders.changed() => {}
        }
    }
}

/// The process that an earlier agent has left. It may have been killed before it could write down
/// that the task runs.
fn found(shared: &Shared, task: &Task) -> Option<Process> {
    let process = Process::find(&shared.folder, &task.name)?;
    let runs = shared.lock().get(&task.name).is_some_and(|it| it.state == State::Running);
    if !runs && process.is_supervised() {
        shared.record_and(&task.name, TaskEvent::started(), State::Running);
        return Some(process);
    }
    runs.then_some(process)
}

/// The leader first, sidecars last.
async fn end_all(shared: Arc<Shared>, hands: Arc<Hands>, kill: Kill) {
    let delay = shared.group.shutdown_delay.and_then(|it| u64::try_from(it).ok());
    if let Some(delay) = delay.filter(|it| *it > 0 && kill == Kill::Yes) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_nanos(delay)) => {}
            () = shared.is_left() => {}
        }
    }
    let steps: [fn(&Task) -> bool; 3] = [
        |task| task.leader,
        |task| !task.role().is_sidecar() && task.role() != Role::After,
        |task| task.role().is_sidecar(),
    ];
    for step in steps {
        let tasks: Vec<&Task> = shared.group.tasks.iter().filter(|task| step(task)).collect();
        for task in &tasks {
            end_one(&shared, &hands, task, kill);
        }
        shared.until(|shared| tasks.iter().all(|task| !shared.lives(task))).await;
    }
}

fn end_one(shared: &Shared, hands: &Hands, task: &Task, kill: Kill) {
    let Some(hand) = hands.get(&task.name).filter(|_| shared.lives(task)) else { return };
    if *hand.kill.borrow() == Kill::No {
        // First, for what comes of it is recorded after it.
        shared.record(&task.name, TaskEvent::killing(task.kill_timeout()));
        hand.kill.send_replace(kill);
    }
}
