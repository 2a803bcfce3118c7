//! `…/actions/runners`: tokens, listing, one, deletion.
//!
//! Read next: `../runners.rs` for the rules.

use serde_json::json;

use super::access::Needs;
use super::paging::Page;
use super::{Answer, Call};
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::runners::Deletion;
use crate::github::tokens::{Level, Purpose, Scope, Token};

impl GitHub {
    pub(super) fn route_runners(
        &mut self,
        call: &Call,
        scope: Scope,
        rest: &[&str],
        token: &Token,
        now: Millis,
    ) -> Answer {
        let level = if call.method == "GET" { Level::Read } else { Level::Write };
        if let Err(refusal) = self.check_access(token, scope, Needs::runners(scope, level)) {
            return refusal;
        }
        if call.method == "POST" && !self.may_have_runners(scope) {
            let message = "Repository level self-hosted runners are disabled on this repository.";
            return Answer::error(403, message);
        }
        match (call.method.as_str(), rest) {
            ("POST", ["generate-jitconfig"]) if !self.is_gitea() => self.jit(call, scope, now),
            ("POST", ["registration-token"]) => self.mint(scope, Purpose::Register, now),
            ("POST", ["remove-token"]) => self.mint(scope, Purpose::Remove, now),
            ("GET", []) => self.list_runners(call, scope, now),
            (method, [id]) => match (method, id.parse()) {
                ("GET", Ok(id)) => match self.runners_of(scope).find(|runner| runner.id == id) {
                    Some(runner) => Answer::ok(json::runner(self, runner, now)),
                    None => Answer::not_found(),
                },
                ("DELETE", Ok(id)) => self.delete(scope, id, now),
                ("PATCH", Ok(id)) => self.disable(scope, id, now),
                _ => Answer::not_found(),
            },
            _ => Answer::not_found(),
        }
    }

    fn mint(&mut self, scope: Scope, purpose: Purpose, now: Millis) -> Answer {
        let (token, expires_at) = self.mint_runner_token(scope, purpose, now);
        if self.is_gitea() {
            return Answer::ok(json!({ "token": token }));
        }
        let expires_at = json::offset_time(expires_at);
        Answer::new(201, json!({ "token": token, "expires_at": expires_at }))
    }

    fn list_runners(&self, call: &Call, scope: Scope, now: Millis) -> Answer {
        let name = call.query.get("name");
        let found = self.runners_of(scope).filter(|one| name.is_none_or(|name| one.name == *name));
        let page = Page::of(call, found.collect());
        let shown: Vec<_> = page.items.iter().map(|one| json::runner(self, one, now)).collect();
        let answer = Answer::ok(json!({ "total_count": page.total, "runners": shown }));
        page.link_on(answer)
    }

    fn delete(&mut self, scope: Scope, id: u64, now: Millis) -> Answer {
        let name = self.runner(id).map(|runner| runner.name.clone()).unwrap_or_default();
        match self.delete_runner(scope, id, now) {
            Deletion::Deleted => Answer::empty(204),
            Deletion::Unknown => Answer::not_found(),
            Deletion::Busy => {
                Answer::error(422, format!("Runner \"{name}\" is still running a job"))
            }
        }
    }
}
