//! The clients that a server reaches, here and elsewhere: passes on to them what the model decides.
//!
//! What they were told while they were not reached they are told when they are. Read next:
//! `downstream.rs`.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc::UnboundedSender;

use super::FromServer;
use super::upstream::obey;
use crate::model::{Nomad, Started};
use crate::tasks::{Assignment, Client};

/// By their nodes' ids.
#[derive(Default)]
pub(crate) struct Clients(BTreeMap<String, Reached>);

struct Reached {
    way: Way,
    /// What it was told to run, or had when it was reached, and the model still knows.
    has: BTreeSet<String>,
}

enum Way {
    /// In this process.
    Here(Client),
    There(UnboundedSender<FromServer>),
}

impl Reached {
    fn tell(&self, told: FromServer) {
        match &self.way {
            Way::Here(client) => obey(client, told),
            // Whoever has hung up is noticed where it is listened to.
            Way::There(out) => drop(out.send(told)),
        }
    }

    fn start(&mut self, started: Started) {
        self.has.insert(started.allocation.clone());
        self.tell(FromServer::Start(Box::new(assignment(started))));
    }
}

impl Clients {
    /// Passes on what has been decided since this was asked last.
    pub fn pass_on(&mut self, nomad: &mut Nomad) {
        for started in nomad.take_started() {
            if let Some(reached) = self.0.get_mut(&started.node) {
                reached.start(started);
            }
        }
        for allocation in nomad.take_signalled() {
            for reached in self.0.values().filter(|it| it.has.contains(&allocation)) {
                reached.tell(stop(nomad, &allocation));
            }
        }
        for reached in self.0.values_mut() {
            let known = |id: &&String| nomad.allocation(id).is_some();
            let forgotten: Vec<String> =
                reached.has.iter().filter(|id| !known(id)).cloned().collect();
            for allocation in forgotten {
                reached.has.remove(&allocation);
                reached.tell(FromServer::Forget { allocation });
            }
        }
    }

    /// The client in this process, which has these allocations.
    pub fn reach_here(&mut self, nomad: &Nomad, node: &str, has: Vec<String>, client: Client) {
        self.reach(nomad, node, has, Way::Here(client));
    }

    /// One elsewhere.
    pub fn reach_there(
        &mut self,
        nomad: &Nomad,
        node: &str,
        has: Vec<String>,
        out: UnboundedSender<FromServer>,
    ) {
        self.reach(nomad, node, has, Way::There(out));
    }

    fn reach(&mut self, nomad: &Nomad, node: &str, has: Vec<String>, way: Way) {
        let mut reached = Reached { way, has: has.into_iter().collect() };
        for started in nomad.handed_over(node) {
            reached.start(started);
        }
        let ended = |id: &&String| nomad.allocation(id).is_none_or(|one| one.stopping);
        for allocation in reached.has.iter().filter(ended) {
            reached.tell(stop(nomad, allocation));
        }
        self.0.insert(node.to_owned(), reached);
    }

    /// That connection has ended. False: the client has another one by now.
    pub fn leaves(&mut self, node: &str, out: &UnboundedSender<FromServer>) -> bool {
        let same =
            |reached: &Reached| matches!(&reached.way, Way::There(it) if it.same_channel(out));
        let left = self.0.get(node).is_some_and(same);
        if left {
            self.0.remove(node);
        }
        left
    }

    pub fn is_here(&self, node: &str) -> bool {
        self.0.get(node).is_some_and(|reached| matches!(reached.way, Way::Here(_)))
    }

    pub fn reaches(&self, node: &str) -> bool {
        self.0.contains_key(node)
    }
}

fn stop(nomad: &Nomad, allocation: &str) -> FromServer {
    let without_delay = nomad.skips_shutdown_delay(allocation);
    FromServer::Stop { allocation: allocation.to_owned(), without_delay }
}

fn assignment(started: Started) -> Assignment {
    Assignment {
        allocation: started.allocation,
        index: started.number,
        namespace: started.child.namespace,
        job_id: started.child.id,
        parent: started.parent,
        group: started.group,
        meta: started.meta,
        payload: started.payload,
        job: started.definition.job.clone(),
    }
}
