//! Users and organizations: `simple-user`, `organization-simple`, and the full ones.
//!
//! Read next: `repository.rs`.

use serde_json::{Value, json};

use super::{extend, node_id, time};
use crate::github::accounts::Account;
use crate::github::model::GitHub;
use crate::github::repositories::Visibility;

/// Schema `simple-user`; organizations are shown so too where they own something.
pub(super) fn simple_user(gh: &GitHub, account: &Account) -> Value {
    let login = &account.login;
    let url = format!("{}/users/{login}", gh.api());
    json!({
        "login": login,
        "id": account.id,
        "node_id": node_id(if account.is_organization() { "Organization" } else { "User" }, account.id),
        "avatar_url": format!("{}/avatars/{}", gh.base, account.id),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{}/{login}", gh.base),
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": if account.is_organization() { "Organization" } else { "User" },
        "user_view_type": "public",
        "site_admin": false,
    })
}

/// The user of that login; one who is not there is shown as GitHub shows deleted users.
pub(super) fn user(gh: &GitHub, login: &str) -> Value {
    let ghost = Account {
        id: 10_137,
        login: "ghost".to_owned(),
        kind: crate::github::accounts::AccountKind::User,
    };
    simple_user(gh, gh.account(login).unwrap_or(&ghost))
}

/// Schema `organization-simple-webhooks`.
pub(super) fn simple_organization(gh: &GitHub, account: &Account) -> Value {
    let url = format!("{}/orgs/{}", gh.api(), account.login);
    json!({
        "login": account.login,
        "id": account.id,
        "node_id": node_id("Organization", account.id),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": format!("{}/avatars/{}", gh.base, account.id),
        "description": "",
    })
}

/// Schema `organization-full`: `GET /orgs/ORG`.
pub(in crate::github) fn full_organization(gh: &GitHub, account: &Account) -> Value {
    let mut shown = simple_organization(gh, account);
    extend(
        &mut shown,
        json!({
            "html_url": format!("{}/{}", gh.base, account.login),
            "has_organization_projects": true,
            "has_repository_projects": true,
            "public_repos": owned(gh, account, true),
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "type": "Organization",
            "created_at": time(0),
            "updated_at": time(0),
            "archived_at": null,
        }),
    );
    shown
}

/// Schema `public-user`: `GET /users/LOGIN`, of organizations too.
pub(in crate::github) fn public_user(gh: &GitHub, account: &Account) -> Value {
    let mut shown = simple_user(gh, account);
    extend(
        &mut shown,
        json!({
            "name": account.login, "company": null, "blog": "", "location": null, "email": null,
            "hireable": null, "bio": null, "twitter_username": null,
            "public_repos": owned(gh, account, true), "public_gists": 0,
            "followers": 0, "following": 0,
            "created_at": time(0), "updated_at": time(0),
        }),
    );
    shown
}

/// Schema `private-user`: `GET /user`.
pub(in crate::github) fn authenticated_user(gh: &GitHub, account: &Account) -> Value {
    let mut shown = simple_user(gh, account);
    let private = owned(gh, account, false);
    extend(
        &mut shown,
        json!({
            "user_view_type": "private",
            "name": account.login, "company": null, "blog": "", "location": null, "email": null,
            "hireable": null, "bio": null, "twitter_username": null, "notification_email": null,
            "public_repos": owned(gh, account, true), "public_gists": 0,
            "followers": 0, "following": 0,
            "created_at": time(0), "updated_at": time(0),
            "private_gists": 0, "total_private_repos": private, "owned_private_repos": private,
            "disk_usage": 0, "collaborators": 0, "two_factor_authentication": true,
            "plan": { "collaborators": 0, "name": "free", "space": 976_562_499, "private_repos": 10_000 },
        }),
    );
    shown
}

fn owned(gh: &GitHub, account: &Account, public: bool) -> usize {
    let owned = gh.repositories.values().filter(|one| one.owner == account.id);
    owned.filter(|one| (one.visibility == Visibility::Public) == public).count()
}
