//! The client agents: start tasks, kill them, and tell the servers while their node is not silent.
//!
//! Read next: `nodes.rs`.

use rand::Rng;

use super::allocations::{Allocation, ClientStatus, TaskEvent};
use super::happenings::What;
use super::model::{Due, Millis, Nomad, Started};
use super::task_states::{Life, TaskStates, client_status};

impl Nomad {
    /// The allocation's task is started, or cannot be.
    pub(super) fn start(&mut self, id: &str, now: Millis) {
        let fails = self.rng.random_bool(self.knobs.start_failure.clamp(0.0, 1.0));
        if self.waits_for_previous(id) {
            return;
        }
        let Some(one) = self.allocations.get_mut(id) else { return };
        let waits = one.client_status == ClientStatus::Pending && one.poststop.is_none();
        if one.stopping || one.lives || !waits {
            return;
        }
        // Without its server a client has not even heard of the allocation.
        if self.nodes.get(&one.node).is_none_or(|node| node.is_silent()) {
            return;
        }
        if self.knobs.real_clients {
            one.lives = true;
            self.hand_over(id);
            return;
        }
        if fails {
            one.event(now, "Driver Failure", "failed to launch command with executor");
            one.task_failed = true;
            let child = one.child.id.clone();
            let how = "could not be started".to_owned();
            self.note(now, What::TaskEnded { child, allocation: id.to_owned(), how });
            self.set_status(id, ClientStatus::Failed, now);
            return;
        }
        one.lives = true;
        one.event(now, "Started", "Task started by client");
        let child = one.child.clone();
        self.hand_over(id);
        self.set_status(id, ClientStatus::Running, now);
        self.note(now, What::TaskStarted { child: child.id, allocation: id.to_owned() });
    }

    /// Tells whoever runs the tasks that this one is to be run.
    fn hand_over(&mut self, id: &str) {
        let started = self.allocations.get(id).and_then(|one| self.what_to_run(one));
        self.started.extend(started);
    }

    /// What the client of a node was told to run, and has not ended as far as the servers know.
    pub fn handed_over(&self, node: &str) -> impl Iterator<Item = Started> {
        let on_it = self.allocations.values().filter(move |one| one.node == node && one.lives);
        on_it.filter_map(|one| self.what_to_run(one))
    }

    /// Allocations of a node that was given up, which the servers still count on.
    pub fn unknown_on(&self, node: &str) -> impl Iterator<Item = &Allocation> {
        let on_it = self.allocations.values().filter(move |one| one.node == node);
        on_it.filter(|one| one.client_status == ClientStatus::Unknown && !one.stopping)
    }

    fn what_to_run(&self, one: &Allocation) -> Option<Started> {
        let found = self.children.get(&one.child)?;
        Some(Started {
            allocation: one.id.clone(),
            child: one.child.clone(),
            node: one.node.clone(),
            meta: found.meta.clone(),
            payload: found.payload.clone(),
            definition: found.definition.clone(),
            parent: found.parent.clone(),
            group: one.group.clone(),
            number: one.number,
        })
    }

    /// What a real client says of some of its allocations, in one write.
    pub fn client_updates(
        &mut self,
        updates: impl IntoIterator<Item = (String, TaskStates)>,
        now: Millis,
    ) {
        // One that was started again tells everything once more; only what is new is written.
        let news = |(id, tasks): &(String, TaskStates)| {
            let known = self.allocations.get(id).filter(|one| !one.purged);
            known.is_none_or(|one| one.tasks != *tasks || one.client_status != client_status(tasks))
        };
        let updates: Vec<_> = updates.into_iter().filter(news).collect();
        if updates.is_empty() {
            return;
        }
        let index = self.bump();
        let (mut told, mut known_again) = (Vec::new(), Vec::new());
        for (id, tasks) in updates {
            let Some(one) = self.allocations.get_mut(&id) else { continue };
            let status = client_status(&tasks);
            one.lives = !status.is_terminal();
            one.task_failed = status == ClientStatus::Failed;
            // A poststop task may still run after the others have failed.
            let runs = tasks.values().any(|task| task.state != Life::Dead);
            one.poststop = (status.is_terminal() && runs).then_some(status);
            one.tasks = tasks;
            let unknown = one.client_status == ClientStatus::Unknown && !one.stopping;
            if unknown && status == ClientStatus::Running {
                known_again.push(id.clone());
            }
            told.push((id, status));
        }
        self.set_statuses_at(index, &told, now);
        for id in known_again {
            self.is_known_again(&id, now);
        }
        for (id, _) in told {
            let over = |one: &Allocation| one.purged && !one.takes_room();
            if self.allocations.get(&id).is_some_and(over) {
                let node = self.allocations.remove(&id).map(|one| one.node).unwrap_or_default();
                self.unblock(&node, now);
            }
        }
    }

