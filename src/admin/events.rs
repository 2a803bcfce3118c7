//! `GET /events`: what happens, as server-sent events. Whoever comes back with `Last-Event-ID` gets what
//! it missed, or one `reset`: load anew.
//!
//! Nothing is kept for a watcher (`engine::Happenings`), and the listener drops one that takes nothing
//! of what is written.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::shared::Door;
use crate::engine::{News, Told, Watcher};
use crate::ledger::{About, DeliveryId, JobId, PoolName, RunId, RunnerName};

/// So that proxies and browsers know that the daemon is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After how long a browser whose connection was lost comes back.
const RETRY: Duration = Duration::from_secs(2);

/// The data of one. A contract with pages and scripts: add, do not rename.
#[derive(Debug, Serialize)]
struct Data<'a> {
    at: String,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner: Option<&'a RunnerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a PoolName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<&'a DeliveryId>,
    message: String,
}

pub async fn stream(State(shared): Door, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let watcher = match last {
        None => shared.happenings.watch(),
        // One that is none of ours is too old to go on from.
        Some(id) => shared.happenings.watch_after(id.parse().unwrap_or_default()),
    };
    let events = events(watcher, shared.stop.clone());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(events).keep_alive(keep_alive).into_response()
}

fn events(
    watcher: Watcher,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    // At once, so that whoever asked knows that it watches.
    let hello = Event::default().retry(RETRY);
    let rest = stream::unfold((watcher, stop), async |(mut watcher, stop)| {
        let news = stop.run_until_cancelled(watcher.next()).await??;
        Some((Ok(event(&news)), (watcher, stop)))
    });
    stream::StreamExt::chain(stream::iter([Ok(hello)]), rest)
}

fn event(news: &News) -> Event {
    match news {
        News::Missed(mark) => Event::default().event("reset").id(mark.to_string()).data("{}"),
        News::Told(mark, told) => Event::default()
            .event(kind(told.happening.what.name()))
            .id(mark.to_string())
            .data(data(told)),
    }
}

/// What it is about, by its name's first word.
fn kind(name: &str) -> &'static str {
    match name.split('.').next() {
        Some("job") => "job",
        Some("runner" | "dispatch") => "runner",
        Some("pool" | "breaker") => "pool",
        _ => "health",
    }
}

fn data(told: &Told) -> String {
    let About { job, run, repository, runner, pool, delivery } = &told.happening.about;
    let data = Data {
        at: told.at.to_string(),
        name: told.happening.what.name(),
        job: *job,
        run: *run,
        runner: runner.as_ref(),
        pool: pool.as_ref(),
        repository: repository.as_deref(),
        delivery: delivery.as_ref(),
        message: told.happening.to_string(),
    };
    // Texts and numbers alone: there is nothing in it that JSON cannot say.
    serde_json::to_string(&data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Happened, Time};

    #[test]
    fn an_event_says_when_what_and_about_whom() {
        let about = About {
            job: Some(JobId(7)),
            pool: Some(PoolName("x64".to_owned())),
            ..About::default()
        };
        let told = Told { at: Time(0), happening: Happened::JobRetried.about(about) };
        insta::assert_snapshot!(
            data(&told),
            @r#"{"at":"1970-01-01T00:00:00Z","name":"job.retried","job":7,"pool":"x64","message":"job is looked up again, as requested"}"#
        );
    }

    #[test]
    fn a_name_says_of_which_kind_it_is() {
        let kinds = ["job.queued", "dispatch.refused", "breaker.opened", "credential.failed"];
        assert_eq!(kinds.map(kind), ["job", "runner", "pool", "health"]);
    }
}
