//! GitHub, for each credential: whether it answers, whether it accepts the token, whose token it is and
//! what it may do as far as GitHub reports it; then what the pools name (`repository`).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::at_once::AtOnce;
use super::finding::Finding;
use super::listed::{self, Seen};
use super::minting::Minting;
use super::plan::{self, Plan};
use super::refused::refused;
use super::{app, clock, repository};
use crate::config::{ForgeKind, GitHub, ScopeKind, Settings};
use crate::forge::{Asks, owner_of};
use crate::github::{Client, Error, Grant, Operation, Pages, RateLimit, Repository, User};
use crate::ledger::Topics;

/// A token that expires sooner is reported: time enough to create another in working hours.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// One in this many requests left is little.
const LITTLE: u64 = 10;

pub async fn check(settings: Arc<Settings>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut clients = Vec::new();
    for credential in &settings.github.credentials {
        let subject = format!("github {}", credential.owners.join(","));
        match Asks::by(settings.github.server(), credential) {
            Ok(asks) => clients.push((subject, asks)),
            Err(error) => {
                findings.push(Finding::fail(subject, error.to_string(), "correct github.api_url"));
            }
        }
    }
    let mut at_once = AtOnce::new();
    let plans = plan::plans(&settings).into_iter().enumerate();
    for ((subject, asks), (place, plan)) in clients.iter().cloned().zip(plans) {
        let settings = settings.clone();
        let about = subject.clone();
        at_once.add(subject, "check github.api_url, and whether GitHub is up", async move {
            one(&about, &asks, place, plan, settings).await
        });
    }
    findings.extend(at_once.findings().await);
    // One clock is enough: all credentials are at one GitHub.
    let clocks = clients.iter().find_map(|(_, asks)| match asks {
        Asks::By(client) => client.server_clock(),
        Asks::As(app) => app.own().server_clock(),
    });
    findings.extend(
        clocks.map(|(server, local)| clock::judge(ForgeKind::GitHub.name(), server, local)),
    );
    findings
}

/// What the Apps among the credentials are, without the repositories that they serve.
pub async fn apps(settings: &Settings, apps: &[usize]) -> Vec<Finding> {
    let plans = plan::plans(settings);
    let mut findings = Vec::new();
    for (credential, plan) in settings
        .github
        .credentials
        .iter()
        .zip(plans)
        .enumerate()
        .filter_map(|(index, both)| apps.contains(&index).then_some(both))
    {
        let subject = format!("github {}", credential.owners.join(","));
        findings.extend(match Asks::by(settings.github.server(), credential) {
            Ok(Asks::As(app)) => {
                let found = app::app(&subject, &app, credential, &plan, settings).await;
                found.unwrap_or_else(|findings| findings)
            }
            Ok(Asks::By(_)) => Vec::new(),
            Err(error) => {
                vec![Finding::fail(subject, error.to_string(), "correct github.api_url")]
            }
        });
    }
    findings
}

async fn one(
    subject: &str,
    asks: &Asks,
    place: usize,
    mut plan: Plan,
    settings: Arc<Settings>,
) -> Vec<Finding> {
    let itself = match asks {
        Asks::By(client) => token_itself(subject, client, &plan, &settings).await,
        Asks::As(app) => {
            let credential = &settings.github.credentials[place];
            app::app(subject, app, credential, &plan, &settings).await
        }
    };
    let mut findings = match itself {
        Ok(findings) => findings,
        Err(findings) => return findings,
    };
    if !plan.patterns.is_empty() {
        let owners = settings.github.credentials[place].owners.as_slice();
        findings.extend(match repositories(asks, owners).await {
            Ok((seen, unseen)) => {
                // What cannot be seen is told by `app`, and no fault of the pattern.
                plan.patterns.retain(|pattern| {
                    let owner = owner_of(&pattern.name);
                    let hidden = match owner.contains('*') {
                        true => !unseen.is_empty(),
                        false => unseen.iter().any(|one| one.eq_ignore_ascii_case(owner)),
                    };
                    !hidden
                });
                listed::add(subject, seen, place, &mut plan, &settings)
            }
            Err(error) => vec![refused(subject, &error, Operation::Repository, "it")],
        });
    }
    let minting = Minting::default();
    let mut at_once = AtOnce::new();
    const FIX: &str = "check whether GitHub is up, and run check again later";
    for named in plan.repositories {
        let (asks, settings, minting) = (asks.clone(), settings.clone(), minting.clone());
        at_once.add(format!("github {}", named.name), FIX, async move {
            repository::repository(&asks, &named, &settings, &minting).await
        });
    }
    for named in plan.organizations {
        let (asks, settings, minting) = (asks.clone(), settings.clone(), minting.clone());
        at_once.add(format!("github {}", named.name), FIX, async move {
            repository::organization(&asks, &named, &settings, &minting).await
        });
    }
    findings.extend(at_once.findings().await);
    findings
}

