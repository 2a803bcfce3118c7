//! A job's life as a trace, at a collector that speaks OTLP over HTTP: one trace for a job, by the conventions
//! for CI/CD; and a collector that is away or slow is nobody's trouble.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::until;
use crate::support::world::{Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

/// Takes spans as JSON, or answers with this status.
async fn collector(status: StatusCode) -> (SocketAddr, mpsc::UnboundedReceiver<Value>) {
    let (sender, spans) = mpsc::unbounded_channel();
    let take = move |body: String| async move {
        // A test that is over does not read on.
        let _ = sender.send(serde_json::from_str(&body).unwrap());
        (status, "{}")
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, spans)
}

async fn world(collector: SocketAddr) -> World {
    let mut world = World::around(Parts::start().await, Plan::default()).await;
    let traced = |command: &mut std::process::Command| {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
            .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    };
    world.daemon.start_with(&[], traced).await;
    world
}

/// By name, those of all batches until a job's root has come; it is sent last.
async fn spans(batches: &mut mpsc::UnboundedReceiver<Value>) -> BTreeMap<String, Value> {
    let mut spans = BTreeMap::new();
    while !spans.contains_key("RUN CI") {
        let batch = tokio::time::timeout(LIMIT, batches.recv()).await.expect("a batch").unwrap();
        let service = &batch["resourceSpans"][0]["resource"]["attributes"];
        assert!(service.to_string().contains("\"roustabout\""), "{service}");
        for span in batch["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap() {
            spans.insert(span["name"].as_str().unwrap().to_owned(), span.clone());
        }
    }
    spans
}

fn attributes(span: &Value) -> BTreeMap<&str, String> {
    span["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let value = pair["value"].as_object().unwrap().values().next().unwrap();
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (pair["key"].as_str().unwrap(), value)
        })
        .collect()
}

fn time(span: &Value, key: &str) -> u64 {
    span[key].as_str().map_or_else(|| span[key].as_u64().unwrap(), |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_one_trace_from_the_queue_to_its_last_step() {
    let (address, mut batches) = collector(StatusCode::OK).await;
    let world = world(address).await;
    let job = world.queue(world.app, 1, 200)[0];
    let spans = spans(&mut batches).await;
    let root = &spans["RUN CI"];
    assert_eq!(root["kind"], 2, "SERVER: {root}");
    let of_run = attributes(root);
    assert_eq!(of_run["cicd.pipeline.result"], "success");
    assert_eq!(of_run["vcs.repository.name"], "app");
    assert_eq!(of_run["roustabout.pool"], "x64");
    let task = spans
        .values()
        .find(|span| attributes(span).get("cicd.pipeline.task.run.id") == Some(&job.to_string()));
    let task = task.expect("the job itself");
    assert!(attributes(task).contains_key("cicd.worker.name"), "{task}");
    for (name, span) in &spans {
        assert_eq!(span["traceId"], root["traceId"], "{name} is of the same trace");
        let (from, until) = (time(span, "startTimeUnixNano"), time(span, "endTimeUnixNano"));
        assert!(from <= until, "{name}");
    }
    for name in ["queue", "room"] {
        assert!(spans.contains_key(name), "{name} of {:?}", spans.keys());
    }
    assert_eq!(spans["queue"]["parentSpanId"], root["spanId"]);
    assert_eq!(spans["room"]["parentSpanId"], spans["queue"]["spanId"]);
    world.until_nothing_is_left(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_is_told_once_and_holds_up_no_job() {
    let (address, _batches) = collector(StatusCode::BAD_REQUEST).await;
    let mut world = world(address).await;
    world.queue(world.app, 3, 200);
    world.until_nothing_is_left(LIMIT).await;
    let told = "traces cannot be sent";
    until("it is told", LIMIT, async || world.daemon.log().contains(told)).await;
    world.queue(world.app, 1, 200);
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(world.daemon.terminate().await, Some(0), "{}", world.daemon.log());
    assert_eq!(world.daemon.count_of(told), 1, "{}", world.daemon.log());
}
