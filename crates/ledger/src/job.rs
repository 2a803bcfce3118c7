//! A GitHub workflow job as the ledger sees it, and what GitHub says of one at a moment.
//! What moves a job from state to state is in `step::job_events`.

use serde::{Deserialize, Serialize};

use super::{DeliveryId, Details, InVain, JobId, PoolName, RepositoryId, RunId, RunnerName, Time};

/// Where GitHub says a job is. `InProgress` and `Completed` are final; `Queued` and `Waiting`
/// come and go (an environment's approval) and no time stamp decides between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    Queued,
    Waiting,
    InProgress,
    Completed,
}

impl JobStatus {
    /// Later ranks are never undone by earlier ones.
    pub fn rank(self) -> u8 {
        match self {
            JobStatus::Queued | JobStatus::Waiting => 0,
            JobStatus::InProgress => 1,
            JobStatus::Completed => 2,
        }
    }

    /// A runner has begun with it, or it has ended.
    pub fn has_begun(self) -> bool {
        self.rank() > 0
    }

    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Waiting => "waiting",
            JobStatus::InProgress => "in_progress",
            JobStatus::Completed => "completed",
        }
    }
}

/// What was said of a job, by a webhook or in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReport {
    pub id: JobId,
    pub run: RunId,
    pub run_attempt: u64,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_branch: Option<String>,
    pub labels: Vec<String>,
    pub status: JobStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
    /// `null`, `""` and an absent key are all `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// The login that caused it, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
}

/// Bytes of a page's address, and of any other text.
pub const LONGEST_ADDRESS: usize = 1024;
pub const LONGEST_TEXT: usize = 256;
/// More labels than any job has.
const MOST_LABELS: usize = 100;

/// Makes a text harmless, and no longer than so many bytes.
pub type Clean = fn(&str, usize) -> String;

impl JobReport {
    /// What a webhook or an answer said, as it may be kept: strangers chose its texts. Each field is named
    /// here, so that a new one is not forgotten.
    #[must_use]
    pub fn from_outside(said: JobReport, clean: Clean) -> Self {
        let JobReport {
            id,
            run,
            run_attempt,
            name,
            workflow,
            head_branch,
            labels,
            status,
            conclusion,
            runner_name,
            url,
            created_at,
            actor,
            details,
        } = said;
        let text = |said: Option<String>| cleaned(said, clean);
        let labels = labels.iter().filter(|label| !label.is_empty()).take(MOST_LABELS);
        Self {
            id,
            run,
            run_attempt,
            name: clean(&name, LONGEST_TEXT),
            workflow: text(workflow),
            head_branch: text(head_branch),
            labels: labels.map(|label| clean(label, LONGEST_TEXT)).collect(),
            status,
            conclusion: text(conclusion),
            runner_name: text(runner_name),
            url: url.filter(|url| !url.is_empty()).map(|url| clean(&url, LONGEST_ADDRESS)),
            created_at,
            actor: text(actor),
            details: details.and_then(|details| details.cleaned(status, clean).kept()),
        }
    }
}

/// Nothing said and an empty text are the same.
pub(super) fn cleaned(said: Option<String>, clean: Clean) -> Option<String> {
    said.filter(|said| !said.is_empty()).map(|said| clean(&said, LONGEST_TEXT))
}

/// What pools and policy say of a job. Only `Serve` makes demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "why")]
pub enum Verdict {
    /// A runner is wanted for it.
    Serve,
    /// The forge is being asked for the run, which the pool's policy depends on; in words what
    /// went wrong the last time, if something did.
    #[serde(rename = "asking_fork")]
    AskingRun(Option<String>),
    /// It was queued long ago, and the forge is asked whether it still is.
    AskingWhetherQueued,
    /// Its pool's policy says no, in words.
    Refused(String),
    /// No pool has it, in words.
    Unserved(String),
}

impl Verdict {
    /// Why no runner is hired for it, where the verdict is the reason.
    pub fn reason(&self) -> Option<String> {
        match self {
            Verdict::Serve => None,
            Verdict::AskingRun(None) => {
                Some("checking the run against the pool's policy".to_owned())
            }
            Verdict::AskingRun(Some(failure)) => {
                Some(format!("cannot check the run against the pool's policy, retrying: {failure}"))
            }
            Verdict::AskingWhetherQueued => {
                Some("queued long ago; checking whether it still is".to_owned())
            }
            Verdict::Refused(why) | Verdict::Unserved(why) => Some(why.clone()),
        }
    }
}

