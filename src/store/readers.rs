//! Connections for API requests, opened when they are needed and kept, used on blocking threads, where a
//! slow disk delays nothing else.
//!
//! Reads run one after the other, so that ten large requests at once use the CPU and memory of one. The
//! queries are in `reader`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::{Reader, StoreError};

/// Reads that run at the same time.
const AT_ONCE: usize = 1;

/// Clones share the connections.
#[derive(Clone)]
pub struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Reader>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: Arc<PathBuf>) -> Self {
        Self { path, idle: Arc::default(), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Runs when it is its turn.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Nobody closes it.
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        let work = move || {
            // Held until the read is finished, also if the caller has gone.
            let _permit = permit;
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = match kept {
                Some(reader) => reader,
                None => Reader::open(&path)?,
            };
            let answer = question(&reader)?;
            // One that failed is not used again: the file may have been replaced.
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            Ok(answer)
        };
        // It does not panic, so it is cut off only where the daemon ends.
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Closed))
    }
}
