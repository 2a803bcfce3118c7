//! Gitea, for each credential: whether it is reachable and new enough, whether it accepts the token and
//! whose token it is; then what the pools name (`place`), and whether a webhook reaches us (`hooks`).

mod hooks;
mod place;

use std::sync::Arc;

use super::at_once::AtOnce;
use super::clock;
use super::finding::Finding;
use super::listed::{self, Seen};
use super::plan::{self, Plan};
use crate::config::{ForgeKind, Settings};
use crate::gitea::{Client, Error, Repository, Version};
use crate::ledger::Topics;

/// The first version that can list jobs: without that, a job whose webhook is missed is never found.
const LISTS_JOBS: (u32, u32) = (1, 25);
/// The first version that can disable a runner.
const DISABLES: (u32, u32) = (1, 26);
const SICK: &str = "check whether Gitea is up, and run check again later";

pub async fn check(settings: Arc<Settings>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut at_once = AtOnce::new();
    let mut clocks = None;
    let credentials = settings.github.credentials.iter();
    for (index, (credential, plan)) in credentials.zip(plan::plans(&settings)).enumerate() {
        let subject = format!("gitea {}", credential.owners.join(","));
        let client = match Client::new(
            settings.github.server(),
            &credential.token().cloned().unwrap_or_default(),
        ) {
            Ok(client) => client,
            Err(error) => {
                findings.push(Finding::fail(subject, error.to_string(), "correct github.api_url"));
                continue;
            }
        };
        if clocks.is_none() {
            // One answer is enough: all credentials are at one Gitea.
            clocks = client.version().await.ok().and_then(|(_, clocks)| clocks);
        }
        let (settings, about) = (settings.clone(), subject.clone());
        at_once.add(subject, "check github.api_url, and whether Gitea is up", async move {
            one(&about, &client, index, plan, settings).await
        });
    }
    findings.extend(at_once.findings().await);
    let forge = ForgeKind::Gitea.name();
    findings.extend(clocks.map(|(server, local)| clock::judge(forge, server, local)));
    findings
}

