//! Whether a file with one of the daemon's own secrets has another content: looked at every few seconds, and
//! taken up once all have stayed as they are for one look, so that two files which are replaced one after the other
//! count as one change. Reading them is a load of the config.
//!
//! The tokens for Nomad and Vault and the certificate of `[claims]` are not among them: who uses those reads them
//! again.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::SecretPlace;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A file that changes at each look holds up the others for no more looks than this.
const LOOKS: u32 = 3;

/// Sections whose secrets nobody else reads again.
const SECTIONS: [&str; 3] = ["webhook.", "github.", "admin."];

/// What changes with the content, owner and mode: device, inode, length and time of the last change of the inode.
/// `None`: it cannot be seen.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Stamps(BTreeMap<PathBuf, Stamp>);

impl Stamps {
    fn now(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), stamp(path))).collect())
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
}

/// The files of one config.
#[derive(Debug, Default)]
pub struct Files {
    /// As they were when they were read.
    read: Stamps,
    /// As they were at the last look.
    seen: Stamps,
    /// How many looks in a row have found them unlike those that were read.
    unlike: u32,
}

impl Files {
    /// As they are now, just after they were read.
    pub fn of(secrets: &[SecretPlace]) -> Self {
        let ours = |it: &&SecretPlace| SECTIONS.iter().any(|section| it.key.starts_with(section));
        let files = secrets.iter().filter(ours).filter_map(|it| it.from.file());
        let read = Stamps(files.map(|path| (path.to_owned(), stamp(path))).collect());
        Self { seen: read.clone(), read, unlike: 0 }
    }

    /// Returns when one of them has another content than was read. Whether that is of use is found out by
    /// loading it; until it changes once more, it is not told again.
    pub async fn changed(&mut self) {
        if self.read.0.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.read.now();
            let stays = now == self.seen;
            self.seen = now;
            if self.seen == self.read {
                self.unlike = 0;
                continue;
            }
            self.unlike += 1;
            if stays || self.unlike >= LOOKS {
                self.read = self.seen.clone();
                self.unlike = 0;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::config::Origin;

    fn place(key: &str, path: &Path) -> SecretPlace {
        SecretPlace { key: key.to_owned(), from: Origin::File(path.to_owned()) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "a").unwrap();
        let all =
            [place("webhook.secret_file", &one), place("webhook.previous_secret_file", &other)];
        let mut files = Files::of(&all);
        let long = 20 * LOOK;
        assert!(timeout(long, files.changed()).await.is_err(), "nothing has changed");
        std::fs::write(&other, "a").unwrap();
        // It was seen, and then the second changed: it has to stay for one look more.
        assert!(timeout(LOOK + LOOK / 2, files.changed()).await.is_err());
        std::fs::write(&one, "longer").unwrap();
        let began = Instant::now();
        timeout(long, files.changed()).await.unwrap();
        assert!(began.elapsed() > LOOK, "{:?}", began.elapsed());
        assert!(timeout(long, files.changed()).await.is_err(), "it is told once");
        // Who may read it is of use too, and a file that never rests holds up the others for a while only.
        std::fs::set_permissions(&one, std::fs::Permissions::from_mode(0o640)).unwrap();
        timeout(long, files.changed()).await.unwrap();
        let writes = async {
            for times in 1.. {
                std::fs::write(&one, "x".repeat(times)).unwrap();
                tokio::time::sleep(LOOK / 2).await;
            }
        };
        tokio::select! {
            told = timeout(LOOK * (LOOKS + 1), files.changed()) => told.unwrap(),
            () = writes => {}
        }
        // One that goes away is another content too, which the load complains of.
        std::fs::remove_file(&one).unwrap();
        timeout(long, files.changed()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_read_again_is_left_to_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let all = ["nomad.token_file", "vault.jwt_file", "claims.tls_key_file"];
        let mut files = Files::of(&all.map(|key| place(key, file.path())));
        std::fs::write(file.path(), "longer").unwrap();
        assert!(timeout(20 * LOOK, files.changed()).await.is_err());
    }
}
