//! The demo's own folder: the daemon's store, secrets and log, gone with it; of a demo that failed the log stays.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The one file in it that stays.
    kept: Option<&'static str>,
}

impl Folder {
    pub fn new(suffix: &str) -> anyhow::Result<Self> {
        let temporary = std::env::temp_dir();
        // Other accounts run the tasks, and what stands in for the runner may lie here.
        let base = if open_to_all(&temporary) { temporary } else { "/tmp".into() };
        let path = base.join(format!("roustabout-demo-{suffix}"));
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self { path, kept: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves that file there, if there is one: it says what went wrong. The rest goes, for it has the
    /// daemon's secrets.
    pub fn keep(&mut self, name: &'static str) -> Option<PathBuf> {
        let file = self.path.join(name);
        self.kept = file.is_file().then_some(name);
        self.kept.map(|_| file)
    }

    /// This program, where other accounts can run it: a copy where it lies in a closed folder,
    /// as a home often is.
    pub fn runner_program(&self) -> anyhow::Result<PathBuf> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        if open_to_all(&program) {
            return Ok(program);
        }
        let copy = self.path.join("roustabout");
        fs::copy(&program, &copy)
            .and_then(|_| fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot copy this program to {}", copy.display()))?;
        Ok(copy)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = match self.kept {
            None => fs::remove_dir_all(&self.path),
            Some(name) => remove_all_but(&self.path, name),
        };
        if let Err(error) = removed {
            eprintln!("roustabout: cannot remove {}: {error}", self.path.display());
        }
    }
}

fn remove_all_but(folder: &Path, name: &str) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == name {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Whether every account may pass through all of the path.
fn open_to_all(path: &Path) -> bool {
    path.ancestors().all(|part| fs::metadata(part).is_ok_and(|meta| meta.mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_but_for_the_file_that_is_kept() {
        let made = |suffix: &str| {
            let folder = Folder::new(suffix).unwrap();
            let path = folder.path().to_owned();
            assert!(open_to_all(&path));
            fs::write(path.join("log"), "").unwrap();
            fs::write(path.join("admin-token"), "").unwrap();
            fs::create_dir_all(path.join("store/deep")).unwrap();
            (folder, path)
        };
        let (folder, path) = made("test-goes");
        drop(folder);
        assert!(!path.exists());
        let (mut folder, path) = made("test-stays");
        assert_eq!(folder.keep("log"), Some(path.join("log")));
        drop(folder);
        let left: Vec<_> = fs::read_dir(&path).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, ["log"]);
        fs::remove_dir_all(path).unwrap();
        let (mut folder, path) = made("test-no-log");
        assert_eq!(folder.keep("nothing"), None);
        drop(folder);
        assert!(!path.exists());
    }
}
