//! The scheduler's configuration: what an operator may switch while the cluster runs.
//!
//! The algorithm and preemption are only kept. Registrations that are refused are so for everybody
//! but management tokens, which is for those who know the caller to say; a paused broker hands no
//! evaluation to a scheduler. Read next: `scheduling.rs`.

use super::model::{Due, Millis, Nomad};
use super::tables::Table;

#[derive(Clone, Debug)]
pub struct SchedulerConfiguration {
    pub algorithm: Algorithm,
    pub preemption: Preemption,
    pub memory_oversubscription: bool,
    pub reject_job_registration: bool,
    pub pause_eval_broker: bool,
    pub create_index: u64,
    pub modify_index: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Binpack,
    Spread,
}

/// Whose jobs may push out others.
#[derive(Clone, Copy, Debug)]
pub struct Preemption {
    pub system: bool,
    pub sysbatch: bool,
    pub batch: bool,
    pub service: bool,
}

impl Algorithm {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binpack => "binpack",
            Self::Spread => "spread",
        }
    }
}

impl Default for SchedulerConfiguration {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Binpack,
            preemption: Preemption { system: true, sysbatch: false, batch: false, service: false },
            memory_oversubscription: false,
            reject_job_registration: false,
            pause_eval_broker: false,
            create_index: 0,
            modify_index: 0,
        }
    }
}

impl Nomad {
    #[must_use]
    pub fn scheduler_configuration(&self) -> &SchedulerConfiguration {
        &self.scheduler
    }

    /// What waited for a paused broker goes on where it is paused no more. The index of that.
    pub fn configure_scheduler(&mut self, new: SchedulerConfiguration, now: Millis) -> u64 {
        let index = self.write(Table::SchedulerConfiguration);
        let known = self.scheduler.create_index;
        let create_index = if known == 0 { index } else { known };
        self.scheduler = SchedulerConfiguration { create_index, modify_index: index, ..new };
        if !self.scheduler.pause_eval_broker {
            for evaluation in std::mem::take(&mut self.parked) {
                self.at(now, Due::Evaluate(evaluation));
            }
        }
        index
    }
}
