//! A server's state after a restart: every write of its journal once more, at its own time.
//!
//! Also where nodes come and go, for both are writes. Read next: `journal.rs`, `link/clients.rs`.

use tokio::sync::mpsc::UnboundedSender;

use super::answers;
use super::http::{Server, View};
use super::journal::{Entry, Line};
use super::link::FromServer;
use super::model::Millis;
use super::nodes::{NodeSpec, Outage};
use super::tasks::{Client, Update};

impl Server {
    /// Before anybody is let in.
    pub(super) async fn restore(&self, lines: Vec<Line>) {
        for line in lines {
            self.lock().clock.stands_at(line.at);
            match line.entry {
                Entry::Call(request) => answers::again(self.clone(), &request).await,
                Entry::Updates(updates) => self.apply(&updates),
                Entry::Node { id, spec, anew } => {
                    self.view(|view, now| view.nomad.register_node(&id, *spec, anew, now));
                }
                Entry::Silent { node } => self.view(|view, now| silence(view, &node, now)),
            }
        }
        self.lock().clock.goes_on();
    }

    /// What a client says of its allocations. A client apart tells its server.
    pub(super) fn hear(&self, updates: Vec<Update>) {
        match self.upstream() {
            Some(upstream) => upstream.tell(updates),
            None => {
                let entry = || Entry::Updates(updates.clone());
                self.change(entry, |view, now| update(view, &updates, now));
            }
        }
    }

    fn apply(&self, updates: &[Update]) {
        self.view(|view, now| update(view, updates, now));
    }

    /// A client elsewhere has registered its node, and listens at `out`.
    pub(super) fn node_joins(
        &self,
        (id, spec, anew): (&str, NodeSpec, bool),
        has: Vec<String>,
        out: UnboundedSender<FromServer>,
    ) {
        let unknown: Vec<String> = self.with(|nomad, _| {
            let unknown = nomad.unknown_on(id).map(|one| one.id.clone());
            unknown.filter(|it| has.contains(it)).collect()
        });
        for allocation in unknown {
            let _ = out.send(FromServer::Reconnect { allocation });
        }
        self.register(id, spec, anew);
        let mut state = self.lock();
        let state = &mut *state;
        state.clients.reach_there(&state.nomad, id, has, out);
    }

    /// The same for the client in this process.
    pub(super) fn own_node_joins(&self, id: &str, spec: NodeSpec, client: &Client) {
        let has = client.restore();
        self.register(id, spec, true);
        let mut state = self.lock();
        let state = &mut *state;
        state.clients.reach_here(&state.nomad, id, has, client.clone());
    }

    fn register(&self, id: &str, spec: NodeSpec, anew: bool) {
        let entry = || Entry::Node { id: id.to_owned(), spec: Box::new(spec.clone()), anew };
        self.change(entry, |view, now| view.nomad.register_node(id, spec.clone(), anew, now));
    }

    /// The connection of a client elsewhere has ended.
    pub(super) fn node_leaves(&self, id: &str, out: &UnboundedSender<FromServer>) {
        if self.lock().clients.leaves(id, out) {
            self.falls_silent(id);
        }
    }

    /// Where the client of that allocation is, if it is not this agent's own: its HTTP API, or None
    /// where it is not reached.
    pub(super) fn client_elsewhere(&self, allocation: &str) -> Option<Option<String>> {
        let mut state = self.lock();
        let state = &mut *state;
        let node = state.nomad.node(&state.nomad.allocation(allocation)?.node)?;
        if state.clients.is_here(&node.id) {
            return None;
        }
        Some(state.clients.reaches(&node.id).then(|| node.spec.http_address.clone()))
    }

    /// After a restart nodes have to be heard of anew.
    pub(super) fn expect_nodes(&self, own: Option<&str>) {
        let ids: Vec<String> = self.with(|nomad, _| {
            nomad.nodes().filter(|it| it.outage.is_none()).map(|it| it.id.clone()).collect()
        });
        for id in ids.iter().filter(|id| Some(id.as_str()) != own) {
            self.falls_silent(id);
        }
    }

    fn falls_silent(&self, id: &str) {
        let entry = || Entry::Silent { node: id.to_owned() };
        self.change(entry, |view, now| silence(view, id, now));
    }
}

/// Nobody knows whether its tasks go on, and they may.
fn silence(view: &mut View<'_>, node: &str, now: Millis) {
    view.nomad.silence(node, Outage::CutOff, now);
}

fn update(view: &mut View<'_>, updates: &[Update], now: Millis) {
    let updates = updates.iter().map(|one| (one.allocation.clone(), one.tasks.clone()));
    view.nomad.client_updates(updates, now);
}