/// What the token is; the error: nothing else is to be asked with it.
async fn token_itself(
    subject: &str,
    client: &Client,
    plan: &Plan,
    settings: &Settings,
) -> Result<Vec<Finding>, Vec<Finding>> {
    let user = match client.user().await {
        Ok(user) => user,
        Err(error) => {
            let gitea = match error {
                Error::Unauthorized { .. } | Error::HeldBack { .. } | Error::RateLimited { .. } => {
                    None
                }
                _ => gitea_there(&settings.github).await,
            };
            let found = gitea.map(|version| is_gitea(subject, &settings.github, &version));
            return Err(vec![found.unwrap_or_else(|| no_user(subject, &error, plan))]);
        }
    };
    let limit = client.rate_limit().await.ok();
    Ok(token(subject, &user, limit, &plan.scopes, Timestamp::now()))
}

/// All that the token sees, or that the App may see of these owners; and the owners of whom it sees
/// nothing, for it gets no token there.
async fn repositories(asks: &Asks, owners: &[String]) -> Result<(Vec<Seen>, Vec<String>), Error> {
    let seen = |found: Repository| Seen {
        full_name: found.full_name,
        private: found.private,
        archived: found.archived,
        topics: found.topics.map(Topics::from_outside),
    };
    let app = match asks {
        Asks::By(client) => {
            let all = client.my_repositories().await?.into_iter().map(seen).collect();
            return Ok((all, Vec::new()));
        }
        Asks::As(app) => app,
    };
    let (mut all, mut unseen) = (Vec::new(), Vec::new());
    for owner in owners.iter().filter(|owner| *owner != "*") {
        let mut known = Pages::default();
        let client = app.client(owner, Grant::Read);
        match client.installation_repositories_again(&mut known, seen).await {
            Ok(()) => all.extend(known.items().cloned()),
            // Told by `app` already.
            Err(
                Error::NotInstalled { .. } | Error::Suspended { .. } | Error::NotGranted { .. },
            ) => unseen.push(owner.clone()),
            Err(error) => return Err(error),
        }
    }
    Ok((all, unseen))
}

/// The version of the Gitea that answers at the host of `api_url`, if one does.
async fn gitea_there(github: &GitHub) -> Option<String> {
    let url = gitea_api(&github.api_url)?;
    let client = crate::gitea::Client::new(url.into(), &"none".into()).ok()?;
    client.version().await.ok().map(|(version, _)| version.text)
}

/// Where its API would be; none for GitHub itself, which is not asked.
fn gitea_api(api_url: &Url) -> Option<Url> {
    let github = api_url.host_str().is_none_or(|host| host == "api.github.com");
    if github { None } else { api_url.join("/api/v1").ok() }
}

fn is_gitea(subject: &str, github: &GitHub, version: &str) -> Finding {
    let url = gitea_api(&github.api_url).map(String::from).unwrap_or_default();
    Finding::fail(
        subject,
        format!("{} is a Gitea ({version}), but kind is \"github\"", github.api_url),
        format!("set kind = \"gitea\" and api_url = {url:?} in [github]"),
    )
}

/// Everything else depends on this answer, so nothing else is requested.
fn no_user(subject: &str, error: &Error, plan: &Plan) -> Finding {
    let message = format!("{error}{}", plan.unchecked());
    match error {
        Error::Unauthorized { .. } => Finding::fail(
            subject,
            message,
            "create a new token (GitHub → Settings → Developer settings) and replace this one in [[github.credentials]] or in its file",
        ),
        Error::HeldBack { .. }
        | Error::RateLimited { .. }
        | Error::OverShare { .. }
        | Error::TooFast { .. } => Finding::warn(
            subject,
            message,
            "wait until then; if it happens again, find out what else uses this user's rate limit",
        ),
        Error::Unavailable { .. } => Finding::fail(
            subject,
            message,
            "check github.api_url and the network path (proxy, firewall, DNS); see githubstatus.com for outages",
        ),
        _ => Finding::fail(
            subject,
            message,
            "github.api_url must be https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server",
        ),
    }
}

