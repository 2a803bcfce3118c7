//! What Nomad says of a runner's child at this moment: why it is not placed, or where it is and
//! what happened to its task.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::at;
use crate::ledger::{Rules, Runner, Time};
use crate::nomad::{Allocation, Client, Error, Place, why_not_placed};

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
pub async fn look(
    nomad: &Client,
    rules: &Rules,
    runners: &[Runner],
    end: Instant,
) -> Vec<Option<Look>> {
    let mut looks = Vec::new();
    for runner in runners {
        let Some(child) = &runner.child else {
            looks.push(None);
            continue;
        };
        let place = at(&rules.place_of_runner(runner));
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
        Ok((allocations, evaluations)) if allocations.is_empty() && !evaluations.is_empty() => {
            // Evaluations outlive a job that was purged.
            match nomad.job(place, child).await {
                Ok(_) => Look::Unplaced { why: why_not_placed(&evaluations) },
                Err(Error::NotFound { .. }) => Look::Nothing,
                Err(error) => Look::Away(error.to_string()),
            }
        }
        Ok((allocations, _)) if allocations.is_empty() => Look::Nothing,
        Ok((allocations, _)) => Look::Placed(allocations),
    }
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
    use serde_json::{Value, json};
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::nomad::{Address, ClientStatus, Connection, TaskEvent, TaskState};

    /// Nomad keeps the evaluations of a job that was purged for an hour or more.
    #[tokio::test]
    async fn a_child_that_was_purged_is_not_one_that_waits_for_a_place() {
        let evaluations = json!([{
            "ID": "e1", "Status": "complete", "TriggeredBy": "job-register",
            "FailedTGAllocs": { "g": { "NodesEvaluated": 1, "NodesExhausted": 1,
                "DimensionExhausted": { "memory": 1 } } },
        }]);
        let there = json!({ "ID": "x/dispatch-1", "Name": "x/dispatch-1", "Type": "batch",
            "Status": "pending", "Namespace": "default" });
        for (job, look) in [
            (Some(there), Look::Unplaced { why: Some("1 node: 1 lacks memory".to_owned()) }),
            (None, Look::Nothing),
        ] {
            let server = MockServer::start().await;
            let give = async |at: &str, status: u16, body: Value| {
                let answer = ResponseTemplate::new(status).set_body_json(body);
                Mock::given(path(at)).respond_with(answer).mount(&server).await;
            };
            let child = "/v1/job/x%2Fdispatch-1";
            give(&format!("{child}/allocations"), 200, json!([])).await;
            give(&format!("{child}/evaluations"), 200, evaluations.clone()).await;
            let status = if job.is_some() { 200 } else { 404 };
            give(child, status, job.unwrap_or(json!("job not found"))).await;
            let nomad = client(&server.uri());
            assert_eq!(look_at(&nomad, nomad.place(), "x/dispatch-1").await, look);
        }
    }

    fn client(address: &str) -> Client {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::new(Connection::to(Address::Http(address.parse().unwrap()))).unwrap()
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
