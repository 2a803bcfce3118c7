//! A connection for one task that reads often and must not block its thread while the disk is slow: reads
//! run on a blocking thread. The queries are in `reader`.

use super::{Reader, StoreError};

/// For one caller; dropping a read that is not finished yet gives up the connection.
pub struct AsyncReader {
    reader: Option<Reader>,
    /// In a simulation: read at once, on the caller's thread.
    in_step: bool,
}

impl AsyncReader {
    pub(super) fn new(reader: Reader, in_step: bool) -> Self {
        Self { reader: Some(reader), in_step }
    }

    pub async fn read<T: Send + 'static>(
        &mut self,
        question: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.reader.take().ok_or(StoreError::Closed)?;
        let work = move || (question(&reader), reader);
        let (answer, reader) = match self.in_step {
            true => work(),
            // It does not panic, so it is cut off only where the daemon ends.
            false => tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?,
        };
        self.reader = Some(reader);
        Ok(answer)
    }
}
