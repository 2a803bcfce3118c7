//! The demo's own folder: the daemon's store and log, gone with it unless it is kept.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
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
        Ok(Self { path, keep: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it there, for what is in it says what went wrong.
    pub fn keep(&mut self) {
        self.keep = true;
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
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("roustabout: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Whether every account may pass through all of the path.
fn open_to_all(path: &Path) -> bool {
    path.ancestors().all(|part| fs::metadata(part).is_ok_and(|meta| meta.mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_unless_it_is_kept() {
        let folder = Folder::new("test-goes").unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("file"), "").unwrap();
        assert!(open_to_all(&path));
        drop(folder);
        assert!(!path.exists());
        let mut folder = Folder::new("test-stays").unwrap();
        folder.keep();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(path.exists());
        fs::remove_dir(path).unwrap();
    }
}
