//! Policies as they are kept: the rules under a name, and the job they are attached to, if any.
//!
//! Read next: `rules.rs` (what they say), `tables.rs` (where they are kept).

use super::rules::Rules;
use crate::namespaces::all_errors;

/// What is asked to be kept.
#[derive(Clone, Debug, Default)]
pub struct PolicyRequest {
    pub name: String,
    pub description: String,
    pub rules: String,
    pub attached: Option<Attached>,
}

/// `JobACL`: the workloads that have the policy without a token. Empty parts mean all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    pub namespace: String,
    pub job: String,
    pub group: String,
    pub task: String,
}

/// Who a workload is. A dispatched child is its parent here (structs.go, `GetIDforWorkloadIdentity`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub namespace: String,
    pub job: String,
    pub group: String,
    pub task: String,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub name: String,
    pub description: String,
    pub rules: Rules,
    pub attached: Option<Attached>,
    pub create_index: u64,
    pub modify_index: u64,
}

const LONGEST_DESCRIPTION: usize = 256;

impl PolicyRequest {
    /// The rules, when everything is as it should be.
    ///
    /// # Errors
    /// All that is wrong, in Nomad's words.
    pub(super) fn check(&self) -> Result<Rules, String> {
        let mut wrong = Vec::new();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !(1..=128).contains(&self.name.len()) || !self.name.bytes().all(good) {
            wrong.push(format!("invalid name '{}'", self.name));
        }
        let rules = Rules::parse(&self.rules);
        if let Err(why) = &rules {
            wrong.push(format!("failed to parse rules: {why}"));
        }
        if self.description.len() > LONGEST_DESCRIPTION {
            wrong.push(format!("description longer than {LONGEST_DESCRIPTION}"));
        }
        if let Some(Attached { namespace, job, group, task }) = &self.attached {
            for (outer, inner, text) in [
                (namespace, job, "namespace must be set to set job ID"),
                (job, group, "job ID must be set to set group"),
                (group, task, "group must be set to set task"),
            ] {
                if outer.is_empty() && !inner.is_empty() {
                    wrong.push(text.to_owned());
                }
            }
        }
        match rules {
            Ok(rules) if wrong.is_empty() => Ok(rules),
            _ => Err(all_errors(&wrong)),
        }
    }
}

impl Attached {
    #[must_use]
    pub fn covers(&self, claim: &Claim) -> bool {
        let same = |mine: &str, its: &str| mine.is_empty() || mine == its;
        self.namespace == claim.namespace
            && same(&self.job, &claim.job)
            && same(&self.group, &claim.group)
            && same(&self.task, &claim.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_attached_to_a_job_or_to_some_of_its_tasks() {
        let claim = Claim {
            namespace: "ci".into(),
            job: "gha".into(),
            group: "g".into(),
            task: "t".into(),
        };
        let whole = Attached { namespace: "ci".into(), job: "gha".into(), ..Attached::default() };
        assert!(whole.covers(&claim));
        assert!(!Attached { namespace: "default".into(), ..whole.clone() }.covers(&claim));
        assert!(!Attached { group: "g".into(), task: "other".into(), ..whole }.covers(&claim));
    }
}
