//! `DELETE /v1/job/:id`, and stopping one allocation.
//!
//! Read next: `collecting.rs`.

use super::allocations::ClientStatus;
use super::happenings::What;
use super::jobs::JobKey;
use super::model::{Millis, Nomad};

impl Nomad {
    /// Stops a job, or purges it. A child is dead at once, its task up to `kill_timeout` later
    /// ([V]); an unknown job is no error (`nomad/job_endpoint.go`, `Job.Deregister`). Says whether
    /// there was one.
    pub fn stop(&mut self, key: &JobKey, purge: bool, now: Millis) -> bool {
        if self.jobs.contains_key(key) {
            self.stop_registered(key, purge, now);
            return true;
        }
        let Some(child) = self.children.get_mut(key) else { return false };
        child.stop = true;
        child.submit_time = now;
        let ids = child.allocations.clone();
        self.cancel_evaluations(key, now);
        for id in &ids {
            self.tell_to_stop(id, now);
        }
        self.touch(key);
        self.note(now, What::Stopped { job: key.id.clone(), purge });
        self.schedule_collection(now);
        if purge {
            // The records go at once, the processes do not (GH-28394).
            for id in ids {
                if let Some(one) = self.allocations.get_mut(&id) {
                    one.purged = true;
                }
            }
            self.forget(key);
        }
        true
    }

    /// `nomad alloc stop`: ignores `reschedule { attempts = 0 }`, so that the child gets a second
    /// allocation ([V]). One that is stopped already makes an evaluation all the same: its id, and
    /// the index.
    pub fn stop_allocation(&mut self, id: &str, now: Millis) -> Option<(String, u64)> {
        let one = self.allocations.get_mut(id).filter(|one| !one.purged)?;
        let child = one.child.clone();
        if !one.is_terminal() {
            one.replace = true;
            self.tell_to_stop(id, now);
        }
        let evaluation = self.new_evaluation(&child, "alloc-stop", now);
        Some((evaluation, self.index))
    }

    pub(super) fn tell_to_stop(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        if one.stopping || one.client_status.is_terminal() {
            return;
        }
        one.stopping = true;
        let child = one.child.clone();
        self.touch_allocation(id);
        let Some(one) = self.allocations.get(id) else { return };
        let silent = self.nodes.get(&one.node).is_none_or(|node| node.is_silent());
        // A node that is down has nobody to tell: the servers let go of it.
        let unknown = one.client_status == ClientStatus::Unknown;
        if unknown && silent {
            self.set_status(id, ClientStatus::Lost, now);
        } else if !silent {
            self.begin_kill(id, now);
        }
        self.settle(&child);
    }
}
