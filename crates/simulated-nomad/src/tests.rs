//! The rules of the model, each by a small story.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::allocations::ClientStatus;
use super::children::JobStatus;
use super::dispatching::DispatchCall;
use super::jobs::{Disconnect, JobKey, JobSpec, PayloadRule};
use super::model::{HOUR, MINUTE, Millis, Nomad, SECOND};
use super::nodes::{NodeSpec, Outage};

fn parent() -> JobKey {
    JobKey::new("ci", "runner")
}

fn cluster(room: u64, spec: JobSpec) -> Nomad {
    let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
    nomad.add_node("one", NodeSpec::with_room_for(room), 0);
    nomad.register(parent(), spec, 0);
    nomad
}

fn dispatch(nomad: &mut Nomad, token: &str, now: Millis) -> JobKey {
    let call = DispatchCall { token: Some(token.to_owned()), ..DispatchCall::default() };
    JobKey::new("ci", &nomad.dispatch(&parent(), call, now).unwrap().child)
}

/// Runs until `until`, and says which tasks have begun.
fn run(nomad: &mut Nomad, until: Millis) -> Vec<String> {
    nomad.tick(until);
    nomad.take_started().into_iter().map(|started| started.allocation).collect()
}

fn statuses(nomad: &Nomad, child: &JobKey) -> Vec<ClientStatus> {
    nomad.allocations_of(child).map(|one| one.client_status).collect()
}

#[test]
fn a_child_is_placed_runs_and_ends() {
    let mut nomad = cluster(1, JobSpec::default());
    let child = dispatch(&mut nomad, "a", 0);
    assert_eq!(nomad.status(&child), Some(JobStatus::Pending));
    let tasks = run(&mut nomad, 10 * SECOND);
    assert_eq!(nomad.status(&child), Some(JobStatus::Running));
    nomad.task_exited(&tasks[0], 0, 20 * SECOND);
    assert_eq!(nomad.status(&child), Some(JobStatus::Dead));
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Complete]);
    assert!(nomad.leftovers().is_empty());
}

#[test]
fn a_token_is_known_until_its_child_is_collected() {
    let mut nomad = cluster(2, JobSpec::default());
    let child = dispatch(&mut nomad, "a", 0);
    assert_eq!(dispatch(&mut nomad, "a", 1), child);
    assert_ne!(dispatch(&mut nomad, "b", 1), child);
    nomad.stop(&child, false, 2);
    assert_eq!(dispatch(&mut nomad, "a", 3), child, "also when it is dead");
    nomad.tick(4 * HOUR + 10 * MINUTE);
    assert!(nomad.child(&child).is_none());
    assert_ne!(dispatch(&mut nomad, "a", 5 * HOUR), child);
}

#[test]
fn refusals_are_in_nomads_words() {
    let spec = JobSpec {
        payload: Some(PayloadRule::Forbidden),
        meta_required: vec!["runner_name".to_owned()],
        ..JobSpec::default()
    };
    let mut nomad = cluster(1, spec);
    let mut refused = |key: &JobKey, payload: Option<&str>, meta: &[&str]| {
        let meta = meta.iter().map(|key| ((*key).to_owned(), String::new())).collect();
        let call = DispatchCall {
            payload: payload.map(|text| text.as_bytes().to_vec()),
            meta,
            ..DispatchCall::default()
        };
        nomad.dispatch(key, call, 0).unwrap_err().text
    };
    assert_eq!(
        refused(&JobKey::new("default", "runner"), None, &[]),
        "parameterized job not found"
    );
    assert!(refused(&parent(), Some("x"), &["runner_name"]).contains("forbidden"));
    assert!(refused(&parent(), None, &[]).ends_with("required meta keys: [runner_name]"));
    assert!(refused(&parent(), None, &["runner_name", "b"]).ends_with("metadata keys: [b]"));
    nomad.stop(&parent(), false, 0);
    let call = DispatchCall::default();
    let text = nomad.dispatch(&parent(), call, 0).unwrap_err().text;
    assert_eq!(text, "Specified job \"runner\" is stopped");
}

#[test]
fn without_room_a_child_is_blocked_until_there_is_some() {
    let mut nomad = cluster(1, JobSpec::default());
    let first = dispatch(&mut nomad, "a", 0);
    let tasks = run(&mut nomad, 10 * SECOND);
    let second = dispatch(&mut nomad, "b", 10 * SECOND);
    nomad.tick(20 * SECOND);
    assert_eq!(nomad.status(&second), Some(JobStatus::Pending));
    let why = nomad
        .evaluations_of(&second)
        .find_map(|one| one.failures.values().next().cloned())
        .unwrap();
    assert_eq!((why.nodes_evaluated, why.nodes_exhausted), (1, 1));
    assert_eq!(why.dimension_exhausted.get("cpu"), Some(&1));
    nomad.task_exited(&tasks[0], 0, 30 * SECOND);
    assert!(!nomad.is_alive(&first));
    assert_eq!(run(&mut nomad, 40 * SECOND).len(), 1);
    assert_eq!(nomad.status(&second), Some(JobStatus::Running));
}

