//! Conflicts between pools. GitHub may give a job to any runner that has all of the job's labels,
//! whichever pool launched it; and a job goes to the first pool that matches, so a later pool may
//! never get any. Pure.

use std::collections::BTreeSet;

use super::finding::Finding;
use crate::config::{ForgeKind, Pool, ScopeKind, Settings, overlap};
use crate::ledger::matching::RepositoryGlobs;

pub fn check(settings: &Settings) -> Vec<Finding> {
    let pools = &settings.pools;
    let mut findings = Vec::new();
    for (index, later) in pools.iter().enumerate() {
        findings.extend(alone(later));
        findings.extend(fenceless(later, settings.github.kind));
        for earlier in &pools[..index] {
            findings.extend(pair(earlier, later));
        }
    }
    let most = settings.runners.max;
    let sum: u64 = pools.iter().map(|pool| u64::from(pool.max_runners)).sum();
    findings.push(Finding::ok(
        "runners",
        match sum > u64::from(most) {
            true => format!(
                "at most {most} at a time; the limits of the pools add up to {sum}, so pools may wait for each other"
            ),
            false => format!("at most {sum} at a time, the sum of the pools' limits"),
        },
    ));
    findings
}

/// What is wrong with a pool, whatever the other pools are.
fn alone(pool: &Pool) -> Option<Finding> {
    let subject = format!("pool {}", pool.name);
    let excluded: Vec<&str> = excludes(pool).collect();
    let excluded = RepositoryGlobs::new(&excluded);
    if serves(pool).all(|pattern| excluded.matches(pattern)) {
        return Some(Finding::fail(
            subject,
            "serves nothing: every repository that it names is excluded by a pattern with !",
            "remove or narrow the exclusion",
        ));
    }
    if pool.scope == ScopeKind::Organization && !pool.topics.is_empty() {
        return Some(Finding::warn(
            subject,
            "picks repositories by topic, but GitHub may give its organization's runners jobs of repositories without the topic",
            "let a runner group serve only these repositories, or use scope = \"repository\"",
        ));
    }
    (pool.public_repositories && pool.forks).then(|| {
        Finding::warn(
            subject,
            "serves forks of public repositories: anyone who opens a pull request there can run code on your Nomad",
            "remove forks = true, or make sure that the pool's nodes hold no secrets and reach nothing that matters",
        )
    })
}

/// What a policy cannot refuse, because the forge's runner has no hook.
fn fenceless(pool: &Pool, kind: ForgeKind) -> Option<Finding> {
    (kind == ForgeKind::Gitea && !pool.forks).then(|| {
        Finding::ok(
            format!("pool {}", pool.name),
            "launches no runners for forks; but Gitea may give its runners a fork's job that somebody approved there, and gitea-runner has no hook to refuse it",
        )
    })
}

fn pair(earlier: &Pool, later: &Pool) -> Option<Finding> {
    let subject = format!("pool {}", later.name);
    let first = &earlier.name;
    if let Some((one, other)) = covering(earlier, later).filter(|_| meet(earlier, later)) {
        let differing = policies(earlier, later);
        let message = |consequence: &str| {
            format!(
                "the labels of pool {one} include all labels of pool {other}, in the same scope: \
                 GitHub may give jobs of {other} to runners of {one}{consequence}"
            )
        };
        let fix = "give each pool a label that the other does not have, and use it in runs-on of its jobs";
        if !differing.is_empty() {
            let which = format!(", although {} differ", differing.join(" and "));
            let fix = format!("{fix}; or give both the same {}", differing.join(" and "));
            return Some(Finding::fail(subject, message(&which), fix));
        }
        if !shadows(earlier, later) {
            return Some(Finding::warn(subject, message(""), fix));
        }
    }
    shadows(earlier, later).then(|| {
        Finding::warn(
            subject,
            format!(
                "pool {first} comes before it in the file and gets every job that it could get"
            ),
            format!(
                "move it before {first}, give it a label that {first} does not have, or remove it"
            ),
        )
    })
}

fn lower(texts: &[String]) -> BTreeSet<String> {
    texts.iter().map(|text| text.to_lowercase()).collect()
}

/// If the labels of one pool are all among the other's: whose runners may get whose jobs.
fn covering<'a>(a: &'a Pool, b: &'a Pool) -> Option<(&'a str, &'a str)> {
    let (of_a, of_b) = (lower(&a.labels), lower(&b.labels));
    if of_a.is_superset(&of_b) {
        Some((&a.name, &b.name))
    } else if of_b.is_superset(&of_a) {
        Some((&b.name, &a.name))
    } else {
        None
    }
}

