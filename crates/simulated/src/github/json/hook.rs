//! Hooks, their deliveries and the `ping` event.
//!
//! Read next: `../rest/hooks.rs`.

use serde_json::{Map, Value, json};

use super::account::{simple_organization, user};
use super::repository::payload;
use super::{extend, precise_time, time};
use crate::github::hooks::{Hook, Logged};
use crate::github::model::GitHub;
use crate::github::tokens::Scope;

/// Schemas `hook` and `org-hook`. The secret is never shown.
pub(in crate::github) fn hook(gh: &GitHub, hook: &Hook) -> Value {
    let (kind, url) = match hook.target {
        Scope::Repository(id) => {
            ("Repository", format!("{}/repos/{}/hooks/{}", gh.api(), gh.full_name(id), hook.id))
        }
        Scope::Organization(_) => (
            "Organization",
            format!("{}/orgs/{}/hooks/{}", gh.api(), gh.scope_name(hook.target), hook.id),
        ),
    };
    let mut config = json!({
        "url": hook.spec.url,
        "content_type": hook.spec.content_type.as_str(),
        "insecure_ssl": "0",
    });
    if hook.spec.secret.is_some() {
        extend(&mut config, json!({ "secret": "********" }));
    }
    let last = match &hook.last_response {
        None => json!({ "code": null, "status": "unused", "message": null }),
        Some((code, text)) => json!({
            "code": code,
            "status": if text == "OK" { "active" } else { "misconfigured" },
            "message": text,
        }),
    };
    let mut shown = json!({
        "type": kind,
        "id": hook.id,
        "name": "web",
        "active": hook.spec.active,
        "events": hook.spec.events,
        "config": config,
        "created_at": time(hook.created_at),
        "updated_at": time(hook.created_at),
        "url": url,
        "ping_url": format!("{url}/pings"),
        "deliveries_url": format!("{url}/deliveries"),
    });
    if matches!(hook.target, Scope::Repository(_)) {
        let more = json!({ "test_url": format!("{url}/test"), "last_response": last });
        extend(&mut shown, more);
    }
    shown
}

/// The `ping` event that a new hook gets.
pub(in crate::github) fn ping(gh: &GitHub, of: &Hook) -> Value {
    let mut event = json!({
        "zen": "Anything added dilutes everything else.",
        "hook_id": of.id,
        "hook": hook(gh, of),
    });
    let owner = match of.target {
        Scope::Repository(id) => {
            extend(&mut event, payload(gh, id));
            gh.with_owner(id).map(|(_, owner)| owner.login.clone())
        }
        Scope::Organization(id) => gh.accounts.get(&id).map(|account| {
            extend(&mut event, json!({ "organization": simple_organization(gh, account) }));
            account.login.clone()
        }),
    };
    extend(&mut event, json!({ "sender": user(gh, owner.as_deref().unwrap_or("ghost")) }));
    event
}

/// Schema `hook-delivery-item`.
pub(in crate::github) fn delivery_item(logged: &Logged) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "a duration of seconds, shown with two digits")]
    let duration = logged.outcome.duration as f64 / 1_000.0;
    json!({
        "id": logged.delivery.id,
        "guid": logged.delivery.guid,
        "delivered_at": precise_time(logged.delivered_at),
        "redelivery": logged.delivery.redelivery,
        "duration": duration,
        "status": logged.status(),
        "status_code": logged.outcome.status_code.unwrap_or(0),
        "event": logged.delivery.event,
        "action": logged.delivery.action,
        "installation_id": logged.delivery.installation,
        "repository_id": logged.delivery.repository,
        "throttled_at": null,
    })
}

/// Schema `hook-delivery`: with what was sent and what came back.
pub(in crate::github) fn delivery(logged: &Logged) -> Value {
    let map = |headers: &[(String, String)]| -> Map<String, Value> {
        headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    let sent: Value = serde_json::from_str(&logged.delivery.payload).unwrap_or(Value::Null);
    let mut shown = delivery_item(logged);
    extend(
        &mut shown,
        json!({
            "url": logged.delivery.url,
            "request": { "headers": map(&logged.delivery.headers), "payload": sent },
            "response": { "headers": map(&logged.outcome.headers), "payload": logged.outcome.body },
        }),
    );
    shown
}
