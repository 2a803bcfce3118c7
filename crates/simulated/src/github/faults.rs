//! Faults on order, and the record of requests.
//!
//! A rule says which requests it hits, how often, and what befalls them; the first rule that fits
//! is used up by one. Read next: `rest/mod.rs`, where they strike.

use serde_json::Value;

use super::model::{GitHub, Millis};

/// Hits the next `times` requests of the method (`*` for any) whose path contains the text.
#[derive(Clone, Debug)]
pub struct FaultRule {
    pub method: String,
    pub path_contains: String,
    pub times: u32,
    pub kind: FaultKind,
}

#[derive(Clone, Debug)]
pub enum FaultKind {
    /// Answers so and does nothing: 502 bursts on registration tokens are known from
    /// actions/runner#4399.
    Status(u16, Value),
    /// The secondary rate limit: 403 or 429 with `Retry-After` (docs, "Rate limits for the REST
    /// API", "Exceeding the rate limit").
    RetryAfter { status: u16, seconds: u64 },
    /// Acts, and answers so many milliseconds late.
    Slow(Millis),
    /// Acts, then the connection is cut without an answer: what makes the 409 of runs-on#30.
    ActThenDrop,
    /// The connection is cut before anything was done.
    DropBefore,
}

/// One request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    pub at: Millis,
    pub method: String,
    pub path: String,
    /// What was answered, or would have been where the connection was cut.
    pub status: u16,
}

impl GitHub {
    /// Orders a fault.
    pub fn fault(&mut self, rule: FaultRule) {
        self.faults.push(rule);
    }

    /// Ends all faults that were ordered.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// All REST requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> &[RequestRecord] {
        &self.requests
    }

    /// How many requests of the method had a path with that text in it.
    #[must_use]
    pub fn count_requests(&self, method: &str, path_contains: &str) -> usize {
        self.requests
            .iter()
            .filter(|one| one.method == method && one.path.contains(path_contains))
            .count()
    }

    /// Takes the fault that befalls this request, if any.
    pub(super) fn take_fault(&mut self, method: &str, path: &str) -> Option<FaultKind> {
        let rule = self.faults.iter_mut().find(|rule| {
            rule.times > 0
                && (rule.method == "*" || rule.method.eq_ignore_ascii_case(method))
                && path.contains(&rule.path_contains)
        })?;
        rule.times -= 1;
        let kind = rule.kind.clone();
        self.faults.retain(|rule| rule.times > 0);
        Some(kind)
    }
}
