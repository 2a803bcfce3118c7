//! What to check for each credential: the repositories and organizations that the pools name in
//! full or keep runners warm for, and patterns, which `listed` resolves to names. Pure.

use crate::config::{ScopeKind, Settings};
use crate::forge::owner_of;
use crate::ledger::matching::RepositoryGlobs;

/// What one credential is used for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// `owner/name`, each with the pools that name it.
    pub repositories: Vec<Named>,
    /// Patterns that may match repositories of this credential.
    pub patterns: Vec<Named>,
    /// Of pools in organization scope.
    pub organizations: Vec<Named>,
    /// Whether runners are registered with repositories, and with organizations.
    pub scopes: Vec<ScopeKind>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// Their indexes in the file.
    pub pools: Vec<usize>,
}

pub fn is_literal(text: &str) -> bool {
    !text.contains(['*', '?'])
}

/// A plan for each credential, in the file's order.
pub fn plans(settings: &Settings) -> Vec<Plan> {
    let credentials = &settings.github.credentials;
    let mut plans: Vec<Plan> = credentials.iter().map(|_| Plan::default()).collect();
    for (index, pool) in settings.pools.iter().enumerate() {
        let served = RepositoryGlobs::new(&pool.repositories);
        for pattern in pool.repositories.iter().filter(|pattern| !pattern.starts_with('!')) {
            let owner = owner_of(pattern);
            if !is_literal(owner) {
                for plan in &mut plans {
                    plan.scope(pool.scope);
                    note(&mut plan.patterns, pattern, index);
                }
                continue;
            }
            let Some((credential, _)) = settings.github.credential_for(owner) else { continue };
            let plan = &mut plans[credential];
            plan.scope(pool.scope);
            if pool.scope == ScopeKind::Organization {
                note(&mut plan.organizations, owner, index);
            }
            if !is_literal(pattern) {
                note(&mut plan.patterns, pattern, index);
            } else if served.matches(pattern) {
                note(&mut plan.repositories, pattern, index);
            }
        }
        // A pattern may not match what has a floor, nor show that it is not there.
        for name in pool.warm.iter().flat_map(|warm| &warm.of) {
            let owner = owner_of(name);
            let Some((credential, _)) = settings.github.credential_for(owner) else { continue };
            let plan = &mut plans[credential];
            plan.scope(pool.scope);
            match pool.scope {
                ScopeKind::Organization => note(&mut plan.organizations, owner, index),
                ScopeKind::Repository => note(&mut plan.repositories, name, index),
            }
        }
    }
    plans
}

impl Plan {
    /// What cannot be checked because the credential got no answer; empty if it names nothing.
    pub fn unchecked(&self) -> String {
        const SHOWN: usize = 3;
        let all = [&self.repositories, &self.patterns, &self.organizations];
        let names: Vec<&str> = all.into_iter().flatten().map(|named| named.name.as_str()).collect();
        match names.len() {
            0 => String::new(),
            many if many > SHOWN => {
                let (shown, more) = (names[..SHOWN].join(", "), many - SHOWN);
                format!("; not checked because of this: {shown} and {more} more")
            }
            _ => format!("; not checked because of this: {}", names.join(", ")),
        }
    }

    fn scope(&mut self, scope: ScopeKind) {
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
    }
}

pub fn note(among: &mut Vec<Named>, name: &str, pool: usize) {
    let index = among.iter().position(|named| named.name.eq_ignore_ascii_case(name));
    let index = index.unwrap_or_else(|| {
        among.push(Named { name: name.to_owned(), pools: Vec::new() });
        among.len() - 1
    });
    if !among[index].pools.contains(&pool) {
        among[index].pools.push(pool);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{loaded, pools};

    fn named(name: &str, pools: &[usize]) -> Named {
        Named { name: name.to_owned(), pools: pools.to_vec() }
    }

    #[test]
    fn what_stays_unchecked_is_named() {
        let with = |names: &[&str]| Plan {
            repositories: names.iter().map(|name| named(name, &[0])).collect(),
            ..Plan::default()
        };
        assert_eq!(with(&[]).unchecked(), "");
        assert_eq!(with(&["o/a"]).unchecked(), "; not checked because of this: o/a");
        let many = with(&["o/a", "o/b", "o/c", "o/d", "o/e"]).unchecked();
        assert_eq!(many, "; not checked because of this: o/a, o/b, o/c and 2 more");
    }

    #[test]
    fn what_has_a_floor_is_looked_at_although_only_a_pattern_names_it() {
        let mut settings = loaded("").settings;
        let floor = |of: &str| format!("[[pools.warm]]\n{of}\n");
        settings.pools = pools(&[
            &format!(
                "name = \"a\"\nrepositories = [\"octo/*\"]\n{}",
                floor("repositories = [\"octo/gone\", \"Octo/Gone\"]")
            ),
            &format!(
                "name = \"b\"\nrepositories = [\"*/*\"]\nscope = \"organization\"\n{}",
                floor("owners = [\"acme\"]")
            ),
        ]);
        let plan = plans(&settings).remove(0);
        assert_eq!(plan.repositories, [named("octo/gone", &[0])]);
        assert_eq!(plan.organizations, [named("acme", &[1])]);
    }

    #[test]
    fn each_credential_looks_at_what_it_is_for() {
        let text = "[[github.credentials]]\nowners = [\"octo\"]\ntoken = \"t\"\n";
        let mut settings = loaded(text).settings;
        settings.pools = pools(&[
            "name = \"a\"\nrepositories = [\"octo/app\", \"Octo/APP\", \"octo/*\", \"else/lib\"]",
            "name = \"b\"\nrepositories = [\"octo/app\", \"octo/no\", \"!octo/n*\"]\nscope = \"organization\"",
            "name = \"c\"\nrepositories = [\"*/x\"]",
        ]);
        use ScopeKind::{Organization, Repository};
        assert_eq!(
            plans(&settings),
            [
                Plan {
                    repositories: vec![named("octo/app", &[0, 1])],
                    patterns: vec![named("octo/*", &[0]), named("*/x", &[2])],
                    organizations: vec![named("octo", &[1])],
                    scopes: vec![Repository, Organization],
                },
                Plan {
                    repositories: vec![named("else/lib", &[0])],
                    patterns: vec![named("*/x", &[2])],
                    organizations: vec![],
                    scopes: vec![Repository],
                },
            ]
        );
    }
}
