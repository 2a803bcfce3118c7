//! Reads the events that tell of no job, but of what we may see and how it is called: an App's
//! `installation`, `installation_repositories` and `installation_target`, and `repository`.
//!
//! Shapes: `@octokit/openapi-webhooks`, schemas `webhook-installation-*`, `webhook-repository-*`.

use serde::Deserialize;

use super::payload::{self, NotAnEvent};
use crate::ledger::Repository;

/// What is other than before.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// What an App may do for that owner.
    Access {
        owner: String,
        /// What the account was called before.
        former: Option<String>,
        /// The installation that counts from now on; `None`: there is none, or it is suspended.
        installation: Option<u64>,
    },
    /// Name, owner, visibility or existence of a repository, as they are now.
    Repository(Box<Repository>),
}

impl News {
    /// Whose they are.
    pub(super) fn owner(&self) -> &str {
        match self {
            News::Access { owner, .. } => owner,
            News::Repository(repository) => {
                let name = &repository.full_name;
                name.split_once('/').map_or(name, |(owner, _)| owner)
            }
        }
    }
}

/// Events that are read here.
pub(super) fn is_news(event: &str) -> bool {
    matches!(
        event,
        "installation" | "installation_repositories" | "installation_target" | "repository"
    )
}

#[derive(Deserialize)]
struct WireAccess {
    action: String,
    installation: Option<WireInstallation>,
    /// Of `installation_target`.
    account: Option<WireAccount>,
    changes: Option<WireChanges>,
}

#[derive(Deserialize)]
struct WireInstallation {
    id: u64,
    account: Option<WireAccount>,
}

#[derive(Deserialize)]
struct WireAccount {
    login: Option<String>,
}

#[derive(Deserialize)]
struct WireChanges {
    login: Option<WireFrom>,
}

#[derive(Deserialize)]
struct WireFrom {
    from: String,
}

/// `None`: an action that changes nothing for us.
pub(super) fn read(event: &str, json: &[u8]) -> Result<Option<News>, NotAnEvent> {
    if event == "repository" {
        let (action, repository) = payload::read_repository(json)?;
        let counts = matches!(
            action.as_str(),
            "renamed" | "transferred" | "publicized" | "privatized" | "deleted" | "edited"
        );
        return Ok(counts.then(|| News::Repository(Box::new(repository))));
    }
    let wire: WireAccess =
        serde_json::from_slice(json).map_err(|why| NotAnEvent::other(event, why))?;
    let id = wire.installation.as_ref().map(|installation| installation.id);
    let installed_on = wire.installation.and_then(|installation| installation.account);
    // After a rename the installation may still show the old name.
    let account = wire.account.or(installed_on).and_then(|account| account.login);
    let Some(owner) = account.filter(|owner| is_login(owner)) else { return Ok(None) };
    let ended = matches!(wire.action.as_str(), "deleted" | "suspend");
    let former = wire.changes.and_then(|changes| changes.login).map(|login| login.from);
    Ok(Some(News::Access { owner, former, installation: id.filter(|_| !ended) }))
}

/// It comes into addresses of the API.
fn is_login(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn access(event: &str, payload: &Value) -> Option<(String, Option<String>, Option<u64>)> {
        match read(event, payload.to_string().as_bytes()).unwrap()? {
            News::Access { owner, former, installation } => Some((owner, former, installation)),
            News::Repository(_) => panic!("it is of an installation"),
        }
    }

    #[test]
    fn an_installation_that_ends_leaves_none() {
        let told = |action: &str| {
            let installation = json!({"id": 7, "account": {"login": "octo"}});
            access("installation", &json!({"action": action, "installation": installation}))
        };
        for action in ["created", "unsuspend", "new_permissions_accepted"] {
            assert_eq!(told(action), Some(("octo".to_owned(), None, Some(7))));
        }
        for action in ["deleted", "suspend"] {
            assert_eq!(told(action), Some(("octo".to_owned(), None, None)));
        }
    }

    #[test]
    fn an_account_that_is_called_otherwise_is_told_with_its_former_name() {
        let payload = json!({"action": "renamed", "account": {"login": "new"},
            "changes": {"login": {"from": "old"}}, "installation": {"id": 7}});
        let told = access("installation_target", &payload);
        assert_eq!(told, Some(("new".to_owned(), Some("old".to_owned()), Some(7))));
    }

    #[test]
    fn what_names_nobody_or_no_login_is_nothing() {
        assert_eq!(access("installation", &json!({"action": "created"})), None);
        let odd = json!({"id": 7, "account": {"login": "../user"}});
        assert_eq!(
            access("installation", &json!({"action": "created", "installation": odd})),
            None
        );
        read("installation", b"[]").unwrap_err();
        read("repository", b"{\"action\": \"renamed\"}").unwrap_err();
    }

    #[test]
    fn a_repository_is_as_it_is_now() {
        let payload = |action: &str| {
            json!({"action": action, "repository": {"id": 1,
            "full_name": "octo/new", "private": false, "owner": {"type": "User"}}})
        };
        let told =
            |action: &str| read("repository", payload(action).to_string().as_bytes()).unwrap();
        let Some(News::Repository(repository)) = told("publicized") else { panic!("it is news") };
        assert_eq!(repository.full_name, "octo/new");
        assert_eq!(told("archived"), None);
    }
}
