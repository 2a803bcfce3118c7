//! What the patterns of the pools match today: like the daemon, it uses the repositories that the
//! token can see. Some of them are then checked like those that are named in full. Pure: each forge's
//! own file requests the list.

use super::finding::Finding;
use super::plan::{Named, Plan, note};
use crate::config::{ForgeKind, Pool, ScopeKind, Settings};
use crate::forge::owner_of;
use crate::ledger::Topics;
use crate::ledger::matching::RepositoryGlobs;

/// Each takes four or five calls; what is wrong with a token shows in any of them.
const LOOKED_AT: usize = 10;

/// A repository that a token can see.
#[derive(Clone)]
pub struct Seen {
    pub full_name: String,
    /// Also true for internal ones.
    pub private: bool,
    pub archived: bool,
    pub topics: Option<Topics>,
}

/// Resolves the patterns in the plan of the credential at index `place`; `seen` is every repository
/// that its token can see.
pub fn add(
    subject: &str,
    mut seen: Vec<Seen>,
    place: usize,
    plan: &mut Plan,
    settings: &Settings,
) -> Vec<Finding> {
    let own = |found: &Seen| {
        let credential = settings.github.credential_for(owner_of(&found.full_name));
        credential.is_some_and(|(index, _)| index == place)
    };
    seen.retain(|found| own(found) && !found.archived);
    seen.sort_by(|a, b| a.full_name.cmp(&b.full_name));
    let mut findings = Vec::new();
    let mut chosen: Vec<Named> = Vec::new();
    for pattern in std::mem::take(&mut plan.patterns) {
        for index in &pattern.pools {
            let pool = &settings.pools[*index];
            let served = served(pool, &pattern.name);
            let picked = |found: &&Seen| {
                let topics = found.topics.as_ref();
                let carries = topics.is_some_and(|topics| topics.has_one_of(&pool.topics));
                served.matches(&found.full_name) && (pool.topics.is_empty() || carries)
            };
            let named: Vec<_> = seen.iter().filter(picked).collect();
            findings.push(counted(settings.github.kind, pool, &pattern.name, &named));
            for found in named {
                if found.private || pool.public_repositories {
                    note(&mut chosen, &found.full_name, *index);
                }
                if pool.scope == ScopeKind::Organization {
                    note(&mut plan.organizations, owner_of(&found.full_name), *index);
                }
            }
        }
    }
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    if chosen.len() > LOOKED_AT {
        let message = format!(
            "patterns match {} repositories; the first {LOOKED_AT} are checked",
            chosen.len()
        );
        findings.push(Finding::ok(subject, message));
    }
    for named in chosen.into_iter().take(LOOKED_AT) {
        for pool in named.pools {
            note(&mut plan.repositories, &named.name, pool);
        }
    }
    findings
}

/// What this one pattern of the pool matches, less the pool's exclusions.
fn served(pool: &Pool, pattern: &str) -> RepositoryGlobs {
    let excluded = pool.repositories.iter().map(String::as_str).filter(|p| p.starts_with('!'));
    RepositoryGlobs::new(&excluded.chain([pattern]).collect::<Vec<_>>())
}

