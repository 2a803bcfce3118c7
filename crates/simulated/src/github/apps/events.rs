//! What the webhook of an App tells: of its installations unasked, and of repositories where it has
//! subscribed (docs, "Webhook events and payloads").

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::github::hooks::{Hook, HookSpec};
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::Scope;

impl GitHub {
    /// No `ping`: GitHub sends one when the App is registered, to whatever its manifest named, and
    /// it is of no use here.
    pub(super) fn add_app_hook(&mut self, app: u64, spec: HookSpec, now: Millis) -> u64 {
        let id = self.new_id(109_948_000);
        let target = Scope::Organization(app);
        let hook = Hook { id, target, app: Some(app), spec, created_at: now, last_response: None };
        self.hooks.insert(id, hook);
        id
    }

    pub(super) fn emit_installation(&mut self, id: u64, action: &str, now: Millis) {
        let Some(installation) = self.installations.get(&id) else { return };
        let repositories = json::minimal_repositories(self, self.seen_by(installation).into_iter());
        let mut payload = json!({ "action": action, "repositories": repositories });
        if action == "created" {
            payload["requester"] = Value::Null;
        }
        self.tell_app(id, "installation", payload, now);
    }

    pub(super) fn emit_selection(&mut self, id: u64, before: Option<&BTreeSet<u64>>, now: Millis) {
        let Some(installation) = self.installations.get(&id) else { return };
        let all = || {
            let of = self.repositories.values().filter(|one| one.owner == installation.account);
            of.map(|one| one.id).collect::<BTreeSet<_>>()
        };
        let before = before.cloned().unwrap_or_else(all);
        let after: BTreeSet<u64> = self.seen_by(installation).into_iter().collect();
        let added = json::minimal_repositories(self, after.difference(&before).copied());
        let removed = json::minimal_repositories(self, before.difference(&after).copied());
        let selection = if installation.repositories.is_none() { "all" } else { "selected" };
        let action = if added.is_empty() { "removed" } else { "added" };
        let payload = json!({
            "action": action,
            "repository_selection": selection,
            "repositories_added": added,
            "repositories_removed": removed,
            "requester": null,
        });
        self.tell_app(id, "installation_repositories", payload, now);
    }

    /// Sends `repository` with that action to Apps that have subscribed to it; `changes` is what the
    /// action carries.
    pub fn emit_repository(&mut self, id: u64, action: &str, changes: Value, now: Millis) {
        let subscribers = self.app_subscribers(id, "repository");
        let guid = self.draw_guid();
        for (hook, installation) in subscribers {
            let mut payload = json!({ "action": action });
            if !changes.is_null() {
                payload["changes"] = changes.clone();
            }
            json::add_repository(self, &mut payload, id);
            json::add_installation(&mut payload, installation);
            let payload: Arc<str> = payload.to_string().into();
            let event = ("repository", Some(action));
            self.queue_app_delivery(&hook, &guid, event, (Some(id), installation), &payload, now);
        }
    }

    fn tell_app(&mut self, id: u64, event: &str, mut payload: Value, now: Millis) {
        let Some(installation) = self.installations.get(&id) else { return };
        let hook = self.apps.get(&installation.app).and_then(|app| self.hooks.get(&app.hook?));
        let Some(hook) = hook.filter(|hook| hook.spec.active).cloned() else { return };
        payload["installation"] = json::installation(self, installation);
        payload["sender"] = json::account(self, installation.account);
        let action = payload["action"].as_str().map(str::to_owned);
        let guid = self.draw_guid();
        let payload: Arc<str> = payload.to_string().into();
        let event = (event, action.as_deref());
        self.queue_app_delivery(&hook, &guid, event, (None, id), &payload, now);
    }

    pub(in crate::github) fn seen_by(&self, installation: &super::Installation) -> Vec<u64> {
        let all = self.repositories.keys().copied();
        all.filter(|id| self.includes(installation, *id)).collect()
    }
}
