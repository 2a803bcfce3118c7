//! Allocations: one placement of a job's group on a node, and its task's states.
//!
//! Two truths are kept apart: what the servers know (`client_status`), and whether the task's
//! process lives, which a silent node cannot tell. Read next: `clients.rs`.

use std::sync::Arc;

use super::changes::Row;
use super::children::Child;
use super::evaluations::Trigger;
use super::jobs::{Disconnect, JobKey};
use super::model::{Due, Millis, Nomad};
use super::placing::PlacementFailure;
use super::task_states::TaskStates;
use super::wants::Needs;

/// What the client last said, or the servers concluded (`nomad/structs/alloc.go`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientStatus {
    #[default]
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
    Unknown,
}

impl ClientStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Lost)
    }

    /// What a client says with it.
    fn description(self) -> &'static str {
        match self {
            Self::Pending => "No tasks have started",
            Self::Running => "Tasks are running",
            Self::Complete => "All tasks have completed",
            Self::Failed => "Failed tasks",
            Self::Lost | Self::Unknown => "",
        }
    }
}

/// Why an allocation is to go elsewhere (`DesiredTransition.Migrate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// Somebody stopped it.
    Stop,
    /// Its node drains.
    Drain,
}

/// Something that happened to the task (`TaskStates.*.Events`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    pub at: Millis,
    /// Nomad's word: `Started`, `Driver Failure`, `Killing`, `Terminated`, …
    pub kind: &'static str,
    pub message: String,
    /// Of `Terminated` only.
    pub exit_code: Option<i32>,
}

#[derive(Clone, Debug, Default)]
pub struct Allocation {
    pub id: String,
    /// The job, be it a child or not.
    pub child: JobKey,
    pub node: String,
    pub group: String,
    /// Which of its group it is, from 0.
    pub number: u64,
    /// `<job>.<group>[<number>]`.
    pub name: String,
    pub needs: Needs,
    pub ports: Vec<u64>,
    pub disconnect: Option<Disconnect>,
    /// Its job as it was when it was placed; None where nobody reads that.
    pub job: Option<Arc<Child>>,
    /// The one that placed it.
    pub evaluation: String,
    pub job_version: u64,
    pub client_status: ClientStatus,
    pub client_description: String,
    /// `DesiredStatus` is `stop`.
    pub stopping: bool,
    pub desired_description: String,
    pub migrate: Option<Migration>,
    /// The one that it replaces, and the one that replaces it.
    pub previous: Option<String>,
    pub next: Option<String>,
    /// The evaluation that looks at it later.
    pub followup: Option<String>,
    /// When it and those before it were tried again.
    pub reschedules: Vec<Millis>,
    pub metrics: PlacementFailure,
    pub task_failed: bool,
    pub task_events: Vec<TaskEvent>,
    /// `DesiredTransition.NoShutdownDelay`.
    pub without_delay: bool,
    /// As a real client has told last.
    pub tasks: TaskStates,
    pub created_at: Millis,
    pub modified_at: Millis,
    pub create_index: u64,
    pub modify_index: u64,
    /// When the servers changed it last.
    pub alloc_modify_index: u64,
    pub(super) unknown_since: Option<Millis>,
    /// Whether the task's process is there, whatever the servers know.
    pub(super) lives: bool,
    /// The poststop task runs, and this is what comes after it.
    pub(super) poststop: Option<ClientStatus>,
    /// How the task ended while nobody could be told.
    pub(super) untold: Option<i32>,
    /// The job shall get another one in its place, and found no node for it so far.
    pub(super) replace: bool,
    /// Its records were purged; only its process is left.
    pub(super) purged: bool,
}

impl Default for JobKey {
    fn default() -> Self {
        Self::new("default", "")
    }
}

impl Allocation {
    /// As the servers count it: told to stop, or over (`nomad/structs/alloc.go`,
    /// `TerminalStatus`).
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.stopping || self.client_status.is_terminal()
    }

    pub(super) fn takes_room(&self) -> bool {
        !self.client_status.is_terminal() || self.poststop.is_some()
    }

    pub(super) fn event(&mut self, at: Millis, kind: &'static str, message: impl Into<String>) {
        self.task_events.push(TaskEvent { at, kind, message: message.into(), exit_code: None });
    }
}

impl Nomad {
    /// The allocations of a job, oldest first.
    pub fn allocations_of(&self, key: &JobKey) -> impl Iterator<Item = &Allocation> {
        let ids = self.children.get(key).into_iter().flat_map(|child| &child.allocations);
        ids.filter_map(|id| self.allocations.get(id))
    }

