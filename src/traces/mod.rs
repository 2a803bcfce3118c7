//! A workflow job that has ended, as one OpenTelemetry trace (feature `otel`): follows what happens, reads
//! the job and its runner from the store, and hands their spans to the exporter. It decides nothing, and
//! whether its collector answers is nobody else's concern.
//!
//! `life` makes the spans of a job, `export` sends them. What they mean is in `docs/traces.md`.

mod export;
mod life;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::engine::{News, Watcher};
use crate::ledger::{Happened, JobId, JobStatus};
use crate::store::Readers;

/// Ends with [`Traces::stop`], which sends what is still waiting.
pub struct Traces {
    provider: SdkTracerProvider,
    following: JoinHandle<()>,
}

/// `None` where the environment names no collector (`OTEL_EXPORTER_OTLP_ENDPOINT`).
pub fn start(watcher: Watcher, readers: Readers) -> anyhow::Result<Option<Traces>> {
    let Some(provider) = export::provider()? else { return Ok(None) };
    let following = tokio::spawn(follow(watcher, readers, provider.clone()));
    Ok(Some(Traces { provider, following }))
}

impl Traces {
    /// Waits some seconds at most for the collector.
    pub async fn stop(self) {
        self.following.abort();
        // Its requests are sent by this runtime, which must not be held up by waiting for them.
        let ended = tokio::task::spawn_blocking(move || {
            self.provider.shutdown_with_timeout(export::AT_THE_END)
        });
        // The exporter has told of what could not be sent.
        let _ = ended.await;
    }
}

async fn follow(mut watcher: Watcher, readers: Readers, provider: SdkTracerProvider) {
    while let Some(news) = watcher.next().await {
        match news {
            News::Missed(_) => warn!("some jobs ended faster than their traces could be made"),
            News::Told(_, told) => {
                let ended = matches!(
                    told.happening.what,
                    Happened::JobStatus { status: JobStatus::Completed, .. }
                );
                if let Some(job) = told.happening.about.job.filter(|_| ended) {
                    trace(&readers, job, &provider).await;
                }
            }
        }
    }
}

async fn trace(readers: &Readers, id: JobId, provider: &SdkTracerProvider) {
    let read = readers.read(move |reader| Ok((reader.job(id)?, reader.runners_of(id)?))).await;
    match read {
        Ok((Some(job), runners)) => {
            let taken = job.report.runner_name.as_deref();
            let runner = runners.iter().find(|runner| Some(runner.name.as_str()) == taken);
            if let Some(life) = life::of(&job, runner) {
                export::send(&life, provider);
            }
        }
        // Pruned already, by somebody who keeps nothing.
        Ok((None, _)) => {}
        Err(error) => warn!(job = id.0, %error, "no trace of the job: it cannot be read"),
    }
}
