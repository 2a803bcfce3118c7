//! One repository or organization that a pool names: whether it exists, whether the policy accepts it,
//! and whether the token has the permissions that serving needs. `minting` tests registration.

use super::finding::Finding;
use super::hooks;
use super::minting::Minting;
use super::plan::Named;
use super::refused::refused;
use crate::config::{ScopeKind, Settings, Webhook};
use crate::forge::{Asks, obstacles, owner_of, policy_obstacle};
use crate::github::{
    Client, Error, Operation, Repository, RepositoryRunners, RunnersOf, permission_for,
};
use crate::ledger::Topics;
use crate::ledger::effect::Target;
use crate::ledger::matching::RepositoryGlobs;

/// Requested by name, so that the answer is one page however many runners there are.
const NOBODY: &str = "roustabout-check";

pub async fn repository(
    asks: &Asks,
    named: &Named,
    settings: &Settings,
    minting: &Minting,
) -> Vec<Finding> {
    let name = named.name.as_str();
    let subject = format!("github {name}");
    let client = asks.reading(name);
    let found = match client.repository(name).await {
        Ok(found) => found,
        Err(error) => {
            let mut finding = refused(&subject, &error, Operation::Repository, name);
            if matches!(error, Error::NotFound { .. }) {
                let pools = pool_names(named, settings);
                finding.fix = Some(format!(
                    "correct the name in repositories of {pools}, or give the token {}",
                    permission_for(Operation::Repository)
                ));
            }
            return vec![finding];
        }
    };
    let mut findings =
        name_and_policies(&subject, &found.full_name, found.private, named, settings);
    findings.extend(topics(&subject, found.topics.clone(), named, settings));
    if found.archived {
        findings.push(Finding::warn(
            &subject,
            "is archived: GitHub runs no jobs there",
            format!("remove it from repositories of {}", pool_names(named, settings)),
        ));
    }
    let registers =
        named.pools.iter().any(|pool| settings.pools[*pool].scope == ScopeKind::Repository);
    let of = RunnersOf::Repository(name);
    let minter = asks.runners(&Target::Repository(name.to_owned()));
    // An App has a webhook of its own, which is checked once.
    let has_hooks = settings.webhook.enabled && matches!(asks, Asks::By(_));
    let (runners, runs, hooks) = tokio::join!(
        async {
            match registers {
                true => Some(minter.runners(of, Some(NOBODY)).await),
                false => None,
            }
        },
        client.runs(name, "queued"),
        async {
            match has_hooks {
                true => Some(client.hooks(name).await),
                false => None,
            }
        },
    );
    if found.owned_by_organization {
        let owner = owner_of(&found.full_name).to_owned();
        let client = asks.runners(&Target::Organization(owner));
        findings.extend(groups(&client, &subject, &found, named, settings).await);
    }
    let mut can = Vec::new();
    match runners {
        Some(Ok(_)) => {
            can.push("its runners");
            if !found.archived {
                findings.extend(minting.once(&minter, of).await);
            }
        }
        Some(Err(error)) => {
            let mut finding = refused(&subject, &error, Operation::Runners(of), name);
            let admin = found.permissions.is_none_or(|permissions| permissions.admin);
            if let (false, Some(fix)) = (admin, &mut finding.fix) {
                fix.push_str("; the token's user must also be an admin of the repository");
            }
            findings.push(finding);
        }
        None => {}
    }
    match runs {
        Ok(_) => can.push("its runs"),
        Err(error) => findings.push(refused(&subject, &error, Operation::Runs, name)),
    }
    if !can.is_empty() {
        let message = format!("the token reads {}", can.join(" and "));
        findings.push(Finding::ok(&subject, message));
    }
    match hooks {
        Some(Ok(mut hooks)) => {
            let organization = match found.owned_by_organization && !hooks.iter().any(hooks::tells)
            {
                true => client.organization_hooks(owner_of(&found.full_name)).await.ok(),
                false => None,
            };
            let all_seen = !found.owned_by_organization || organization.is_some();
            hooks.extend(organization.unwrap_or_default());
            let Webhook { path, public_url, .. } = &settings.webhook;
            let judged =
                hooks::judge(&subject, &found, path, public_url.as_ref(), &hooks, all_seen);
            findings.push(judged);
        }
        // Serving needs no such permission.
        Some(Err(Error::Forbidden { .. } | Error::NotFound { .. })) => findings.push(Finding::ok(
            &subject,
            format!("webhooks are not checked: this requires {}", permission_for(Operation::Hooks)),
        )),
        Some(Err(error)) => findings.push(refused(&subject, &error, Operation::Hooks, name)),
        None => {}
    }
    findings
}

