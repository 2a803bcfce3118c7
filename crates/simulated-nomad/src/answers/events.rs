//! Events in JSON: what a write changed, as it was then.
//!
//! Jobs are told as they are kept, so a payload is compressed. Read next: `../changes.rs`,
//! `../stream.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{allocation_shapes, evaluations, nodes, shapes};
use crate::changes::{Frame, Subject};
use crate::children::Child;
use crate::http::View;
use crate::stream::{Event, Told};

/// None where there is nothing to tell.
pub(crate) fn told(view: &View<'_>, frame: Frame) -> Option<Told> {
    let events: Vec<Event> =
        frame.subjects.into_iter().map(|subject| event(view, frame.kind, subject)).collect();
    (!events.is_empty()).then_some(Told { index: frame.index, events })
}

fn event(view: &View<'_>, kind: &'static str, subject: Subject) -> Event {
    match subject {
        Subject::Child { key, child, deleted } => {
            let mut job = shapes::child(&key, &child);
            job["Payload"] = json!(payload(&child));
            of_job(kind, key.namespace, key.id, job, deleted)
        }
        Subject::Registered { key, job, deleted } => {
            let shown = shapes::registered(&key, &job);
            of_job(kind, key.namespace, key.id, shown, deleted)
        }
        Subject::Evaluation(one) => Event {
            topic: "Evaluation",
            kind,
            key: one.id.clone(),
            namespace: one.job.namespace.clone(),
            filter_keys: Some(vec![one.job.id.clone(), String::new()]),
            payload: json!({"Evaluation": evaluations::shape(&one)}),
        },
        Subject::Allocation(one) => Event {
            topic: "Allocation",
            kind,
            key: one.id.clone(),
            namespace: one.child.namespace.clone(),
            filter_keys: Some(vec![one.child.id.clone(), String::new()]),
            payload: json!({"Allocation": allocation_shapes::told(view, &one)}),
        },
        Subject::Node(node) => Event {
            topic: "Node",
            kind,
            key: node.id.clone(),
            namespace: String::new(),
            filter_keys: None,
            payload: json!({"Node": nodes::whole(&node)}),
        },
    }
}

fn of_job(kind: &'static str, namespace: String, id: String, job: Value, deleted: bool) -> Event {
    let payload = if deleted { json!({"Job": job, "Deleted": true}) } else { json!({"Job": job}) };
    Event { topic: "Job", kind, key: id, namespace, filter_keys: None, payload }
}

/// As it is kept; a dispatch without any has an empty one.
fn payload(child: &Child) -> Option<String> {
    if child.parent.is_empty() {
        return None;
    }
    let bytes = child.payload.as_deref().unwrap_or_default();
    // Fails for more than 4 GB.
    snap::raw::Encoder::new().compress_vec(bytes).ok().map(|it| STANDARD.encode(it))
}
