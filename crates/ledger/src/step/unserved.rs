//! Says of a job that no pool has why it gets no runner, once for each repository and set of
//! labels. What is remembered for that is in `unserved` beside `step`.

use rand::Rng;

use super::Fold;
use crate::job::Job;
use crate::{About, Happened, Verdict};

/// Whoever asks for it means a runner of their own; other jobs without a pool are GitHub's.
const SELF_HOSTED: &str = "self-hosted";

impl<R: Rng> Fold<'_, R> {
    pub(super) fn see_unserved(&mut self, job: &Job) {
        if !self.state.unserved.see(job, self.now) {
            return;
        }
        let Verdict::Unserved(why) = &job.verdict else { return };
        let labels = &job.report.labels;
        let what = Happened::JobUnserved {
            labels: labels.clone(),
            why: why.clone(),
            self_hosted: labels.iter().any(|label| label.eq_ignore_ascii_case(SELF_HOSTED)),
        };
        self.happened(what, About::job(job));
    }
}
