//! What a forge says of a job and of its run beside what the ledger decides by: when it began and
//! ended, its steps, its runner's id and group, the commit, the workflow's file, the run's number.
//!
//! Nothing here moves a job. It is kept with the job's row, for history cannot be asked for later.

use serde::{Deserialize, Serialize};

use super::job::{Clean, LONGEST_TEXT, cleaned};
use super::{JobStatus, Time};

/// More steps than these are not kept: a row is not to grow without bounds.
const MOST_STEPS: usize = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// When a runner began with it. GitHub says something of a job that waits too; that is not
    /// taken for a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_sha: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_group_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_group: Option<String>,
    #[serde(skip_serializing_if = "RunDetails::is_nothing", flatten)]
    pub run: RunDetails,
    /// Of a job that has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// What is said of the run only: webhooks of jobs do not have it, listings of runs do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunDetails {
    /// The number that people see behind the `#`.
    #[serde(rename = "run_number", skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// `push`, `pull_request`, `schedule`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The workflow's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_path: Option<String>,
}

/// In a row it is a list of its fields, in this order: most jobs have ten of them or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StepRow", into = "StepRow")]
pub struct Step {
    pub name: String,
    pub conclusion: Option<String>,
    pub started_at: Option<Time>,
    pub completed_at: Option<Time>,
}

type StepRow = (String, Option<String>, Option<Time>, Option<Time>);

impl From<StepRow> for Step {
    fn from((name, conclusion, started_at, completed_at): StepRow) -> Self {
        Self { name, conclusion, started_at, completed_at }
    }
}

impl From<Step> for StepRow {
    fn from(step: Step) -> Self {
        (step.name, step.conclusion, step.started_at, step.completed_at)
    }
}

impl RunDetails {
    /// As [`JobReport::from_outside`](super::JobReport::from_outside).
    #[must_use]
    pub fn cleaned(self, clean: Clean) -> Self {
        let Self { number, event, workflow_path } = self;
        let (event, workflow_path) = (cleaned(event, clean), cleaned(workflow_path, clean));
        Self { number, event, workflow_path }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn or(self, older: RunDetails) -> Self {
        Self {
            number: self.number.or(older.number),
            event: self.event.or(older.event),
            workflow_path: self.workflow_path.or(older.workflow_path),
        }
    }
}

impl Step {
    fn cleaned(self, clean: Clean) -> Self {
        let Self { name, conclusion, started_at, completed_at } = self;
        let (name, conclusion) = (clean(&name, LONGEST_TEXT), cleaned(conclusion, clean));
        Self { name, conclusion, started_at, completed_at }
    }
}

impl Details {
    /// Of a job in this state: what is said of a start before there is one is not taken for it.
    pub(super) fn cleaned(self, status: JobStatus, clean: Clean) -> Self {
        let Self {
            started_at,
            completed_at,
            head_sha,
            runner_id,
            runner_group_id,
            runner_group,
            run,
            steps,
        } = self;
        let steps = steps.into_iter().filter(|_| status == JobStatus::Completed);
        Self {
            started_at: started_at.filter(|_| status.has_begun()),
            completed_at,
            head_sha: cleaned(head_sha, clean),
            runner_id: runner_id.filter(|id| *id != 0),
            runner_group_id: runner_group_id.filter(|id| *id != 0),
            runner_group: cleaned(runner_group, clean),
            run: run.cleaned(clean),
            steps: steps.take(MOST_STEPS).map(|step| step.cleaned(clean)).collect(),
        }
    }

    /// In a box where there is anything, for most jobs wait with little.
    pub fn kept(self) -> Option<Box<Details>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    /// The newer word over the older; what the newer one leaves out stays known.
    pub fn or(newer: Option<Box<Details>>, older: Option<Box<Details>>) -> Option<Box<Details>> {
        let (newer, older) = match (newer, older) {
            (Some(newer), Some(older)) => (*newer, *older),
            (newer, older) => return newer.or(older),
        };
        Self {
            started_at: newer.started_at.or(older.started_at),
            completed_at: newer.completed_at.or(older.completed_at),
            head_sha: newer.head_sha.or(older.head_sha),
            runner_id: newer.runner_id.or(older.runner_id),
            runner_group_id: newer.runner_group_id.or(older.runner_group_id),
            runner_group: newer.runner_group.or(older.runner_group),
            run: newer.run.or(older.run),
            steps: if newer.steps.is_empty() { older.steps } else { newer.steps },
        }
        .kept()
    }

    /// What another attempt of the job shares with this one.
    pub fn of_every_attempt(&self) -> Option<Box<Details>> {
        Self { head_sha: self.head_sha.clone(), run: self.run.clone(), ..Self::default() }.kept()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Details {
        Details {
            started_at: Some(Time(1)),
            head_sha: Some("abc".to_owned()),
            run: RunDetails { number: Some(7), ..RunDetails::default() },
            steps: vec![Step {
                name: "Set up job".to_owned(),
                conclusion: Some("success".to_owned()),
                started_at: Some(Time(1)),
                completed_at: Some(Time(2)),
            }],
            ..Details::default()
        }
    }

    #[test]
    fn a_row_says_only_what_is_known_and_reads_back() {
        let row = serde_json::to_string(&told()).unwrap();
        assert_eq!(
            row,
            r#"{"started_at":1,"head_sha":"abc","run_number":7,"steps":[["Set up job","success",1,2]]}"#
        );
        assert_eq!(serde_json::from_str::<Details>(&row).unwrap(), told());
        assert_eq!(serde_json::from_str::<Details>("{}").unwrap(), Details::default());
    }

    #[test]
    fn what_a_newer_word_leaves_out_stays_known() {
        let newer = Details { completed_at: Some(Time(9)), ..Details::default() };
        let both = Details::or(newer.kept(), told().kept()).unwrap();
        assert_eq!((both.completed_at, both.started_at), (Some(Time(9)), Some(Time(1))));
        assert_eq!((both.run.number, both.steps.len()), (Some(7), 1));
    }
}
