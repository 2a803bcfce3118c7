//! What a token or a workload may do: all its policies taken together.
//!
//! A namespace's own rules win over globs, and of globs the closest one; then a denial wins over
//! everything else. Pure lookups; which call needs what is in `calls.rs` of the answers.
//! Rules: acl/acl.go, and what the record shows.

use std::collections::{BTreeMap, BTreeSet};

use super::capabilities::{Capability, OnNodePool, OnVariables, Word};
use super::rules::Rules;

/// Rights that are added up from policies. The default allows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    namespaces: BTreeMap<String, BTreeSet<Capability>>,
    node_pools: BTreeMap<String, BTreeSet<OnNodePool>>,
    /// By namespace and path.
    variables: BTreeMap<(String, String), BTreeSet<OnVariables>>,
    agent: Option<Word>,
    node: Option<Word>,
    operator: Option<Word>,
    quota: Option<Word>,
    plugin: Option<Word>,
}

impl Grants {
    #[must_use]
    pub fn of<'a>(policies: impl IntoIterator<Item = &'a Rules>) -> Self {
        let mut grants = Self::default();
        for rules in policies {
            for namespace in &rules.namespaces {
                let known = grants.namespaces.entry(namespace.name.clone()).or_default();
                known.extend(&namespace.capabilities);
                for path in namespace.variables.iter().flatten() {
                    let key = (namespace.name.clone(), path.path.clone());
                    grants.variables.entry(key).or_default().extend(&path.capabilities);
                }
            }
            for pool in &rules.node_pools {
                let known = grants.node_pools.entry(pool.name.clone()).or_default();
                known.extend(&pool.capabilities);
            }
            for (mine, more) in [
                (&mut grants.agent, rules.agent),
                (&mut grants.node, rules.node),
                (&mut grants.operator, rules.operator),
                (&mut grants.quota, rules.quota),
                (&mut grants.plugin, rules.plugin),
            ] {
                *mine = (*mine).max(more);
            }
        }
        grants
    }

    /// In this namespace, or, for `*`, in any that a policy names.
    #[must_use]
    pub fn may(&self, namespace: &str, capability: Capability) -> bool {
        let has = |all: &BTreeSet<Capability>| granted(all) && all.contains(&capability);
        if namespace == "*" && self.namespaces.values().any(has) {
            return true;
        }
        self.in_namespace(namespace).is_some_and(has)
    }

    /// Whether anything at all is allowed there.
    #[must_use]
    pub fn may_anything(&self, namespace: &str) -> bool {
        let some = |all: &BTreeSet<Capability>| granted(all) && !all.is_empty();
        if namespace == "*" && self.namespaces.values().any(some) {
            return true;
        }
        self.in_namespace(namespace).is_some_and(some)
    }

    #[must_use]
    pub fn on_node_pool(&self, pool: &str, capability: OnNodePool) -> bool {
        let has = |all: &BTreeSet<OnNodePool>| {
            !all.contains(&OnNodePool::Deny) && all.contains(&capability)
        };
        nearest(&self.node_pools, pool).is_some_and(has)
    }

    /// None: no policy names the path, not even by a glob.
    #[must_use]
    pub fn on_variable(
        &self,
        namespace: &str,
        path: &str,
        capability: OnVariables,
    ) -> Option<bool> {
        let has = |all: &BTreeSet<OnVariables>| {
            !all.contains(&OnVariables::Deny) && all.contains(&capability)
        };
        if let Some(all) = self.variable_itself(namespace, path) {
            return Some(has(all));
        }
        let globs = self
            .variables
            .iter()
            .map(|((namespace, path), all)| (format!("{namespace}\0{path}"), all));
        let globs: Vec<(String, &BTreeSet<OnVariables>)> =
            globs.filter(|(name, _)| name.contains('*')).collect();
        let name = format!("{namespace}\0{path}");
        closest(globs.iter().map(|(glob, all)| (glob.as_str(), *all)), &name).map(has)
    }

    /// Whether a policy names this very path.
    #[must_use]
    pub fn names_variable(&self, namespace: &str, path: &str) -> bool {
        self.variable_itself(namespace, path).is_some()
    }

    fn variable_itself(&self, namespace: &str, path: &str) -> Option<&BTreeSet<OnVariables>> {
        let key = (namespace.to_owned(), path.to_owned());
        self.variables.get(&key).filter(|_| !namespace.contains('*') && !path.contains('*'))
    }

    #[must_use]
    pub fn may_read_agent(&self) -> bool {
        reads(self.agent)
    }

    #[must_use]
    pub fn may_write_agent(&self) -> bool {
        self.agent == Some(Word::Write)
    }

    #[must_use]
    pub fn may_read_nodes(&self) -> bool {
        reads(self.node)
    }

    #[must_use]
    pub fn may_write_nodes(&self) -> bool {
        self.node == Some(Word::Write)
    }

    #[must_use]
    pub fn may_read_operator(&self) -> bool {
        reads(self.operator)
    }

    #[must_use]
    pub fn may_write_operator(&self) -> bool {
        self.operator == Some(Word::Write)
    }

    fn in_namespace(&self, namespace: &str) -> Option<&BTreeSet<Capability>> {
        nearest(&self.namespaces, namespace)
    }
}

