//! Runs independent checks at the same time, a limited number at once and each with a time limit,
//! and returns their findings in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::finding::Finding;

/// Far below what GitHub and a Nomad agent allow (100 connections).
const AT_ONCE: usize = 8;
/// For one check; it may take several calls, of at most 10 s each.
const LIMIT: Duration = Duration::from_secs(30);

/// The findings of `looking`, or one that says that it took too long.
pub async fn within(
    subject: &str,
    fix: &str,
    looking: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    limited(LIMIT, subject, fix, looking).await
}

async fn limited(
    limit: Duration,
    subject: &str,
    fix: &str,
    looking: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    match tokio::time::timeout(limit, looking).await {
        Ok(findings) => findings,
        Err(_) => {
            let message = format!("no answer within {} s", limit.as_secs());
            vec![Finding::fail(subject, message, fix)]
        }
    }
}

/// Checks, in the order in which their findings are shown.
pub struct AtOnce {
    limit: Duration,
    places: Arc<Semaphore>,
    looking: Vec<(String, tokio::task::JoinHandle<Vec<Finding>>)>,
}

impl AtOnce {
    pub fn new() -> Self {
        Self { limit: LIMIT, places: Arc::new(Semaphore::new(AT_ONCE)), looking: Vec::new() }
    }

    pub fn add(
        &mut self,
        subject: impl Into<String>,
        fix: &'static str,
        looking: impl Future<Output = Vec<Finding>> + Send + 'static,
    ) {
        let subject = subject.into();
        let (limit, places, about) = (self.limit, self.places.clone(), subject.clone());
        let task = tokio::spawn(async move {
            // Never closed, so there is always a permit to come.
            let _place = places.acquire().await;
            limited(limit, &about, fix, looking).await
        });
        self.looking.push((subject, task));
    }

    pub async fn findings(self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (subject, task) in self.looking {
            findings.extend(task.await.unwrap_or_else(|error| {
                let message = format!("could not be checked: {error}");
                vec![Finding::fail(
                    subject,
                    message,
                    "this is a bug in roustabout: please report it",
                )]
            }));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_is_reported_and_delays_nothing_else() {
        let limit = Duration::from_millis(10);
        let mut at_once = AtOnce { limit, ..AtOnce::new() };
        at_once.add("slow", "wake it", std::future::pending());
        at_once.add("quick", "-", async { vec![Finding::ok("quick", "fine")] });
        assert_eq!(
            at_once.findings().await,
            [
                Finding::fail("slow", "no answer within 0 s", "wake it"),
                Finding::ok("quick", "fine")
            ]
        );
    }
}
