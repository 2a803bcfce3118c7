//! `DELETE /v1/job/:id`, and stopping one allocation.
//!
//! Neither stops anything by itself: each makes an evaluation, which does. Read next:
//! `scheduling.rs`.

use super::allocations::Migration;
use super::changes::{Row, Subject};
use super::evaluations::Trigger;
use super::happenings::What;
use super::jobs::JobKey;
use super::model::{Millis, Nomad};

/// A job was stopped or purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// None: a parameterized job, which has none.
    pub evaluation: Option<String>,
    pub index: u64,
}

impl Nomad {
    /// Stops a job, or purges it; an unknown job is no error (`nomad/job_endpoint.go`,
    /// `Job.Deregister`): None.
    pub fn stop(&mut self, key: &JobKey, purge: bool, now: Millis) -> Option<Stopped> {
        if self.jobs.contains_key(key) {
            let index = self.stop_registered(key, purge, now);
            return Some(Stopped { evaluation: None, index });
        }
        if !self.children.contains_key(key) {
            return None;
        }
        let index = self.bump();
        self.note(now, What::Stopped { job: key.id.clone(), purge });
        self.schedule_collection(now);
        if purge {
            self.purge(key, index, now);
        } else if let Some(child) = self.children.get_mut(key) {
            child.stop = true;
            child.submit_time = now;
            child.version += 1;
            child.job_modify_index = index;
            self.commit_at(index, "JobDeregistered", vec![Row::Job(key.clone())]);
        }
        let evaluation = self.new_evaluation(key, Trigger::JobDeregister, now);
        let row = Row::Evaluation(evaluation.clone());
        self.commit_at(index, "JobDeregistered", vec![row]);
        Some(Stopped { evaluation: Some(evaluation), index })
    }

    /// The records of the job and its allocations go at once, the processes do not (GH-28394), and
    /// its evaluations stay.
    fn purge(&mut self, key: &JobKey, index: u64, now: Millis) {
        let ids = self.children.get(key).map(|child| child.allocations.clone()).unwrap_or_default();
        for id in ids {
            let Some(one) = self.allocations.get_mut(&id) else { continue };
            one.purged = true;
            let told = one.stopping;
            one.stopping = true;
            if !told {
                self.told_to_stop(&id, now);
            }
        }
        if let Some(child) = self.forget(key, index) {
            let (key, child) = (key.clone(), Box::new(child));
            let subject = Subject::Child { key, child, deleted: true };
            self.tell(index, "JobDeregistered", vec![subject]);
        }
    }

    /// `PUT /v1/allocation/:id/stop`: ignores `reschedule { attempts = 0 }`, so that the job gets a
    /// second allocation ([V]). One that is stopped already makes an evaluation all the same: its
    /// id, and the index.
    pub fn stop_allocation(&mut self, id: &str, now: Millis) -> Option<(String, u64)> {
        let one = self.allocations.get_mut(id).filter(|one| !one.purged)?;
        one.migrate = Some(Migration::Stop);
        let job = one.child.clone();
        let evaluation = self.new_evaluation(&job, Trigger::AllocStop, now);
        let rows = vec![Row::Planned(id.to_owned()), Row::Evaluation(evaluation.clone())];
        let index = self.commit("AllocationUpdateDesiredStatus", rows);
        Some((evaluation, index))
    }

    /// Its client hears that the allocation is to end.
    pub(super) fn told_to_stop(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get(id) else { return };
        let silent = self.nodes.get(&one.node).is_none_or(|node| node.is_silent());
        if !one.client_status.is_terminal() && !silent {
            self.begin_kill(id, now);
        }
    }
}
