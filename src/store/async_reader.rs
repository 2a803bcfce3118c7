//! A connection for one task that reads often and must not hold up its thread while the disk is slow. The
//! queries are in `reader`.
//!
//! What is read is nearly always in memory, and then a read takes less time than the way to another thread
//! and back. So it is made at once, and on a blocking thread only for a while after one that was slow.

use std::time::Duration;

// On paused time it stands still, so that a simulation stays on one thread.
use tokio::time::Instant;

use super::{Reader, StoreError};

/// Longer than a batch takes that is read from memory, also on a busy machine.
const SLOW: Duration = Duration::from_millis(20);
/// For so long a disk that was slow once is taken to be slow.
const STAYS_SLOW: Duration = Duration::from_secs(60);

/// For one caller; dropping a read that is not finished yet gives up the connection.
pub struct AsyncReader {
    reader: Option<Reader>,
    slow_since: Option<Instant>,
}

impl AsyncReader {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader: Some(reader), slow_since: None }
    }

    pub async fn read<T: Send + 'static>(
        &mut self,
        question: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.reader.take().ok_or(StoreError::Closed)?;
        let work = move || (question(&reader), reader);
        let began = Instant::now();
        let (answer, reader) = if self.is_slow() {
            // It does not panic, so it is cut off only where the daemon ends.
            tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
        } else {
            let done = work();
            self.slow_since = (began.elapsed() >= SLOW).then_some(began);
            done
        };
        self.reader = Some(reader);
        Ok(answer)
    }

    fn is_slow(&self) -> bool {
        self.slow_since.is_some_and(|since| since.elapsed() < STAYS_SLOW)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::ThreadId;

    use super::super::Store;
    use super::*;

    async fn thread_of_a_read(reader: &mut AsyncReader, takes: Duration) -> ThreadId {
        let read = move |_: &Reader| {
            std::thread::sleep(takes);
            std::thread::current().id()
        };
        reader.read(read).await.unwrap()
    }

    #[tokio::test]
    async fn after_a_slow_read_the_next_ones_do_not_hold_up_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db")).unwrap();
        let mut reader = store.async_reader().unwrap();
        let here = std::thread::current().id();
        assert_eq!(thread_of_a_read(&mut reader, SLOW).await, here);
        assert_ne!(thread_of_a_read(&mut reader, Duration::ZERO).await, here);
        reader.slow_since = Instant::now().checked_sub(STAYS_SLOW);
        assert_eq!(thread_of_a_read(&mut reader, Duration::ZERO).await, here);
    }
}