/// Whether its organization keeps its jobs from the pools' runners. Serving needs no permission to
/// ask that, so where there is none nothing is said.
async fn groups(
    client: &Client,
    subject: &str,
    found: &Repository,
    named: &Named,
    settings: &Settings,
) -> Vec<Finding> {
    let pools = || named.pools.iter().map(|index| &settings.pools[*index]);
    let Some((owner, name)) = found.full_name.split_once('/') else { return Vec::new() };
    let mut findings = Vec::new();
    if pools().any(|pool| pool.scope == ScopeKind::Organization)
        && let Ok(visible) = client.runner_groups(owner, Some(name)).await
    {
        for pool in pools().filter(|pool| pool.scope == ScopeKind::Organization) {
            let group = pool.runner_group.as_deref();
            let told = obstacles(group, &visible, !found.private).into_iter();
            findings.extend(told.map(|(what, fix)| {
                Finding::warn(subject, format!("pool {}: {what}", pool.name), fix)
            }));
        }
    }
    if pools().any(|pool| pool.scope == ScopeKind::Repository)
        && let Ok(allowed) = client.repository_runners(owner).await
        && let Some((what, fix)) = policy_obstacle(owner, allowed)
    {
        findings.push(match allowed {
            RepositoryRunners::None => Finding::fail(subject, what, fix),
            _ => Finding::warn(subject, what, fix),
        });
    }
    findings
}

/// Its current name, and whether the pools' policies accept it.
pub(super) fn name_and_policies(
    subject: &str,
    full_name: &str,
    private: bool,
    named: &Named,
    settings: &Settings,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let pools = || named.pools.iter().map(|index| &settings.pools[*index]);
    if !full_name.eq_ignore_ascii_case(&named.name) {
        let lost = pools().any(|pool| !RepositoryGlobs::new(&pool.repositories).matches(full_name));
        let message = format!("is now called {full_name}, and its jobs arrive under that name");
        let fix = format!("use {full_name} in repositories of {}", pool_names(named, settings));
        findings.push(match lost {
            true => Finding::fail(subject, message, fix),
            false => Finding::warn(subject, message, fix),
        });
    }
    if !private {
        for pool in pools().filter(|pool| !pool.public_repositories) {
            findings.push(Finding::warn(
                subject,
                format!("is public, but pool {} refuses public repositories", pool.name),
                format!(
                    "set public_repositories = true in pool {} to serve it (strangers' code may then run on your Nomad: see forks), or remove it from the pool",
                    pool.name
                ),
            ));
        }
    }
    findings
}

/// Whether it carries a topic of each pool that picks by topic.
pub(super) fn topics(
    subject: &str,
    topics: Option<Vec<String>>,
    named: &Named,
    settings: &Settings,
) -> Vec<Finding> {
    let topics = Topics::from_outside(topics.unwrap_or_default());
    let pools = named.pools.iter().map(|index| &settings.pools[*index]);
    let missing = pools.filter(|pool| !pool.topics.is_empty() && !topics.has_one_of(&pool.topics));
    let told = missing.map(|pool| {
        Finding::warn(
            subject,
            format!(
                "has none of the topics {}, so pool {} does not serve it",
                pool.topics.join(", "),
                pool.name
            ),
            "add one of them to the repository, or remove topics from the pool",
        )
    });
    told.collect()
}

pub(super) fn pool_names(named: &Named, settings: &Settings) -> String {
    let names: Vec<&str> =
        named.pools.iter().map(|index| settings.pools[*index].name.as_str()).collect();
    format!("pool {}", names.join(", "))
}

