//! Forgets what ended longer ago than `[store] retention`: in pieces, with a pause after each, for
//! webhooks wait for the same thread.
//!
//! How long ago that is only the machine's clock tells, and one that is a year ahead for a moment would
//! cost the whole history. So nothing is forgotten before the clock has gone on for a day without a
//! gap, see `store::clock_seen`.

use std::time::Duration;

use clock::Clock;

use crate::ledger::Time;
use crate::store::{Pruned, Store, StoreError};

const EVERY: Duration = Duration::from_secs(3600);
/// Many times what a piece takes. A day of 5000 jobs is pruned in about a minute by it.
const BETWEEN_PIECES: Duration = Duration::from_millis(50);

/// For so long the clock goes on before it is believed.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Runs until it is aborted.
pub async fn run(store: Store, retention: Duration, clock: Clock) {
    loop {
        if let Err(error) = prune(&store, retention, clock.now().into()).await {
            tracing::warn!(%error, "pruning old records failed; retrying in an hour");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn prune(store: &Store, retention: Duration, now: Time) -> Result<(), StoreError> {
    let since = store.clock_goes_on(now).await?;
    if now.since(since) < DAY {
        return Ok(());
    }
    let before = now - retention;
    while store.prune(before).await? == Pruned::Piece {
        tokio::time::sleep(BETWEEN_PIECES).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::step::testing;
    use crate::ledger::{Job, JobId, JobStatus, Record};

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * 24 * HOUR;
    const NOW: i64 = 1_800_000_000_000;
    const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

    struct History {
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl History {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("a.db")).unwrap();
            Self { store, _folder: folder }
        }

        async fn ended(&self, job: u64, at: i64) {
            let job = Job {
                received_at: Time(at),
                ended_at: Some(Time(at)),
                ..testing::job(testing::report(job, JobStatus::Completed))
            };
            self.store.commit(Arc::new(vec![Record::Job(Box::new(job))])).await.unwrap();
        }

        /// The clock shows each hour from the one time to the other.
        async fn hours(&self, from: i64, hours: i64) {
            for hour in 0..=hours {
                prune(&self.store, RETENTION, Time(from + hour * HOUR)).await.unwrap();
            }
        }

        fn has(&self, job: u64) -> bool {
            self.store.reader().unwrap().job(JobId(job)).unwrap().is_some()
        }
    }

    #[tokio::test]
    async fn what_is_older_than_retention_is_forgotten_when_the_clock_has_gone_on_for_a_day() {
        let history = History::new();
        history.ended(1, NOW - 91 * 24 * HOUR).await;
        history.ended(2, NOW - 88 * 24 * HOUR).await;
        history.hours(NOW, 23).await;
        assert!(history.has(1), "it is not sure yet that the clock is right");
        history.hours(NOW + 24 * HOUR, 0).await;
        assert_eq!((history.has(1), history.has(2)), (false, true));
        // Nobody looked for a night, or the daemon was off.
        history.hours(NOW + 40 * HOUR, 0).await;
        history.ended(3, NOW - YEAR).await;
        history.hours(NOW + 41 * HOUR, 0).await;
        assert!(!history.has(3), "that is no gap");
    }

    #[tokio::test]
    async fn a_clock_a_year_ahead_for_a_while_costs_no_history() {
        let history = History::new();
        history.hours(NOW, 48).await;
        history.ended(1, NOW).await;
        history.hours(NOW + YEAR, 23).await;
        history.hours(NOW + 72 * HOUR, 48).await;
        assert!(history.has(1));
        // It began to count anew when the clock was right again.
        history.ended(2, NOW - YEAR).await;
        history.hours(NOW + 121 * HOUR, 0).await;
        assert!(!history.has(2));
    }

    #[tokio::test]
    async fn a_machine_that_starts_in_1970_forgets_that_year_once_its_clock_is_right() {
        let history = History::new();
        history.ended(1, 5 * HOUR).await;
        history.hours(0, 30).await;
        history.hours(NOW, 23).await;
        assert!(history.has(1));
        history.hours(NOW + 24 * HOUR, 0).await;
        assert!(!history.has(1));
    }
}
