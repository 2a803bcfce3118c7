//! `…/hooks`: listing, the log of deliveries, and redelivery; changes are in `hook_changes.rs`.
//!
//! Read next: `../hooks.rs` for the rules.

use serde_json::{Value, json};

use super::access::Needs;
use super::paging::{Page, link};
use super::{Answer, Call};
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::{Level, Scope, Token};

impl GitHub {
    pub(super) fn route_hooks(
        &mut self,
        call: &Call,
        scope: Scope,
        rest: &[&str],
        token: &Token,
        now: Millis,
    ) -> Answer {
        let level = if call.method == "GET" { Level::Read } else { Level::Write };
        if let Err(refusal) = self.check_access(token, scope, Needs::hooks(scope, level)) {
            return refusal;
        }
        if let ("GET", []) = (call.method.as_str(), rest) {
            let page = Page::of(call, self.hooks_of(scope).collect());
            let shown = page.items.iter().map(|hook| json::hook(self, hook)).collect();
            let answer = Answer::ok(Value::Array(shown));
            return page.link_on(answer);
        }
        if let ("POST", []) = (call.method.as_str(), rest) {
            return self.create_hook(call, scope, now);
        }
        let Some((hook, rest)) = rest.split_first() else { return Answer::not_found() };
        let Some(hook) =
            self.hooks_of(scope).find(|one| hook.parse().is_ok_and(|id: u64| id == one.id))
        else {
            return Answer::not_found();
        };
        let id = hook.id;
        match (call.method.as_str(), rest) {
            ("GET", []) => Answer::ok(json::hook(self, hook)),
            ("PATCH", []) => self.update_hook(call, scope, id),
            ("DELETE", []) => self.remove_hook(scope, id),
            _ => self.route_deliveries(call, id, rest, now),
        }
    }

    /// The log of a hook, of whatever kind.
    pub(super) fn route_deliveries(
        &mut self,
        call: &Call,
        id: u64,
        rest: &[&str],
        now: Millis,
    ) -> Answer {
        match (call.method.as_str(), rest) {
            ("GET", ["deliveries"]) => self.list_deliveries(call, id),
            ("GET", ["deliveries", delivery]) => {
                let found = self.deliveries(id);
                let wanted = delivery.parse::<u64>();
                let found = found.iter().find(|one| wanted.as_ref() == Ok(&one.delivery.id));
                found.map_or_else(Answer::not_found, |one| Answer::ok(json::delivery(one)))
            }
            ("POST", ["deliveries", delivery, "attempts"]) => {
                let queued = delivery.parse().is_ok_and(|one| self.redeliver(id, one, now));
                if queued { Answer::new(202, json!({})) } else { Answer::not_found() }
            }
            _ => Answer::not_found(),
        }
    }

    /// Newest first; `status=failure` is all that is not `OK`; the next page begins at `cursor`
    /// (docs, REST "List deliveries for a repository webhook").
    fn list_deliveries(&self, call: &Call, hook: u64) -> Answer {
        let wanted = call.query.get("status").map(String::as_str);
        let cursor = call.query.get("cursor").and_then(|cursor| cursor.parse::<u64>().ok());
        let size = call.number("per_page").unwrap_or(30).clamp(1, 100);
        let mut found = self.deliveries(hook);
        found.retain(|one| {
            let ok = one.status() == "OK";
            cursor.is_none_or(|cursor| one.delivery.id <= cursor)
                && match wanted {
                    Some("success") => ok,
                    Some("failure") => !ok,
                    _ => true,
                }
        });
        let next = found.get(size).map(|one| one.delivery.id);
        found.truncate(size);
        let shown = found.iter().map(|one| json::delivery_item(one)).collect();
        let answer = Answer::ok(Value::Array(shown));
        match next {
            Some(next) => {
                answer.header("link", link(call, &[("cursor", next.to_string())], "next"))
            }
            None => answer,
        }
    }
}
