//! The order of a group's tasks, and who ends with whom.
//!
//! Prestart tasks come before the main ones, poststart ones once these run, poststop ones after
//! them. One that fails, a leader's end and the end of all main tasks end the others. Pure: who
//! carries it out is `allocation.rs`.
//! (Nomad `client/allocrunner/tasklifecycle/coordinator.go`, `alloc_runner.go`.)

use super::group::{Group, Role};
use crate::task_events::TaskEvent;
use crate::task_states::{Life, TaskState, TaskStates};

/// Whether it is a task's turn.
pub(super) fn may_start(group: &Group, states: &TaskStates, role: Role) -> bool {
    let all = |of: Role, holds: fn(&TaskState) -> bool| {
        let tasks = group.tasks.iter().filter(|task| task.role() == of);
        tasks.filter_map(|task| states.get(&task.name)).all(holds)
    };
    let is_dead = |state: &TaskState| state.state == Life::Dead;
    let has_begun = |state: &TaskState| state.state != Life::Pending;
    match role {
        Role::Before | Role::Beside => true,
        Role::Main => {
            all(Role::Before, |state| state.state == Life::Dead && !state.failed)
                && all(Role::Beside, has_begun)
        }
        Role::Poststart | Role::PoststartBeside => all(Role::Main, has_begun),
        Role::After => all(Role::Main, is_dead) && all(Role::Before, is_dead),
    }
}

/// Why those that still live are to end, if one of the others says so.
pub(super) fn end_of_the_others(group: &Group, states: &TaskStates) -> Option<TaskEvent> {
    let (mut why, mut live) = (None, Vec::new());
    for task in group.tasks.iter().filter(|task| task.role() != Role::After) {
        let Some(state) = states.get(&task.name) else { continue };
        if state.state != Life::Dead {
            live.push(task);
        } else if state.failed {
            why = why.or_else(|| Some(TaskEvent::sibling_failed(&task.name)));
        } else if task.leader {
            why = Some(TaskEvent::leader_dead());
        }
    }
    if live.is_empty() {
        return None;
    }
    let only_sidecars = live.iter().all(|task| task.role().is_sidecar());
    why.or_else(|| only_sidecars.then(TaskEvent::main_dead))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::task_events::EventKind;

    fn group() -> Group {
        let hook = |hook: &str, sidecar: bool| json!({"Hook": hook, "Sidecar": sidecar});
        serde_json::from_value(json!({"Name": "g", "Tasks": [
            {"Name": "before", "Lifecycle": hook("prestart", false)},
            {"Name": "beside", "Lifecycle": hook("prestart", true)},
            {"Name": "main"},
            {"Name": "other", "Leader": true},
            {"Name": "after", "Lifecycle": hook("poststop", false)},
        ]}))
        .unwrap()
    }

    fn states(lives: [(Life, bool); 5]) -> TaskStates {
        let names = ["before", "beside", "main", "other", "after"];
        let state = |(state, failed)| TaskState { state, failed, ..TaskState::default() };
        names.iter().map(|name| (*name).to_owned()).zip(lives.map(state)).collect()
    }

    const WAITS: (Life, bool) = (Life::Pending, false);
    const RUNS: (Life, bool) = (Life::Running, false);
    const OVER: (Life, bool) = (Life::Dead, false);
    const FAILED: (Life, bool) = (Life::Dead, true);

    #[test]
    fn main_tasks_wait_for_those_before_and_beside_them() {
        let may = |lives, role| may_start(&group(), &states(lives), role);
        assert!(!may([RUNS, RUNS, WAITS, WAITS, WAITS], Role::Main));
        assert!(!may([OVER, WAITS, WAITS, WAITS, WAITS], Role::Main));
        assert!(!may([FAILED, RUNS, WAITS, WAITS, WAITS], Role::Main));
        assert!(may([OVER, RUNS, WAITS, WAITS, WAITS], Role::Main));
        assert!(!may([OVER, RUNS, OVER, RUNS, WAITS], Role::After));
        assert!(may([OVER, RUNS, OVER, FAILED, WAITS], Role::After));
        assert!(!may([OVER, RUNS, RUNS, WAITS, WAITS], Role::Poststart));
    }

    #[test]
    fn a_failure_a_leaders_end_and_the_end_of_all_end_the_others() {
        let why = |lives| end_of_the_others(&group(), &states(lives)).map(|event| event.r#type);
        assert_eq!(why([OVER, RUNS, RUNS, RUNS, WAITS]), None);
        assert_eq!(why([OVER, RUNS, OVER, RUNS, WAITS]), None);
        assert_eq!(why([OVER, RUNS, FAILED, RUNS, WAITS]), Some(EventKind::SiblingFailed));
        assert_eq!(why([OVER, RUNS, RUNS, OVER, WAITS]), Some(EventKind::LeaderDead));
        assert_eq!(why([OVER, OVER, OVER, OVER, WAITS]), None);
        let mut group = group();
        group.tasks.retain(|task| task.name != "other");
        let states = states([OVER, RUNS, OVER, OVER, WAITS]);
        let event = end_of_the_others(&group, &states).unwrap();
        assert_eq!(event.r#type, EventKind::MainDead);
    }
}
