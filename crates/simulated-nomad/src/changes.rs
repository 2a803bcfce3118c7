//! Writes to the state, and the events that tell of them.
//!
//! One write has one index, whatever it changes; each row that it changes is told as it is then.
//! Who is told is not decided here: `stream.rs` keeps the events. (Nomad `nomad/state/events.go`;
//! which events come when is [V].) Read next: `stream.rs`.

use super::allocations::Allocation;
use super::children::Child;
use super::evaluations::Evaluation;
use super::jobs::{JobKey, Registered};
use super::model::Nomad;
use super::nodes::Node;
use super::tables::Table;

/// A row that a write changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Job(JobKey),
    Evaluation(String),
    /// Changed by what its client says.
    Allocation(String),
    /// Changed by the servers (`AllocModifyIndex`).
    Planned(String),
    Node(String),
    /// A node that is told of and does not change: one of its allocations did.
    Beside(String),
}

/// What an event is about, as it was then.
#[derive(Clone, Debug)]
pub enum Subject {
    Child { key: JobKey, child: Box<Child>, deleted: bool },
    Registered { key: JobKey, job: Box<Registered>, deleted: bool },
    Evaluation(Box<Evaluation>),
    Allocation(Box<Allocation>),
    Node(Box<Node>),
}

/// The events of one write that are told together.
#[derive(Clone, Debug)]
pub struct Frame {
    pub index: u64,
    /// `JobRegistered`, `PlanResult`, ….
    pub kind: &'static str,
    pub subjects: Vec<Subject>,
}

impl Nomad {
    /// One write to these rows, with an index of its own.
    pub(super) fn commit(&mut self, kind: &'static str, rows: Vec<Row>) -> u64 {
        let index = self.bump();
        self.commit_at(index, kind, rows);
        index
    }

    /// The same as a further part of a write. The status of a job follows from its rows, so it may
    /// change with them.
    pub(super) fn commit_at(&mut self, index: u64, kind: &'static str, mut rows: Vec<Row>) {
        let mut jobs: Vec<JobKey> = Vec::new();
        for row in &rows {
            let job = match row {
                Row::Job(key) => Some(key.clone()),
                Row::Evaluation(id) => self.evaluations.get_mut(id).map(|one| {
                    one.modify_index = index;
                    one.create_index = first(one.create_index, index);
                    one.job.clone()
                }),
                Row::Allocation(id) | Row::Planned(id) => self.allocations.get_mut(id).map(|one| {
                    one.modify_index = index;
                    one.create_index = first(one.create_index, index);
                    if matches!(row, Row::Planned(_)) {
                        one.alloc_modify_index = index;
                    }
                    one.child.clone()
                }),
                Row::Node(id) => {
                    if let Some(node) = self.nodes.get_mut(id) {
                        node.modify_index = index;
                        node.create_index = first(node.create_index, index);
                    }
                    None
                }
                Row::Beside(_) => continue,
            };
            self.tables.insert(row.table(), index);
            jobs.extend(job.filter(|job| !jobs.contains(job)));
        }
        for key in jobs {
            let status = self.status_from_rows(&key);
            let Some(child) = self.children.get_mut(&key) else { continue };
            let told = rows.contains(&Row::Job(key.clone()));
            let before = child.status;
            if status != before || told {
                child.status = status;
                child.modify_index = index;
                let parent = JobKey { namespace: key.namespace.clone(), id: child.parent.clone() };
                self.count_child(&parent, Some(before), Some(status));
                self.tables.insert(Table::Jobs, index);
            }
            if status != before && !told {
                rows.push(Row::Job(key));
            }
        }
        if self.knobs.tells {
            let subjects = rows.iter().filter_map(|row| self.subject(row)).collect();
            self.tell(index, kind, subjects);
        }
    }

    /// Keeps what is to be told; whoever tells it takes it with [`Nomad::take_frames`].
    pub(super) fn tell(&mut self, index: u64, kind: &'static str, subjects: Vec<Subject>) {
        if self.knobs.tells {
            self.frames.push(Frame { index, kind, subjects });
        }
    }

    /// The events since this was asked last; none where [`super::Knobs::tells`] is off.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.frames)
    }

    fn subject(&self, row: &Row) -> Option<Subject> {
        match row {
            Row::Job(key) => match (self.children.get(key), self.jobs.get(key)) {
                (Some(child), _) => Some(Subject::Child {
                    key: key.clone(),
                    child: Box::new(child.clone()),
                    deleted: false,
                }),
                (None, Some(job)) => Some(Subject::Registered {
                    key: key.clone(),
                    job: Box::new(job.clone()),
                    deleted: false,
                }),
                (None, None) => None,
            },
            Row::Evaluation(id) => {
                self.evaluations.get(id).map(|one| Subject::Evaluation(Box::new(one.clone())))
            }
            Row::Allocation(id) | Row::Planned(id) => {
                self.allocations.get(id).map(|one| Subject::Allocation(Box::new(one.clone())))
            }
            Row::Node(id) | Row::Beside(id) => {
                self.nodes.get(id).map(|one| Subject::Node(Box::new(one.clone())))
            }
        }
    }
}

impl Row {
    fn table(&self) -> Table {
        match self {
            Self::Job(_) => Table::Jobs,
            Self::Evaluation(_) => Table::Evaluations,
            Self::Allocation(_) | Self::Planned(_) => Table::Allocations,
            Self::Node(_) | Self::Beside(_) => Table::Nodes,
        }
    }
}

fn first(known: u64, index: u64) -> u64 {
    if known == 0 { index } else { known }
}