/// Findings about the token. Pure.
fn token(
    subject: &str,
    user: &User,
    limit: Option<RateLimit>,
    scopes: &[ScopeKind],
    now: Timestamp,
) -> Vec<Finding> {
    let kind = match &user.scopes {
        Some(scopes) if scopes.is_empty() => "classic, without scopes".to_owned(),
        Some(scopes) => format!("classic, with {}", scopes.join(" ")),
        None => "not classic: its permissions show only when they are used".to_owned(),
    };
    let left = limit.map_or_else(String::new, |limit| {
        format!("; {} of {} requests left this hour", limit.remaining, limit.limit)
    });
    let mut findings =
        vec![Finding::ok(subject, format!("the token belongs to {} ({kind}){left}", user.login))];
    if let Some(has) = &user.scopes {
        findings.extend(scopes.iter().filter_map(|scope| lacks(subject, has, *scope)));
    }
    if let Some(ends) = user.expires_at
        && ends.duration_since(now) < ENDS_SOON
    {
        findings.push(Finding::warn(
            subject,
            format!("the token expires on {ends}"),
            "create a new one now, and replace this one in [[github.credentials]] or in its file",
        ));
    }
    if let Some(limit) = limit.filter(|limit| limit.remaining < limit.limit / LITTLE) {
        findings.push(Finding::warn(
            subject,
            format!("less than 10 % of the rate limit is left until {}", limit.reset),
            "find out what else uses this user's tokens, or use a separate user for roustabout",
        ));
    }
    findings
}

/// The scopes of a classic token are in GitHub's answer (docs, "Scopes for OAuth apps").
fn lacks(subject: &str, has: &[String], scope: ScopeKind) -> Option<Finding> {
    let any = |wanted: &[&str]| has.iter().any(|scope| wanted.contains(&scope.as_str()));
    let (wanted, what) = match scope {
        ScopeKind::Repository if any(&["repo"]) => return None,
        ScopeKind::Repository if any(&["public_repo"]) => {
            return Some(Finding::warn(
                subject,
                "the token has the scope public_repo but not repo: private repositories are not served",
                "add the scope repo if a pool serves private repositories",
            ));
        }
        ScopeKind::Repository => ("repo", "repositories"),
        ScopeKind::Organization if any(&["admin:org", "manage_runners:org"]) => return None,
        ScopeKind::Organization => ("admin:org", "organizations"),
    };
    Some(Finding::fail(
        subject,
        format!(
            "the token lacks the scope {wanted}, which registering runners with {what} requires"
        ),
        "add it (GitHub → Settings → Developer settings → Tokens (classic))",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Report, render};

    const NOW: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn told(scopes: Option<&[&str]>, ends: Option<i64>, remaining: u64) -> String {
        let user = User {
            login: "octocat".into(),
            scopes: scopes.map(|scopes| scopes.iter().map(|s| (*s).to_owned()).collect()),
            expires_at: ends.map(at),
        };
        let limit = RateLimit { limit: 5000, remaining, reset: at(NOW + 60) };
        let both = [ScopeKind::Repository, ScopeKind::Organization];
        let found = token("github octo", &user, Some(limit), &both, at(NOW));
        render::text(&Report(found), false)
    }

    #[test]
    fn a_good_token() {
        insta::assert_snapshot!(told(Some(&["repo", "admin:org"]), Some(NOW + 15 * 86_400), 4990), @r"
        ok    github octo  the token belongs to octocat (classic, with repo admin:org); 4990 of 5000 requests left this hour
        1 ok, 0 warn, 0 fail
        ");
        insta::assert_snapshot!(told(None, None, 500), @r"
        ok    github octo  the token belongs to octocat (not classic: its permissions show only when they are used); 500 of 5000 requests left this hour
        1 ok, 0 warn, 0 fail
        ");
    }

    #[test]
    fn a_token_that_will_not_do() {
        insta::assert_snapshot!(told(Some(&["public_repo"]), Some(NOW + 13 * 86_400), 499), @r"
        ok    github octo  the token belongs to octocat (classic, with public_repo); 499 of 5000 requests left this hour
        warn  github octo  the token has the scope public_repo but not repo: private repositories are not served; add the scope repo if a pool serves private repositories
        fail  github octo  the token lacks the scope admin:org, which registering runners with organizations requires; add it (GitHub → Settings → Developer settings → Tokens (classic))
        warn  github octo  the token expires on 2027-01-28T08:00:00Z; create a new one now, and replace this one in [[github.credentials]] or in its file
        warn  github octo  less than 10 % of the rate limit is left until 2027-01-15T08:01:00Z; find out what else uses this user's tokens, or use a separate user for roustabout
        1 ok, 3 warn, 1 fail
        ");
        insta::assert_snapshot!(told(Some(&[]), None, 5000), @r"
        ok    github octo  the token belongs to octocat (classic, without scopes); 5000 of 5000 requests left this hour
        fail  github octo  the token lacks the scope repo, which registering runners with repositories requires; add it (GitHub → Settings → Developer settings → Tokens (classic))
        fail  github octo  the token lacks the scope admin:org, which registering runners with organizations requires; add it (GitHub → Settings → Developer settings → Tokens (classic))
        1 ok, 0 warn, 2 fail
        ");
    }
}
