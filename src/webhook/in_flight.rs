//! What all bodies together take up while they are read and judged: little memory, and some room in
//! files. Where that is used up the slowest of the large ones gives way, so that a few that
//! stall close the door for nobody.
//!
//! How one body is read: `body`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// So much of each body may be in a file whatever the others have there: more than a webhook has
/// in earnest, so that nobody else's bytes keep it out.
const ALWAYS: u64 = 256 * 1024;

/// Counts the bytes of bodies in flight; clones count together.
#[derive(Clone)]
pub struct InFlight(Arc<All>);

struct All {
    folder: PathBuf,
    counts: Mutex<Counts>,
    /// One at a time writes into its file: the disk is the store's as well.
    writing: Semaphore,
    /// One large body at a time is in memory.
    turn: Arc<Semaphore>,
}

#[derive(Default)]
struct Counts {
    memory: u64,
    /// Of the large ones.
    files: u64,
    next: u64,
    large: BTreeMap<u64, Large>,
}

/// A body that has more in a file than each may always have.
struct Large {
    began: Instant,
    bytes: u64,
    /// It is GitHub's, and gives way to nobody.
    signed: bool,
    gives_way: CancellationToken,
}

impl Large {
    /// Bytes a second.
    fn speed(&self, now: Instant) -> u128 {
        let time = now.duration_since(self.began).as_micros().max(1);
        u128::from(self.bytes) * 1_000_000 / time
    }
}

impl InFlight {
    /// What does not fit into memory goes into files in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self(Arc::new(All {
            folder: folder.to_owned(),
            counts: Mutex::default(),
            writing: Semaphore::new(1),
            turn: Arc::new(Semaphore::new(1)),
        }))
    }

    pub(super) fn share(&self) -> Share {
        let mut counts = self.lock();
        counts.next += 1;
        Share {
            number: counts.next,
            all: self.clone(),
            began: Instant::now(),
            memory: 0,
            file: 0,
            gives_way: CancellationToken::new(),
        }
    }

    /// Until it is dropped, no other large body is in memory.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        self.0.turn.clone().acquire_owned().await.ok()
    }

    /// Appends to a body's file, which has no name and is gone with its last handle; the first time
    /// to a new one.
    pub(super) async fn write(&self, file: Option<File>, data: Bytes) -> io::Result<File> {
        // Nobody closes it.
        let _one = self.0.writing.acquire().await;
        let all = self.0.clone();
        let append = move || {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile_in(&all.folder)?,
            };
            file.write_all(&data)?;
            Ok(file)
        };
        tokio::task::spawn_blocking(append).await.map_err(io::Error::other)?
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let counts = self.lock();
        counts.memory == 0 && counts.files == 0 && counts.large.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing in it can be left half done.
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One body's share; given back when dropped.
pub(super) struct Share {
    all: InFlight,
    number: u64,
    began: Instant,
    memory: u64,
    file: u64,
    gives_way: CancellationToken,
}

impl Share {
    /// Cancelled when it has to give way.
    pub fn gives_way(&self) -> CancellationToken {
        self.gives_way.clone()
    }

    pub fn in_flight(&self) -> &InFlight {
        &self.all
    }

    /// Takes more memory; `false`, and nothing, where that would be more than `most` in all.
    pub fn takes_memory(&mut self, bytes: u64, most: u64) -> bool {
        let mut counts = self.all.lock();
        if counts.memory + bytes > most {
            return false;
        }
        counts.memory += bytes;
        self.memory += bytes;
        true
    }

    /// Takes more room in files; where that would be more than `most` in all, slower ones give way.
    /// `false`: this is the slowest.
    pub fn takes_file(&mut self, bytes: u64, most: u64) -> bool {
        self.file += bytes;
        if self.file <= ALWAYS {
            return true;
        }
        if self.gives_way.is_cancelled() {
            return false;
        }
        let mut counts = self.all.lock();
        let this = counts.large.entry(self.number).or_insert_with(|| Large {
            began: self.began,
            bytes: 0,
            signed: false,
            gives_way: self.gives_way.clone(),
        });
        this.bytes += bytes;
        counts.files += bytes;
        let now = Instant::now();
        while counts.files > most {
            let unsigned = counts.large.iter().filter(|(_, large)| !large.signed);
            let slowest = unsigned.min_by_key(|(_, large)| large.speed(now));
            match slowest.map(|(number, _)| *number) {
                Some(number) if number != self.number => counts.end(number),
                _ => return false,
            }
        }
        true
    }

    pub fn is_signed(&mut self) {
        if let Some(large) = self.all.lock().large.get_mut(&self.number) {
            large.signed = true;
        }
    }
}

impl Counts {
    fn end(&mut self, number: u64) {
        if let Some(large) = self.large.remove(&number) {
            self.files -= large.bytes;
            large.gives_way.cancel();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        counts.memory -= self.memory;
        counts.end(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 4 * ALWAYS;

    fn shares() -> [Share; 3] {
        let in_flight = InFlight::in_folder(Path::new("/nowhere"));
        [in_flight.share(), in_flight.share(), in_flight.share()]
    }

    fn gave_way(shares: &[Share; 3]) -> [bool; 3] {
        shares.each_ref().map(|share| share.gives_way.is_cancelled())
    }

    #[test]
    fn where_files_are_full_the_slowest_gives_way_and_never_one_whose_signature_holds() {
        let mut shares = shares();
        let long_ago = Instant::now().checked_sub(std::time::Duration::from_secs(5)).unwrap();
        (shares[0].began, shares[1].began) = (long_ago, long_ago);
        assert!(shares[0].takes_file(2 * ALWAYS, MOST));
        assert!(shares[1].takes_file(ALWAYS + 1, MOST));
        assert!(shares[2].takes_file(2 * ALWAYS, MOST));
        assert_eq!(gave_way(&shares), [false, true, false]);
        assert!(!shares[1].takes_file(1, MOST), "it has given way");
        shares[0].is_signed();
        shares[2].began = long_ago;
        assert!(!shares[2].takes_file(ALWAYS, MOST), "the other one is GitHub's");
        assert_eq!(gave_way(&shares), [false, true, false]);
        let in_flight = shares[0].all.clone();
        drop(shares);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn what_each_may_always_have_is_had_whatever_the_others_do() {
        let mut shares = shares();
        assert!(shares[0].takes_memory(MOST, MOST) && shares[0].takes_file(MOST, MOST));
        assert!(!shares[1].takes_memory(1, MOST));
        assert!(shares[1].takes_file(ALWAYS, MOST));
        assert_eq!(gave_way(&shares), [false; 3]);
    }
}