#[test]
fn a_stop_makes_the_job_dead_before_its_task() {
    let spec = JobSpec { poststop: Some(3 * SECOND), ..JobSpec::default() };
    let mut nomad = cluster(1, spec);
    let child = dispatch(&mut nomad, "a", 0);
    run(&mut nomad, 10 * SECOND);
    nomad.stop(&child, false, 10 * SECOND);
    // When the stop's evaluation has been worked on.
    nomad.tick(11 * SECOND);
    assert_eq!(nomad.status(&child), Some(JobStatus::Dead));
    assert!(nomad.is_alive(&child));
    assert_eq!(nomad.take_signalled().len(), 1);
    nomad.tick(16 * SECOND);
    assert_eq!(nomad.take_killed().len(), 1);
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Pending], "while its poststop runs");
    nomad.tick(20 * SECOND);
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Complete]);
    assert!(!nomad.is_alive(&child));
}

#[test]
fn a_lost_allocation_is_replaced() {
    let mut nomad = cluster(1, JobSpec::default());
    let child = dispatch(&mut nomad, "a", 0);
    let first = run(&mut nomad, 10 * SECOND);
    nomad.silence("one", Outage::CutOff, 10 * SECOND);
    nomad.add_node("two", NodeSpec::with_room_for(1), 10 * SECOND);
    let second = run(&mut nomad, 60 * SECOND);
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Lost, ClientStatus::Running]);
    assert!(nomad.process_lives(&first[0]), "nobody could tell it to stop");
    nomad.restore("one", 60 * SECOND);
    nomad.tick(70 * SECOND);
    assert_eq!(nomad.take_killed(), first);
    nomad.task_exited(&second[0], 1, 70 * SECOND);
    assert_eq!(nomad.status(&child), Some(JobStatus::Dead));
    assert!(nomad.leftovers().is_empty(), "{:?}", nomad.leftovers());
}

#[test]
fn an_unknown_allocation_runs_on_when_its_node_is_back() {
    let disconnect = Some(Disconnect { lost_after: HOUR, replace: false });
    let mut nomad = cluster(1, JobSpec { disconnect, ..JobSpec::default() });
    let child = dispatch(&mut nomad, "a", 0);
    let tasks = run(&mut nomad, 10 * SECOND);
    nomad.silence("one", Outage::CutOff, 10 * SECOND);
    nomad.tick(MINUTE);
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Unknown]);
    nomad.restore("one", 2 * MINUTE);
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Running]);
    nomad.silence("one", Outage::CutOff, 3 * MINUTE);
    nomad.task_exited(&tasks[0], 0, 4 * MINUTE);
    nomad.tick(5 * MINUTE);
    nomad.restore("one", 6 * MINUTE);
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Complete]);
}

#[test]
fn a_drained_node_ends_its_tasks_at_the_deadline() {
    let mut nomad = cluster(1, JobSpec::default());
    let child = dispatch(&mut nomad, "a", 0);
    run(&mut nomad, 10 * SECOND);
    nomad.drain("one", MINUTE, 10 * SECOND);
    let waiting = dispatch(&mut nomad, "b", 11 * SECOND);
    nomad.tick(2 * MINUTE);
    assert_eq!(nomad.status(&child), Some(JobStatus::Dead));
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Complete], "and not replaced");
    assert_eq!(nomad.status(&waiting), Some(JobStatus::Pending));
    nomad.enable("one", 2 * MINUTE);
    assert_eq!(run(&mut nomad, 3 * MINUTE).len(), 1);
}

#[test]
fn a_purge_forgets_the_child_but_not_its_process() {
    let mut nomad = cluster(1, JobSpec::default());
    let child = dispatch(&mut nomad, "a", 0);
    let tasks = run(&mut nomad, 10 * SECOND);
    nomad.stop(&child, true, 10 * SECOND);
    assert!(nomad.child(&child).is_none() && nomad.allocation(&tasks[0]).is_none());
    assert!(nomad.process_lives(&tasks[0]));
    nomad.tick(20 * SECOND);
    assert_eq!(nomad.take_killed(), tasks);
    assert!(nomad.leftovers().is_empty());
}

#[test]
fn a_stopped_allocation_is_replaced() {
    let mut nomad = cluster(2, JobSpec::default());
    let child = dispatch(&mut nomad, "a", 0);
    let tasks = run(&mut nomad, 10 * SECOND);
    nomad.stop_allocation(&tasks[0], 10 * SECOND);
    nomad.tick(MINUTE);
    assert_eq!(statuses(&nomad, &child), [ClientStatus::Complete, ClientStatus::Running]);
}

#[test]
fn an_ordinary_job_runs_as_a_child_does() {
    let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
    nomad.add_node("one", NodeSpec::with_room_for(1), 0);
    let key = JobKey::new("ci", "once");
    nomad.register(key.clone(), JobSpec { payload: None, ..JobSpec::default() }, 0);
    let tasks = run(&mut nomad, 10 * SECOND);
    assert_eq!(nomad.status(&key), Some(JobStatus::Running));
    assert_eq!(nomad.child(&key).unwrap().definition.group(), "group");
    let refused = nomad.dispatch(&key, DispatchCall::default(), 10 * SECOND).unwrap_err().text;
    assert_eq!(refused, "Specified job \"once\" is not a parameterized job");
    nomad.task_exited(&tasks[0], 0, 20 * SECOND);
    assert_eq!(nomad.status(&key), Some(JobStatus::Dead));
    nomad.stop(&key, true, 30 * SECOND);
    assert!(nomad.child(&key).is_none() && nomad.versions(&key).is_empty());
}
