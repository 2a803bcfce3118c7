//! What the burst came to: the figures, and what is not as it should be.

use serde::Serialize;

use super::left::Left;
use super::story::Story;
use crate::simulated::github::Millis;

#[derive(Debug, Serialize)]
pub struct Summary {
    /// Every job ran exactly once or was cancelled as planned, and nothing is left.
    pub ok: bool,
    pub jobs: usize,
    pub repositories: usize,
    pub ran_once: usize,
    pub cancelled_in_queue: usize,
    /// From a job's being queued to a runner's starting it, in seconds.
    pub median_to_running: Option<f64>,
    pub max_to_running: Option<f64>,
    pub tokens_minted: usize,
    pub runners_registered: usize,
    pub dispatches: usize,
    /// `None`: it could not be asked.
    pub left: Option<Left>,
    /// In words.
    pub problems: Vec<String>,
}

impl Summary {
    /// `cancelled`: the job that was to be cancelled in the queue.
    pub fn of(
        story: &Story,
        cancelled: Option<u64>,
        dispatches: usize,
        left: Option<Left>,
        mut problems: Vec<String>,
    ) -> Self {
        let (mut ran_once, mut cancelled_in_queue) = (0, 0);
        for (id, job) in &story.jobs {
            let planned = cancelled == Some(*id);
            match (job.started.len(), job.conclusion) {
                (1, Some("success")) => ran_once += 1,
                (0, Some("cancelled")) if planned => cancelled_in_queue += 1,
                // It was given to a runner just before it was cancelled.
                (1, Some("cancelled")) if planned => ran_once += 1,
                (times, conclusion) => problems.push(format!(
                    "{} {}: started {times} times, {}",
                    job.repository,
                    job.name,
                    conclusion.map_or("not completed".to_owned(), |it| format!("completed: {it}")),
                )),
            }
        }
        if let Some(left) = left
            && !left.is_nothing()
        {
            problems.push(format!(
                "left over: {} dispatches alive in Nomad, {} runners registered at GitHub, \
                 {} runners in the ledger",
                left.dispatches_alive, left.runners_registered, left.runners_in_ledger
            ));
        }
        let mut waits: Vec<Millis> = story
            .jobs
            .values()
            .filter_map(|job| job.started.first().map(|start| start - job.queued))
            .collect();
        waits.sort_unstable();
        Self {
            ok: problems.is_empty() && left.is_some(),
            jobs: story.jobs.len(),
            repositories: super::stage::REPOSITORIES.len(),
            ran_once,
            cancelled_in_queue,
            median_to_running: median(&waits).map(as_seconds),
            max_to_running: waits.last().copied().map(as_seconds),
            tokens_minted: story.tokens,
            runners_registered: story.registered,
            dispatches,
            left,
            problems,
        }
    }
}

/// Of sorted numbers.
fn median(sorted: &[Millis]) -> Option<Millis> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(i64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a demo is over within minutes")]
fn as_seconds(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1, 5, 9]), Some(5));
        assert_eq!(median(&[1, 5, 7, 9]), Some(6));
    }
}
