//! Where everything that happens is told: one log line each, and a value for whoever watches. Told
//! only once the rows that follow from it are on disk. The words are made in `ledger::happening`.
//!
//! The last of them are kept, once for all watchers: one that reads slowly costs nothing, and is told
//! when it has missed some.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clock::Clock;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::ledger::{Happening, Time};

/// How many a watcher may be behind: some minutes of a storm, and about half a megabyte.
const KEPT: usize = 1024;

/// Clones tell the same watchers.
#[derive(Debug, Clone)]
pub struct Happenings {
    recent: Arc<Mutex<Recent>>,
    /// The number of the next one.
    next: watch::Sender<u64>,
    clock: Clock,
    /// What is told before and after a restart has different marks.
    life: u64,
}

/// A happening, and when it was told.
#[derive(Debug, Clone)]
pub struct Told {
    pub at: Time,
    pub happening: Happening,
}

#[derive(Debug, Default)]
struct Recent {
    told: VecDeque<Arc<Told>>,
    /// The number of the one after the last.
    next: u64,
}

impl Recent {
    fn oldest(&self) -> u64 {
        self.next - self.told.len() as u64
    }
}

/// What a watcher gets.
#[derive(Debug)]
pub enum News {
    Told(Mark, Arc<Told>),
    /// Some are not kept any more; the watcher goes on with what happens after this mark.
    Missed(Mark),
}

/// Which one was told last, for a watcher that comes back.
/// The default is nobody's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    life: u64,
    number: u64,
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{}", self.life, self.number)
    }
}

impl std::str::FromStr for Mark {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (life, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { life: u64::from_str_radix(life, 16)?, number: number.parse()? })
    }
}

impl Happenings {
    pub fn new(clock: Clock) -> Self {
        let life = Time::from(clock.now()).0.cast_unsigned();
        Self { recent: Arc::default(), next: watch::Sender::new(0), clock, life }
    }

    /// Everything from now on.
    pub fn watch(&self) -> Watcher {
        let at = lock(&self.recent).next;
        self.watcher(at)
    }

    /// Everything after this one; where that is not possible, the first news says so.
    pub fn watch_after(&self, mark: Mark) -> Watcher {
        let recent = lock(&self.recent);
        let at = mark.number.wrapping_add(1);
        let known = mark.life == self.life && (recent.oldest()..=recent.next).contains(&at);
        let newest = recent.next;
        drop(recent);
        match known {
            true => self.watcher(at),
            false => Watcher { missed: true, ..self.watcher(newest) },
        }
    }

    fn watcher(&self, at: u64) -> Watcher {
        let (recent, next) = (self.recent.clone(), self.next.subscribe());
        Watcher { recent, next, at, missed: false, life: self.life }
    }

    pub fn tell(&self, happening: Happening) {
        log(&happening);
        let told = Arc::new(Told { at: self.clock.now().into(), happening });
        let mut recent = lock(&self.recent);
        if recent.told.len() == KEPT {
            recent.told.pop_front();
        }
        recent.told.push_back(told);
        recent.next += 1;
        let next = recent.next;
        drop(recent);
        self.next.send_if_modified(|before| {
            // Two tell at once: the later number stays.
            let later = next > *before;
            *before = next.max(*before);
            later
        });
    }
}

/// Reads at its own pace.
#[derive(Debug)]
pub struct Watcher {
    recent: Arc<Mutex<Recent>>,
    next: watch::Receiver<u64>,
    /// The number of the one to be read next.
    at: u64,
    missed: bool,
    life: u64,
}

impl Watcher {
    /// Waits for the next one; `None` when nobody can tell any more. Dropped while it waits it loses
    /// nothing.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.try_next() {
                return Some(news);
            }
            let at = self.at;
            self.next.wait_for(|next| *next > at).await.ok()?;
        }
    }

    /// What has been told already.
    pub fn try_next(&mut self) -> Option<News> {
        let recent = lock(&self.recent);
        let mark = |number: u64| Mark { life: self.life, number };
        if std::mem::take(&mut self.missed) || self.at < recent.oldest() {
            self.at = recent.next;
            return Some(News::Missed(mark(self.at.wrapping_sub(1))));
        }
        let place = usize::try_from(self.at - recent.oldest()).ok()?;
        let told = recent.told.get(place)?.clone();
        self.at += 1;
        Some(News::Told(mark(self.at - 1), told))
    }
}

fn lock(recent: &Mutex<Recent>) -> MutexGuard<'_, Recent> {
    // Every entry is whole whatever panicked beside it.
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log(happening: &Happening) {
    let event = happening.what.name();
    let about = &happening.about;
    let job = about.job.map(|id| id.0);
    let run = about.run.map(|id| id.0);
    let repository = about.repository.as_deref();
    let runner = about.runner.as_ref().map(|name| name.as_str());
    let pool = about.pool.as_ref().map(|name| name.as_str());
    let delivery = about.delivery.as_ref().map(|id| id.as_str());
    if happening.what.is_warning() {
        warn!(event, job, run, repository, pool, runner, delivery, "{happening}");
    } else {
        info!(event, job, run, repository, pool, runner, delivery, "{happening}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{About, Happened, JobId};

    fn tell(happenings: &Happenings, jobs: std::ops::Range<u64>) {
        for job in jobs {
            let about = About { job: Some(JobId(job)), ..About::default() };
            happenings.tell(Happened::JobRetried.about(about));
        }
    }

    /// The job of the next one, or `None` where some were missed.
    fn read(watcher: &mut Watcher) -> (Mark, Option<u64>) {
        match watcher.try_next().expect("something was told") {
            News::Told(mark, told) => (mark, told.happening.about.job.map(|job| job.0)),
            News::Missed(mark) => (mark, None),
        }
    }

    #[tokio::test]
    async fn a_watcher_that_comes_back_goes_on_where_it_was() {
        let happenings = Happenings::new(Clock::system());
        tell(&happenings, 0..3);
        let mut watcher = happenings.watch();
        assert!(watcher.try_next().is_none(), "only what happens from now on");
        tell(&happenings, 3..6);
        let (mark, job) = read(&mut watcher);
        assert_eq!(job, Some(3));
        drop(watcher);
        let mark = mark.to_string().parse().unwrap();
        let mut back = happenings.watch_after(mark);
        assert_eq!((read(&mut back).1, read(&mut back).1), (Some(4), Some(5)));
        assert!(back.try_next().is_none());
        let told = tokio::join!(back.next(), async { tell(&happenings, 6..7) }).0;
        assert!(matches!(told, Some(News::Told(..))));
    }

    #[test]
    fn whoever_is_too_far_behind_or_comes_from_an_earlier_life_is_told_so_once() {
        let happenings = Happenings::new(Clock::system());
        let mut slow = happenings.watch();
        tell(&happenings, 0..KEPT as u64 + 1);
        let (mark, job) = read(&mut slow);
        assert_eq!(job, None);
        assert!(slow.try_next().is_none());
        tell(&happenings, 7..8);
        assert_eq!(read(&mut slow).1, Some(7));
        assert_eq!(read(&mut happenings.watch_after(mark)).1, Some(7), "it missed nothing more");
        let foreign = Mark { life: mark.life + 1, number: 5 };
        assert_eq!(read(&mut happenings.watch_after(foreign)).1, None);
        let ahead = Mark { number: u64::MAX, ..mark };
        assert_eq!(read(&mut happenings.watch_after(ahead)).1, None);
        for none in ["", "5", "x-1", "1-", "1-x"] {
            assert!(none.parse::<Mark>().is_err(), "{none:?}");
        }
    }
}
