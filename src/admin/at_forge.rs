//! What the forge said lately of what `explain` and a job's page ask of it, and how often they may ask: each
//! question costs requests of the rate limit, which registrations and sweeps need.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::explain::{Asked, JobStory, Unseen};
use crate::ledger::{JobId, JobStatus, RunId};

/// How old an answer may be: where somebody asks, who may just have changed something,
pub const ASKED: Duration = Duration::from_secs(10);
/// and where a page looks again and again, or more is asked than may be.
pub const WATCHED: Duration = Duration::from_secs(60);
const MOST: usize = 64;
/// Questions of a minute. Each costs up to six requests, of the 900 that GitHub allows in a minute.
const SHARE: usize = 15;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct AtForge {
    /// What keeps a job, by where it was then.
    pub obstacles: Recent<(JobId, JobStatus), Vec<String>>,
    /// The concurrency groups that a run waits for.
    pub ahead: Recent<(String, RunId), Vec<String>>,
    /// Jobs of which no webhook told.
    pub unheard: Recent<Asked, Result<Vec<JobStory>, Unseen>>,
    asked: Mutex<VecDeque<Instant>>,
}

/// The forge's answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<T> {
    Now(T),
    /// So long ago.
    Before(T, Duration),
    /// It was not asked; it may be after that time.
    Nothing(Duration),
}

impl<T> Said<T> {
    pub fn answer(self) -> Option<T> {
        match self {
            Said::Now(answer) | Said::Before(answer, _) => Some(answer),
            Said::Nothing(_) => None,
        }
    }

    /// What has to be said of it.
    pub fn note(&self, forge: &str) -> Option<String> {
        match self {
            Said::Before(_, age) if age.as_secs() > 0 => {
                Some(format!("{forge} was asked {} s ago", age.as_secs()))
            }
            Said::Now(_) | Said::Before(..) => None,
            Said::Nothing(wait) => Some(format!(
                "{forge} was not asked: explain asks it {SHARE} questions a minute, to leave the rate limit \
                 to runners and sweeps; ask again in {} s",
                wait.as_secs() + 1
            )),
        }
    }
}

impl AtForge {
    /// Asks, unless that was asked lately or too much was.
    pub async fn ask<K: PartialEq, V: Clone>(
        &self,
        recent: &Recent<K, V>,
        about: K,
        fresh: Duration,
        question: impl Future<Output = V>,
    ) -> Said<V> {
        if let Some((answer, age)) = recent.known(&about, fresh) {
            return Said::Before(answer, age);
        }
        match self.may_ask() {
            Ok(()) => {
                let answer = question.await;
                recent.keep(about, answer.clone());
                Said::Now(answer)
            }
            Err(wait) => match recent.known(&about, WATCHED) {
                Some((answer, age)) => Said::Before(answer, age),
                None => Said::Nothing(wait),
            },
        }
    }

    /// Counts as a question; or how long to wait.
    fn may_ask(&self) -> Result<(), Duration> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        while asked.front().is_some_and(|first| first.elapsed() >= MINUTE) {
            asked.pop_front();
        }
        match asked.front() {
            Some(first) if asked.len() >= SHARE => Err(MINUTE.saturating_sub(first.elapsed())),
            _ => {
                asked.push_back(Instant::now());
                Ok(())
            }
        }
    }
}

/// Some answers, the newest last.
pub(super) struct Recent<K, V>(Mutex<VecDeque<(K, Instant, V)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    fn known(&self, about: &K, within: Duration) -> Option<(V, Duration)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, at, answer) = all.iter().find(|(it, _, _)| it == about)?;
        let age = at.elapsed();
        (age < within).then(|| (answer.clone(), age))
    }

    fn keep(&self, about: K, answer: V) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(it, at, _)| *it != about && at.elapsed() < WATCHED);
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back((about, Instant::now(), answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(at_forge: &AtForge, job: u64, fresh: Duration) -> Said<Vec<String>> {
        let about = (JobId(job), JobStatus::Queued);
        at_forge.ask(&at_forge.obstacles, about, fresh, async { vec![job.to_string()] }).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_a_while_and_a_minute_has_so_many_questions() {
        let at_forge = AtForge::default();
        let answer = || vec!["7".to_owned()];
        assert_eq!(ask(&at_forge, 7, ASKED).await, Said::Now(answer()));
        let four = Duration::from_secs(4);
        tokio::time::advance(four).await;
        let before = ask(&at_forge, 7, ASKED).await;
        assert_eq!(before, Said::Before(answer(), four));
        assert_eq!(before.note("GitHub").as_deref(), Some("GitHub was asked 4 s ago"));
        tokio::time::advance(ASKED).await;
        assert_eq!(ask(&at_forge, 7, ASKED).await, Said::Now(answer()));
        for job in 100..100 + SHARE as u64 {
            ask(&at_forge, job, ASKED).await;
        }
        let refused = ask(&at_forge, 8, ASKED).await;
        assert_eq!(refused, Said::Nothing(Duration::from_secs(46)));
        assert!(refused.note("GitHub").unwrap().ends_with("ask again in 47 s"));
        // What was said within the minute is better than nothing.
        tokio::time::advance(ASKED).await;
        assert_eq!(ask(&at_forge, 7, ASKED).await, Said::Before(answer(), ASKED));
        tokio::time::advance(Duration::from_secs(36)).await;
        assert!(matches!(ask(&at_forge, 8, ASKED).await, Said::Now(_)));
    }
}
