//! `GET /metrics`: what is counted (`crate::metrics`), and how things stand now.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::shared::{Door, Shared, ask};
use crate::engine::StatusView;
use crate::metrics::{Exposition, Format, Kind, write_process};

pub async fn metrics(State(shared): Door, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::wanted(accept);
    let mut to = Exposition::new(format);
    to.family("roustabout_build_info", Kind::Gauge, "The version; always 1.");
    to.gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    webhooks(&shared, &mut to);
    shared.metrics.write(&mut to);
    // Where the engine does not answer the rest is told all the same.
    if let Ok(status) = ask(shared.asking.status()).await {
        pools(&status, &mut to);
    }
    parts(&shared, &mut to);
    shared.store.write_metrics(&mut to);
    write_process(&mut to);
    ([(header::CONTENT_TYPE, format.content_type())], to.finish()).into_response()
}

fn webhooks(shared: &Shared, to: &mut Exposition) {
    let help = "Requests to the public door, by how they were answered.";
    to.family("roustabout_webhooks", Kind::Counter, help);
    let counted = shared.tally.as_ref().map(|tally| tally.deliveries().outcomes);
    for (outcome, count) in counted.unwrap_or_default() {
        to.counter(&[("outcome", outcome)], count);
    }
}

fn pools(status: &StatusView, to: &mut Exposition) {
    to.family("roustabout_jobs_waiting", Kind::Gauge, "Jobs that wait for a runner, by why.");
    for pool in &status.pools {
        for (reason, jobs) in &pool.waiting_by_reason {
            to.gauge(&[("pool", &pool.name), ("reason", reason)], *jobs as f64);
        }
    }
    let help = "How long the job has waited that waits longest; 0 where none waits.";
    to.family("roustabout_oldest_waiting_seconds", Kind::Gauge, help);
    for pool in &status.pools {
        to.gauge(&[("pool", &pool.name)], pool.oldest_waiting.unwrap_or_default() as f64);
    }
    to.family("roustabout_runners", Kind::Gauge, "Runners by state.");
    for pool in &status.pools {
        for (state, runners) in &pool.runners {
            to.gauge(&[("pool", &pool.name), ("state", state)], *runners as f64);
        }
    }
    to.family("roustabout_runners_max", Kind::Gauge, "The pool's max_runners.");
    for pool in &status.pools {
        to.gauge(&[("pool", &pool.name)], f64::from(pool.max_runners));
    }
    let help = "Idle runners that [[pools.warm]] asks for now.";
    to.family("roustabout_warm_runners_asked", Kind::Gauge, help);
    for pool in &status.pools {
        to.gauge(&[("pool", &pool.name)], pool.warm_asked as f64);
    }
    let help = "Warm runners that are registered and idle.";
    to.family("roustabout_warm_runners_idle", Kind::Gauge, help);
    for pool in &status.pools {
        to.gauge(&[("pool", &pool.name)], pool.warm_idle as f64);
    }
    let help = "1 while the pool's circuit breaker is open: runners end without a job.";
    to.family("roustabout_breaker_open", Kind::Gauge, help);
    for pool in &status.pools {
        to.gauge(&[("pool", &pool.name)], f64::from(u8::from(pool.breaker_open)));
    }
}

/// What the daemon works with.
fn parts(shared: &Shared, to: &mut Exposition) {
    let help = "Requests left until GitHub's rate limit is set anew.";
    to.family("roustabout_github_rate_limit_remaining", Kind::Gauge, help);
    let forges = &shared.explainer.forges;
    for ((forge, _), credential) in forges.all().zip(forges.credentials()) {
        if let Some((left, first)) = forge.remaining().zip(credential.owners.first()) {
            to.gauge(&[("credential", first)], left as f64);
        }
    }
    to.family("roustabout_degraded", Kind::Gauge, "1 while this part is in trouble.");
    let forge = forges.name().to_lowercase();
    for part in [forge.as_str(), "nomad", "vault", "store", "secrets"] {
        let is = shared.asking.health.is_degraded(part);
        to.gauge(&[("part", part)], f64::from(u8::from(is)));
    }
}
