//! A job's allocations with what happened to their tasks.
//!
//! Many jobs at once, without the events, are in `statuses`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};
use super::wire::{self, Map};

/// What the client says of an allocation (Nomad `AllocClientStatus*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientStatus {
    Pending,
    Running,
    Complete,
    Failed,
    /// Its node is gone.
    Lost,
    /// Its node does not answer, and the job's `disconnect` block says to wait.
    Unknown,
    /// One that we do not know.
    Other(String),
}

impl ClientStatus {
    /// It will not run again. (`lost` may, where a node comes back before its tasks were stopped.)
    pub fn is_terminal(&self) -> bool {
        matches!(self, ClientStatus::Complete | ClientStatus::Failed | ClientStatus::Lost)
    }
}

impl std::fmt::Display for ClientStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ClientStatus::Pending => "pending",
            ClientStatus::Running => "running",
            ClientStatus::Complete => "complete",
            ClientStatus::Failed => "failed",
            ClientStatus::Lost => "lost",
            ClientStatus::Unknown => "unknown",
            ClientStatus::Other(other) => other,
        })
    }
}

impl From<&str> for ClientStatus {
    fn from(text: &str) -> ClientStatus {
        match text {
            "pending" => ClientStatus::Pending,
            "running" => ClientStatus::Running,
            "complete" => ClientStatus::Complete,
            "failed" => ClientStatus::Failed,
            "lost" => ClientStatus::Lost,
            "unknown" => ClientStatus::Unknown,
            other => ClientStatus::Other(wire::text(other)),
        }
    }
}

/// One placement of a job on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub id: String,
    pub client_status: ClientStatus,
    /// Such as `allocation exceeded max_run_duration`.
    pub client_description: String,
    /// `run`, `stop` or `evict`.
    pub desired_status: String,
    pub node_id: String,
    pub node_name: String,
    pub create_time: Timestamp,
    pub modify_time: Timestamp,
    /// By task name; empty until the client has begun.
    pub task_states: BTreeMap<String, TaskState>,
}

/// One task of an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// `pending`, `running` or `dead`.
    pub state: String,
    pub failed: bool,
    /// The last ten, oldest first.
    pub events: Vec<TaskEvent>,
}

/// Something that happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// Nomad's word: `Received`, `Driver Failure`, `Terminated`, …
    pub kind: String,
    pub message: String,
    /// Of `Terminated` only.
    pub exit_code: Option<i64>,
    pub time: Timestamp,
}

/// What keeps a task from its work, or ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskTrouble {
    pub task: String,
    /// Where its command ran, and ended badly.
    pub exit_code: Option<i64>,
    /// Nomad's words: an image or an archive that cannot be downloaded, a command that cannot be
    /// started, a template that waits for a value.
    pub message: String,
}

impl std::fmt::Display for TaskTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.exit_code {
            Some(code) => write!(f, "task {} exited with {code}", self.task),
            None => write!(f, "task {}: {}", self.task, self.message.trim()),
        }
    }
}

impl Allocation {
    /// The first trouble of its tasks; those that failed are looked at first. `None` where all is
    /// well, as far as Nomad says.
    pub fn trouble(&self) -> Option<TaskTrouble> {
        let troubles = |failed: bool| {
            let tasks = self.task_states.iter().filter(move |(_, state)| state.failed == failed);
            tasks.filter_map(|(task, state)| {
                // A task that has been started since is over it.
                let mut since = state.events.iter().rev().take_while(|it| it.kind != "Started");
                let event = since.find(|event| event.is_trouble())?;
                let exit_code = event.exit_code.filter(|code| *code != 0);
                Some(TaskTrouble { task: task.clone(), exit_code, message: event.message.clone() })
            })
        };
        troubles(true).chain(troubles(false)).next()
    }
}

