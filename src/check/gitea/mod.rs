//! Gitea, credential by credential: is it there, is it new enough, is the token taken and whose is
//! it; then what the pools name (`place`), and whether a hook of it reaches us (`hooks`).

mod hooks;
mod place;

use std::sync::Arc;

use super::at_once::AtOnce;
use super::clock;
use super::finding::Finding;
use super::plan::{self, Plan};
use crate::config::{ForgeKind, Settings};
use crate::gitea::{Client, Error, Version};

/// The first that lists jobs: without it nothing is found that a webhook did not tell.
const LISTS_JOBS: (u32, u32) = (1, 25);
/// The first that can disable a runner.
const DISABLES: (u32, u32) = (1, 26);
const SICK: &str = "is Gitea well? look again later";

pub async fn check(settings: Arc<Settings>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut at_once = AtOnce::new();
    let mut clocks = None;
    let credentials = settings.github.credentials.iter();
    for (credential, plan) in credentials.zip(plan::plans(&settings)) {
        let subject = format!("gitea {}", credential.owners.join(","));
        let client = match Client::new(settings.github.api_url.clone(), &credential.token) {
            Ok(client) => client,
            Err(error) => {
                findings.push(Finding::fail(subject, error.to_string(), "mend github.api_url"));
                continue;
            }
        };
        if clocks.is_none() {
            // One answer is enough: all credentials are at one Gitea.
            clocks = client.version().await.ok().and_then(|(_, clocks)| clocks);
        }
        let (settings, about) = (settings.clone(), subject.clone());
        at_once.add(subject, "is github.api_url right, and Gitea well?", async move {
            one(&about, &client, plan, settings).await
        });
    }
    findings.extend(at_once.findings().await);
    for pool in &settings.pools {
        let patterns = plan::patterns(pool);
        if !patterns.is_empty() {
            let message = format!(
                "{} cannot be listed yet, so of its repositories none is looked at",
                patterns.join(", ")
            );
            findings.push(Finding::ok(format!("pool {}", pool.name), message));
        }
    }
    let forge = ForgeKind::Gitea.name();
    findings.extend(clocks.map(|(server, local)| clock::judge(forge, server, local)));
    findings
}

async fn one(subject: &str, client: &Client, plan: Plan, settings: Arc<Settings>) -> Vec<Finding> {
    let version = match client.version().await {
        Ok((version, _)) => version,
        Err(error) => return vec![no_answer(subject, &error, &plan)],
    };
    let patterns = settings.pools.iter().any(|pool| !plan::patterns(pool).is_empty());
    let user = client.user().await;
    if let Err(error @ Error::Unauthorized { .. }) = &user {
        return vec![no_answer(subject, error, &plan)];
    }
    let mut findings = vec![about_version(subject, &version), whose(subject, &user, patterns)];
    let can_write = version.number.is_some_and(|number| number >= DISABLES);
    let mut at_once = AtOnce::new();
    for named in plan.repositories {
        let (client, settings) = (client.clone(), settings.clone());
        at_once.add(format!("gitea {}", named.name), SICK, async move {
            place::repository(&client, &named, &settings, can_write).await
        });
    }
    for named in plan.organizations {
        let client = client.clone();
        at_once.add(format!("gitea {}", named.name), SICK, async move {
            vec![place::organization(&client, &named.name, can_write).await]
        });
    }
    findings.extend(at_once.findings().await);
    findings
}

/// Everything else needs an answer to this one, so nothing else is asked.
fn no_answer(subject: &str, error: &Error, plan: &Plan) -> Finding {
    let left = plan.repositories.len() + plan.organizations.len();
    let message = match left {
        0 => error.to_string(),
        _ => format!("{error}; {left} of what pools name is not looked at"),
    };
    let mend = match error {
        Error::Unauthorized { .. } => {
            "make a new token (Gitea → Settings → Applications) and put it where \
             [[github.credentials]] takes this one from"
        }
        Error::Unavailable { .. } => {
            "mend github.api_url or the way there (proxy, firewall, DNS), or start Gitea"
        }
        _ => "github.api_url must be the address of a Gitea with /api/v1 after it",
    };
    Finding::fail(subject, message, mend)
}

fn about_version(subject: &str, version: &Version) -> Finding {
    let text = &version.text;
    match version.number {
        Some(number) if number < LISTS_JOBS => Finding::fail(
            subject,
            format!("is Gitea {text}, which cannot list jobs: what a webhook misses is lost"),
            "run Gitea 1.25 or newer, better 1.26",
        ),
        Some(number) if number < DISABLES => Finding::warn(
            subject,
            format!(
                "is Gitea {text}, which cannot disable a runner: one that is let go may be given a \
                 job in that moment, and the job then hangs until Gitea ends it"
            ),
            "run Gitea 1.26 or newer",
        ),
        Some(_) => Finding::ok(subject, format!("is Gitea {text}")),
        None => Finding::warn(
            subject,
            format!("calls itself version {text:?}, which says nothing to us"),
            "see to it that it can do what Gitea 1.26 can",
        ),
    }
}

/// `patterns`: whether a pool has any, for which repositories are listed.
fn whose(subject: &str, user: &Result<String, Error>, patterns: bool) -> Finding {
    match user {
        Ok(login) => Finding::ok(
            subject,
            format!("the token is {login}'s; what it may do shows where it is tried"),
        ),
        Err(Error::Forbidden { .. }) if !patterns => Finding::ok(
            subject,
            "the token may not tell whose it is (read:user), which serving does not need",
        ),
        Err(error) => Finding::fail(
            subject,
            format!("{error}, so that the repositories for patterns with * are not listed"),
            "give the token read:user, or name every repository",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Report, render};

    #[test]
    fn versions_are_judged_by_what_they_can() {
        let told = ["1.24.7", "1.25.0", "1.26.1", "main"]
            .map(|text| about_version("gitea *", &Version::from(text.to_owned())));
        insta::assert_snapshot!(render::text(&Report(told.to_vec()), false), @r#"
        fail  gitea *  is Gitea 1.24.7, which cannot list jobs: what a webhook misses is lost; run Gitea 1.25 or newer, better 1.26
        warn  gitea *  is Gitea 1.25.0, which cannot disable a runner: one that is let go may be given a job in that moment, and the job then hangs until Gitea ends it; run Gitea 1.26 or newer
        ok    gitea *  is Gitea 1.26.1
        warn  gitea *  calls itself version "main", which says nothing to us; see to it that it can do what Gitea 1.26 can
        1 ok, 2 warn, 1 fail
        "#);
    }

    #[test]
    fn a_token_that_does_not_tell_whose_it_is_matters_for_patterns_only() {
        let refused = || Error::Forbidden { request: "GET /user".into(), message: "no".into() };
        let told = [
            whose("gitea *", &Ok("me".into()), true),
            whose("gitea *", &Err(refused()), false),
            whose("gitea *", &Err(refused()), true),
        ];
        insta::assert_snapshot!(render::text(&Report(told.to_vec()), false), @r"
        ok    gitea *  the token is me's; what it may do shows where it is tried
        ok    gitea *  the token may not tell whose it is (read:user), which serving does not need
        fail  gitea *  GET /user: 403 no, so that the repositories for patterns with * are not listed; give the token read:user, or name every repository
        2 ok, 0 warn, 1 fail
        ");
    }
}
