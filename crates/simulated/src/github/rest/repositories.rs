//! Users, organizations, repositories, and what is known of GitHub itself.
//!
//! Read next: `runners.rs`.

use serde_json::{Value, json};

use super::access::Needs;
use super::paging::Page;
use super::{Answer, Call};
use crate::github::json;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::{Level, Scope, Token};

/// `GET /meta`: schema `api-overview`.
pub(super) fn meta() -> Value {
    json!({
        "verifiable_password_authentication": false,
        "hooks": ["127.0.0.0/8", "::1/128"],
        "web": ["127.0.0.0/8"],
        "api": ["127.0.0.0/8"],
        "actions": ["127.0.0.0/8"],
    })
}

impl GitHub {
    pub(super) fn get_user(&self, token: &Token) -> Answer {
        match self.accounts.get(&token.owner) {
            Some(account) => Answer::ok(json::authenticated_user(self, account)),
            None => Answer::not_found(),
        }
    }

    /// `GET /user/repos`: what the user owns or sees as a member, by full name.
    pub(super) fn list_user_repositories(&self, call: &Call, token: &Token) -> Answer {
        self.list_repositories(call, |owner| self.belongs(token.owner, owner))
    }

    fn list_repositories(&self, call: &Call, of: impl Fn(u64) -> bool) -> Answer {
        let mut found: Vec<_> = self
            .repositories
            .values()
            .filter(|repository| of(repository.owner))
            .filter_map(|repository| self.with_owner(repository.id))
            .map(|(repository, owner)| (self.full_name(repository.id), repository, owner))
            .collect();
        found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let page = Page::of(call, found);
        let shown = page.items.iter().map(|(_, found, owner)| json::repository(self, found, owner));
        let answer = Answer::ok(Value::Array(shown.collect()));
        page.link_on(answer)
    }

    pub(super) fn route_organization(
        &mut self,
        call: &Call,
        login: &str,
        rest: &[&str],
        token: &Token,
        now: Millis,
    ) -> Answer {
        let Some(account) = self.account(login).filter(|account| account.is_organization()) else {
            return Answer::not_found();
        };
        let id = account.id;
        let scope = Scope::Organization(id);
        match rest {
            [] if call.method == "GET" => Answer::ok(json::full_organization(self, account)),
            ["repos"] if call.method == "GET" => self
                .list_repositories(call, |owner| owner == id && self.belongs(token.owner, owner)),
            ["actions", "runners", rest @ ..] => self.route_runners(call, scope, rest, token, now),
            ["actions", "runner-groups"] if call.method == "GET" => {
                self.list_runner_groups(call, id, token)
            }
            ["actions", "permissions", "self-hosted-runners"] if call.method == "GET" => {
                self.get_repository_runners(id, token)
            }
            ["actions", "jobs"] if call.method == "GET" => self.list_all_jobs(call, scope),
            ["actions", "runs"] if call.method == "GET" => self.list_all_runs(call, scope),
            ["hooks", rest @ ..] => self.route_hooks(call, scope, rest, token, now),
            _ => Answer::not_found(),
        }
    }

    pub(super) fn route_repository(
        &mut self,
        call: &Call,
        id: u64,
        rest: &[&str],
        token: &Token,
        now: Millis,
    ) -> Answer {
        if !self.sees(token, id) {
            return Answer::not_found();
        }
        let scope = Scope::Repository(id);
        match rest {
            [] if call.method == "GET" => self.get_repository(id, token),
            ["actions", "runners", rest @ ..] => self.route_runners(call, scope, rest, token, now),
            ["actions", rest @ ..] => self.route_actions(call, id, rest, token, now),
            ["pulls", number] if call.method == "GET" => self.get_pull_request(id, number),
            ["hooks", rest @ ..] => self.route_hooks(call, scope, rest, token, now),
            _ => Answer::not_found(),
        }
    }

    fn get_repository(&self, id: u64, token: &Token) -> Answer {
        let needs = Needs("metadata", Level::Read);
        if let Err(refusal) = self.check_access(token, Scope::Repository(id), needs) {
            return refusal;
        }
        match self.with_owner(id) {
            Some((found, owner)) => Answer::ok(json::full_repository(self, found, owner)),
            None => Answer::not_found(),
        }
    }

    /// A former name redirects to the id: 301, and 307 where the method must stay (docs, "Best
    /// practices for using the REST API", "Follow redirects").
    pub(super) fn redirect_renamed(
        &self,
        call: &Call,
        former: &str,
        rest: &[&str],
        token: &Token,
    ) -> Answer {
        let Some(found) = self.renamed_repository(former) else { return Answer::not_found() };
        if !self.sees(token, found.id) {
            return Answer::not_found();
        }
        let rest = rest.iter().map(|segment| format!("/{segment}")).collect::<String>();
        Self::moved(call, found.id, &rest)
    }

    pub(super) fn moved(call: &Call, repository: u64, rest: &str) -> Answer {
        let prefix = if call.path.starts_with("/api/v3/") { "/api/v3" } else { "" };
        let mut url = format!("{}{prefix}/repositories/{repository}{rest}", call.origin);
        if !call.query.is_empty() {
            let query =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(&call.query).finish();
            url = format!("{url}?{query}");
        }
        let status = if call.method == "GET" { 301 } else { 307 };
        let body = json!({
            "message": "Moved Permanently",
            "url": url,
            "documentation_url": "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects",
        });
        Answer::new(status, body).header("location", url)
    }
}