impl TaskEvent {
    /// By Nomad's kinds of events (`nomad/structs/structs.go`, `TaskSetupFailure` and the others).
    fn is_trouble(&self) -> bool {
        self.exit_code.is_some_and(|code| code != 0)
            || (self.kind.to_ascii_lowercase().contains("fail")
                // What follows from another task's end.
                && self.kind != "Sibling Task Failed")
            || (self.kind == "Killing" && self.message.starts_with("Template failed"))
            || (self.kind == "Template" && self.message.starts_with("Missing"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireAllocation {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    client_status: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    client_description: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    desired_status: String,
    #[serde(rename = "NodeID", default, deserialize_with = "wire::or_default")]
    node_id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    node_name: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    create_time: i64,
    #[serde(default, deserialize_with = "wire::or_default")]
    modify_time: i64,
    #[serde(default)]
    task_states: Map<WireTaskState>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireTaskState {
    #[serde(default, deserialize_with = "wire::or_default")]
    state: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    failed: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    events: Vec<WireEvent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireEvent {
    #[serde(default, deserialize_with = "wire::or_default")]
    r#type: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    display_message: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    message: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    exit_code: i64,
    #[serde(default, deserialize_with = "wire::or_default")]
    time: i64,
    #[serde(default)]
    details: Map<String>,
}

impl From<WireEvent> for TaskEvent {
    fn from(wire: WireEvent) -> TaskEvent {
        let detail = wire.details.as_ref().and_then(|d| d.get("exit_code")?.parse().ok());
        TaskEvent {
            // Go writes 0 for every other kind.
            exit_code: (wire.r#type == "Terminated").then_some(detail.unwrap_or(wire.exit_code)),
            kind: wire::text(&wire.r#type),
            message: wire::text(&without_arguments(
                wire::some(wire.display_message).unwrap_or(wire.message),
            )),
            time: wire::time(wire.time),
        }
    }
}

/// Where a command cannot be started, Nomad's executor tells all its arguments before the reason
/// (Nomad `drivers/shared/executor/executor.go`), and with a script for one nobody finds that.
fn without_arguments(message: String) -> String {
    let (Some(begin), Some(end)) = (message.find(" --- args=["), message.rfind("]: ")) else {
        return message;
    };
    match message.get(end + 1..) {
        Some(reason) if begin < end => format!("{}{reason}", &message[..begin]),
        _ => message,
    }
}

impl From<WireAllocation> for Allocation {
    fn from(wire: WireAllocation) -> Allocation {
        let task = |(name, task): (String, WireTaskState)| {
            let events = task.events.into_iter().map(TaskEvent::from).collect();
            (wire::text(&name), TaskState { state: task.state, failed: task.failed, events })
        };
        Allocation {
            id: wire.id,
            client_status: wire.client_status.as_str().into(),
            client_description: wire::text(&wire.client_description),
            desired_status: wire.desired_status,
            node_id: wire.node_id,
            node_name: wire::text(&wire.node_name),
            create_time: wire::time(wire.create_time),
            modify_time: wire::time(wire.modify_time),
            task_states: wire.task_states.unwrap_or_default().into_iter().map(task).collect(),
        }
    }
}

impl Client {
    /// `GET /v1/job/:id/allocations?all=true`, oldest first. Needs the capability `read-job`.
    /// An unknown job has none.
    pub async fn allocations(&self, place: &Place, child: &str) -> Result<Vec<Allocation>, Error> {
        let call = Call::to(Endpoint::Allocations(child)).at(place).query("all", "true");
        let (wire, _) = self.read::<Option<Vec<WireAllocation>>>(call).await?;
        let mut all: Vec<_> = wire.unwrap_or_default().into_iter().map(Allocation::from).collect();
        all.sort_by_key(|a| a.create_time);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn tasks_and_exit_codes_are_read() {
        let server = MockServer::start().await;
        Mock::given(path("/v1/job/gha%2Fdispatch-1-ab/allocations"))
            .and(query_param("all", "true"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!([
                {"ID": "a2", "ClientStatus": "pending", "CreateTime": 2, "TaskStates": null},
                {"ID": "a1", "ClientStatus": "failed", "NodeName": "n", "CreateTime": 1,
                 "DesiredStatus": "run", "TaskStates": {"main": {"State": "dead", "Failed": true,
                   "Events": [
                     {"Type": "Received", "DisplayMessage": "Task received", "ExitCode": 0,
                      "Time": 1_700_000_000_000_000_000_i64, "Details": {}},
                     {"Type": "Terminated", "DisplayMessage": "Exit Code: 3", "ExitCode": 0,
                      "Details": {"exit_code": "3"}}]}}}
            ])))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let all = client.allocations(client.place(), "gha/dispatch-1-ab").await.unwrap();
        assert_eq!(all[0].id, "a1");
        assert!(all[0].client_status.is_terminal() && !all[1].client_status.is_terminal());
        let main = &all[0].task_states["main"];
        assert!(main.failed);
        assert_eq!(main.events[0].exit_code, None);
        assert_eq!(main.events[1].exit_code, Some(3));
        assert_eq!(main.events[1].message, "Exit Code: 3");
        assert!(all[1].task_states.is_empty());
    }

    #[test]
    fn a_command_that_cannot_be_started_is_told_without_its_script() {
        // As Nomad 1.11.3 says it.
        let said = "failed to launch command with executor: rpc error: code = Unknown desc = failed to \
                    start command path=\"/bin/sh\" --- args=[\"/bin/sh\" \"-c\" \"[ -z \\\"$a\\\" ]: x\\n\"]: \
                    fork/exec /bin/sh: permission denied";
        assert_eq!(
            super::without_arguments(said.to_owned()),
            "failed to launch command with executor: rpc error: code = Unknown desc = failed to start \
             command path=\"/bin/sh\": fork/exec /bin/sh: permission denied"
        );
        for other in ["Exit Code: 3", "", "x --- args=[1", "]: y --- args=[1"] {
            assert_eq!(super::without_arguments(other.to_owned()), other);
        }
    }

    fn allocation(tasks: serde_json::Value) -> Allocation {
        let wire: WireAllocation =
            serde_json::from_value(json!({"ID": "a", "TaskStates": tasks})).unwrap();
        wire.into()
    }

    fn trouble(failed: bool, events: serde_json::Value) -> Option<String> {
        let tasks = json!({"runner": {"State": "pending", "Failed": failed, "Events": events}});
        allocation(tasks).trouble().map(|trouble| trouble.to_string())
    }

    #[test]
    fn a_download_that_fails_is_the_reason() {
        // Kinds and the beginnings of texts as Nomad 1.11.3 has them; the last is the docker driver's.
        for (kind, message) in [
            ("Failed Artifact Download", "failed to download artifact \"http://a/absent\""),
            ("Driver Failure", "Failed to pull `nosuch:1`: API error (404)"),
            ("Failed Validation", "2 errors occurred"),
            ("Task hook failed", "template: template destination path escapes alloc directory"),
            ("Killing", "Template failed: (dynamic): parse"),
            ("Template", "Missing: nomad.var.block(absent@default.global)"),
        ] {
            let events = json!([{"Type": "Received", "DisplayMessage": "Task received by client"},
                {"Type": kind, "DisplayMessage": message},
                {"Type": "Restarting", "DisplayMessage": "Task restarting in 15s"}]);
            assert_eq!(trouble(false, events), Some(format!("task runner: {message}")));
        }
    }

    #[test]
    fn a_task_that_was_started_since_has_no_trouble() {
        let failed = json!({"Type": "Failed Artifact Download", "DisplayMessage": "x"});
        let started = json!({"Type": "Started", "DisplayMessage": "Task started by client"});
        assert_eq!(trouble(false, json!([failed, started])), None);
        let ended = json!({"Type": "Terminated", "Details": {"exit_code": "7"}});
        let told = trouble(true, json!([failed, started, ended]));
        assert_eq!(told.as_deref(), Some("task runner exited with 7"));
        let fine = json!({"Type": "Terminated", "Details": {"exit_code": "0"}});
        assert_eq!(trouble(false, json!([started, fine])), None);
    }

    #[test]
    fn the_task_that_failed_is_told_and_not_its_sibling() {
        let tasks = json!({
            "a": {"Failed": true, "Events": [{"Type": "Sibling Task Failed", "DisplayMessage": "Task's sibling \"b\" failed"}]},
            "b": {"Failed": true, "Events": [{"Type": "Driver Failure", "DisplayMessage": "no"}]}});
        assert_eq!(allocation(tasks).trouble().unwrap().to_string(), "task b: no");
    }

    #[test]
    fn texts_of_nomad_move_no_terminal() {
        let wire = json!({"ID": "a", "NodeName": "n\u{1b}]0;x\u{7}", "TaskStates": {"t\n": {"Events":
            [{"Type": "Driver Failure", "DisplayMessage": "1\n\t* ${NOMAD_SECRETS_DIR}\u{9b}"}]}}});
        let wire: WireAllocation = serde_json::from_value(wire).unwrap();
        let allocation = Allocation::from(wire);
        assert_eq!(allocation.node_name, "n ]0;x ");
        let told = allocation.trouble().unwrap().to_string();
        assert_eq!(told, "task t : 1  * $ {NOMAD_SECRETS_DIR}");
    }

    #[tokio::test]
    async fn null_is_none() {
        let server = MockServer::start().await;
        Mock::given(path("/v1/job/x/allocations"))
            .respond_with(ResponseTemplate::new(200).set_body_string("null"))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        assert_eq!(client.allocations(client.place(), "x").await.unwrap(), []);
    }
}
