//! Sends spans by OTLP over HTTP, as the variables `OTEL_*` say. The queue is bounded and what does not fit
//! is dropped: a collector that is away or slow costs memory for 2048 spans, and one log line.
//!
//! The exporter works on a thread of its own; its requests are made by the daemon's runtime, with the same
//! HTTP client and rules for proxies as all others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::trace::{SpanContext, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData};
use tokio::runtime::Handle;
use tracing::{info, warn};
use url::Url;

use super::life::{Kind, Span};
use crate::ledger::Time;

/// How long the daemon's end may be held up.
pub(super) const AT_THE_END: Duration = Duration::from_secs(3);
/// Of one request, its answer included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A variable that names the collector; the first that is set counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// How many spans can wait. The memory for them is taken at the start.
const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const LONGEST_QUEUE: usize = 100_000;

/// `None`: no collector is named, or `OTEL_SDK_DISABLED` is `true`.
pub(super) fn provider() -> anyhow::Result<Option<SdkTracerProvider>> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = ENDPOINTS.iter().find_map(|name| set(name).map(|value| (*name, value)));
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let Some((name, endpoint)) = named.filter(|_| !disabled) else { return Ok(None) };
    // Not repeated: it may have a password or a token in it.
    let url = Url::parse(&endpoint).ok().filter(|url| {
        url.has_host() && matches!(url.scheme(), "http" | "https") && url.username().is_empty()
    });
    let url = url.with_context(|| {
        format!("{name}: not the URL of a collector; use for example http://127.0.0.1:4318, and OTEL_EXPORTER_OTLP_HEADERS for a token")
    })?;
    if let Some(length) = set(QUEUE) {
        check_queue(&length)?;
    }
    let shown = url.origin().ascii_serialization();
    let http = transport::builder_for(&url).timeout(TIMEOUT).build();
    let http = http.context("cannot set up the connection to the collector of traces")?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(OnRuntime { http, runtime: Handle::current() })
        .build()
        .with_context(|| format!("cannot send traces to {shown}"))?;
    let exporter = Telling { exporter, fails: AtomicBool::new(false) };
    let mut resource = Resource::builder();
    if set("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("roustabout");
    }
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.with_attribute(version).build())
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .build();
    info!(to = shown, "sending traces of jobs");
    Ok(Some(provider))
}

/// The library would take what is no number for its default, and abort for want of memory.
fn check_queue(length: &str) -> anyhow::Result<()> {
    let fits = length.parse().is_ok_and(|length| (1..=LONGEST_QUEUE).contains(&length));
    anyhow::ensure!(
        fits,
        "{QUEUE}: {length:?} is not a number from 1 to {LONGEST_QUEUE}; use for example {QUEUE}=2048, or unset it"
    );
    Ok(())
}

/// Hands it to the queue, which does not block.
pub(super) fn send(life: &Span, provider: &SdkTracerProvider) {
    let tracer = provider.tracer("roustabout");
    let parent = Context::new();
    give(life, &tracer, &parent);
}

fn give(span: &Span, tracer: &opentelemetry_sdk::trace::SdkTracer, parent: &Context) {
    let kind = match span.kind {
        Kind::Server => SpanKind::Server,
        Kind::Internal => SpanKind::Internal,
    };
    let builder = SpanBuilder::from_name(span.name.clone())
        .with_kind(kind)
        .with_start_time(system(span.from))
        .with_attributes(span.attributes.clone());
    let mut given = tracer.build_with_context(builder, parent);
    if let Some(error) = &span.error {
        given.set_status(Status::error(error.clone()));
    }
    let context: SpanContext = given.span_context().clone();
    let inside = Context::new().with_remote_span_context(context);
    for part in &span.inside {
        give(part, tracer, &inside);
    }
    given.end_with_timestamp(system(span.until));
}

fn system(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(time.0).unwrap_or(0))
}

/// Says once that nothing arrives, and once that it does again.
#[derive(Debug)]
struct Telling {
    exporter: SpanExporter,
    fails: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        let failed = outcome.is_err();
        match (&outcome, self.fails.swap(failed, Ordering::Relaxed)) {
            (Err(error), false) => warn!(
                spans,
                reason = %strangers_text::harmless(&error.to_string()),
                "traces cannot be sent; they are dropped until the collector answers"
            ),
            (Ok(()), true) => info!(spans, "traces are sent again"),
            _ => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        opentelemetry_sdk::trace::SpanExporter::shutdown_with_timeout(&self.exporter, timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Our HTTP client, for a caller that is on no runtime.
#[derive(Debug)]
struct OnRuntime {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let http = self.http.clone();
        let answer = self.runtime.spawn(async move {
            let answer = http.execute(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let (status, headers, body) = answer.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_no_memory_holds_is_refused() {
        for wrong in ["0", "-1", "many", "100001", "18446744073709551615"] {
            let told = check_queue(wrong).expect_err(wrong).to_string();
            assert!(told.starts_with("OTEL_BSP_MAX_QUEUE_SIZE: "), "{told}");
        }
        for right in ["1", "2048", "100000"] {
            assert!(check_queue(right).is_ok(), "{right}");
        }
    }
}
