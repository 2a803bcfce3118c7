//! What Nomad says of a runner's child at this moment: why it is not placed, or where it is and
//! what happened to its task.

use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::{Runner, Time};
use crate::nomad::{Allocation, Client, Error, Evaluation, Place};

/// How long all looks of one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Until when the looks that begin now may take.
pub fn time_for_looks() -> Instant {
    Instant::now() + PATIENCE
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// In words why Nomad cannot be asked.
    Away(String),
    /// Nomad shows nothing of it: it is forgotten, or was only half written.
    Nothing,
    Unplaced {
        why: Option<String>,
    },
    Placed(Vec<Allocation>),
}

/// One look for each of the runners, in their order; `None`: there is no child to ask for.
pub async fn look(nomad: &Client, runners: &[Runner], end: Instant) -> Vec<Option<Look>> {
    let mut looks = Vec::new();
    for runner in runners {
        let Some(child) = &runner.child else {
            looks.push(None);
            continue;
        };
        let own = nomad.place();
        let place = Place {
            namespace: runner.namespace.clone().unwrap_or_else(|| own.namespace.clone()),
            region: runner.region.clone().or_else(|| own.region.clone()),
        };
        let look = tokio::time::timeout_at(end, look_at(nomad, &place, child)).await;
        looks.push(Some(
            look.unwrap_or_else(|_| {
                Look::Away(format!("no answer within {} s", PATIENCE.as_secs()))
            }),
        ));
    }
    looks
}

async fn look_at(nomad: &Client, place: &Place, child: &str) -> Look {
    let asked = tokio::try_join!(nomad.allocations(place, child), nomad.evaluations(place, child));
    match asked {
        Err(Error::NotFound { .. }) => Look::Nothing,
        Err(error) => Look::Away(error.to_string()),
        Ok((allocations, evaluations)) => match (allocations.is_empty(), evaluations.is_empty()) {
            (false, _) => Look::Placed(allocations),
            (true, true) => Look::Nothing,
            (true, false) => Look::Unplaced { why: blocked(&evaluations) },
        },
    }
}

/// The newest evaluation that failed counts: the blocked one itself may tell less.
fn blocked(evaluations: &[Evaluation]) -> Option<String> {
    let failed = evaluations.iter().rev().find(|e| !e.failed_tg_allocs.is_empty())?;
    let mut words: Vec<String> =
        failed.failed_tg_allocs.values().map(|failure| failure.in_words()).collect();
    words.dedup();
    Some(words.join("; "))
}

/// What happened to a child's tasks, for its story.
pub(super) fn events(allocations: &[Allocation]) -> Vec<(Time, bool, String)> {
    let mut lines = Vec::new();
    for allocation in allocations {
        let short: String = allocation.id.chars().take(8).collect();
        let placed = format!("Nomad: allocation {short} on node {}", allocation.node_name);
        lines.push((Time::from(allocation.create_time), false, placed));
        for (task, state) in &allocation.task_states {
            for event in &state.events {
                let code = event.exit_code.filter(|_| !event.message.contains("Exit Code"));
                let code = code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
                let message = event.message.trim();
                let message = match message.is_empty() {
                    true => String::new(),
                    false => format!(": {message}"),
                };
                let bad = event.kind.contains("Fail") || event.exit_code.is_some_and(|c| c != 0);
                let what = format!("Nomad: task {task} {}{message}{code}", event.kind);
                lines.push((Time::from(event.time), bad, what));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::nomad::{ClientStatus, PlacementFailure, TaskEvent, TaskState};

    #[test]
    fn the_newest_failure_is_told() {
        let evaluation = |second, lacking: Option<&str>| Evaluation {
            id: String::new(),
            status: "complete".to_owned(),
            status_description: String::new(),
            triggered_by: String::new(),
            blocked_eval: None,
            failed_tg_allocs: lacking
                .map(|lacking| {
                    let failure = PlacementFailure {
                        nodes_evaluated: 1,
                        nodes_exhausted: 1,
                        dimension_exhausted: BTreeMap::from([(lacking.to_owned(), 1)]),
                        ..PlacementFailure::default()
                    };
                    ("g".to_owned(), failure)
                })
                .into_iter()
                .collect(),
            create_time: Timestamp::from_second(second).unwrap_or_default(),
        };
        let all = [evaluation(1, Some("cpu")), evaluation(2, Some("memory")), evaluation(3, None)];
        assert_eq!(blocked(&all).as_deref(), Some("1 node: 1 lacks memory"));
        assert_eq!(blocked(&all[2..]), None);
    }

    #[test]
    fn a_task_that_failed_is_marked() {
        let event = TaskEvent {
            kind: "Terminated".to_owned(),
            message: "Exit Code: 3".to_owned(),
            exit_code: Some(3),
            time: Timestamp::UNIX_EPOCH,
        };
        let state = TaskState { state: "dead".to_owned(), failed: true, events: vec![event] };
        let allocation = Allocation {
            id: "0123456789".to_owned(),
            client_status: ClientStatus::Failed,
            client_description: String::new(),
            desired_status: "run".to_owned(),
            node_id: String::new(),
            node_name: "n1".to_owned(),
            create_time: Timestamp::UNIX_EPOCH,
            modify_time: Timestamp::UNIX_EPOCH,
            task_states: BTreeMap::from([("runner".to_owned(), state)]),
        };
        let lines = events(&[allocation]);
        assert_eq!(lines[0].2, "Nomad: allocation 01234567 on node n1");
        assert_eq!(lines[1], (Time(0), true, "Nomad: task runner Terminated: Exit Code: 3".into()));
    }
}
