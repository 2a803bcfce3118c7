//! From an event to signed deliveries, and from their outcomes to the log.
//!
//! Headers and signatures as in the docs' page "Webhook events and payloads". Read next:
//! `../courier.rs`.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use super::{ContentType, Delivery, Hook, HookSpec, Logged, Outcome};
use crate::github::happenings::What;
use crate::github::json;
use crate::github::model::{DAY, GitHub, Millis};
use crate::github::tokens::Scope;

impl GitHub {
    /// Adds a hook to a repository or an organization; a `ping` goes out at once (docs, "ping").
    pub fn add_hook(&mut self, target: Scope, spec: HookSpec, now: Millis) -> u64 {
        let id = self.new_id(109_948_000);
        let hook = Hook { id, target, app: None, spec, created_at: now, last_response: None };
        let payload = json::ping(self, &hook);
        self.hooks.insert(id, hook.clone());
        let guid = self.draw_guid();
        let repository = match target {
            Scope::Repository(id) => Some(id),
            Scope::Organization(_) => None,
        };
        let payload: Arc<str> = payload.to_string().into();
        self.queue_delivery(&hook, &guid, ("ping", None), repository, &payload, now);
        id
    }

    /// Changes a hook.
    pub fn hook_mut(&mut self, id: u64) -> Option<&mut HookSpec> {
        self.hooks.get_mut(&id).map(|hook| &mut hook.spec)
    }

    /// The payload of `workflow_job` for the job as it is now, for those who deliver it themselves.
    #[must_use]
    pub fn job_payload(&self, job: u64, action: &str) -> String {
        json::job_event(self, job, action).to_string()
    }

    /// Sends `workflow_job` for the job as it is now.
    pub(in crate::github) fn emit_job(&mut self, job: u64, action: &str, now: Millis) {
        let Some(repository) =
            self.jobs.get(&job).and_then(|job| self.runs.get(&job.run)).map(|run| run.repository)
        else {
            return;
        };
        let hooks = self.subscribers(repository, "workflow_job");
        let hooks = hooks.into_iter().map(|hook| (hook, None));
        let of_apps = self.app_subscribers(repository, "workflow_job").into_iter();
        let hooks: Vec<_> =
            hooks.chain(of_apps.map(|(hook, installation)| (hook, Some(installation)))).collect();
        if hooks.is_empty() {
            return;
        }
        let payload = json::job_event(self, job, action);
        self.emit(&hooks, ("workflow_job", Some(action)), repository, &payload, now);
    }

    fn emit(
        &mut self,
        hooks: &[(Hook, Option<u64>)],
        event: (&str, Option<&str>),
        repository: u64,
        payload: &Value,
        now: Millis,
    ) {
        let guid = self.draw_guid();
        for (hook, installation) in hooks {
            let mut payload = payload.clone();
            if let Some(installation) = installation {
                json::add_installation(&mut payload, *installation);
            }
            let payload: Arc<str> = payload.to_string().into();
            let faults = self.delivery_faults.clone();
            if self.rng.random_bool(faults.drop.clamp(0.0, 1.0)) {
                continue;
            }
            let times = if self.rng.random_bool(faults.duplicate.clamp(0.0, 1.0)) { 2 } else { 1 };
            for _ in 0..times {
                let (least, most) = faults.delay;
                let due = now + self.rng.random_range(least..=most.max(least));
                self.queue_delivery(hook, &guid, event, Some(repository), &payload, due);
                if let Some(queued) = self.outbox.last_mut() {
                    queued.installation = *installation;
                }
            }
        }
    }

    /// One of an App's, for an installation.
    pub(in crate::github) fn queue_app_delivery(
        &mut self,
        hook: &Hook,
        guid: &str,
        event: (&str, Option<&str>),
        (repository, installation): (Option<u64>, u64),
        payload: &Arc<str>,
        due: Millis,
    ) {
        self.queue_delivery(hook, guid, event, repository, payload, due);
        if let Some(queued) = self.outbox.last_mut() {
            queued.installation = Some(installation);
        }
    }

    fn queue_delivery(
        &mut self,
        hook: &Hook,
        guid: &str,
        (event, action): (&str, Option<&str>),
        repository: Option<u64>,
        payload: &Arc<str>,
        due: Millis,
    ) {
        let body: Arc<str> = match hook.spec.content_type {
            ContentType::Json => payload.clone(),
            ContentType::Form => form_urlencoded::Serializer::new(String::new())
                .append_pair("payload", payload)
                .finish()
                .into(),
        };
        let id = self.new_id(1_900_000_000_000);
        self.outbox.push(Delivery {
            id,
            hook: hook.id,
            guid: guid.to_owned(),
            event: event.to_owned(),
            action: action.map(str::to_owned),
            repository,
            installation: None,
            redelivery: false,
            url: hook.spec.url.clone(),
            headers: headers(hook, guid, event, &body),
            body,
            payload: payload.clone(),
            due,
        });
    }

