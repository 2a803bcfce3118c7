//! The Nomad agent that demo and tests start: it comes up, survives a kill, and leaves nothing.

use crate::support;

use std::path::Path;
use std::time::{Duration, Instant};

use local_parts::agent::{Agent, AgentError, AgentOptions};
use reqwest::Client;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use support::cluster;

async fn get(agent: &Agent, path: &str) -> Value {
    let mut request = Client::new().get(agent.address().join(path).unwrap());
    if let Some(token) = agent.token() {
        request = request.header("X-Nomad-Token", token.expose_secret());
    }
    request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

/// Registers a job whose task writes its id into `file` and then sleeps, in a session of its own.
async fn sleeper(agent: &Agent, file: &Path) -> String {
    let script = format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 600", file.display());
    let job = json!({ "Job": {
        "ID": "sleeper", "Type": "batch", "Datacenters": ["*"],
        "TaskGroups": [{ "Name": "g", "Tasks": [{
            "Name": "t", "Driver": "raw_exec",
            "Config": { "command": "/bin/sh", "args": ["-c", script] },
        }] }],
    } });
    let jobs = agent.address().join("/v1/jobs").unwrap();
    Client::new().post(jobs).json(&job).send().await.unwrap().error_for_status().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(pid) = std::fs::read_to_string(file) {
            return pid.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "the task did not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(stat.rsplit_once(')'), None | Some((_, "")))
        && !stat.rsplit_once(')').unwrap().1.starts_with(" Z")
}

#[tokio::test]
async fn a_stopped_agent_leaves_neither_tasks_nor_its_folder() {
    let agent = cluster::start().await;
    let folder = agent.folder().to_owned();
    let pid = sleeper(&agent, &folder.join("tmp/pid")).await;
    assert!(lives(&pid));
    agent.stop().await;
    assert!(!lives(&pid), "the task outlived its agent");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_dropped_agent_leaves_nothing_either() {
    let agent = cluster::start().await;
    let folder = agent.folder().to_owned();
    let pid = sleeper(&agent, &folder.join("tmp/pid")).await;
    drop(agent);
    assert!(!lives(&pid), "the task outlived its agent");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_persistent_agent_that_was_killed_knows_its_jobs_and_their_tasks_run_on() {
    let options = AgentOptions { persistent: true, ..cluster::options() };
    let mut agent = Agent::start(options).await.unwrap();
    let address = agent.address();
    let pid = sleeper(&agent, &agent.folder().join("tmp/pid")).await;
    agent.kill_hard();
    assert!(lives(&pid), "only the agent is killed");
    agent.restart().await.unwrap();
    assert_eq!(agent.address(), address);
    let allocations = get(&agent, "/v1/job/sleeper/allocations").await;
    assert_eq!(allocations.as_array().unwrap().len(), 1);
    assert!(lives(&pid));
    let folder = agent.folder().to_owned();
    agent.stop().await;
    assert!(!lives(&pid), "the task outlived its agent");
    assert!(!folder.exists());
}

#[tokio::test]
async fn with_acls_its_token_opens_what_is_closed_to_others() {
    let options = AgentOptions { acl: true, ..cluster::options() };
    let agent = Agent::start(options).await.unwrap();
    assert_eq!(get(&agent, "/v1/jobs").await, json!([]));
    let refused =
        Client::new().get(agent.address().join("/v1/jobs").unwrap()).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    agent.stop().await;
}

#[tokio::test]
async fn a_bad_configuration_is_told_with_the_agents_own_words() {
    let options = AgentOptions {
        extra_config: Some(json!({ "log_level": "SHOUTING" })),
        ..cluster::options()
    };
    let error = Agent::start(options).await.unwrap_err();
    assert!(matches!(error, AgentError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("SHOUTING"), "{error}");
}
