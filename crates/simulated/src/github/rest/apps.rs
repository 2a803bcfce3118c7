//! What an App asks by its JWT (`/app…`, `…/installation`), what is asked by an installation's token
//! alone, and the exchange of a manifest's code.
//!
//! Read next: `../apps.rs` for the rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::paging::Page;
use super::{Answer, Call, with_limits};
use crate::github::apps::{Installation, Narrowing, NoToken};
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::{Level, Token};

/// A token is narrowed to no more repositories (docs, REST "Create an installation access token").
const MOST_REPOSITORIES: usize = 500;

/// Whether an App asks for itself.
fn is_for_apps(segments: &[&str]) -> bool {
    matches!(
        segments,
        ["app", ..]
            | ["orgs" | "users", _, "installation"]
            | ["repos", _, _, "installation"]
            | ["repositories", _, "installation"]
    )
}

impl GitHub {
    /// `None`: it is nothing of an App's own.
    pub(super) fn ask_as_app(&mut self, call: &Call, path: &str, now: Millis) -> Option<Answer> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        if let ["app-manifests", code, "conversions"] = segments.as_slice()
            && call.method == "POST"
        {
            return Some(match self.convert_manifest(code, now) {
                Some(conversion) => Answer::new(201, json::conversion(self, &conversion)),
                None => Answer::not_found(),
            });
        }
        if let (["users", login], "GET") = (segments.as_slice(), call.method.as_str()) {
            // Open to everyone, for what is public.
            return Some(match self.account(login) {
                Some(account) => Answer::ok(json::public_user(self, account)),
                None => Answer::not_found(),
            });
        }
        if !is_for_apps(&segments) {
            return None;
        }
        let Some(jwt) = &call.token else {
            return Some(Answer::error(401, "A JSON web token could not be decoded"));
        };
        let app = match self.app_of_jwt(jwt, now) {
            Ok(app) => app,
            Err((status, message)) => {
                let date = json::http_date(now + self.knobs.clock_ahead);
                return Some(Answer::error(status, message).header("date", date));
            }
        };
        let standing = self.standing(app, now);
        if standing.remaining() == 0 {
            let message = format!("API rate limit exceeded for app ID {app}.");
            return Some(with_limits(Answer::error(403, message), standing));
        }
        self.spend(app, now);
        let answer = self.route_app(call, app, &segments, now);
        let date = json::http_date(now + self.knobs.clock_ahead);
        let standing = self.standing(app, now);
        Some(with_limits(answer.header("date", date), standing))
    }

    fn route_app(&mut self, call: &Call, app: u64, segments: &[&str], now: Millis) -> Answer {
        let of = |account: Option<u64>| {
            let found = account.and_then(|account| self.installation_on(app, account));
            let shown = found.map(|found| json::installation(self, found));
            shown.map_or_else(Answer::not_found, Answer::ok)
        };
        match (call.method.as_str(), segments) {
            ("GET", ["app"]) => Answer::ok(json::app(self, app)),
            ("GET", ["orgs", login, "installation"]) => {
                let found = self.account(login).filter(|found| found.is_organization());
                of(found.map(|found| found.id))
            }
            ("GET", ["users", login, "installation"]) => {
                let found = self.account(login).filter(|found| !found.is_organization());
                of(found.map(|found| found.id))
            }
            ("GET", ["repos", owner, name, "installation"]) => {
                let full_name = format!("{owner}/{name}");
                match self.repository(&full_name).map(|found| found.id) {
                    Some(id) => self.installation_of_repository(app, id),
                    None => match self.renamed_repository(&full_name).map(|found| found.id) {
                        Some(id) => Self::moved(call, id, "/installation"),
                        None => Answer::not_found(),
                    },
                }
            }
            ("GET", ["repositories", id, "installation"]) => match id.parse() {
                Ok(id) => self.installation_of_repository(app, id),
                Err(_) => Answer::not_found(),
            },
            ("GET", ["app", "installations"]) => {
                let all = self.installations.values().filter(|one| one.app == app).collect();
                let page = Page::of(call, all);
                let shown = page.items.iter().map(|one| json::installation(self, one)).collect();
                page.link_on(Answer::ok(Value::Array(shown)))
            }
            ("GET", ["app", "installations", id]) => {
                let found = id.parse().ok().and_then(|id: u64| self.installations.get(&id));
                match found.filter(|one| one.app == app) {
                    Some(found) => Answer::ok(json::installation(self, found)),
                    None => Answer::not_found(),
                }
            }
            ("POST", ["app", "installations", id, "access_tokens"]) => match id.parse() {
                Ok(id) => self.access_token(call, app, id, now),
                Err(_) => Answer::not_found(),
            },
            (_, ["app", "hook", rest @ ..]) => match self.app(app).and_then(|app| app.hook) {
                Some(hook) => self.route_app_hook(call, hook, rest, now),
                None => Answer::not_found(),
            },
            _ => Answer::not_found(),
        }
    }

    fn installation_of_repository(&self, app: u64, repository: u64) -> Answer {
        let mut all = self.installations.values().filter(|one| one.app == app);
        match all.find(|one| self.includes(one, repository)) {
            Some(found) => Answer::ok(json::installation(self, found)),
            None => Answer::not_found(),
        }
    }

    fn access_token(&mut self, call: &Call, app: u64, id: u64, now: Millis) -> Answer {
        let Some(narrowing) = self.narrowing(&call.body, id) else {
            return Answer::error(422, "Invalid request.");
        };
        match self.mint_installation_token(app, id, &narrowing, now) {
            Ok((secret, expires_at, token)) => {
                Answer::new(201, json::installation_token(self, &secret, expires_at, &token))
            }
            Err(NoToken::NoInstallation) => Answer::not_found(),
            Err(NoToken::Suspended) => Answer::error(403, "This installation has been suspended"),
            Err(NoToken::Permissions) => Answer::error(
                422,
                "The permissions requested are not granted to this installation.",
            ),
            Err(NoToken::Repositories) => Answer::error(
                422,
                "There is at least one repository that does not exist or is not accessible to the parent installation.",
            ),
        }
    }

    fn narrowing(&self, body: &Value, installation: u64) -> Option<Narrowing> {
        let permissions = match &body["permissions"] {
            Value::Null => None,
            Value::Object(all) => {
                let level = |level: &Value| match level.as_str()? {
                    "read" => Some(Level::Read),
                    "write" => Some(Level::Write),
                    _ => None,
                };
                let all = all.iter().map(|(name, asked)| Some((name.clone(), level(asked)?)));
                Some(all.collect::<Option<BTreeMap<_, _>>>()?)
            }
            _ => return None,
        };
        let ids = match &body["repository_ids"] {
            Value::Null => None,
            Value::Array(all) => Some(all.iter().map(Value::as_u64).collect::<Option<_>>()?),
            _ => return None,
        };
        let account = self.installations.get(&installation).map_or(0, |found| found.account);
        let named = match &body["repositories"] {
            Value::Null => None,
            Value::Array(all) => {
                let owner = self.accounts.get(&account).map_or("", |found| &found.login);
                let id = |name: &Value| {
                    let full_name = format!("{owner}/{}", name.as_str()?);
                    // An id that nothing has, so that it is refused.
                    Some(self.repository(&full_name).map_or(0, |found| found.id))
                };
                Some(all.iter().map(id).collect::<Option<BTreeSet<u64>>>()?)
            }
            _ => return None,
        };
        let repositories: Option<BTreeSet<u64>> = ids.or(named);
        let too_many = repositories.as_ref().is_some_and(|all| all.len() > MOST_REPOSITORIES);
        (!too_many).then_some(Narrowing { permissions, repositories })
    }

    fn route_app_hook(&mut self, call: &Call, hook: u64, rest: &[&str], now: Millis) -> Answer {
        match (call.method.as_str(), rest) {
            ("GET", ["config"]) => self.app_hook_config(hook),
            ("PATCH", ["config"]) => {
                if let Some(spec) = self.hook_mut(hook) {
                    let text = |key: &str| call.body[key].as_str().map(str::to_owned);
                    if let Some(secret) = text("secret") {
                        spec.secret = Some(secret);
                    }
                    if let Some(url) = text("url") {
                        spec.url = url;
                    }
                }
                self.app_hook_config(hook)
            }
            _ => self.route_deliveries(call, hook, rest, now),
        }
    }

    fn app_hook_config(&self, hook: u64) -> Answer {
        match self.hooks.get(&hook) {
            Some(hook) => Answer::ok(json::hook_config(hook)),
            None => Answer::not_found(),
        }
    }

    /// `GET /installation/repositories`: schema with `total_count` and `repositories`.
    pub(super) fn list_installation_repositories(&self, call: &Call, token: &Token) -> Answer {
        let Some(installation) = self.installation_of(token) else {
            return Answer::error(
                403,
                "You must authenticate with an installation access token in order to list repositories for an installation.",
            );
        };
        let seen = self.seen_by(installation).into_iter().filter(|id| self.reaches(token, *id));
        let found: Vec<_> = seen.filter_map(|id| self.with_owner(id)).collect();
        let selection = if installation.repositories.is_none() { "all" } else { "selected" };
        let page = Page::of(call, found);
        let shown: Vec<Value> =
            page.items.iter().map(|(found, owner)| json::repository(self, found, owner)).collect();
        let total = page.total;
        page.link_on(Answer::ok(json!({
            "total_count": total,
            "repository_selection": selection,
            "repositories": shown,
        })))
    }

    /// The installation that a token is of.
    pub(super) fn installation_of(&self, token: &Token) -> Option<&Installation> {
        self.installations.get(&token.seen.as_ref()?.installation)
    }
}
