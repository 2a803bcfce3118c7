//! Nodes that fall silent, count as down or disconnected, and come back; and what becomes of the
//! allocations on them.
//!
//! Whether something is lost, unknown or replaced is decided in `reconciling.rs`. Read next:
//! `allocations.rs`.

use rand::Rng;

use super::allocations::ClientStatus;
use super::changes::Row;
use super::evaluations::{EvaluationStatus, Trigger};
use super::model::{Due, Millis, Nomad};
use super::nodes::{Node, NodeStatus, Outage};

impl Nomad {
    /// The node falls silent; its missed heartbeat makes it `down` or `disconnected` some time
    /// later.
    pub fn silence(&mut self, id: &str, outage: Outage, now: Millis) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| node.outage.is_none()) else {
            return;
        };
        node.outage = Some(outage);
        self.node_note(id, if outage == Outage::CutOff { "is cut off" } else { "died" }, now);
        if outage == Outage::PowerLoss {
            for one in self.allocations.values_mut().filter(|one| one.node == id && one.lives) {
                one.lives = false;
                self.killed.push(one.id.clone());
            }
        }
        let at = now + self.draw(self.knobs.heartbeat);
        self.at(at, Due::NodeDown(id.to_owned()));
    }

    /// A heartbeat is missed. The node is `disconnected` as long as something that runs on it is
    /// waited for, and `down` after that (`nomad/heartbeat.go`, `disconnectState`).
    pub(super) fn heartbeat_missed(&mut self, id: &str, now: Millis) {
        let silent = |node: &&Node| node.is_silent() && node.status != NodeStatus::Down;
        let Some(node) = self.nodes.get(id).filter(silent) else { return };
        let waited_for = self.allocations.values().any(|one| {
            let over = now - one.unknown_since.unwrap_or(now);
            one.node == id
                && !one.is_terminal()
                && one.disconnect.is_some_and(|it| over < it.lost_after)
                && matches!(one.client_status, ClientStatus::Running | ClientStatus::Unknown)
        });
        let first = node.status == NodeStatus::Ready;
        let status = if waited_for { NodeStatus::Disconnected } else { NodeStatus::Down };
        if first {
            self.node_event(id, "Cluster", "Node heartbeat missed", now);
            let what = if waited_for { "is disconnected" } else { "is down" };
            self.node_note(id, what, now);
        }
        self.set_node_status(id, status, now);
        if waited_for {
            let at = now + self.draw(self.knobs.heartbeat).max(1);
            self.at(at, Due::NodeDown(id.to_owned()));
        }
    }

    /// The node is back, and its client tells and hears what has happened meanwhile.
    pub fn restore(&mut self, id: &str, now: Millis) {
        let outage = self.nodes.get(id).and_then(|node| node.outage);
        self.node_is_back(id, outage == Some(Outage::PowerLoss), now);
    }

    pub(super) fn node_is_back(&mut self, id: &str, anew: bool, now: Millis) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.outage.take().is_none() {
            return;
        }
        let status = node.status;
        self.node_note(id, "is back", now);
        if anew && status != NodeStatus::Ready {
            // Its client was started again: it registers before it is ready.
            self.node_event(id, "Cluster", "Node re-registered", now);
            self.commit("NodeRegistration", vec![Row::Node(id.to_owned())]);
            if status == NodeStatus::Disconnected {
                // Who registers is connected, though its status says so only with the next write.
                self.look_at_jobs_on(id, Trigger::NodeUpdate, now);
            }
            self.set_node_status(id, NodeStatus::Initializing, now);
        }
        if status != NodeStatus::Ready {
            self.set_node_status(id, NodeStatus::Ready, now);
        }
        let on_it: Vec<String> = self
            .allocations
            .values()
            .filter(|one| one.node == id)
            .map(|one| one.id.clone())
            .collect();
        for allocation in on_it {
            self.reconnect(&allocation, now);
        }
        self.unblock(id, now);
    }

    fn reconnect(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get(id) else { return };
        let was = one.client_status;
        let (untold, lives) = (one.untold, one.lives);
        if lives && self.knobs.real_clients {
            // Its client says itself how it is.
            return;
        }
        if one.purged || one.stopping {
            // Lost or stopped while it could not be told: it is told now.
            if lives {
                self.set_status(id, ClientStatus::Running, now);
                self.begin_kill(id, now);
            } else if !matches!(was, ClientStatus::Complete | ClientStatus::Failed) {
                self.set_status(id, ClientStatus::Complete, now);
            }
            return;
        }
        match (untold, lives) {
            (Some(code), _) if !was.is_terminal() => self.task_ended(id, code, now),
            (None, true) if was == ClientStatus::Unknown => {
                self.set_status(id, ClientStatus::Running, now);
                self.is_known_again(id, now);
            }
            (None, false) if was == ClientStatus::Pending => {
                let at = now + self.draw(self.knobs.starting);
                self.at(at, Due::Start(id.to_owned()));
            }
            // Its process died with the node: the client cannot restore it.
            (None, false) if !was.is_terminal() => self.task_ended(id, 1, now),
            _ => {}
        }
    }

    /// The allocation was unknown and runs: nobody waits for its loss any more ([V]).
    pub(super) fn is_known_again(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        one.unknown_since = None;
        one.replace = false;
        let followup = one.followup.take();
        let replaced = one.next.is_some();
        let waits = |id: &String| {
            self.evaluations.get(id).is_some_and(|one| one.status == EvaluationStatus::Pending)
        };
        if let Some(followup) = followup.filter(waits) {
            let why = "allocs reconnected".to_owned();
            let canceled = self.cancel_evaluation(&followup, why, now);
            canceled.map(|row| self.commit("EvaluationUpdated", vec![row]));
        }
        if replaced {
            self.keep_one_of_two(id, now);
        }
    }

    /// One of a reconnected allocation and its replacement is stopped; which is up to
    /// `disconnect.reconcile`, so it is drawn.
    fn keep_one_of_two(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        let Some(other) = one.next.clone() else { return };
        let loser = if self.rng.random_bool(0.5) { id.to_owned() } else { other.clone() };
        if loser == other
            && let Some(one) = self.allocations.get_mut(id)
        {
            one.next = None;
        }
        let Some(one) = self.allocations.get_mut(&loser).filter(|one| !one.is_terminal()) else {
            return;
        };
        one.stopping = true;
        one.modified_at = now;
        "alloc not needed as disconnected client reconnected"
            .clone_into(&mut one.desired_description);
        self.commit("PlanResult", vec![Row::Planned(loser.clone())]);
        self.told_to_stop(&loser, now);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::changes::Subject;
    use crate::dispatching::DispatchCall;
    use crate::jobs::{Disconnect, JobKey, JobSpec};
    use crate::model::{HOUR, MINUTE, SECOND};
    use crate::nodes::NodeSpec;
    use crate::task_states::{Life, TaskState, TaskStates};

    fn running() -> TaskStates {
        let state = TaskState { state: Life::Running, ..TaskState::default() };
        TaskStates::from([("t".to_owned(), state)])
    }

    /// Two children of a job with this disconnect block run, and their client has said so.
    fn cluster(disconnect: Option<Disconnect>) -> (Nomad, Vec<JobKey>, Vec<String>) {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        (nomad.knobs.real_clients, nomad.knobs.tells) = (true, true);
        nomad.add_node("one", NodeSpec::with_room_for(4), 0);
        let parent = JobKey::new("ci", "runner");
        nomad.register(parent.clone(), JobSpec { disconnect, ..JobSpec::default() }, 0);
        let mut child = |token: &str| {
            let call = DispatchCall { token: Some(token.to_owned()), ..DispatchCall::default() };
            JobKey::new("ci", &nomad.dispatch(&parent, call, 0).unwrap().child)
        };
        let children = vec![child("a"), child("b")];
        nomad.tick(10 * SECOND);
        let started = nomad.take_started().into_iter();
        let allocations: Vec<String> = started.map(|one| one.allocation).collect();
        let updates = allocations.iter().map(|id| (id.clone(), running()));
        nomad.client_updates(updates, 10 * SECOND);
        (nomad, children, allocations)
    }

    #[test]
    fn what_a_client_tells_at_once_is_one_write_and_nothing_new_is_none() {
        let (mut nomad, _, allocations) = cluster(None);
        let frames = nomad.take_frames();
        let told = &frames.last().unwrap().subjects;
        let is = |wanted: fn(&Subject) -> bool| told.iter().filter(|one| wanted(one)).count();
        assert_eq!(is(|one| matches!(one, Subject::Allocation(_))), 2);
        assert_eq!(is(|one| matches!(one, Subject::Node(_))), 1, "once, for both");
        let index = nomad.index();
        nomad.client_updates([(allocations[0].clone(), running())], 11 * SECOND);
        assert_eq!((nomad.index(), nomad.take_frames().len()), (index, 0));
    }

    #[test]
    fn who_registers_after_it_was_disconnected_is_looked_at_each_step_of_the_way() {
        let looks = |disconnect, anew| {
            let (mut nomad, children, _) = cluster(disconnect);
            nomad.silence("one", Outage::CutOff, 10 * SECOND);
            nomad.tick(MINUTE);
            let count = |nomad: &Nomad| {
                let all = nomad.evaluations_of(&children[0]);
                all.filter(|one| one.triggered_by == Trigger::NodeUpdate).count()
            };
            let before = count(&nomad);
            nomad.register_node("one", NodeSpec::with_room_for(4), anew, MINUTE);
            (before, count(&nomad) - before)
        };
        let patient = Some(Disconnect { lost_after: HOUR, replace: false });
        assert_eq!(looks(patient, true), (1, 3), "registered, initializing, ready");
        assert_eq!(looks(patient, false), (1, 1));
        assert_eq!(looks(None, true).0, 1);
    }
}
