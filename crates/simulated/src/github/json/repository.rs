//! A repository: one object that satisfies `minimal-repository`, `full-repository` and
//! `repository-webhooks` alike.
//!
//! Read next: `job.rs`.

use serde_json::{Map, Value, json};

use super::account::{simple_organization, simple_user};
use super::{extend, node_id, time};
use crate::github::accounts::Account;
use crate::github::model::GitHub;
use crate::github::repositories::{Repository, Visibility};

/// Field and what follows the repository's API address in it.
const ADDRESSES: &[(&str, &str)] = &[
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// The repository as the API and the webhooks show it. `html_url` is a page of this server, so that
/// `config.sh --url` comes back to it.
pub(in crate::github) fn repository(
    gh: &GitHub,
    repository: &Repository,
    owner: &Account,
) -> Value {
    let full_name = format!("{}/{}", owner.login, repository.name);
    let url = format!("{}/repos/{full_name}", gh.api());
    let html_url = format!("{}/{full_name}", gh.base);
    let addresses: Map<String, Value> = ADDRESSES
        .iter()
        .map(|(field, rest)| ((*field).to_owned(), Value::from(format!("{url}{rest}"))))
        .collect();
    let created_at = time(repository.created_at);
    let forks = repository.forks_count;
    let mut shown = Value::Object(addresses);
    extend(
        &mut shown,
        json!({
            "id": repository.id,
            "node_id": node_id("Repository", repository.id),
            "name": repository.name,
            "full_name": full_name,
            "private": repository.visibility != Visibility::Public,
            "visibility": repository.visibility.as_str(),
            "owner": simple_user(gh, owner),
            "html_url": html_url,
            "description": null,
            "fork": repository.fork,
            "url": url,
            "created_at": created_at, "updated_at": created_at, "pushed_at": created_at,
            "git_url": html_url.replacen("http", "git", 1) + ".git",
            "ssh_url": format!("git@github.com:{full_name}.git"),
            "clone_url": format!("{html_url}.git"),
            "svn_url": html_url,
        }),
    );
    extend(
        &mut shown,
        json!({
            "homepage": null, "language": null, "license": null, "mirror_url": null,
            "size": 1, "stargazers_count": 0, "watchers_count": 0, "watchers": 0,
            "forks_count": forks, "forks": forks, "open_issues_count": 0, "open_issues": 0,
            "has_issues": true, "has_projects": true, "has_downloads": true, "has_wiki": true,
            "has_pages": false, "has_discussions": false,
            "archived": repository.archived, "disabled": false, "is_template": false,
            "allow_forking": repository.allow_forking, "web_commit_signoff_required": false,
            "topics": repository.topics, "default_branch": "main",
        }),
    );
    if owner.is_organization() {
        extend(&mut shown, json!({ "custom_properties": {} }));
    }
    shown
}

/// What only `GET /repos/OWNER/REPO` adds.
pub(in crate::github) fn full(gh: &GitHub, found: &Repository, owner: &Account) -> Value {
    let mut shown = repository(gh, found, owner);
    extend(
        &mut shown,
        json!({
            "network_count": found.forks_count,
            "subscribers_count": 0,
            "permissions": {
                "admin": true, "maintain": true, "push": true, "triage": true, "pull": true,
            },
        }),
    );
    if owner.is_organization() {
        extend(&mut shown, json!({ "organization": simple_user(gh, owner) }));
    }
    shown
}

/// The fields of a payload that say where it is from: `repository`, and `organization` where an
/// organization owns it (absent for personal accounts).
pub(super) fn payload(gh: &GitHub, id: u64) -> Value {
    let Some((found, owner)) = gh.with_owner(id) else { return json!({}) };
    let mut shown = json!({ "repository": repository(gh, found, owner) });
    if owner.is_organization() {
        extend(&mut shown, json!({ "organization": simple_organization(gh, owner) }));
    }
    shown
}