/// Which policies differ. In repository scope a runner gets only jobs of its own repository, so it
/// does not matter there which other repositories a pool serves.
fn policies(a: &Pool, b: &Pool) -> Vec<&'static str> {
    let repositories =
        a.scope == ScopeKind::Organization && lower(&a.repositories) != lower(&b.repositories);
    let differing = [
        (a.public_repositories != b.public_repositories, "public_repositories"),
        (a.forks != b.forks, "forks"),
        (lower(&a.events) != lower(&b.events), "events"),
        (lower(&a.actors) != lower(&b.actors), "actors"),
        (repositories, "repositories"),
        (a.scope == ScopeKind::Organization && lower(&a.topics) != lower(&b.topics), "topics"),
    ];
    differing.into_iter().filter_map(|(differs, key)| differs.then_some(key)).collect()
}

/// Whether runners of both can be registered with the same repository or organization.
fn meet(a: &Pool, b: &Pool) -> bool {
    let owner = |pattern: &str| pattern.split('/').next().unwrap_or_default().to_owned();
    let excluded = |by: &Pool, pattern: &str| {
        excludes(by).any(|exclusion| RepositoryGlobs::new(&[exclusion]).matches(pattern))
    };
    a.scope == b.scope
        && serves(a).any(|one| {
            serves(b).any(|other| match a.scope {
                ScopeKind::Organization => overlap(&owner(one), &owner(other)),
                ScopeKind::Repository => {
                    overlap(one, other) && !excluded(b, one) && !excluded(a, other)
                }
            })
        })
}

fn serves(pool: &Pool) -> impl Iterator<Item = &str> {
    pool.repositories.iter().map(String::as_str).filter(|pattern| !pattern.starts_with('!'))
}

fn excludes(pool: &Pool) -> impl Iterator<Item = &str> {
    pool.repositories.iter().filter_map(|pattern| pattern.strip_prefix('!'))
}

