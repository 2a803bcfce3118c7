//! The host volume of the daemon's job on Nomad, beside the program that it runs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::programs::ROUSTABOUT;

/// The agent may run as nobody: it has to reach the program, and the daemon its volume.
pub struct Volume {
    folder: tempfile::TempDir,
}

impl Volume {
    pub fn prepare() -> Self {
        let volume = Self { folder: tempfile::tempdir().unwrap() };
        open(volume.folder.path(), 0o755);
        std::fs::create_dir(volume.state()).unwrap();
        open(&volume.state(), 0o777);
        // By a process of its own, or a child of this one may inherit it open for writing.
        let copied = Command::new("cp").arg(ROUSTABOUT).arg(volume.program()).status();
        assert!(copied.unwrap().success());
        open(&volume.program(), 0o755);
        volume
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn program(&self) -> PathBuf {
        self.folder.path().join("roustabout")
    }
}

fn open(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
