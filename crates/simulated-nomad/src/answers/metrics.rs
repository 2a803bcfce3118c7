//! `GET /v1/metrics`, in JSON or for Prometheus: some of Nomad's gauges about jobs, evaluations and
//! the node's room. Nothing is measured of the process itself.
//!
//! Read next: `routes.rs`.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use crate::allocations::ClientStatus;
use crate::children::JobStatus;
use crate::evaluations::EvaluationStatus;
use crate::http::View;
use crate::nodes::{Node, NodeStatus};

/// What Prometheus reads.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

struct Gauge {
    name: String,
    labels: Vec<(&'static str, String)>,
    value: u64,
}

pub(super) fn metrics(call: &Call) -> Reply {
    let host = call.server.config().name.clone();
    let (gauges, now) = call.server.view(|view, now| (all(view, &host), now));
    if call.query.get("format") == Some("prometheus") {
        return Ok(([(header::CONTENT_TYPE, FORMAT)], exposed(&gauges)).into_response());
    }
    let shown = |gauge: &Gauge| {
        let labels: serde_json::Map<String, Value> =
            gauge.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({"Name": gauge.name, "Value": gauge.value, "Labels": labels})
    };
    let at = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    Ok(call.json(&json!({
        "Timestamp": at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        "Gauges": gauges.iter().map(shown).collect::<Value>(),
        "Points": [], "Counters": [], "Samples": [],
    })))
}

fn all(view: &View<'_>, host: &str) -> Vec<Gauge> {
    let nomad = &*view.nomad;
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let evaluations = || nomad.children().flat_map(|(key, _)| nomad.evaluations_of(key));
    let with = |status| evaluations().filter(|one| one.status == status).count();
    let blocked = count(with(EvaluationStatus::Blocked));
    let ready = count(with(EvaluationStatus::Pending));
    let of = |status| {
        let children = nomad.children().filter(|(key, _)| nomad.status(key) == Some(status));
        let registered = nomad.registered().filter(|(_, job)| {
            (if job.stop { JobStatus::Dead } else { JobStatus::Running }) == status
        });
        count(children.count() + registered.count())
    };
    let of_servers = [
        ("blocked_evals.total_blocked", blocked),
        ("blocked_evals.total_escaped", 0),
        ("blocked_evals.total_quota_limit", 0),
        ("broker.total_pending", 0),
        ("broker.total_ready", ready),
        ("broker.total_unacked", 0),
        ("broker.total_waiting", 0),
        (
            "heartbeat.active",
            count(nomad.nodes().filter(|node| node.status == NodeStatus::Ready).count()),
        ),
        ("job_status.dead", of(JobStatus::Dead)),
        ("job_status.pending", of(JobStatus::Pending)),
        ("job_status.running", of(JobStatus::Running)),
        ("plan.queue_depth", 0),
    ];
    let mut gauges: Vec<Gauge> = of_servers
        .into_iter()
        .map(|(name, value)| Gauge {
            name: format!("nomad.nomad.{name}"),
            labels: vec![("host", host.to_owned())],
            value,
        })
        .collect();
    for node in nomad.nodes() {
        gauges.extend(of_client(view, node, host));
    }
    gauges
}

fn of_client(view: &View<'_>, node: &Node, host: &str) -> Vec<Gauge> {
    let all = view.nomad.children().flat_map(|(key, _)| view.nomad.allocations_of(key));
    let on_it: Vec<_> = all.filter(|one| one.node == node.id).collect();
    let with = |status| on_it.iter().filter(|one| one.client_status == status).count();
    let over = on_it.iter().filter(|one| one.client_status.is_terminal()).count();
    let running = on_it.iter().filter(|one| !one.client_status.is_terminal());
    let (cpu, memory) = running
        .fold((0, 0), |(cpu, memory), one| (cpu + one.needs.cpu_mhz, memory + one.needs.memory_mb));
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let labels = vec![
        ("datacenter", node.spec.datacenter.clone()),
        ("host", host.to_owned()),
        ("node_class", "none".to_owned()),
        ("node_id", node.id.clone()),
        ("node_pool", node.spec.pool.clone()),
        ("node_status", node.status.as_str().to_owned()),
    ];
    [
        ("allocated.cpu", cpu),
        ("allocated.memory", memory),
        ("allocations.blocked", 0),
        ("allocations.pending", count(with(ClientStatus::Pending))),
        ("allocations.running", count(with(ClientStatus::Running))),
        ("allocations.terminal", count(over)),
        ("unallocated.cpu", node.spec.cpu_mhz.saturating_sub(cpu)),
        ("unallocated.memory", node.spec.memory_mb.saturating_sub(memory)),
    ]
    .into_iter()
    .map(|(name, value)| Gauge {
        name: format!("nomad.client.{name}"),
        labels: labels.clone(),
        value,
    })
    .collect()
}

/// In Prometheus' text format.
fn exposed(gauges: &[Gauge]) -> String {
    let (mut out, mut before) = (String::new(), String::new());
    for gauge in gauges {
        let name = gauge.name.replace(['.', '-'], "_");
        // Writing to text does not fail.
        if name != before {
            let _ = write!(out, "# HELP {name} {name}\n# TYPE {name} gauge\n");
        }
        let labels: Vec<String> =
            gauge.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let _ = writeln!(out, "{name}{{{}}} {}", labels.join(","), gauge.value);
        before = name;
    }
    out
}