    /// Takes what is to be sent by now, in the order in which it is due.
    pub fn take_deliveries(&mut self, now: Millis) -> Vec<Delivery> {
        if self.outbox.iter().all(|one| one.due > now) {
            return Vec::new();
        }
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.outbox).into_iter().partition(|one| one.due <= now);
        self.outbox = later;
        due.sort_by_key(|one| one.due);
        due
    }

    /// When the next delivery is due that has not been taken.
    #[must_use]
    pub fn next_delivery(&self) -> Option<Millis> {
        self.outbox.iter().map(|one| one.due).min()
    }

    /// Logs how a delivery ended.
    pub fn delivered(&mut self, delivery: Delivery, outcome: Outcome, now: Millis) {
        self.note(
            now,
            What::Delivered {
                event: delivery.event.clone(),
                action: delivery.action.clone(),
                status_code: outcome.status_code.unwrap_or(0),
                redelivery: delivery.redelivery,
            },
        );
        let logged = Logged { delivered_at: now, outcome, delivery };
        if let Some(hook) = self.hooks.get_mut(&logged.delivery.hook) {
            hook.last_response = Some((logged.outcome.status_code.unwrap_or(0), logged.status()));
        }
        // Gitea tells nobody of its deliveries, and repeats none.
        if !self.is_gitea() {
            self.delivery_log.insert(logged.delivery.id, logged);
        }
    }

    /// Queues a logged delivery again: same GUID, same body, signed with the secret of now.
    pub fn redeliver(&mut self, hook: u64, delivery: u64, now: Millis) -> bool {
        let Some(hook) = self.hooks.get(&hook).cloned() else { return false };
        let Some(logged) = self.delivery_log.get(&delivery) else { return false };
        if logged.delivery.hook != hook.id {
            return false;
        }
        let old = logged.delivery.clone();
        let event = (old.event.as_str(), old.action.as_deref());
        self.queue_delivery(&hook, &old.guid, event, old.repository, &old.payload, now);
        if let Some(queued) = self.outbox.last_mut() {
            queued.redelivery = true;
            queued.installation = old.installation;
        }
        true
    }

    /// The log keeps three days (github/docs, data/variables/webhooks.yml).
    pub(in crate::github) fn prune_delivery_log(&mut self, now: Millis) {
        let old = |entry: &Logged| entry.delivered_at + 3 * DAY <= now;
        while let Some(first) = self.delivery_log.first_entry() {
            if !old(first.get()) {
                break;
            }
            first.remove();
        }
    }
}

/// Without a secret there is no signature.
fn headers(hook: &Hook, guid: &str, event: &str, body: &str) -> Vec<(String, String)> {
    let content_type = match hook.spec.content_type {
        ContentType::Json => "application/json",
        ContentType::Form => "application/x-www-form-urlencoded",
    };
    let (target_type, target_id) = match (hook.app, hook.target) {
        (Some(app), _) => ("integration", app),
        (None, Scope::Repository(id)) => ("repository", id),
        (None, Scope::Organization(id)) => ("organization", id),
    };
    let mut headers = vec![
        ("Accept", "*/*".to_owned()),
        ("Content-Type", content_type.to_owned()),
        ("User-Agent", "GitHub-Hookshot/5d1a1ec".to_owned()),
        ("X-GitHub-Delivery", guid.to_owned()),
        ("X-GitHub-Event", event.to_owned()),
        ("X-GitHub-Hook-ID", hook.id.to_string()),
        ("X-GitHub-Hook-Installation-Target-ID", target_id.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type", target_type.to_owned()),
    ];
    if let Some(secret) = &hook.spec.secret {
        headers.push(("X-Hub-Signature", sign_with_sha1(secret, body)));
        headers.push(("X-Hub-Signature-256", sign(secret, body)));
    }
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value of `X-Hub-Signature-256` (docs, "Validating webhook deliveries").
#[must_use]
pub(super) fn sign(secret: &str, body: &str) -> String {
    #[expect(clippy::unwrap_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The value of `X-Hub-Signature`, which GitHub still sends.
#[must_use]
pub(super) fn sign_with_sha1(secret: &str, body: &str) -> String {
    #[expect(clippy::unwrap_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
}
