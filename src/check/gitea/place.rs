//! One repository or organization that a pool names: whether it exists, whether the policy accepts it,
//! and whether the token has the permissions that serving needs.
//!
//! Nothing is changed. Write access is tested on a runner that cannot exist: ids begin with 1, so
//! disabling runner 0 is either forbidden or not found.

use super::hooks;
use crate::check::finding::Finding;
use crate::check::plan::Named;
use crate::check::repository::{name_and_policies, pool_names, topics};
use crate::config::{ScopeKind, Settings};
use crate::forge::owner_of;
use crate::gitea::{Client, Error, Owner};

const NOBODY: u64 = 0;

pub async fn repository(
    client: &Client,
    named: &Named,
    settings: &Settings,
    can_write: bool,
) -> Vec<Finding> {
    let name = named.name.as_str();
    let subject = format!("gitea {name}");
    let found = match client.repository(name).await {
        Ok(found) => found,
        Err(error) => {
            let mut finding = refused(&subject, &error, "read:repository", name);
            if matches!(error, Error::NotFound { .. }) {
                let pools = pool_names(named, settings);
                finding.fix = Some(format!(
                    "correct the name in repositories of {pools}, or give the token's user access to it and the token read:repository"
                ));
            }
            return vec![finding];
        }
    };
    let private = found.private || found.internal;
    let mut findings = name_and_policies(&subject, &found.full_name, private, named, settings);
    findings.extend(topics(&subject, found.topics.clone(), named, settings));
    if found.archived {
        findings.push(Finding::warn(
            &subject,
            "is archived: Gitea runs no jobs there",
            format!("remove it from repositories of {}", pool_names(named, settings)),
        ));
    }
    if found.has_actions == Some(false) {
        findings.push(Finding::warn(
            &subject,
            "has Actions disabled, so it has no jobs",
            "enable them (Settings → Units → Actions), or remove it from the pool",
        ));
    }
    let of = Owner::Repository(name);
    let mut can = Vec::new();
    match client.jobs(of, &["queued"]).await {
        Ok(_) => can.push("reads its jobs"),
        // The repository is visible, so it is the list of jobs that is missing.
        Err(error @ Error::NotFound { .. }) => findings.push(Finding::fail(
            &subject,
            error.to_string(),
            "upgrade to Gitea 1.25 or newer, and enable the repository's Actions",
        )),
        Err(error) => findings.push(refused(&subject, &error, "read:repository", name)),
    }
    if named.pools.iter().any(|pool| settings.pools[*pool].scope == ScopeKind::Repository) {
        match runners(client, of, can_write).await {
            Ok(what) => can.extend(what),
            Err(error) => findings.push(refused(
                &subject,
                &error,
                "write:repository (its user must own the repository)",
                name,
            )),
        }
    }
    if !can.is_empty() {
        let message =
            format!("the token {} (creating registration tokens is not tested)", can.join(" and "));
        findings.push(Finding::ok(&subject, message));
    }
    if settings.webhook.enabled {
        findings.push(hook(&subject, client, name, &found.html_url, settings).await);
    }
    findings
}

async fn hook(
    subject: &str,
    client: &Client,
    name: &str,
    page: &str,
    settings: &Settings,
) -> Finding {
    let (own, organization) = tokio::join!(
        client.hooks(Owner::Repository(name)),
        client.hooks(Owner::Organization(owner_of(name)))
    );
    match own {
        Ok(own) => {
            let organization = match organization {
                // A personal account has none.
                Err(Error::NotFound { .. }) => Some(Vec::new()),
                organization => organization.ok(),
            };
            hooks::judge(subject, page, &settings.webhook.path, &own, organization.as_deref())
        }
        // Serving needs no such permission.
        Err(Error::Forbidden { .. } | Error::NotFound { .. }) => Finding::ok(
            subject,
            "webhooks are not checked: this requires an administrator of the repository",
        ),
        Err(error) => refused(subject, &error, "read:repository", name),
    }
}

pub async fn organization(client: &Client, name: &str, can_write: bool) -> Finding {
    let subject = format!("gitea {name}");
    match runners(client, Owner::Organization(name), can_write).await {
        Ok(can) => {
            let message = format!(
                "the token {} (creating registration tokens is not tested)",
                can.join(" and ")
            );
            Finding::ok(subject, message)
        }
        Err(error) => {
            let scope = "write:organization (its user must own the organization)";
            let mut finding = refused(&subject, &error, scope, name);
            if let (Error::NotFound { .. }, Some(fix)) = (&error, &mut finding.fix) {
                fix.push_str(
                    "; a personal account has no runners of its own: use scope = \"repository\"",
                );
            }
            finding
        }
    }
}

