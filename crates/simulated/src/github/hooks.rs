//! Webhooks: who gets an event, how it is signed, and the log of deliveries.
//!
//! The model queues what is to be sent; carrying it and reporting the answer is the shell's duty
//! (`courier.rs`). GitHub never retries by itself. Read next: `hooks/sending.rs`.

mod sending;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::model::{GitHub, Millis};
use super::tokens::Scope;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ContentType {
    #[default]
    Json,
    Form,
}

impl ContentType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
        }
    }
}

/// A hook to be.
#[derive(Clone, Debug)]
pub struct HookSpec {
    pub url: String,
    pub secret: Option<String>,
    pub content_type: ContentType,
    /// `*` is all.
    pub events: Vec<String>,
    pub active: bool,
}

impl HookSpec {
    /// For `workflow_job`, as JSON, signed.
    #[must_use]
    pub fn new(url: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret: Some(secret.into()),
            content_type: ContentType::Json,
            events: vec!["workflow_job".to_owned()],
            active: true,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Hook {
    pub id: u64,
    /// Of an App's it means nothing.
    pub target: Scope,
    /// The App whose webhook it is.
    pub app: Option<u64>,
    pub spec: HookSpec,
    pub created_at: Millis,
    /// Status code and text of the last delivery.
    pub last_response: Option<(u16, String)>,
}

/// What goes wrong between the event and the hook. "GitHub may deliver webhooks in a different
/// order" (docs, "Troubleshooting webhooks"); lost ones are reported (ubicloud#1042).
#[derive(Clone, Debug, Default)]
pub struct DeliveryFaults {
    /// Chance that a delivery is never made, and not logged either.
    pub drop: f64,
    /// Chance that it is made twice, with the same GUID.
    pub duplicate: f64,
    /// Each is late by something drawn between these two: that is what reorders them.
    pub delay: (Millis, Millis),
}

/// One request to one hook, ready to be sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: u64,
    pub hook: u64,
    /// Shared by all hooks that get the event (OpenAPI, `hook-delivery-item.guid`), and kept when
    /// it is delivered again (docs, "Best practices for using webhooks").
    pub guid: String,
    pub event: String,
    pub action: Option<String>,
    pub repository: Option<u64>,
    /// Of an App's.
    pub installation: Option<u64>,
    pub redelivery: bool,
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// The raw body, as it was signed.
    pub body: Arc<str>,
    /// The payload inside the body.
    pub payload: Arc<str>,
    /// Not before this.
    pub due: Millis,
}

/// How a delivery ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// None: no answer.
    pub status_code: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    pub duration: Millis,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A delivery in the log.
#[derive(Clone, Debug)]
pub struct Logged {
    pub delivery: Delivery,
    pub delivered_at: Millis,
    pub outcome: Outcome,
}

impl Logged {
    /// `OK` for a 2xx, anything else is a failure (OpenAPI, `hook-delivery-item.status`).
    #[must_use]
    pub fn status(&self) -> String {
        match (self.outcome.status_code, &self.outcome.error) {
            (Some(200..=299), _) => "OK".to_owned(),
            (Some(code), _) => format!("Invalid HTTP Response: {code}"),
            (None, Some(error)) => error.clone(),
            (None, None) => "failed to connect to host".to_owned(),
        }
    }
}

impl GitHub {
    /// Deliveries that were made in the last three days, newest first.
    #[must_use]
    pub fn deliveries(&self, hook: u64) -> Vec<&Logged> {
        self.delivery_log.values().rev().filter(|entry| entry.delivery.hook == hook).collect()
    }

    /// The hooks of a repository or an organization, oldest first.
    #[must_use]
    pub fn hooks_at(&self, target: Scope) -> Vec<HookSpec> {
        self.hooks_of(target).map(|hook| hook.spec.clone()).collect()
    }

    pub(super) fn hooks_of(&self, target: Scope) -> impl Iterator<Item = &Hook> {
        self.hooks.values().filter(move |hook| hook.target == target && hook.app.is_none())
    }

    pub(super) fn subscribers(&self, repository: u64, event: &str) -> Vec<Hook> {
        let owner = self.repositories.get(&repository).map_or(0, |found| found.owner);
        let concerns = |hook: &&Hook| {
            hook.app.is_none()
                && (hook.target == Scope::Repository(repository)
                    || hook.target == Scope::Organization(owner))
        };
        let wants = |hook: &&Hook| {
            hook.spec.active && hook.spec.events.iter().any(|name| name == "*" || name == event)
        };
        self.hooks.values().filter(concerns).filter(wants).cloned().collect()
    }
}
