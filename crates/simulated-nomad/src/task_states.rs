//! The state of each task of an allocation, and what it makes of the allocation as a whole.
//!
//! Pure: clients keep it, servers are told it (`Nomad::client_updates`), answers show it. Read next:
//! `task_events.rs`. (Nomad `client/allocrunner/taskrunner/task_runner.go`, `alloc_runner.go`.)

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::allocations::ClientStatus;
use super::task_events::{EventKind, TaskEvent};

/// As many events of a task are kept.
const EVENTS: usize = 10;

/// What is known of each task, by its name.
pub type TaskStates = BTreeMap<String, TaskState>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    #[default]
    Pending,
    Running,
    Dead,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    pub state: Life,
    pub failed: bool,
    pub restarts: u64,
    pub last_restart: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub paused: String,
    pub events: Vec<TaskEvent>,
}

impl TaskState {
    pub(crate) fn add(&mut self, mut event: TaskEvent, now: Timestamp) {
        event.time = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        self.failed |= event.fails_task;
        if event.r#type == EventKind::Restarting {
            self.restarts += 1;
            self.last_restart = Some(now);
        }
        if self.events.len() == EVENTS {
            self.events.remove(0);
        }
        self.events.push(event);
    }

    pub(crate) fn becomes(&mut self, life: Life, now: Timestamp) {
        match (self.state, life) {
            (was, is) if was == is => {}
            (_, Life::Running) => self.started_at = Some(now),
            (_, Life::Dead) => self.finished_at = Some(now),
            (_, Life::Pending) => {}
        }
        self.state = life;
    }
}

/// What a client says of an allocation as a whole.
pub(crate) fn client_status(states: &TaskStates) -> ClientStatus {
    let any = |life| states.values().any(|one| one.state == life);
    if states.values().any(|one| one.state == Life::Dead && one.failed) {
        ClientStatus::Failed
    } else if any(Life::Running) {
        ClientStatus::Running
    } else if any(Life::Pending) {
        ClientStatus::Pending
    } else {
        ClientStatus::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_task_fails_the_allocation_and_a_waiting_one_keeps_it_pending() {
        let at = Timestamp::UNIX_EPOCH;
        let mut states = TaskStates::new();
        states.insert("main".to_owned(), TaskState::default());
        states.insert("after".to_owned(), TaskState::default());
        let status = |states: &TaskStates| client_status(states).as_str();
        let main = |life: Life, states: &mut TaskStates| {
            if let Some(one) = states.get_mut("main") {
                one.becomes(life, at);
            }
        };
        assert_eq!(status(&states), "pending");
        main(Life::Running, &mut states);
        assert_eq!(status(&states), "running");
        main(Life::Dead, &mut states);
        assert_eq!(status(&states), "pending");
        if let Some(after) = states.get_mut("after") {
            after.becomes(Life::Dead, at);
        }
        assert_eq!(status(&states), "complete");
        if let Some(main) = states.get_mut("main") {
            main.add(TaskEvent::not_restarting("why"), at);
        }
        assert_eq!(status(&states), "failed");
    }

    #[test]
    fn the_oldest_of_many_events_is_forgotten() {
        let mut state = TaskState::default();
        for code in 0..12 {
            state.add(TaskEvent::terminated(code, 0), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(state.events.len(), EVENTS);
        assert_eq!(state.events[0].exit_code, 2);
    }
}
