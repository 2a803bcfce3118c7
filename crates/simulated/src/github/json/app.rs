//! Apps, installations and their tokens: schemas `integration`, `installation`,
//! `installation-token`, `webhook-config`.

use serde_json::{Map, Value, json};

use super::account::simple_user;
use super::repository::{payload, repository};
use super::{extend, node_id, time, timestamp};
use crate::github::apps::{Conversion, Installation};
use crate::github::hooks::Hook;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::{Level, Token};

pub(in crate::github) fn app(gh: &GitHub, id: u64) -> Value {
    let Some(app) = gh.app(id) else { return Value::Null };
    let installed = gh.installations.values().filter(|one| one.app == id).count();
    json!({
        "id": app.id,
        "slug": app.slug,
        "node_id": node_id("Integration", app.id),
        "client_id": app.client_id,
        "owner": account(gh, app.owner),
        "name": app.name,
        "description": null,
        "external_url": "https://example.org",
        "html_url": format!("{}/apps/{}", gh.base, app.slug),
        "created_at": time(app.created_at),
        "updated_at": time(app.created_at),
        "permissions": permissions(&app.permissions),
        "events": app.events,
        "installations_count": installed,
    })
}

/// As [`app`], with what is told only once.
pub(in crate::github) fn conversion(gh: &GitHub, conversion: &Conversion) -> Value {
    let mut shown = app(gh, conversion.app);
    extend(
        &mut shown,
        json!({
            "client_secret": conversion.client_secret,
            "webhook_secret": conversion.webhook_secret,
            "pem": conversion.pem,
        }),
    );
    shown
}

pub(in crate::github) fn account(gh: &GitHub, id: u64) -> Value {
    gh.accounts.get(&id).map_or(Value::Null, |found| simple_user(gh, found))
}

/// `@octokit/openapi` makes of GitHub's "a user or an enterprise" that it is both: so it has the fields
/// of both.
fn account_of_installation(gh: &GitHub, id: u64) -> Value {
    let mut shown = account(gh, id);
    let name = gh.accounts.get(&id).map_or("", |found| found.login.as_str());
    let more = json!({ "name": name, "slug": name, "created_at": time(0), "updated_at": time(0) });
    extend(&mut shown, more);
    shown
}

pub(in crate::github) fn installation(gh: &GitHub, of: &Installation) -> Value {
    let (slug, client_id) =
        gh.app(of.app).map_or(("?", "?"), |app| (app.slug.as_str(), app.client_id.as_str()));
    let target = gh.accounts.get(&of.account).is_some_and(|found| found.is_organization());
    let login = gh.accounts.get(&of.account).map_or("?", |found| found.login.as_str());
    let html_url = match target {
        true => format!("{}/organizations/{login}/settings/installations/{}", gh.base, of.id),
        false => format!("{}/settings/installations/{}", gh.base, of.id),
    };
    json!({
        "id": of.id,
        "account": account_of_installation(gh, of.account),
        "repository_selection": if of.repositories.is_none() { "all" } else { "selected" },
        "access_tokens_url": format!("{}/app/installations/{}/access_tokens", gh.base, of.id),
        "repositories_url": format!("{}/installation/repositories", gh.base),
        "html_url": html_url,
        "app_id": of.app,
        "client_id": client_id,
        "app_slug": slug,
        "target_id": of.account,
        "target_type": if target { "Organization" } else { "User" },
        "permissions": permissions(&of.permissions),
        "events": of.events,
        "created_at": time(of.created_at),
        "updated_at": time(of.created_at),
        "single_file_name": null,
        "has_multiple_single_files": false,
        "single_file_paths": [],
        "suspended_by": of.suspended_at.map(|_| account(gh, of.account)),
        "suspended_at": of.suspended_at.map(time),
    })
}

pub(in crate::github) fn installation_token(
    gh: &GitHub,
    secret: &str,
    expires_at: Millis,
    token: &Token,
) -> Value {
    let seen = token.seen.as_ref().and_then(|seen| seen.repositories.as_ref());
    let selection = if seen.is_some() { "selected" } else { "all" };
    let mut shown = json!({
        "token": secret,
        "expires_at": time(expires_at),
        "permissions": permissions(&token.permissions),
        "repository_selection": selection,
    });
    if let Some(seen) = seen {
        let found = seen.iter().filter_map(|id| gh.with_owner(*id));
        let found: Vec<Value> = found.map(|(one, owner)| repository(gh, one, owner)).collect();
        extend(&mut shown, json!({ "repositories": found }));
    }
    shown
}

/// Schema `webhook-config`. The secret is never shown.
pub(in crate::github) fn hook_config(hook: &Hook) -> Value {
    let mut shown = json!({
        "url": hook.spec.url,
        "content_type": hook.spec.content_type.as_str(),
        "insecure_ssl": "0",
    });
    if hook.spec.secret.is_some() {
        extend(&mut shown, json!({ "secret": "********" }));
    }
    shown
}

/// As `installation` events list them.
pub(in crate::github) fn minimal_repositories(
    gh: &GitHub,
    ids: impl Iterator<Item = u64>,
) -> Vec<Value> {
    let found = ids.filter_map(|id| gh.with_owner(id));
    let shown = found.map(|(found, owner)| {
        json!({
            "id": found.id,
            "node_id": node_id("Repository", found.id),
            "name": found.name,
            "full_name": format!("{}/{}", owner.login, found.name),
            "private": found.visibility.as_str() != "public",
        })
    });
    shown.collect()
}

/// Each payload that an App gets names the installation it is for: schema `simple-installation`.
pub(in crate::github) fn add_installation(payload: &mut Value, id: u64) {
    let shown = json!({ "id": id, "node_id": node_id("IntegrationInstallation", id) });
    extend(payload, json!({ "installation": shown }));
}

pub(in crate::github) fn add_repository(gh: &GitHub, event: &mut Value, id: u64) {
    extend(event, payload(gh, id));
    let owner = gh.with_owner(id).map(|(_, owner)| simple_user(gh, owner));
    extend(event, json!({ "sender": owner }));
}

/// A header's: `Fri, 15 Jan 2027 08:00:00 GMT`.
pub(in crate::github) fn http_date(at: Millis) -> String {
    timestamp(at).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn permissions(of: &std::collections::BTreeMap<String, Level>) -> Value {
    let all = of.iter().map(|(name, level)| (name.clone(), Value::from(level.as_str())));
    Value::Object(all.collect::<Map<_, _>>())
}