pub async fn organization(
    asks: &Asks,
    named: &Named,
    settings: &Settings,
    minting: &Minting,
) -> Vec<Finding> {
    let name = named.name.as_str();
    let subject = format!("github {name}");
    let of = RunnersOf::Organization(name);
    let client = asks.runners(&Target::Organization(name.to_owned()));
    match client.runners(of, Some(NOBODY)).await {
        Ok(_) => {
            let reads = Finding::ok(&subject, "the token reads the organization's runners");
            let mut findings = vec![reads];
            findings.extend(minting.once(&client, of).await);
            findings.extend(missing_groups(&client, &subject, named, settings).await);
            findings
        }
        Err(error) => {
            let mut finding = refused(&subject, &error, Operation::Runners(of), name);
            if let (Error::NotFound { .. }, Some(fix)) = (&error, &mut finding.fix) {
                fix.push_str(
                    "; a personal account has no runners of its own: use scope = \"repository\"",
                );
            }
            vec![finding]
        }
    }
}

/// Groups that the pools name and the organization does not have.
async fn missing_groups(
    client: &Client,
    subject: &str,
    named: &Named,
    settings: &Settings,
) -> Vec<Finding> {
    let pools = named.pools.iter().map(|index| &settings.pools[*index]);
    let wanted = pools.filter_map(|pool| Some((&pool.name, pool.runner_group.as_ref()?)));
    let wanted: Vec<_> = wanted.collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let of = RunnersOf::Organization(&named.name);
    let groups = match client.runner_groups(&named.name, None).await {
        Ok(groups) => groups,
        Err(error) => return vec![refused(subject, &error, Operation::Runners(of), &named.name)],
    };
    let names: Vec<String> = groups.iter().map(|group| format!("{:?}", group.name)).collect();
    let missing = wanted
        .into_iter()
        .filter(|(_, wanted)| !groups.iter().any(|group| group.name.eq_ignore_ascii_case(wanted)));
    let told = missing.map(|(pool, wanted)| {
        Finding::fail(
            subject,
            format!("has no runner group named {wanted:?}, which pool {pool} uses"),
            format!("set runner_group to one of {}, or create the group", names.join(", ")),
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{loaded, pools};
    use crate::check::{Report, render};

    fn judged(full_name: &str, private: bool) -> String {
        let mut settings = loaded("").settings;
        settings.pools = pools(&[
            "name = \"a\"\nrepositories = [\"octo/app\"]",
            "name = \"b\"\nrepositories = [\"octo/*\", \"octo/app\"]\npublic_repositories = true",
        ]);
        let named = Named { name: "octo/app".into(), pools: vec![0, 1] };
        let found = name_and_policies("octo/app", full_name, private, &named, &settings);
        render::text(&Report(found), false)
    }

    #[test]
    fn a_private_repository_has_nothing_to_fix() {
        assert_eq!(judged("Octo/App", true), "0 ok, 0 warn, 0 fail\n");
    }

    #[test]
    fn a_pool_that_picks_by_topic_is_told_of_what_carries_none() {
        let mut settings = loaded("").settings;
        settings.pools = pools(&["name = \"a\"\ntopics = [\"ci\", \"x\"]", "name = \"b\""]);
        let named = Named { name: "octo/app".into(), pools: vec![0, 1] };
        let told = |topic: &str| topics("octo/app", Some(vec![topic.into()]), &named, &settings);
        assert!(told("CI").is_empty());
        assert!(told("y")[0].message.starts_with("has none of the topics ci, x, so pool a"));
    }

    #[test]
    fn what_is_not_as_the_pools_think() {
        insta::assert_snapshot!(judged("octo/new", false), @r"
        fail  octo/app  is now called octo/new, and its jobs arrive under that name; use octo/new in repositories of pool a, b
        warn  octo/app  is public, but pool a refuses public repositories; set public_repositories = true in pool a to serve it (strangers' code may then run on your Nomad: see forks), or remove it from the pool
        0 ok, 1 warn, 1 fail
        ");
    }
}
