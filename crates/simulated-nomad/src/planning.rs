//! `nomad job plan`: what registering a job would come to, tried on a copy of the state.
//!
//! Read next: `scheduling.rs`.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::evaluations::Evaluation;
use super::jobs::{JobKey, JobSpec};
use super::model::{Millis, Nomad};

/// What the scheduler would do.
#[derive(Clone, Debug)]
pub struct Planned {
    pub evaluation: Evaluation,
    /// Waits for the room that it did not find.
    pub blocked: Option<Evaluation>,
}

impl Nomad {
    /// Looks at the job as if it were registered. One that is dispatched or launched later is looked
    /// at as if it ran at once (`nomad/job_endpoint.go`, `Job.Plan`). Nothing is changed but the
    /// random numbers.
    pub fn plan(
        &mut self,
        key: &JobKey,
        mut spec: JobSpec,
        mut job: Value,
        now: Millis,
    ) -> Option<Planned> {
        let mut copy = self.clone();
        // Its ids must not come again.
        copy.rng = StdRng::seed_from_u64(self.rng.random());
        copy.jobs.remove(key);
        spec.payload = None;
        job["ParameterizedJob"] = Value::Null;
        job["Periodic"] = Value::Null;
        let id = copy.register_job(key.clone(), spec, job, now)?;
        copy.evaluate(&id, now);
        let evaluation = copy.evaluation(&id)?.clone();
        let blocked = evaluation.blocked_eval.as_ref().and_then(|id| copy.evaluation(id)).cloned();
        Some(Planned { evaluation, blocked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobspec;
    use crate::nodes::NodeSpec;

    #[test]
    fn a_plan_says_what_would_be_and_leaves_everything_as_it_is() {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        nomad.add_node("one", NodeSpec::with_room_for(1), 0);
        let (key, index) = (JobKey::new("default", "a"), nomad.index());
        let mut plan = |memory_mb| {
            let spec = JobSpec { memory_mb, ..JobSpec::default() };
            let job = jobspec::of_spec(&key, &spec);
            nomad.plan(&key, jobspec::read(&job), job, 0).unwrap()
        };
        let (fits, large) = (plan(1_000), plan(9_000));
        assert!(fits.blocked.is_none() && fits.evaluation.failures.is_empty());
        assert!(large.blocked.is_some() && !large.evaluation.failures.is_empty());
        assert!(nomad.index() == index && nomad.definition(&key).is_none());
    }
}