/// Whether every job that `later` could get goes to `earlier`. A star in a pattern of `later` is
/// treated as a character that only a star matches: so the answer holds for all names that the
/// pattern matches.
fn shadows(earlier: &Pool, later: &Pool) -> bool {
    let taken: Vec<&str> = serves(earlier).collect();
    let taken = RepositoryGlobs::new(&taken);
    let topics = lower(&earlier.topics);
    let takes_topics = topics.is_empty()
        || (!later.topics.is_empty() && topics.is_superset(&lower(&later.topics)));
    takes_topics
        && lower(&earlier.labels).is_superset(&lower(&later.labels))
        && serves(later).all(|pattern| taken.matches(pattern))
        && excludes(earlier).all(|exclusion| {
            excludes(later).any(|other| RepositoryGlobs::new(&[other]).matches(exclusion))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{loaded, pools};
    use crate::check::{Level, Report, render};
    use rstest::rstest;

    fn judged(a: &str, b: &str) -> Option<Finding> {
        let pools = pools(&[&format!("name = \"a\"\n{a}"), &format!("name = \"b\"\n{b}")]);
        pair(&pools[0], &pools[1])
    }

    const MORE: &str = "labels = [\"LINUX\", \"gpu\"]\n";
    const ORG: &str = "scope = \"organization\"\n";

    #[rstest]
    // Different labels, other repositories, other scopes: they never meet.
    #[case("", "labels = [\"arm64\"]", None)]
    #[case("", "labels = [\"LINUX\", \"gpu\"]\nrepositories = [\"else/*\"]", None)]
    #[case("", "labels = [\"LINUX\", \"gpu\"]\nscope = \"organization\"", None)]
    #[case(
        "repositories = [\"octo/*\", \"!octo/app\"]",
        "labels = [\"LINUX\", \"gpu\"]\nrepositories = [\"octo/app\"]",
        None
    )]
    // They meet.
    #[case("", "labels = [\"LINUX\", \"gpu\"]", Some(Level::Warn))]
    #[case("", "labels = [\"LINUX\", \"gpu\"]\nforks = true", Some(Level::Fail))]
    #[case(
        "repositories = [\"octo/a*\"]",
        "labels = [\"linux\", \"gpu\"]\nrepositories = [\"octo/*p\"]",
        Some(Level::Warn)
    )]
    // The first takes everything.
    #[case("", "", Some(Level::Warn))]
    #[case("labels = [\"linux\", \"gpu\"]", "repositories = [\"octo/app\"]", Some(Level::Warn))]
    #[case("", "public_repositories = true", Some(Level::Fail))]
    fn pairs(#[case] a: &str, #[case] b: &str, #[case] level: Option<Level>) {
        let found = judged(a, b);
        assert_eq!(found.as_ref().map(|f| f.level), level, "{found:?}");
    }

    #[rstest]
    #[case("", None)]
    #[case("public_repositories = true", None)]
    #[case("forks = true", None)]
    #[case("forks = true\npublic_repositories = true", Some(Level::Warn))]
    #[case("repositories = [\"octo/*\", \"!octo/app\"]", None)]
    #[case("repositories = [\"octo/app\", \"!octo/*\"]", Some(Level::Fail))]
    #[case("repositories = [\"octo/a*\", \"octo/b\", \"!octo/*\"]", Some(Level::Fail))]
    fn pools_alone(#[case] lines: &str, #[case] level: Option<Level>) {
        let found = alone(&pools(&[&format!("name = \"a\"\n{lines}")])[0]);
        assert_eq!(found.as_ref().map(|f| f.level), level, "{found:?}");
    }

    #[test]
    fn in_an_organization_runners_go_to_any_repository() {
        let (app, lib) = ("repositories = [\"octo/app\"]\n", "repositories = [\"octo/lib\"]\n");
        let found = judged(&format!("{ORG}{app}"), &format!("{MORE}{ORG}{lib}")).unwrap();
        assert_eq!(found.level, Level::Fail);
        assert!(found.message.ends_with("although repositories differ"), "{found:?}");
        assert_eq!(judged(app, &format!("{MORE}{lib}")), None);
    }

    #[test]
    fn only_what_is_shadowed_whole_is_called_so() {
        let shadowed = |a: &str, b: &str| {
            judged(a, b).is_some_and(|found| found.message.contains("comes before it"))
        };
        assert!(shadowed("repositories = [\"*/*\"]", ""));
        assert!(!shadowed("", "repositories = [\"*/*\"]"));
        assert!(!shadowed("", MORE));
        // What the first excludes is left to the second, unless that excludes it too.
        let but = "repositories = [\"octo/*\", \"!octo/secret\"]";
        assert!(!shadowed(but, ""));
        assert!(shadowed(but, but));
        assert!(shadowed(but, "repositories = [\"octo/*\", \"!octo/s*\"]"));
        // Without the topics of the first, the second has more.
        let topics = "topics = [\"ci\", \"x\"]";
        assert!(!shadowed(topics, "") && !shadowed(topics, "topics = [\"ci\", \"y\"]"));
        assert!(shadowed(topics, "topics = [\"CI\"]") && shadowed("", topics));
    }

    #[test]
    fn a_gitea_is_not_kept_from_giving_out_forks() {
        let mut settings = loaded("").settings;
        assert!(check(&settings).iter().all(|found| !found.message.contains("has no hook")));
        settings.github.kind = ForgeKind::Gitea;
        assert!(check(&settings)[0].message.contains("gitea-runner has no hook to refuse it"));
        settings.pools[0].forks = true;
        assert!(check(&settings).iter().all(|found| !found.message.contains("has no hook")));
    }

    #[test]
    fn people_read_whose_runners_go_where() {
        let pools = pools(&[
            "name = \"small\"",
            "name = \"big\"\nlabels = [\"linux\", \"gpu\"]\nforks = true",
            "name = \"same\"\nrepositories = [\"octo/app\"]",
        ]);
        let mut settings = loaded("").settings;
        settings.pools = pools;
        insta::assert_snapshot!(render::text(&Report(check(&settings)), false), @r"
        fail  pool big   the labels of pool big include all labels of pool small, in the same scope: GitHub may give jobs of small to runners of big, although forks differ; give each pool a label that the other does not have, and use it in runs-on of its jobs; or give both the same forks
        warn  pool same  pool small comes before it in the file and gets every job that it could get; move it before small, give it a label that small does not have, or remove it
        fail  pool same  the labels of pool big include all labels of pool same, in the same scope: GitHub may give jobs of same to runners of big, although forks differ; give each pool a label that the other does not have, and use it in runs-on of its jobs; or give both the same forks
        ok    runners    at most 20 at a time; the limits of the pools add up to 60, so pools may wait for each other
        1 ok, 1 warn, 2 fail
        ");
    }
}
