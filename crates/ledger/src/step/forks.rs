//! Whether a run's head is a fork: GitHub is asked once a run, and again after a failure.

use rand::Rng;

use super::{Fold, when_to_retry};
use crate::event::Answer;
use crate::job::Verdict;
use crate::state::{ForkAnswer, Timer};
use crate::{Request, RunId};

impl<R: Rng> Fold<'_, R> {
    pub(super) fn fork_known(&mut self, run: RunId, answer: Answer<bool>) {
        let jobs = self.state.by_run.get(&run).cloned().unwrap_or_default();
        if jobs.is_empty() {
            self.state.forks.remove(&run);
            return;
        }
        match answer {
            Ok(fork) => {
                self.state.forks.insert(run, ForkAnswer::Known(fork));
                for id in jobs {
                    self.judge_again(id);
                }
            }
            Err(failure) => {
                let Some(&ForkAnswer::Asking { tries }) = self.state.forks.get(&run) else {
                    return; // A timer runs already, or another answer was faster.
                };
                self.state.forks.insert(run, ForkAnswer::Failed { tries: tries + 1 });
                let at = when_to_retry(&failure, tries, self.now, self.rng);
                self.set_timer(at, Timer::Fork(run));
                for id in jobs {
                    let Some(mut job) = self.state.jobs.get(&id).cloned() else { continue };
                    if matches!(job.verdict, Verdict::AskingFork(_)) {
                        job.verdict = Verdict::AskingFork(Some(failure.reason.clone()));
                        self.note_job(
                            &job,
                            format!("cannot tell whether it is a fork: {}", failure.reason),
                        );
                        self.place(job);
                    }
                }
            }
        }
    }

    pub(super) fn ask_fork_again(&mut self, run: RunId) {
        let Some(&ForkAnswer::Failed { tries }) = self.state.forks.get(&run) else { return };
        let Some(job) = self
            .state
            .by_run
            .get(&run)
            .and_then(|ids| ids.first())
            .and_then(|id| self.state.jobs.get(id))
        else {
            return;
        };
        let request = Request::AskFork {
            repository: job.repository,
            full_name: job.repository_name.clone(),
            run,
        };
        self.state.forks.insert(run, ForkAnswer::Asking { tries });
        self.request(request);
    }
}
