//! Carries webhooks to their hooks and reports how that went.
//!
//! Once each: GitHub does not retry. Many at a time, as the real one does; how late and in what
//! order they leave was decided in the model. Read next: `hooks/sending.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use super::hooks::{Delivery, Outcome};
use super::http::Server;
use super::model::Millis;

/// Docs, "Best practices for using webhooks": respond within 10 seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many are under way at once.
const AT_ONCE: usize = 16;
/// How much of an answer the log keeps.
const KEPT: usize = 64 * 1024;

/// The courier's task.
pub(super) fn run(
    server: Server,
    mut deliveries: mpsc::UnboundedReceiver<Delivery>,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    // Plain HTTP on this machine: no certificates, no proxy, and no redirects, as GitHub.
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(AT_ONCE)
        // Real deliveries are spelt `X-Github-…` on the wire (runs-on#539).
        .http1_title_case_headers()
        .tls_certs_only([])
        .build()
        .map_err(std::io::Error::other)?;
    let free = Arc::new(Semaphore::new(AT_ONCE));
    Ok(async move {
        while let Some(delivery) = deliveries.recv().await {
            let Ok(permit) = free.clone().acquire_owned().await else { return };
            let (server, client) = (server.clone(), client.clone());
            server.clone().spawn(async move {
                let outcome = deliver(&client, &delivery).await;
                server.with(|github, now| github.delivered(delivery, outcome, now));
                drop(permit);
            });
        }
    })
}

async fn deliver(client: &reqwest::Client, delivery: &Delivery) -> Outcome {
    let began = Instant::now();
    let mut request = client.post(&delivery.url).body(delivery.body.to_string());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let answer = async {
        let response = request.send().await?;
        let status_code = Some(response.status().as_u16());
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body: String = response.text().await?.chars().take(KEPT).collect();
        Ok::<_, reqwest::Error>(Outcome { status_code, headers, body, ..Outcome::default() })
    };
    let outcome = answer.await.unwrap_or_else(|error| {
        let error = if error.is_timeout() { "timed out" } else { "failed to connect to host" };
        Outcome { error: Some(error.to_owned()), ..Outcome::default() }
    });
    let duration = Millis::try_from(began.elapsed().as_millis()).unwrap_or(Millis::MAX);
    Outcome { duration, ..outcome }
}
