//! Who asks: from a token's secret to what it may do.
//!
//! Every call is answered for a [`Caller`]; which call needs what, and how it is refused, is not
//! known here (`answers/call.rs`). Workloads' signed tokens are told apart here only by their form.
//! Read next: `grants.rs`, `tables.rs`.

use super::capabilities::{Capability, OnNodePool, OnVariables};
use super::grants::Grants;
use super::policies::Claim;

#[derive(Clone, Debug)]
pub enum Caller {
    /// ACLs are off: everybody may everything.
    Anyone,
    Management {
        accessor: String,
    },
    Client {
        accessor: String,
        grants: Grants,
    },
    /// No token was given.
    Anonymous {
        grants: Grants,
    },
    /// A task's own identity.
    Workload {
        claim: Claim,
        grants: Grants,
    },
}

/// A token that is no good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// It has the form of one, and nobody has it.
    Unknown,
    Expired,
    /// Not a secret's form, and as a signed one it was refused with these words.
    Signed(String),
}

impl BadToken {
    /// What is said where it is said at all.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Unknown => "Permission denied",
            Self::Expired => "ACL token expired",
            Self::Signed(why) => why,
        }
    }
}

impl Caller {
    /// None: no policy limits it.
    fn grants(&self) -> Option<&Grants> {
        match self {
            Self::Anyone | Self::Management { .. } => None,
            Self::Client { grants, .. }
            | Self::Anonymous { grants }
            | Self::Workload { grants, .. } => Some(grants),
        }
    }

    fn granted(&self, so: impl FnOnce(&Grants) -> bool) -> bool {
        self.grants().is_none_or(so)
    }

    /// A management token, or nothing is checked.
    #[must_use]
    pub fn is_management(&self) -> bool {
        self.grants().is_none()
    }

    /// One of the capabilities is enough. The namespace `*` is any.
    #[must_use]
    pub fn may(&self, namespace: &str, any_of: &[Capability]) -> bool {
        self.granted(|grants| any_of.iter().any(|one| grants.may(namespace, *one)))
    }

    #[must_use]
    pub fn may_anything(&self, namespace: &str) -> bool {
        self.granted(|grants| grants.may_anything(namespace))
    }

    /// A workload reads and lists the Variables of its own job without any policy
    /// (acl/acl.go, `matchingVariablesCapabilitySet`).
    #[must_use]
    pub fn may_on_variable(&self, namespace: &str, path: &str, capability: OnVariables) -> bool {
        let Some(grants) = self.grants() else { return true };
        if let Self::Workload { claim, .. } = self
            && !grants.names_variable(namespace, path)
            && claim.namespace == namespace
            && claim.owns(path)
        {
            return matches!(capability, OnVariables::Read | OnVariables::List);
        }
        grants.on_variable(namespace, path, capability).unwrap_or(false)
    }

    #[must_use]
    pub fn may_on_node_pool(&self, pool: &str, capability: OnNodePool) -> bool {
        self.granted(|grants| grants.on_node_pool(pool, capability))
    }

    #[must_use]
    pub fn may_read_agent(&self) -> bool {
        self.granted(Grants::may_read_agent)
    }

    #[must_use]
    pub fn may_write_agent(&self) -> bool {
        self.granted(Grants::may_write_agent)
    }

    #[must_use]
    pub fn may_read_nodes(&self) -> bool {
        self.granted(Grants::may_read_nodes)
    }

    #[must_use]
    pub fn may_write_nodes(&self) -> bool {
        self.granted(Grants::may_write_nodes)
    }

    #[must_use]
    pub fn may_read_operator(&self) -> bool {
        self.granted(Grants::may_read_operator)
    }

    #[must_use]
    pub fn may_write_operator(&self) -> bool {
        self.granted(Grants::may_write_operator)
    }
}

impl Claim {
    fn owns(&self, path: &str) -> bool {
        let Self { job, group, task, .. } = self;
        path == "nomad/jobs"
            || path == format!("nomad/jobs/{job}")
            || path == format!("nomad/jobs/{job}/{group}")
            || path == format!("nomad/jobs/{job}/{group}/{task}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::rules::Rules;

    #[test]
    fn a_workload_reads_what_is_its_own_unless_a_policy_names_that_path() {
        let claim = || Claim {
            namespace: "ci".into(),
            job: "gha".into(),
            group: "g".into(),
            task: "t".into(),
        };
        let caller = |rules: &str| Caller::Workload {
            claim: claim(),
            grants: Grants::of(&[Rules::parse(rules).unwrap()]),
        };
        let plain = caller("");
        for path in ["nomad/jobs", "nomad/jobs/gha", "nomad/jobs/gha/g", "nomad/jobs/gha/g/t"] {
            assert!(plain.may_on_variable("ci", path, OnVariables::Read), "{path}");
            assert!(!plain.may_on_variable("ci", path, OnVariables::Write), "{path}");
        }
        assert!(!plain.may_on_variable("ci", "nomad/jobs/gha/g/t/deeper", OnVariables::Read));
        assert!(!plain.may_on_variable("default", "nomad/jobs/gha", OnVariables::Read));
        let denied = "namespace \"ci\" { variables { path \"nomad/jobs/gha\" { capabilities = [\"deny\"] } } }";
        assert!(!caller(denied).may_on_variable("ci", "nomad/jobs/gha", OnVariables::Read));
        let glob = "namespace \"ci\" { variables { path \"nomad/jobs/*\" { capabilities = [\"write\"] } } }";
        assert!(caller(glob).may_on_variable("ci", "nomad/jobs/gha", OnVariables::Read));
    }
}