async fn one(
    subject: &str,
    client: &Client,
    index: usize,
    mut plan: Plan,
    settings: Arc<Settings>,
) -> Vec<Finding> {
    let version = match client.version().await {
        Ok((version, _)) => version,
        Err(error) => return vec![no_answer(subject, &error, &plan)],
    };
    let user = client.user().await;
    if let Err(error @ Error::Unauthorized { .. }) = &user {
        return vec![no_answer(subject, error, &plan)];
    }
    let patterns = !plan.patterns.is_empty();
    let mut findings = vec![about_version(subject, &version), whose(subject, &user, patterns)];
    if patterns && user.is_ok() {
        findings.extend(match client.my_repositories().await {
            Ok(found) => {
                let seen = found.into_iter().map(seen).collect();
                listed::add(subject, seen, index, &mut plan, &settings)
            }
            Err(error) => vec![Finding::fail(
                subject,
                format!("{error}; repositories that patterns name are not served"),
                match error {
                    Error::Forbidden { .. } => {
                        "give the token read:user and read:repository, or name every repository"
                    }
                    _ => SICK,
                },
            )],
        });
    }
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

fn seen(found: Repository) -> Seen {
    Seen {
        private: found.private || found.internal,
        full_name: found.full_name,
        archived: found.archived,
        topics: found.topics.map(Topics::from_outside),
    }
}

/// Everything else depends on this answer, so nothing else is requested.
fn no_answer(subject: &str, error: &Error, plan: &Plan) -> Finding {
    let message = format!("{error}{}", plan.unchecked());
    let fix = match error {
        Error::Unauthorized { .. } => {
            "create a new token (Gitea → Settings → Applications) and replace this one in [[github.credentials]] or in its file"
        }
        Error::Unavailable { .. } => {
            "check github.api_url and the network path (proxy, firewall, DNS), or start Gitea"
        }
        _ => "github.api_url must be the address of a Gitea followed by /api/v1",
    };
    Finding::fail(subject, message, fix)
}

fn about_version(subject: &str, version: &Version) -> Finding {
    let text = &version.text;
    match version.number {
        Some(number) if number < LISTS_JOBS => Finding::fail(
            subject,
            format!(
                "is Gitea {text}, which cannot list jobs: a job whose webhook is missed is never found"
            ),
            "upgrade to Gitea 1.25 or newer, preferably 1.26",
        ),
        Some(number) if number < DISABLES => Finding::warn(
            subject,
            format!(
                "is Gitea {text}, which cannot disable a runner: one that is being released may still get a job, which then hangs until Gitea ends it"
            ),
            "upgrade to Gitea 1.26 or newer",
        ),
        Some(_) => Finding::ok(subject, format!("is Gitea {text}")),
        None => Finding::warn(
            subject,
            format!("reports the version {text:?}, which is not a version number"),
            "make sure that it can do what Gitea 1.26 can",
        ),
    }
}

/// `patterns`: whether a pool has any; only then are repositories listed.
fn whose(subject: &str, user: &Result<String, Error>, patterns: bool) -> Finding {
    match user {
        Ok(login) => Finding::ok(
            subject,
            format!("the token belongs to {login}; its permissions show only when they are used"),
        ),
        Err(Error::Forbidden { .. }) if !patterns => Finding::ok(
            subject,
            "the token cannot read whose it is (this requires read:user), which serving does not need",
        ),
        Err(error) => Finding::fail(
            subject,
            format!("{error}; the repositories for patterns with * cannot be listed"),
            "give the token read:user, or name every repository",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::check::testing::{loaded, pools};
    use crate::check::{Report, render};

    #[test]
    fn versions_are_judged_by_what_they_can() {
        let told = ["1.24.7", "1.25.0", "1.26.1", "main"]
            .map(|text| about_version("gitea *", &Version::from(text.to_owned())));
        insta::assert_snapshot!(render::text(&Report(told.to_vec()), false), @r#"
        fail  gitea *  is Gitea 1.24.7, which cannot list jobs: a job whose webhook is missed is never found; upgrade to Gitea 1.25 or newer, preferably 1.26
        warn  gitea *  is Gitea 1.25.0, which cannot disable a runner: one that is being released may still get a job, which then hangs until Gitea ends it; upgrade to Gitea 1.26 or newer
        ok    gitea *  is Gitea 1.26.1
        warn  gitea *  reports the version "main", which is not a version number; make sure that it can do what Gitea 1.26 can
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
        ok    gitea *  the token belongs to me; its permissions show only when they are used
        ok    gitea *  the token cannot read whose it is (this requires read:user), which serving does not need
        fail  gitea *  GET /user: 403 no; the repositories for patterns with * cannot be listed; give the token read:user, or name every repository
        2 ok, 0 warn, 1 fail
        ");
    }

    /// A Gitea whose token sees these repositories, each with a hook of ours, and that gives
    /// `listing` for the list of them.
    async fn checked(listing: u16, owners: &str, seen: &[(&str, bool)], lines: &[&str]) -> String {
        let server = MockServer::start().await;
        let give = |at: String, status: u16, body: Value| {
            let total = body.as_array().map_or(0, Vec::len);
            let answer = ResponseTemplate::new(status).set_body_json(match status {
                200 => body,
                _ => json!({"message": "No."}),
            });
            let answer = answer.insert_header("x-total-count", total.to_string());
            Mock::given(path(format!("/api/v1{at}"))).respond_with(answer).mount(&server)
        };
        let repository = |(name, archived): &(&str, bool)| {
            json!({"id": name.len(), "full_name": name, "private": true, "archived": archived,
                "html_url": "http://git/", "has_actions": true})
        };
        give("/version".into(), 200, json!({"version": "1.26.0"})).await;
        give("/user".into(), 200, json!({"login": "me"})).await;
        let list = seen.iter().map(repository).collect::<Vec<_>>();
        give("/user/repos".into(), listing, json!(list)).await;
        for of in seen {
            give(format!("/repos/{}", of.0), 200, repository(of)).await;
            let at = |rest: &str| format!("/repos/{}{rest}", of.0);
            give(at("/actions/jobs"), 200, json!({"jobs": [], "total_count": 0})).await;
            give(at("/actions/runners"), 200, json!({"runners": [], "total_count": 0})).await;
            let hook = json!({"id": 1, "type": "gitea", "active": true, "events": ["workflow_job"],
                "config": {"url": "http://door/webhook", "content_type": "json"}});
            give(at("/hooks"), 200, json!([hook])).await;
        }
        let mut settings = loaded(&format!(
            "[github]\nkind = \"gitea\"\napi_url = \"{}/api/v1\"\n\
             [[github.credentials]]\nowners = [{owners:?}]\ntoken = \"t\"\n",
            server.uri()
        ))
        .settings;
        settings.github.credentials.truncate(1);
        settings.pools = pools(lines);
        // As `serve` has it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let found = check(Arc::new(settings)).await;
        let but_clock = found.into_iter().filter(|finding| finding.subject != "clock").collect();
        render::text(&Report(but_clock), false)
    }

    #[tokio::test]
    async fn what_only_a_pattern_names_is_looked_at() {
        let seen =
            [("octo/app", false), ("octo/older", true), ("octo/secret", false), ("you/x", false)];
        let patterns = "name = \"a\"\nrepositories = [\"octo/*\", \"!octo/s*\", \"octo/none*\"]";
        insta::assert_snapshot!(checked(200, "octo", &seen, &[patterns]).await, @r#"
        ok    gitea octo      is Gitea 1.26.0
        ok    gitea octo      the token belongs to me; its permissions show only when they are used
        ok    pool a          octo/* matches octo/app
        warn  pool a          octo/none* matches no repository that the token can see; correct the pattern, or give the token's user access to them: it sees its own, those it collaborates on and those of its teams
        ok    gitea octo/app  the token reads its jobs and reads and writes the runners (creating registration tokens is not tested)
        ok    gitea octo/app  has an active webhook for jobs with our path
        5 ok, 1 warn, 0 fail
        "#);
    }

    #[tokio::test]
    async fn a_list_that_is_refused_is_told() {
        insta::assert_snapshot!(checked(403, "*", &[], &["name = \"a\""]).await, @r"
        ok    gitea *  is Gitea 1.26.0
        ok    gitea *  the token belongs to me; its permissions show only when they are used
        fail  gitea *  GET /user/repos: 403 No.; repositories that patterns name are not served; give the token read:user and read:repository, or name every repository
        2 ok, 0 warn, 1 fail
        ");
    }
}
