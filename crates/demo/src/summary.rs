//! What the burst came to: the figures, and what is not as it should be.

use std::collections::BTreeSet;

use serde::Serialize;
use simulated::github::Millis;

use crate::left::Left;
use crate::story::Story;
use crate::which_nomad::ToldOf;

#[derive(Debug, Serialize)]
pub struct Summary {
    /// Where the runners ran.
    pub nomad: ToldOf,
    /// Every job ran exactly once or was cancelled as planned, and nothing is left.
    pub ok: bool,
    pub jobs: usize,
    pub repositories: usize,
    pub ran_once: usize,
    pub cancelled_in_queue: usize,
    /// By a pool's policy, as planned.
    pub refused: usize,
    /// From a job's being queued to a runner's starting it, in seconds.
    pub median_to_running: Option<f64>,
    pub max_to_running: Option<f64>,
    /// `None` where the forge does not tell.
    pub tokens_minted: Option<usize>,
    pub runners_registered: usize,
    pub dispatches: usize,
    /// `None`: it could not be asked.
    pub left: Option<Left>,
    /// In words.
    pub problems: Vec<String>,
}

impl Summary {
    /// `waits` is the job that was to be cancelled in the queue, `refused` the one that was to get
    /// no runner.
    pub fn of(
        story: &Story,
        nomad: ToldOf,
        waits: Option<u64>,
        refused: Option<u64>,
        dispatches: usize,
        left: Option<Left>,
        mut problems: Vec<String>,
    ) -> Self {
        let (mut ran_once, mut cancelled_in_queue, mut refusals) = (0, 0, 0);
        for (id, job) in &story.jobs {
            let is = |planned: Option<u64>| planned == Some(*id);
            match (job.started.len(), job.conclusion) {
                (1, Some("success")) => ran_once += 1,
                (0, Some("cancelled")) if is(waits) => cancelled_in_queue += 1,
                (0, None) if is(refused) && job.refused.is_some() => refusals += 1,
                (times, conclusion) => problems.push(format!(
                    "{} {}: started {times} times, {}",
                    job.repository,
                    job.name,
                    conclusion.map_or("not completed".to_owned(), |it| format!("completed: {it}")),
                )),
            }
        }
        problems.extend(left.and_then(Left::in_words));
        let mut waits: Vec<Millis> = story
            .jobs
            .values()
            .filter_map(|job| job.started.first().map(|start| start - job.queued))
            .collect();
        waits.sort_unstable();
        Self {
            nomad,
            ok: problems.is_empty() && left.is_some(),
            jobs: story.jobs.len(),
            repositories: story
                .jobs
                .values()
                .map(|job| &job.repository)
                .collect::<BTreeSet<_>>()
                .len(),
            ran_once,
            cancelled_in_queue,
            refused: refusals,
            median_to_running: median(&waits).map(as_seconds),
            max_to_running: waits.last().copied().map(as_seconds),
            tokens_minted: (story.tokens > 0).then_some(story.tokens),
            runners_registered: story.registered,
            dispatches,
            left,
            problems,
        }
    }
}

impl Summary {
    /// What is left after all, where something ran on.
    pub fn leaves(&mut self, left: Left) {
        self.problems.extend(left.in_words());
        self.ok &= left.is_nothing();
        self.left = Some(left);
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