/// What the token can do with an owner's runners.
async fn runners(
    client: &Client,
    of: Owner<'_>,
    can_write: bool,
) -> Result<Vec<&'static str>, Error> {
    client.runners(of).await?;
    if !can_write {
        return Ok(vec!["reads the runners"]);
    }
    match client.disable_runner(of, NOBODY).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(vec!["reads and writes the runners"]),
        Err(error) => Err(error),
    }
}

fn refused(subject: &str, error: &Error, scope: &str, on: &str) -> Finding {
    let message = error.to_string();
    let fix = match error {
        Error::Unauthorized { .. } | Error::Forbidden { .. } => {
            format!("the token for {on} needs {scope}")
        }
        Error::NotFound { .. } => {
            format!("check that {on} exists; if it does, its token needs {scope}")
        }
        Error::Unknown { .. } => "upgrade to Gitea 1.25 or newer, preferably 1.26".to_owned(),
        Error::Unavailable { .. } | Error::Protocol { .. } => super::SICK.to_owned(),
    };
    Finding::fail(subject, message, fix)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::matchers::{method, path, path_regex};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::check::testing::{loaded, pools};
    use crate::check::{Report, render};

    /// A Gitea that has `o/r`, and gives these statuses for jobs, runners, runner 0 and hooks.
    async fn judged(jobs: u16, runners: u16, nobody: u16, hooks: u16) -> String {
        let server = MockServer::start().await;
        let give = |verb: &'static str, at: &'static str, status: u16, body: serde_json::Value| {
            let body = if status == 200 { body } else { json!({"message": "No."}) };
            let answer = ResponseTemplate::new(status).set_body_json(body);
            Mock::given(method(verb)).and(path_regex(at)).respond_with(answer).mount(&server)
        };
        let repository = json!({"id": 1, "full_name": "o/r", "private": true,
            "html_url": "http://git/o/r", "has_actions": true});
        Mock::given(path("/api/v1/repos/o/r"))
            .respond_with(ResponseTemplate::new(200).set_body_json(repository))
            .mount(&server)
            .await;
        give("GET", "/o/r/actions/jobs$", jobs, json!({"jobs": [], "total_count": 0})).await;
        let none = json!({"runners": [], "total_count": 0});
        give("GET", "/o/r/actions/runners$", runners, none).await;
        give("PATCH", "/o/r/actions/runners/0$", nobody, json!({})).await;
        give("GET", "/repos/o/r/hooks$", hooks, json!([])).await;
        give("GET", "/orgs/o/hooks$", 404, json!([])).await;
        let mut settings = loaded("").settings;
        settings.pools = pools(&["name = \"a\"\nrepositories = [\"o/r\"]"]);
        let named = Named { name: "o/r".into(), pools: vec![0] };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let api = format!("{}/api/v1", server.uri()).parse().unwrap();
        let client = Client::new(api, &"s3cr3t".into()).unwrap();
        render::text(&Report(repository_of(&client, &named, &settings).await), false)
    }

    async fn repository_of(client: &Client, named: &Named, settings: &Settings) -> Vec<Finding> {
        super::repository(client, named, settings, true).await
    }

    #[tokio::test]
    async fn a_token_that_may_everything() {
        insta::assert_snapshot!(judged(200, 200, 404, 200).await, @r#"
        ok    gitea o/r  the token reads its jobs and reads and writes the runners (creating registration tokens is not tested)
        warn  gitea o/r  has no webhook; add one under Settings → Webhooks (http://git/o/r/settings/hooks) → Gitea: target URL http(s)://THIS-HOST/webhook, POST content type application/json, the secret of [webhook], custom event "Workflow Jobs", active; and allow this host in [webhook] ALLOWED_HOST_LIST of app.ini
        1 ok, 1 warn, 0 fail
        "#);
    }

    #[tokio::test]
    async fn a_token_that_may_read_only() {
        insta::assert_snapshot!(judged(200, 200, 403, 403).await, @r"
        fail  gitea o/r  PATCH /repos/o/r/actions/runners/0: 403 No.; the token for o/r needs write:repository (its user must own the repository)
        ok    gitea o/r  the token reads its jobs (creating registration tokens is not tested)
        ok    gitea o/r  webhooks are not checked: this requires an administrator of the repository
        2 ok, 0 warn, 1 fail
        ");
    }

    #[tokio::test]
    async fn a_gitea_that_cannot_list_jobs() {
        insta::assert_snapshot!(judged(404, 200, 404, 403).await, @r"
        fail  gitea o/r  GET /repos/o/r/actions/jobs: 404 not found, or the token may not see it; upgrade to Gitea 1.25 or newer, and enable the repository's Actions
        ok    gitea o/r  the token reads and writes the runners (creating registration tokens is not tested)
        ok    gitea o/r  webhooks are not checked: this requires an administrator of the repository
        2 ok, 0 warn, 1 fail
        ");
    }
}
