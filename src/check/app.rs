//! A GitHub App: whether GitHub knows it, what it may do against what the pools need, where it is
//! installed and what is accepted there, its events and its webhook. `app status` shows the same.

use super::finding::Finding;
use super::plan::Plan;
use super::refused::refused;
use crate::config::{Credential, ScopeKind, Settings};
use crate::github::{App, Error, Grant, HookConfig, Installation, Operation, Registered};

/// Permissions by name, each with what it is for.
type Needs = Vec<(&'static str, &'static str, &'static str)>;

/// The findings; as an error where nothing else is to be asked.
pub async fn app(
    subject: &str,
    app: &App,
    credential: &Credential,
    plan: &Plan,
    settings: &Settings,
) -> Result<Vec<Finding>, Vec<Finding>> {
    let registered = match app.registered().await {
        Ok(registered) => registered,
        Err(error) => {
            let mut finding = refused(subject, &error, Operation::Repository, "the App");
            finding.message = format!("{error}{}", plan.unchecked());
            return Err(vec![finding]);
        }
    };
    let needs = needs(plan, settings);
    let mut findings = itself(subject, &registered, &needs, settings);
    for owner in &credential.owners {
        if owner == "*" {
            continue;
        }
        match app.installation(owner).await {
            Ok(found) => {
                findings.extend(installed(subject, &found, &registered, &needs));
                findings.extend(token(subject, app, owner).await);
            }
            Err(error) => {
                findings.push(refused(subject, &error, Operation::Repository, owner));
            }
        }
    }
    if settings.webhook.enabled {
        match app.hook_config().await {
            Ok(hook) => findings.extend(webhook(subject, &hook, credential, settings)),
            Err(Error::NotFound { .. }) => findings.push(Finding::warn(
                subject,
                "the App has no webhook: jobs are found only by the sweep, minutes late",
                "activate it (the App's settings → General → Webhook)",
            )),
            Err(error) => findings.push(refused(subject, &error, Operation::Hooks, "the App")),
        }
    }
    Ok(findings)
}

/// What stands in the way of a token, although the App is installed: only asking for one tells.
async fn token(subject: &str, app: &App, owner: &str) -> Option<Finding> {
    let error = app.client(owner, Grant::Read).rate_limit().await.err()?;
    let mut finding = refused(subject, &error, Operation::Repository, owner);
    finding.message =
        format!("the App is installed on {owner}, but a token cannot be used: {}", finding.message);
    Some(finding)
}

fn needs(plan: &Plan, settings: &Settings) -> Needs {
    let cancels = settings.pools.iter().any(|pool| pool.cancel_superseded);
    let mut needs = vec![match cancels {
        true => ("actions", "write", "cancel_superseded, runs and jobs"),
        false => ("actions", "read", "runs and jobs"),
    }];
    for scope in &plan.scopes {
        needs.push(match scope {
            ScopeKind::Repository => ("administration", "write", "runners of repositories"),
            ScopeKind::Organization => {
                ("organization_self_hosted_runners", "write", "runners of organizations")
            }
        });
    }
    needs
}

/// Whether a level includes another: `admin` is more than `write`, and that than `read`.
fn suffices(has: Option<&String>, needed: &str) -> bool {
    let rank = |level: &str| ["read", "write", "admin"].iter().position(|one| *one == level);
    has.is_some_and(|has| rank(has) >= rank(needed))
}

fn itself(subject: &str, app: &Registered, needs: &Needs, settings: &Settings) -> Vec<Finding> {
    let owner = app.owner.as_ref().map(|owner| format!(", owned by {}", owner.login));
    let mut findings = vec![Finding::ok(
        subject,
        format!("is the GitHub App {}{}", app.slug, owner.unwrap_or_default()),
    )];
    for (name, level, what) in needs {
        if !suffices(app.permissions.get(*name), level) {
            findings.push(Finding::fail(
                subject,
                format!("the App does not ask for the permission {name}: {level} ({what})"),
                format!(
                    "add it ({}/permissions), then accept it where the App is installed",
                    settings_page(app)
                ),
            ));
        }
    }
    if settings.webhook.enabled && !app.events.iter().any(|event| event == "workflow_job") {
        findings.push(Finding::fail(
            subject,
            "the App is not subscribed to the event workflow_job: jobs are found only by the sweep",
            format!("subscribe to \"Workflow job\" ({}/permissions)", settings_page(app)),
        ));
    }
    if settings.webhook.enabled && !app.events.iter().any(|event| event == "repository") {
        findings.push(Finding::warn(
            subject,
            "the App is not subscribed to the event repository: renamed or published repositories are noticed later",
            format!("subscribe to \"Repository\" ({}/permissions)", settings_page(app)),
        ));
    }
    findings
}

/// Of the App's settings, as far as its page tells.
fn settings_page(app: &Registered) -> String {
    match app.html_url.split_once("/apps/") {
        Some((web, slug)) => {
            match app.owner.as_ref().filter(|owner| owner.kind == "Organization") {
                Some(owner) => format!("{web}/organizations/{}/settings/apps/{slug}", owner.login),
                None => format!("{web}/settings/apps/{slug}"),
            }
        }
        None => "the App's settings".to_owned(),
    }
}

fn installed(subject: &str, found: &Installation, app: &Registered, needs: &Needs) -> Vec<Finding> {
    let owner = &found.account.login;
    let which = match found.all_repositories {
        true => "all repositories",
        false => "selected repositories",
    };
    let mut findings = vec![Finding::ok(subject, format!("is installed on {owner} for {which}"))];
    for (name, asked) in &app.permissions {
        if suffices(found.permissions.get(name), asked) {
            continue;
        }
        let message = format!("{owner} has not accepted the permission {name}: {asked} yet");
        let fix = format!(
            "accept it (settings of {owner} → GitHub Apps → {} → Review request)",
            app.slug
        );
        let needed = needs.iter().find(|(needed, ..)| needed == name);
        findings.push(match needed {
            Some((_, level, what)) if !suffices(found.permissions.get(name), level) => {
                Finding::fail(subject, format!("{message} ({what})"), fix)
            }
            _ => Finding::warn(subject, message, fix),
        });
    }
    findings
}

/// GitHub shows no secret, only whether there is one.
fn webhook(
    subject: &str,
    hook: &HookConfig,
    credential: &Credential,
    settings: &Settings,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let wanted = settings.webhook.public_url.as_ref();
    let same = wanted.is_none_or(|wanted| url::Url::parse(&hook.url).is_ok_and(|it| it == *wanted));
    match wanted {
        Some(wanted) if !same => findings.push(Finding::fail(
            subject,
            format!("the App's webhook goes to {}, not to {wanted} (webhook.public_url)", hook.url),
            "change one of them (the App's settings → General → Webhook URL)",
        )),
        _ => findings.push(Finding::ok(subject, format!("its webhook goes to {}", hook.url))),
    }
    let ours = credential.app().is_some_and(|app| app.webhook.is_some());
    let general = settings.webhook.secret.is_some();
    match (hook.secret.is_some(), ours || general) {
        (false, _) => findings.push(Finding::fail(
            subject,
            "the App's webhook has no secret, so its deliveries are refused",
            "set one there and in webhook_secret_file of the App, or run roustabout app status --rotate-secret",
        )),
        (true, false) => findings.push(Finding::fail(
            subject,
            "no secret for the App's webhook is configured, so its deliveries are refused",
            "set webhook_secret_file of the App",
        )),
        (true, true) => {}
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::testing::loaded;
    use crate::check::{Report, render};
    use crate::github::Account;

    fn granted(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
    }

    fn registered(permissions: &[(&str, &str)], events: &[&str]) -> Registered {
        Registered {
            id: 1,
            slug: "runners".to_owned(),
            name: "Runners".to_owned(),
            client_id: None,
            owner: Some(Account { login: "octo".to_owned(), kind: "Organization".to_owned() }),
            html_url: "https://github.com/apps/runners".to_owned(),
            permissions: granted(permissions),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_missing_and_what_is_not_accepted_yet_is_named() {
        let settings = loaded("").settings;
        let plan = Plan { scopes: vec![ScopeKind::Repository], ..Plan::default() };
        let needs = needs(&plan, &settings);
        let app = registered(&[("actions", "read"), ("administration", "read")], &[]);
        let mut findings = itself("github octo", &app, &needs, &settings);
        let app = registered(
            &[("actions", "write"), ("administration", "write"), ("metadata", "read")],
            &["workflow_job", "repository"],
        );
        findings.extend(itself("github octo", &app, &needs, &settings));
        let found = Installation {
            id: 1,
            account: Account { login: "octo".to_owned(), kind: "Organization".to_owned() },
            all_repositories: false,
            permissions: granted(&[("actions", "read"), ("metadata", "read")]),
            events: Vec::new(),
            suspended_at: None,
        };
        findings.extend(installed("github octo", &found, &app, &needs));
        let told = render::text(&Report(findings), false);
        for wanted in [
            "fail  github octo  the App does not ask for the permission administration: write (runners of repositories)",
            "https://github.com/organizations/octo/settings/apps/runners/permissions",
            "not subscribed to the event workflow_job",
            "not subscribed to the event repository",
            "is installed on octo for selected repositories",
            "warn  github octo  octo has not accepted the permission actions: write yet",
            "fail  github octo  octo has not accepted the permission administration: write yet (runners of repositories)",
        ] {
            assert!(told.contains(wanted), "{wanted}\n{told}");
        }
        assert_eq!(told.matches("fail  ").count(), 3, "{told}");
    }

    #[test]
    fn a_webhook_that_leads_elsewhere_or_has_no_secret_is_told() {
        let settings = loaded("[webhook]\npublic_url = \"https://hooks.test/webhook\"\n").settings;
        let credential = settings.github.credentials[0].clone();
        let told = |url: &str, secret: Option<&str>| {
            let hook = HookConfig {
                url: url.to_owned(),
                content_type: Some("json".to_owned()),
                secret: secret.map(str::to_owned),
            };
            let findings = webhook("github octo", &hook, &credential, &settings);
            render::text(&Report(findings), false)
        };
        let good = told("https://hooks.test/webhook", Some("********"));
        assert!(
            good.contains("ok    github octo  its webhook goes to") && !good.contains("fail  ")
        );
        let elsewhere = told("https://other.test/webhook", Some("********"));
        assert!(
            elsewhere.contains("goes to https://other.test/webhook, not to https://hooks.test")
        );
        assert!(told("https://hooks.test/webhook", None).contains("has no secret"));
    }
}
