//! Connections for API requests: opened when one is needed and kept, used on one thread of low priority. A slow
//! disk delays nothing else, and a report over a million jobs leaves the processor to the webhooks that come
//! meanwhile.
//!
//! Reads run one after the other, so that ten large requests at once use the CPU and memory of one. The
//! queries are in `reader`.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::Semaphore;

use super::{Reader, StoreError};

/// By how much the thread is nicer to others than they are, up to 19. With 5 it has a quarter of a core that
/// another thread wants too. With 10 it is a tenth: where jobs run on the same machine and keep it busy, a report
/// took half a minute.
const NICER: i32 = 5;

/// Gets the connection if there is one already, and leaves one that can be used again.
type Question = Box<dyn FnOnce(&mut Option<Reader>) + Send>;

/// Clones share the thread and its connection.
#[derive(Clone)]
pub struct Readers {
    path: Arc<PathBuf>,
    /// Where questions go, once there was one.
    thread: Arc<OnceLock<Sender<Question>>>,
    turn: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: Arc<PathBuf>) -> Self {
        Self { path, thread: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Runs when it is its turn.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Nobody closes it.
        let turn = self.turn.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (path, thread) = (self.path.clone(), self.thread.clone());
        let work = move || {
            // Held until the read is finished, also if the caller has gone.
            let _turn = turn;
            let (answer, wait) = channel();
            let ask = move |kept: &mut Option<Reader>| {
                // One that failed is not used again: the file may have been replaced.
                let reader = kept.take().map_or_else(|| Reader::open(&path), Ok);
                let came_to = reader.and_then(|reader| {
                    let came_to = question(&reader)?;
                    *kept = Some(reader);
                    Ok(came_to)
                });
                // The one who waits is there until the answer is.
                let _ = answer.send(came_to);
            };
            let thread = thread.get_or_init(start);
            thread.send(Box::new(ask)).map_err(|_| StoreError::Closed)?;
            wait.recv().map_err(|_| StoreError::Closed)?
        };
        // This one only waits: as long as it does, a simulation's clock stands still.
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Closed))
    }
}

/// It ends when the last of the readers has gone.
fn start() -> Sender<Question> {
    let (questions, asked) = channel();
    let started = std::thread::Builder::new().name("readers".to_owned()).spawn(|| serve(asked));
    // Where it could not be started nobody takes questions, and each is told that the store is closed.
    drop(started);
    questions
}

fn serve(asked: Receiver<Question>) {
    // For this thread alone. Where it is forbidden, reads compete with the rest as equals.
    let _ = getpriority_process(None).and_then(|nice| setpriority_process(None, nice + NICER));
    let mut kept = None;
    for question in asked {
        question(&mut kept);
    }
}