fn counted(forge: ForgeKind, pool: &Pool, pattern: &str, named: &[&Seen]) -> Finding {
    let subject = format!("pool {}", pool.name);
    let public = named.iter().filter(|found| !found.private).count();
    let refused = match public {
        0 => String::new(),
        _ if pool.public_repositories => String::new(),
        _ => format!(", {public} of them public, which the pool refuses"),
    };
    let with = match pool.topics.len() {
        0 => String::new(),
        _ => format!(" with one of the topics {}", pool.topics.join(", ")),
    };
    match named.len() {
        0 => Finding::warn(
            subject,
            format!("{pattern} matches no repository{with} that the token can see"),
            match forge {
                ForgeKind::GitHub => {
                    "correct the pattern, or give the token access to them (fine-grained: under \"Repository access\")"
                }
                ForgeKind::Gitea => {
                    "correct the pattern, or give the token's user access to them: it sees its own, those it collaborates on and those of its teams"
                }
            },
        ),
        1 => {
            Finding::ok(subject, format!("{pattern}{with} matches {}{refused}", named[0].full_name))
        }
        many => {
            Finding::ok(subject, format!("{pattern} matches {many} repositories{with}{refused}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{loaded, pools};
    use crate::check::{Report, render};

    fn seen(names: &[&str]) -> Vec<Seen> {
        let repository = |name: &&str| Seen {
            full_name: name.split(' ').next().unwrap().to_owned(),
            private: !name.ends_with(" public"),
            archived: name.ends_with(" archived"),
            topics: Some(Topics::from_outside(name.ends_with(" ci").then(|| "ci".to_owned()))),
        };
        names.iter().map(repository).collect()
    }

    fn taken(seen: Vec<Seen>, pools_: &[&str]) -> (String, Plan) {
        let mut settings = loaded("").settings;
        settings.pools = pools(pools_);
        let mut plan = super::super::plan::plans(&settings).remove(0);
        let found = add("github *", seen, 0, &mut plan, &settings);
        (render::text(&Report(found), false), plan)
    }

    fn names(of: &[Named]) -> Vec<&str> {
        of.iter().map(|named| named.name.as_str()).collect()
    }

    #[test]
    fn a_pattern_is_what_the_token_sees_and_the_policy_lets_in() {
        let seen = seen(&[
            "octo/lib",
            "octo/app",
            "octo/old archived",
            "octo/open public",
            "octo/secret",
            "you/x",
        ]);
        let (text, plan) = taken(
            seen,
            &[
                "name = \"a\"\nrepositories = [\"octo/*\", \"!octo/s*\"]",
                "name = \"b\"\nrepositories = [\"octo/o*\"]\npublic_repositories = true",
                "name = \"c\"\nrepositories = [\"*/x\", \"octo/none*\"]\nscope = \"organization\"",
            ],
        );
        insta::assert_snapshot!(text, @r#"
        ok    pool a  octo/* matches 3 repositories, 1 of them public, which the pool refuses
        ok    pool b  octo/o* matches octo/open
        ok    pool c  */x matches you/x
        warn  pool c  octo/none* matches no repository that the token can see; correct the pattern, or give the token access to them (fine-grained: under "Repository access")
        3 ok, 1 warn, 0 fail
        "#);
        assert_eq!(names(&plan.repositories), ["octo/app", "octo/lib", "octo/open", "you/x"]);
        assert_eq!(plan.repositories[2].pools, [1]);
        assert_eq!(names(&plan.organizations), ["octo", "you"]);
    }

    #[test]
    fn a_pool_with_topics_takes_what_carries_one() {
        let (text, plan) =
            taken(seen(&["octo/app", "octo/lib ci"]), &["name = \"a\"\ntopics = [\"ci\"]"]);
        assert!(text.contains("octo/* with one of the topics ci matches octo/lib"), "{text}");
        assert_eq!(names(&plan.repositories), ["octo/lib"]);
        let (text, _) = taken(seen(&["octo/app"]), &["name = \"a\"\ntopics = [\"ci\"]"]);
        assert!(text.contains("octo/* matches no repository with one of the topics ci"), "{text}");
    }

    #[test]
    fn of_many_only_some_are_looked_at() {
        let all: Vec<String> = (10..25).map(|number| format!("octo/r{number}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let (text, plan) = taken(seen(&all), &["name = \"a\""]);
        insta::assert_snapshot!(text, @r"
        ok    pool a    octo/* matches 15 repositories
        ok    github *  patterns match 15 repositories; the first 10 are checked
        2 ok, 0 warn, 0 fail
        ");
        assert_eq!(plan.repositories.len(), LOOKED_AT);
    }
}