    /// All of them, but for those of which only a process is left.
    pub fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        self.allocations.values().filter(|one| !one.purged)
    }

    /// One allocation by id; None where its records are purged or collected.
    #[must_use]
    pub fn allocation(&self, id: &str) -> Option<&Allocation> {
        self.allocations.get(id).filter(|one| !one.purged)
    }

    /// Its tasks are to end without their shutdown delays, whenever they are told to.
    pub fn skip_shutdown_delay(&mut self, id: &str) {
        if let Some(one) = self.allocations.get_mut(id) {
            one.without_delay = true;
        }
    }

    /// The same for all of a job that is about to be stopped.
    pub fn skip_shutdown_delays(&mut self, key: &JobKey) {
        let ids = self.children.get(key).map(|child| child.allocations.clone()).unwrap_or_default();
        ids.iter().for_each(|id| self.skip_shutdown_delay(id));
    }

    /// Whether the tasks of the allocation end without their shutdown delays; also of one whose
    /// records are purged.
    #[must_use]
    pub fn skips_shutdown_delay(&self, id: &str) -> bool {
        self.allocations.get(id).is_some_and(|one| one.without_delay)
    }

    /// Whether the task's process is there, whatever the servers know.
    #[must_use]
    pub fn process_lives(&self, allocation: &str) -> bool {
        self.allocations.get(allocation).is_some_and(|one| one.lives)
    }

    /// The client says how the allocation is. One that has failed is looked at, if it may be tried
    /// again; so is one that was unknown (`nomad/node_endpoint.go`, `UpdateAlloc`).
    pub(super) fn set_status(&mut self, id: &str, status: ClientStatus, now: Millis) {
        let index = self.bump();
        self.set_statuses_at(index, &[(id.to_owned(), status)], now);
    }

    /// The same of several in one write: they are told together, and so are the evaluations that
    /// come of it.
    pub(super) fn set_statuses_at(
        &mut self,
        index: u64,
        told: &[(String, ClientStatus)],
        now: Millis,
    ) {
        let (mut rows, mut nodes) = (Vec::new(), Vec::new());
        let (mut were, mut over) = (Vec::new(), Vec::new());
        for (id, status) in told {
            let Some(one) = self.allocations.get_mut(id) else { continue };
            let before = std::mem::replace(&mut one.client_status, *status);
            status.description().clone_into(&mut one.client_description);
            one.modified_at = now;
            if !one.takes_room() {
                over.push((id, one.node.clone()));
            }
            if one.purged {
                continue;
            }
            were.push((id, before));
            rows.push(Row::Allocation(id.clone()));
            let beside = Row::Beside(one.node.clone());
            if !nodes.contains(&beside) {
                nodes.push(beside);
            }
        }
        rows.append(&mut nodes);
        if !rows.is_empty() {
            self.commit_at(index, "AllocationUpdated", rows);
        }
        let looks: Vec<Row> = were
            .into_iter()
            .filter_map(|(id, before)| self.look_after(id, before, now))
            .map(Row::Evaluation)
            .collect();
        if !looks.is_empty() {
            self.commit_at(index, "AllocationUpdated", looks);
        }
        for (id, node) in over {
            self.start_next(id, now);
            self.unblock(&node, now);
            self.drain_may_be_done(&node, now);
        }
    }

    /// Makes the evaluation that a client's update calls for, if it does.
    fn look_after(&mut self, id: &str, before: ClientStatus, now: Millis) -> Option<String> {
        let one = self.allocations.get(id)?;
        let child = self.children.get(&one.child)?;
        let group = child.definition.wants.group(&one.group);
        let again = group.is_some_and(|group| one.may_be_rescheduled(group, now));
        let failed = one.client_status == ClientStatus::Failed && before != ClientStatus::Failed;
        let why = if before == ClientStatus::Unknown {
            Trigger::Reconnect
        } else if failed && again && !child.stop && one.followup.is_none() && !one.stopping {
            Trigger::AllocFailure
        } else {
            return None;
        };
        let job = one.child.clone();
        Some(self.new_evaluation(&job, why, now))
    }

    /// A replacement does not begin before the one that it replaces is over.
    fn start_next(&mut self, id: &str, now: Millis) {
        let next = self.allocations.get(id).and_then(|one| one.next.clone());
        if let Some(next) = next {
            self.at(now, Due::Start(next));
        }
    }
}
