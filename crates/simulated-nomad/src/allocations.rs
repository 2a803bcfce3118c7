//! Allocations: one placement of a child on a node, and its task's states.
//!
//! Two truths are kept apart: what the servers know (`client_status`), and whether the task's
//! process lives, which a silent node cannot tell. Read next: `clients.rs`.

use super::jobs::JobKey;
use super::model::{Millis, Nomad};
use super::tables::Table;
use super::task_states::TaskStates;

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
    pub child: JobKey,
    pub node: String,
    pub cpu_mhz: u64,
    pub memory_mb: u64,
    pub client_status: ClientStatus,
    pub client_description: String,
    /// `DesiredStatus` is `stop`.
    pub stopping: bool,
    pub task_failed: bool,
    pub task_events: Vec<TaskEvent>,
    /// As a real client has told last.
    pub tasks: TaskStates,
    pub created_at: Millis,
    pub modified_at: Millis,
    pub create_index: u64,
    pub modify_index: u64,
    /// Whether the task's process is there, whatever the servers know.
    pub(super) lives: bool,
    /// The poststop task runs, and this is what comes after it.
    pub(super) poststop: Option<ClientStatus>,
    /// How the task ended while nobody could be told.
    pub(super) untold: Option<i32>,
    /// The child shall get another one in its place.
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
    /// The allocations of a child, oldest first.
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

    /// Whether the task's process is there, whatever the servers know.
    #[must_use]
    pub fn process_lives(&self, allocation: &str) -> bool {
        self.allocations.get(allocation).is_some_and(|one| one.lives)
    }

    /// Says that the allocation's row has changed.
    pub(super) fn touch_allocation(&mut self, id: &str) {
        let index = self.write(Table::Allocations);
        if let Some(one) = self.allocations.get_mut(id) {
            one.modify_index = index;
        }
    }

    /// What the servers take the allocation for from now on.
    pub(super) fn set_status(&mut self, id: &str, status: ClientStatus, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        one.client_status = status;
        one.modified_at = now;
        let (child, over) = (one.child.clone(), !one.takes_room());
        self.touch_allocation(id);
        self.settle(&child);
        if over {
            self.unblock(now);
        }
    }
}
