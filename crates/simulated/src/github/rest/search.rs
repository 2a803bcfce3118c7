//! `GET /search/repositories`: by owner, topic and name, as the docs' "Searching for repositories" has it.
//!
//! Its own rate limit, 30 a minute, is not played: a search counts as any other request.

use serde_json::{Value, json};

use super::paging::Page;
use super::{Answer, Call};
use crate::github::json;
use crate::github::model::GitHub;
use crate::github::repositories::{Repository, Visibility};
use crate::github::tokens::Token;

/// More are found and not shown.
const SHOWN: usize = 1_000;

impl GitHub {
    pub(super) fn search_repositories(&self, call: &Call, token: &Token) -> Answer {
        let query = call.query.get("q").map(String::as_str).unwrap_or_default();
        if query.trim().is_empty() {
            return invalid("missing", "The search query is missing.");
        }
        let owners = query
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("user:").or_else(|| word.strip_prefix("org:")));
        if owners.clone().any(|owner| self.account(owner).is_none()) {
            let why = "The listed users and repositories cannot be searched either because the \
                       resources do not exist or you do not have permission to view them.";
            return invalid("invalid", why);
        }
        let owners: Vec<_> =
            owners.filter_map(|owner| self.account(owner)).map(|it| it.id).collect();
        let found: Vec<_> = self
            .repositories
            .values()
            .filter(|one| owners.is_empty() || owners.contains(&one.owner))
            .filter(|one| self.sees(token, one.id))
            // Forks are found where they are asked for.
            .filter(|one| !one.fork || query.contains("fork:true") || query.contains("fork:only"))
            .filter(|one| query.split_whitespace().all(|word| fits(one, word)))
            .filter_map(|one| self.with_owner(one.id))
            .take(SHOWN)
            .collect();
        let page = Page::of(call, found);
        let items = page.items.iter().map(|(one, owner)| {
            let mut shown = json::repository(self, one, owner);
            shown["score"] = json!(1.0);
            shown
        });
        let answer = Answer::ok(json!({
            "total_count": page.total,
            "incomplete_results": false,
            "items": items.collect::<Vec<Value>>(),
        }));
        page.link_on(answer)
    }
}

fn fits(repository: &Repository, word: &str) -> bool {
    match word.split_once(':') {
        Some(("topic", topic)) => repository.topics.iter().any(|it| it.eq_ignore_ascii_case(topic)),
        Some(("archived", said)) => repository.archived.to_string() == said,
        Some(("fork", "only")) => repository.fork,
        Some(("is", "public")) => repository.visibility == Visibility::Public,
        Some(("is", "private")) => repository.visibility != Visibility::Public,
        // `user` and `org` are looked at above.
        Some(_) => true,
        None => repository.name.to_lowercase().contains(&word.to_lowercase()),
    }
}

fn invalid(code: &str, message: &str) -> Answer {
    Answer::new(
        422,
        json!({
            "message": "Validation Failed",
            "errors": [{ "message": message, "resource": "Search", "field": "q", "code": code }],
            "documentation_url": "https://docs.github.com/v3/search/",
            "status": "422",
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::model::tests::World;

    #[test]
    fn repositories_are_found_by_owner_topic_and_name() {
        let mut world = World::new();
        let gh = &mut world.gh;
        let add = |gh: &mut GitHub, name: &str, topic: &str| {
            let id = gh.add_repository(name, Visibility::Private, 0);
            gh.repository_mut(id).unwrap().topics = vec![topic.to_owned()];
            id
        };
        add(gh, "octocat/site", "ci");
        let old = add(gh, "octocat/old", "ci");
        gh.repository_mut(old).unwrap().archived = true;
        let fork = add(gh, "octocat/fork", "ci");
        gh.repository_mut(fork).unwrap().fork = true;
        add(gh, "stranger/site", "ci");
        let ask = |gh: &mut GitHub, query: &str| {
            let answer =
                gh.rest(&Call::new("GET", &format!("/search/repositories?{query}"), "secret"), 0);
            let body = answer.body.unwrap();
            let names = body["items"].as_array().map(|items| {
                items
                    .iter()
                    .map(|it| it["full_name"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            });
            names.unwrap_or_else(|| vec![body["errors"][0]["code"].as_str().unwrap().to_owned()])
        };
        let all = "q=user:octocat+fork:true+topic:ci+archived:false";
        assert_eq!(ask(gh, all), ["octocat/site", "octocat/fork"]);
        assert_eq!(ask(gh, "q=user:octocat+topic:ci"), ["octocat/site", "octocat/old"]);
        assert_eq!(ask(gh, "q=old+user:octocat"), ["octocat/old"]);
        assert_eq!(ask(gh, "q=user:nobody"), ["invalid"]);
        assert_eq!(ask(gh, "q="), ["missing"]);
        let page = Call::new("GET", "/search/repositories?q=user:octocat&per_page=1", "secret");
        let answer = gh.rest(&page, 0);
        assert!(
            answer.headers.iter().any(|(name, value)| *name == "link" && value.contains("next"))
        );
    }
}