/// What caused a run, as the forge says. All attempts of a run have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCause {
    /// `push`, `pull_request_target`, …
    pub event: Option<String>,
    /// The login of the first attempt's.
    pub actor: Option<String>,
}

impl RunCause {
    /// As [`JobReport::from_outside`].
    #[must_use]
    pub fn cleaned(self, clean: Clean) -> Self {
        Self { event: cleaned(self.event, clean), actor: cleaned(self.actor, clean) }
    }
}

/// In its row what has no value yet is left out: that is half of what a queued job has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub report: JobReport,
    pub repository: RepositoryId,
    /// `owner/name` when it was last heard of; the id above is what counts.
    pub repository_name: String,
    /// The webhook that first told of it; a job that was asked for has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    pub received_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
    pub verdict: Verdict,
    /// Told of so late that it may be over, and not seen to be queued since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unconfirmed: bool,
    /// Caused by one of `[runners] robots`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub robot: bool,
    /// Whether its run's head is a fork, once the forge has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<bool>,
    /// What caused its run, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<RunCause>,
    /// The attempt that ended before a rerun queued the job again under its id, as some forges
    /// do. News of that attempt, or of an earlier one, is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_attempt: Option<u64>,
    /// How often a runner that was launched for it ended without a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_vain: Option<InVain>,
    /// The runner whose dispatch named this job as its cause; at most one that is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_of: Option<RunnerName>,
    /// It ended because the forge did not know it, which is not the forge's word on its end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub vanished: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Job {
    /// When it began to wait: as the forge has it, for a sweep may find it much later.
    pub fn queued_at(&self) -> Time {
        self.report.created_at.map_or(self.received_at, |created| created.min(self.received_at))
    }

    pub fn id(&self) -> JobId {
        self.report.id
    }

    /// Waits for a runner of ours.
    pub fn is_demand(&self) -> bool {
        self.report.status == JobStatus::Queued && self.verdict == Verdict::Serve
    }

    /// Could run, and waits for an answer that says whether its pool may serve it.
    pub fn awaits_verdict(&self) -> bool {
        let asks = match self.verdict {
            Verdict::AskingRun(_) | Verdict::AskingWhetherQueued => true,
            Verdict::Serve | Verdict::Refused(_) | Verdict::Unserved(_) => false,
        };
        self.report.status == JobStatus::Queued && asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunDetails, Step};

    fn said(status: JobStatus) -> JobReport {
        let text = || Some("dirty".to_owned());
        JobReport {
            id: JobId(1),
            run: RunId(2),
            run_attempt: 1,
            name: "dirty".to_owned(),
            workflow: text(),
            head_branch: text(),
            labels: vec!["dirty".to_owned(); 1000],
            status,
            conclusion: text(),
            runner_name: Some(String::new()),
            url: text(),
            created_at: Some(Time(1)),
            actor: text(),
            details: Details {
                started_at: Some(Time(2)),
                completed_at: None,
                head_sha: text(),
                runner_id: Some(0),
                runner_group_id: Some(3),
                runner_group: text(),
                run: RunDetails { number: Some(7), event: text(), workflow_path: text() },
                steps: vec![
                    Step {
                        name: "dirty".to_owned(),
                        conclusion: text(),
                        started_at: None,
                        completed_at: None,
                    };
                    1000
                ],
            }
            .kept(),
        }
    }

    #[test]
    fn no_text_from_outside_is_kept_as_it_came() {
        let kept = JobReport::from_outside(said(JobStatus::Completed), |text, longest| {
            assert!(longest <= LONGEST_ADDRESS);
            text.replace("dirty", "clean")
        });
        let row = serde_json::to_string(&kept).unwrap();
        assert!(row.contains("clean") && !row.contains("dirty"), "{row}");
        assert_eq!((kept.labels.len(), kept.runner_name), (MOST_LABELS, None));
        let details = kept.details.unwrap();
        assert_eq!((details.steps.len(), details.runner_id), (100, None));
        assert_eq!(details.started_at, Some(Time(2)));
    }

    #[test]
    fn a_start_is_not_believed_of_a_job_that_waits() {
        let kept = JobReport::from_outside(said(JobStatus::Queued), |text, _| text.to_owned());
        let details = kept.details.unwrap();
        assert_eq!((details.started_at, details.steps.len()), (None, 0));
    }
}
