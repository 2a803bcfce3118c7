//! Jobs that wait although no pool has them: counted for whoever asks, and told once for each
//! repository and set of labels, for most of them repeat.
//!
//! Those that ask for GitHub's own runners alone are told and not counted: they wait for nobody here.
//!
//! Strangers choose the labels, so what is remembered of them is bounded. Which pool has a job is
//! `matching`; the rows have every such job with its reason.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::{Job, JobId, JobStatus, Time, Verdict};

/// Jobs that are counted at most; the oldest ids go first.
const MOST_JOBS: usize = 1_000;
/// Repositories with a set of labels that were told.
const MOST_TOLD: usize = 4_096;
/// GitHub ends a job that waits after 24 h, and its end may never be heard of.
const ENDS_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Characters of a reason that are kept for each.
const LONGEST_REASON: usize = 400;

#[derive(Debug, Default)]
pub struct Unserved {
    jobs: BTreeMap<JobId, Waiting>,
    /// There were more than are counted.
    overflown: bool,
    /// By hash: what was told needs not be read back.
    told: BTreeSet<u64>,
    told_order: VecDeque<u64>,
}

/// A job that no pool has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub repository: String,
    pub reason: String,
    pub since: Time,
}

/// Names of GitHub-hosted runners: `ubuntu-latest`, `windows-2025`, `macos-15-large` (GitHub's docs,
/// "GitHub-hosted runners reference").
fn is_for_hosted(labels: &[String]) -> bool {
    let hosted = |label: &String| {
        let label = label.to_ascii_lowercase();
        ["ubuntu-", "windows-", "macos-"].iter().any(|system| label.starts_with(system))
    };
    !labels.is_empty() && labels.iter().all(hosted)
}

impl Unserved {
    /// The newest word on a job. True where its repository with its labels is news.
    pub(super) fn see(&mut self, job: &Job, now: Time) -> bool {
        let waits = matches!(job.report.status, JobStatus::Queued | JobStatus::Waiting);
        let Verdict::Unserved(reason) = &job.verdict else {
            self.jobs.remove(&job.id());
            return false;
        };
        if !waits || now.since(job.received_at) >= ENDS_AFTER {
            self.jobs.remove(&job.id());
            return false;
        }
        let waiting = Waiting {
            repository: job.repository_name.clone(),
            reason: reason.chars().take(LONGEST_REASON).collect(),
            since: job.received_at,
        };
        if !is_for_hosted(&job.report.labels) {
            self.jobs.insert(job.id(), waiting);
        }
        if self.jobs.len() > MOST_JOBS {
            self.jobs.pop_first();
            self.overflown = true;
        }
        self.is_news(job)
    }

    fn is_news(&mut self, job: &Job) -> bool {
        let mut labels: Vec<String> =
            job.report.labels.iter().map(|label| label.to_lowercase()).collect();
        labels.sort();
        let mut hasher = DefaultHasher::new();
        (job.repository, labels).hash(&mut hasher);
        let hash = hasher.finish();
        if !self.told.insert(hash) {
            return false;
        }
        self.told_order.push_back(hash);
        if self.told_order.len() > MOST_TOLD
            && let Some(oldest) = self.told_order.pop_front()
        {
            self.told.remove(&oldest);
        }
        true
    }

    pub(super) fn times(&mut self, visit: &mut impl FnMut(&mut Time)) {
        self.jobs.values_mut().for_each(|job| visit(&mut job.since));
    }

    /// Other rules: what was told may be so for another reason now.
    pub(super) fn tell_anew(&mut self) {
        self.told.clear();
        self.told_order.clear();
    }

    /// Those that may still wait, by their ids.
    pub fn jobs(&self, now: Time) -> impl Iterator<Item = (JobId, &Waiting)> {
        let jobs = self.jobs.iter().filter(move |(_, job)| now.since(job.since) < ENDS_AFTER);
        jobs.map(|(id, job)| (*id, job))
    }

    /// Whether there may be more than `jobs` has.
    pub fn may_be_more(&self) -> bool {
        self.overflown && self.jobs.len() >= MOST_JOBS
    }
}
