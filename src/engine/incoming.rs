//! What has come to the loop and is not folded yet, and what the store knows of it: read for a whole
//! batch at once before it is folded, so that folding waits for no disk.
//!
//! Read next: `taking` and `fold_loop`.

use std::collections::BTreeMap;

use super::fold_loop::FoldLoop;
use crate::ledger::observation::Observation;
use crate::ledger::{DeliveryId, Event, Job, JobId, JobReport, JobStatus};
use crate::store::{Delivery, Reader, StoreError};
use crate::webhook::Handed;

/// To be folded in the order in which it came.
pub enum Incoming {
    Event(Event),
    Handed(Handed),
}

/// What the store had of a batch before it was folded.
#[derive(Default)]
pub struct Past {
    /// Of each delivery, whether it was kept before.
    kept: BTreeMap<DeliveryId, Result<bool, StoreError>>,
    /// Of each job that is not in memory, its row.
    jobs: BTreeMap<JobId, Result<Option<Job>, StoreError>>,
}

/// What is to be asked about a batch.
#[derive(Default)]
struct Unknown {
    deliveries: Vec<DeliveryId>,
    jobs: Vec<JobId>,
}

impl Unknown {
    fn read(self, reader: &Reader) -> Past {
        let kept = self.deliveries.into_iter().map(|id| {
            let kept = reader.is_kept(&id);
            (id, kept)
        });
        Past {
            kept: kept.collect(),
            jobs: self.jobs.into_iter().map(|id| (id, reader.job(id))).collect(),
        }
    }
}

impl Past {
    pub fn is_kept(&self, id: &DeliveryId) -> Result<bool, StoreError> {
        self.kept.get(id).cloned().unwrap_or(Err(StoreError::Closed))
    }

    pub fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.jobs.get(&id).cloned().unwrap_or(Err(StoreError::Closed))
    }
}

/// What a listing says of jobs.
pub fn reports(event: &mut Event) -> Option<&mut Vec<JobReport>> {
    match event {
        Event::JobsSeen { answer: Ok(found), .. } => Some(&mut found.reports),
        Event::Observed(observation) => match observation.as_mut() {
            Observation::Swept { reports, .. } => Some(reports),
            _ => None,
        },
        Event::Looked { answer: Ok(Observation::Swept { reports, .. }), .. } => Some(reports),
        _ => None,
    }
}

impl FoldLoop {
    /// Reads what the store has of these. What is folded meanwhile in the same batch stays in memory until
    /// it is committed, so the rows that are read here are the ones that hold.
    pub async fn past(&mut self, incoming: &mut [Incoming]) -> Past {
        let mut unknown = Unknown::default();
        for one in incoming {
            match one {
                Incoming::Handed(handed) => {
                    unknown.deliveries.push(handed.delivery.id.clone());
                    self.want(handed.delivery.report.as_ref(), &mut unknown);
                }
                Incoming::Event(event) => {
                    let open = reports(event).into_iter().flatten();
                    open.filter(|report| report.status != JobStatus::Completed)
                        .for_each(|report| self.want(Some(report), &mut unknown));
                }
            }
        }
        self.read_past(unknown).await
    }

    /// The same of what the life before kept; whether it was kept is no question.
    pub async fn past_of_inbox(&mut self, deliveries: &[Delivery]) -> Past {
        let mut unknown = Unknown::default();
        deliveries.iter().for_each(|one| self.want(one.report.as_ref(), &mut unknown));
        self.read_past(unknown).await
    }

    fn want(&self, report: Option<&JobReport>, unknown: &mut Unknown) {
        let unknown_job = report.filter(|report| self.state.known_job(report.id).is_none());
        unknown.jobs.extend(unknown_job.map(|report| report.id));
    }

    async fn read_past(&mut self, unknown: Unknown) -> Past {
        if unknown.deliveries.is_empty() && unknown.jobs.is_empty() {
            return Past::default();
        }
        let read = |reader: &Reader| reader.at_one_moment(|reader| unknown.read(reader));
        // Where it cannot be read at all, each question is answered so.
        self.reader.read(read).await.unwrap_or_default()
    }
}
