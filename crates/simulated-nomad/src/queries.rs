//! What the servers answer when they are asked.
//!
//! Read next: `mod.rs`.

use super::allocations::{Allocation, ClientStatus};
use super::children::{Child, JobStatus};
use super::jobs::JobKey;
use super::model::Nomad;

/// One child as `POST /v1/jobs/statuses` shows it.
#[derive(Clone, Debug)]
pub struct ChildStatus<'a> {
    pub key: &'a JobKey,
    pub status: JobStatus,
    pub child: &'a Child,
    pub allocations: Vec<&'a Allocation>,
}

impl Nomad {
    /// `GET /v1/job/:child`; None is a 404.
    #[must_use]
    pub fn child(&self, key: &JobKey) -> Option<&Child> {
        self.children.get(key)
    }

    /// All children, of every parent.
    pub fn children(&self) -> impl Iterator<Item = (&JobKey, &Child)> {
        self.children.iter()
    }

    /// What was dispatched from that job. Their ids begin with its own.
    pub fn children_of(&self, parent: &JobKey) -> impl Iterator<Item = (&JobKey, &Child)> {
        let first = JobKey::new(&parent.namespace, &format!("{}/dispatch-", parent.id));
        let (namespace, prefix, of) =
            (first.namespace.clone(), first.id.clone(), parent.id.clone());
        self.children
            .range(first..)
            .take_while(move |(key, _)| key.namespace == namespace && key.id.starts_with(&prefix))
            .filter(move |(_, child)| child.parent == of)
    }

    /// `GET /v1/jobs?filter=DispatchIdempotencyToken == …`.
    #[must_use]
    pub fn child_by_token(&self, parent: &JobKey, token: &str) -> Option<&JobKey> {
        self.carrier(parent, token).map(|(key, _)| key)
    }

    /// `GET /v1/jobs?filter=DispatchIdempotencyToken matches "^…"`.
    pub fn children_by_token_prefix(
        &self,
        namespace: &str,
        prefix: &str,
    ) -> impl Iterator<Item = (&JobKey, &Child)> {
        let of = move |key: &JobKey| key.namespace == namespace;
        self.children.iter().filter(move |(key, child)| {
            of(key) && child.token.as_ref().is_some_and(|token| token.starts_with(prefix))
        })
    }

    /// `POST /v1/jobs/statuses`: who is not there is left out (`nomad/job_endpoint_statuses.go`).
    /// The index is that of the newest change among these.
    #[must_use]
    pub fn statuses(&self, keys: &[JobKey]) -> (u64, Vec<ChildStatus<'_>>) {
        let found = keys.iter().filter_map(|asked| {
            let (key, child) = self.children.get_key_value(asked)?;
            let status = self.status(asked)?;
            let allocations = self.allocations_of(key).collect();
            Some(ChildStatus { key, status, child, allocations })
        });
        let found: Vec<_> = found.collect();
        let newest = found.iter().flat_map(|one| {
            let placed = one.allocations.iter().map(|allocation| allocation.modify_index);
            placed.chain([one.child.modify_index])
        });
        (newest.max().unwrap_or(self.index), found)
    }

    /// Whether the child takes up room: one of its allocations is not over, or it is yet to have one.
    /// What was stopped and is on a node that is away takes up none that could be had.
    #[must_use]
    pub fn is_alive(&self, key: &JobKey) -> bool {
        let status = self.status(key);
        let stopped = self.children.get(key).is_some_and(|child| child.stop);
        let runs = |one: &Allocation| {
            let away = stopped && one.client_status == ClientStatus::Unknown;
            !one.client_status.is_terminal() && !away
        };
        let mut allocations = self.allocations_of(key).peekable();
        let over = status.is_none_or(|it| it == JobStatus::Dead)
            || (stopped && allocations.peek().is_some());
        !over || allocations.any(runs)
    }

    /// Names what should not be there when all is done: children that are alive, processes that
    /// nobody follows any more.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let alive = self.children.keys().filter(|key| self.is_alive(key));
        let alive = alive.map(|key| {
            let status = self.status(key).map_or("gone", JobStatus::as_str);
            format!("child {} is {status}", key.id)
        });
        let processes = self.allocations.values().filter(|one| one.lives);
        alive.chain(processes.map(|one| format!("a process of {} lives", one.child.id))).collect()
    }
}
