//! Making, changing and deleting webhooks, as strict as GitHub: what a change leaves out is lost.
//!
//! Read next: `hooks.rs`.

use serde_json::{Value, json};

use super::{Answer, Call};
use crate::github::hooks::{ContentType, HookSpec};
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::Scope;

impl GitHub {
    /// `POST …/hooks`: 422 without an address, for another `name` than `web`, and for an equal one.
    pub(super) fn create_hook(&mut self, call: &Call, scope: Scope, now: Millis) -> Answer {
        if self.is_archived(scope) {
            return archived();
        }
        let named = call.body["name"].as_str();
        let wrong = named.is_some_and(|name| name != "web")
            || (named.is_none() && matches!(scope, Scope::Organization(_)));
        let Some(spec) = spec(&call.body).filter(|_| !wrong) else {
            return unprocessable("Validation Failed");
        };
        let same = |one: &HookSpec| one.url == spec.url && one.events == spec.events;
        if self.hooks_of(scope).any(|hook| same(&hook.spec)) {
            return unprocessable("Hook already exists on this repository");
        }
        let id = self.add_hook(scope, spec, now);
        let made = self.hooks.get(&id).map(|hook| json::hook(self, hook));
        Answer::new(201, made.unwrap_or_default())
    }

    /// `PATCH …/hooks/ID`: "If you previously had a secret set, you must provide the same secret or set
    /// a new secret or the secret will be removed" (docs, "Update a repository webhook").
    pub(super) fn update_hook(&mut self, call: &Call, scope: Scope, id: u64) -> Answer {
        if self.is_archived(scope) {
            return archived();
        }
        let Some(hook) = self.hooks.get_mut(&id) else { return Answer::not_found() };
        let mut body = call.body.clone();
        if body["config"].is_null() {
            body["config"] = json!({ "url": hook.spec.url });
        }
        let Some(changed) = spec(&body) else { return unprocessable("Validation Failed") };
        hook.spec = changed;
        let shown = self.hooks.get(&id).map(|hook| json::hook(self, hook));
        Answer::ok(shown.unwrap_or_default())
    }

    pub(super) fn remove_hook(&mut self, scope: Scope, id: u64) -> Answer {
        if self.is_archived(scope) {
            return archived();
        }
        self.hooks.remove(&id);
        Answer::empty(204)
    }

    fn is_archived(&self, scope: Scope) -> bool {
        match scope {
            Scope::Repository(id) => self.repositories.get(&id).is_some_and(|it| it.archived),
            Scope::Organization(_) => false,
        }
    }
}

fn archived() -> Answer {
    Answer::error(403, "Repository was archived so is read-only.")
}

fn unprocessable(message: &str) -> Answer {
    Answer::error(422, message)
}

/// The defaults are the description's: `push`, active, a form.
fn spec(body: &Value) -> Option<HookSpec> {
    let config = &body["config"];
    let url = config["url"].as_str().filter(|url| url::Url::parse(url).is_ok())?;
    let events = match &body["events"] {
        Value::Null => vec!["push".to_owned()],
        Value::Array(events) => {
            events.iter().map(|event| event.as_str().map(str::to_owned)).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let content_type = match config["content_type"].as_str() {
        Some("json") => ContentType::Json,
        None | Some("form") => ContentType::Form,
        Some(_) => return None,
    };
    Some(HookSpec {
        url: url.to_owned(),
        secret: config["secret"].as_str().map(str::to_owned),
        content_type,
        events,
        active: body["active"].as_bool().unwrap_or(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::model::tests::World;

    #[test]
    fn a_change_without_the_secret_removes_it() {
        let mut world = World::new();
        let ask = |world: &mut World, method: &str, path: &str, body: Value| {
            let path = format!("/repos/octocat/app/hooks{path}");
            world.gh.rest(&Call::new(method, &path, "secret").with(body), 0)
        };
        let config = json!({"url": "http://door/webhook", "content_type": "json", "secret": "x"});
        let whole = json!({"name": "web", "events": ["workflow_job"], "config": config});
        let made = ask(&mut world, "POST", "", whole.clone());
        assert_eq!(made.status, 201);
        assert_eq!(ask(&mut world, "POST", "", whole).status, 422, "the same once more");
        let id = made.body.unwrap()["id"].as_u64().unwrap();
        let only = json!({"events": ["workflow_job"], "active": false});
        assert_eq!(ask(&mut world, "PATCH", &format!("/{id}"), only).status, 200);
        let hook = world.gh.hook_mut(id).unwrap();
        assert_eq!((hook.secret.as_deref(), hook.content_type), (None, ContentType::Form));
        assert!(!hook.active);
        assert_eq!(ask(&mut world, "DELETE", &format!("/{id}"), Value::Null).status, 204);
        assert_eq!(ask(&mut world, "DELETE", &format!("/{id}"), Value::Null).status, 404);
    }
}
