//! What a task reads by its own identity without a token in its hands: the Variables of its
//! templates, which its client fetches for it.

use super::claims::Workload;
use crate::acl::{Caller, Claim, OnVariables};
use crate::model::Nomad;
use crate::variables::{Items, VariableKey};

/// What a task finds at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    Items(Items),
    /// There is none (yet).
    Absent,
    /// Whether there is one is not for this task.
    Denied,
}

impl Sight {
    /// A task is not told why it finds none.
    pub fn items(self) -> Option<Items> {
        match self {
            Self::Items(items) => Some(items),
            Self::Absent | Self::Denied => None,
        }
    }
}

impl Nomad {
    pub(crate) fn variable_seen_by(
        &self,
        workload: &Workload,
        namespace: &str,
        path: &str,
    ) -> Sight {
        let caller =
            if self.acl().enabled { self.acl().workload(workload.claim()) } else { Caller::Anyone };
        if !caller.may_on_variable(namespace, path, OnVariables::Read) {
            return Sight::Denied;
        }
        let found = self.variables().get(&VariableKey::new(namespace, path));
        found.map_or(Sight::Absent, |variable| Sight::Items(variable.items.clone()))
    }
}

impl Workload {
    fn claim(&self) -> Claim {
        Claim {
            namespace: self.namespace.clone(),
            job: self.job.clone(),
            group: self.group.clone(),
            task: self.task.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::acl::Lifetimes;

    #[test]
    fn a_task_sees_what_its_job_owns_and_without_acls_everything() {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        let own = str::to_owned;
        let workload = Workload {
            region: own("global"),
            namespace: own("ci"),
            job: own("gha"),
            group: own("g"),
            task: own("t"),
            allocation: own("a"),
        };
        let items = Items::from([(own("jit"), own("x"))]);
        for path in ["nomad/jobs/gha", "ghr/x"] {
            let key = VariableKey::new("ci", path);
            nomad.put_variable(&key, items.clone(), None, None, 0).unwrap();
        }
        let sees = |nomad: &Nomad, path| nomad.variable_seen_by(&workload, "ci", path);
        assert_eq!(sees(&nomad, "ghr/x"), Sight::Items(items.clone()));
        assert_eq!(sees(&nomad, "ghr/y"), Sight::Absent);
        nomad.acl_settings(true, Lifetimes::default());
        assert_eq!(sees(&nomad, "nomad/jobs/gha"), Sight::Items(items));
        assert_eq!(sees(&nomad, "nomad/jobs/gha/g"), Sight::Absent);
        assert_eq!(sees(&nomad, "ghr/x"), Sight::Denied);
        assert_eq!(sees(&nomad, "ghr/y"), Sight::Denied);
    }
}