/// What is said of that name, else of the closest glob.
fn nearest<'a, All>(all: &'a BTreeMap<String, All>, name: &str) -> Option<&'a All> {
    if let Some(own) = all.get(name).filter(|_| !name.contains('*')) {
        return Some(own);
    }
    let globs = all.iter().filter(|(name, _)| name.contains('*'));
    closest(globs.map(|(glob, all)| (glob.as_str(), all)), name)
}

fn granted(all: &BTreeSet<Capability>) -> bool {
    !all.contains(&Capability::Deny)
}

fn reads(word: Option<Word>) -> bool {
    matches!(word, Some(Word::Read | Word::Write))
}

/// The glob that leaves the fewest characters of the name to its stars; of equals the last one.
fn closest<'a, All>(
    globs: impl DoubleEndedIterator<Item = (&'a str, &'a All)>,
    name: &str,
) -> Option<&'a All> {
    let matching = globs.rev().filter(|(glob, _)| matches(glob, name));
    let left = |glob: &str| {
        let stars = glob.bytes().filter(|byte| *byte == b'*').count();
        (name.len() + stars).saturating_sub(glob.len())
    };
    matching.min_by_key(|(glob, _)| left(glob)).map(|(_, all)| all)
}

/// `*` is any number of characters.
fn matches(glob: &str, name: &str) -> bool {
    let Some((before, after)) = glob.split_once('*') else { return glob == name };
    let Some(mut rest) = name.strip_prefix(before) else { return false };
    let mut parts: Vec<&str> = after.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(all: &[&str]) -> Grants {
        let rules: Vec<Rules> = all.iter().map(|text| Rules::parse(text).unwrap()).collect();
        Grants::of(&rules)
    }

    #[test]
    fn globs_match_what_they_should() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("ci-*", "ci-", true),
            ("ci-*", "ci", false),
            ("*-ci", "x-ci", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn a_name_wins_over_globs_and_the_closest_glob_over_others() {
        let grants = grants(&[
            "namespace \"*\" { capabilities = [\"read-job\"] }",
            "namespace \"ci-*\" { capabilities = [\"list-jobs\"] }",
            "namespace \"ci-web\" { policy = \"deny\" }",
        ]);
        assert!(grants.may("default", Capability::ReadJob));
        assert!(grants.may("ci-app", Capability::ListJobs));
        assert!(!grants.may("ci-app", Capability::ReadJob));
        assert!(!grants.may("ci-web", Capability::ListJobs));
        assert!(!grants.may_anything("ci-web"));
        assert!(grants.may("*", Capability::ListJobs));
        assert!(!grants.may("*", Capability::SubmitJob));
    }

    #[test]
    fn a_denial_in_any_policy_wins() {
        let both = grants(&[
            "namespace \"ci\" { policy = \"write\" }\nnode { policy = \"write\" }",
            "namespace \"ci\" { policy = \"deny\" }\nnode { policy = \"deny\" }",
        ]);
        assert!(!both.may("ci", Capability::ReadJob));
        assert!(!both.may("*", Capability::ReadJob));
        assert!(!both.may_read_nodes());
    }

    #[test]
    fn node_pools_have_rights_of_their_own() {
        let grants = grants(&["node_pool \"gpu-*\" { policy = \"read\" }"]);
        assert!(grants.on_node_pool("gpu-a", OnNodePool::Read));
        assert!(!grants.on_node_pool("gpu-a", OnNodePool::Write));
        assert!(!grants.on_node_pool("default", OnNodePool::Read));
    }

    #[test]
    fn variables_are_found_by_their_path_first() {
        let grants = grants(&["namespace \"ci\" { variables {
            path \"*\" { capabilities = [\"list\"] }
            path \"ghr/*\" { capabilities = [\"write\"] }
            path \"ghr/own\" { capabilities = [\"deny\"] }
        } }"]);
        assert_eq!(grants.on_variable("ci", "ghr/a", OnVariables::Write), Some(true));
        assert_eq!(grants.on_variable("ci", "ghr/a", OnVariables::List), Some(false));
        assert_eq!(grants.on_variable("ci", "ghr/own", OnVariables::Write), Some(false));
        assert_eq!(grants.on_variable("ci", "other", OnVariables::List), Some(true));
        assert_eq!(grants.on_variable("default", "other", OnVariables::List), None);
    }
}