    /// A replacement on the same node begins when the one before it is over; it is told then.
    fn waits_for_previous(&self, id: &str) -> bool {
        let one = self.allocations.get(id);
        let previous = one.and_then(|one| self.allocations.get(one.previous.as_ref()?));
        previous.is_some_and(|previous| {
            previous.takes_room() && one.is_some_and(|one| one.node == previous.node)
        })
    }

    /// The task's process has ended by itself, with this exit code (137 where a signal ended it).
    pub fn task_exited(&mut self, id: &str, exit_code: i32, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        if !one.lives {
            return;
        }
        one.lives = false;
        if self.nodes.get(&one.node).is_none_or(|node| node.is_silent()) {
            one.untold = Some(exit_code);
            return;
        }
        self.task_ended(id, exit_code, now);
    }

    /// The servers hear that the task has ended. One that was told to stop is `complete`, even
    /// after SIGKILL; a poststop task runs before that, and while it does the allocation goes back
    /// to `pending` and `running` ([V]). A failed main task is told at once, before its poststop.
    pub(super) fn task_ended(&mut self, id: &str, exit_code: i32, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        one.task_failed = exit_code != 0 && !one.stopping;
        one.task_events.push(TaskEvent {
            at: now,
            kind: "Terminated",
            message: format!("Exit Code: {exit_code}"),
            exit_code: Some(exit_code),
        });
        let status = if one.task_failed { ClientStatus::Failed } else { ClientStatus::Complete };
        let (child, failed) = (one.child.clone(), one.task_failed);
        let how = format!("ended with {exit_code}");
        self.note(now, What::TaskEnded { child: child.id.clone(), allocation: id.to_owned(), how });
        let poststop = self.children.get(&child).and_then(|child| child.spec.poststop);
        let Some(takes) = poststop else { return self.set_status(id, status, now) };
        if let Some(one) = self.allocations.get_mut(id) {
            one.poststop = Some(status);
        }
        let meanwhile = if failed { status } else { ClientStatus::Pending };
        self.set_status(id, meanwhile, now);
        self.at(now + takes, Due::Poststop(id.to_owned()));
    }

    /// The poststop task has ended by itself, before its time in the jobspec was over.
    pub fn poststop_ended(&mut self, id: &str, now: Millis) {
        self.poststop_done(id, now);
    }

    pub(super) fn poststop_done(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        if let Some(status) = one.poststop.take() {
            // What was lost meanwhile stays lost until its node tells more.
            let lost = one.client_status == ClientStatus::Lost;
            let status = if lost { ClientStatus::Lost } else { status };
            self.set_status(id, status, now);
        }
    }

    /// Tells the task to end: its signal now, SIGKILL after the kill timeout. One that has not
    /// begun is over some seconds later ([V]: `pending` for more than 4 s).
    pub(super) fn begin_kill(&mut self, id: &str, now: Millis) {
        if self.knobs.real_clients {
            self.signalled.push(id.to_owned());
            return;
        }
        let Some(one) = self.allocations.get_mut(id) else { return };
        one.event(now, "Killing", "Sent interrupt. Waiting before force killing");
        let timeout = self.children.get(&one.child).map_or(5_000, |child| child.spec.kill_timeout);
        let lives = one.lives;
        self.at(now + timeout, Due::Kill(id.to_owned()));
        if lives {
            self.signalled.push(id.to_owned());
        }
    }

    pub(super) fn kill(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        if self.nodes.get(&one.node).is_none_or(|node| node.is_silent()) {
            return;
        }
        if one.lives {
            one.lives = false;
            self.killed.push(id.to_owned());
            self.task_ended(id, 137, now);
        } else if one.client_status == ClientStatus::Pending && one.poststop.is_none() {
            self.set_status(id, ClientStatus::Complete, now);
        }
        if self.allocations.get(id).is_some_and(|one| one.purged) {
            let node = self.allocations.remove(id).map(|one| one.node).unwrap_or_default();
            self.unblock(&node, now);
        }
    }
}
