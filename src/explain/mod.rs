//! Why a job is where it is: one sentence that a tired person understands, and what happened
//! to it in order.
//!
//! `asked` reads what a person calls a job by. `story` tells of a job that is known, `sentence`
//! puts it in one; `at_nomad` and `at_forge` ask what the rows do not know; `foresee` says what
//! would become of a webhook. Nothing here changes anything.

mod asked;
mod at_forge;
mod at_nomad;
mod foresee;
mod sentence;
mod story;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use asked::Asked;
pub use at_forge::{Lack, Unseen, ahead, never_seen, obstacles, rate_limit, registration};
pub use at_nomad::{Look, look, time_for_looks};
pub use foresee::{Foreseen, foresee};
pub use story::{Known, tell};

/// The answer: of one job, or of all jobs of a run. A contract with scripts: add, do not rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub sentence: String,
    pub jobs: Vec<JobStory>,
    /// What could not be found out.
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStory {
    pub id: u64,
    pub run_id: u64,
    pub repository: String,
    pub name: String,
    pub url: Option<String>,
    /// As GitHub said last: queued, waiting, in_progress, completed.
    pub status: String,
    /// Whether anything is known of it but what GitHub has just said.
    pub known: bool,
    pub pool: Option<String>,
    pub sentence: String,
    pub timeline: Vec<Line>,
    /// How things stand.
    pub now: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub at: String,
    pub what: String,
    /// Whose story it belongs to, if a runner's.
    pub runner: Option<String>,
    pub warn: bool,
}

impl Explained {
    pub fn of(jobs: Vec<JobStory>, note: Option<String>) -> Self {
        let sentence = match jobs.as_slice() {
            [job] => job.sentence.clone(),
            jobs => of_run(jobs),
        };
        Self { sentence, jobs, note }
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.sentence);
        for job in &self.jobs {
            if self.jobs.len() > 1 {
                text += &format!("\n{}\n", job.sentence);
            } else if !job.timeline.is_empty() || !job.now.is_empty() {
                text.push('\n');
            }
            for line in &job.timeline {
                let runner = line.runner.as_ref().map(|name| format!("{name}: "));
                let warn = if line.warn { "! " } else { "" };
                let runner = runner.unwrap_or_default();
                text += &format!("{:<20}  {warn}{runner}{}\n", line.at, line.what);
            }
            for now in &job.now {
                text += &format!("{:<20}  {now}\n", "now");
            }
        }
        if let Some(note) = &self.note {
            text += &format!("\n{note}\n");
        }
        text
    }
}

fn of_run(jobs: &[JobStory]) -> String {
    let Some(first) = jobs.first() else { return "the run has no jobs yet".to_owned() };
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for job in jobs {
        match counts.iter_mut().find(|(status, _)| *status == job.status) {
            Some((_, count)) => *count += 1,
            None => counts.push((&job.status, 1)),
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let runs: BTreeSet<u64> = jobs.iter().map(|job| job.run_id).collect();
    let runs = match runs.len() {
        1 => format!("run {} of {} has", first.run_id, first.repository),
        // Each workflow counts its runs for itself.
        runs => format!("{runs} runs of {} with this number have", first.repository),
    };
    format!("{runs} {} jobs: {}", jobs.len(), counts.join(", "))
}
