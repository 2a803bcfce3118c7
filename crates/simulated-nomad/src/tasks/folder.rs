//! An allocation's folder, laid out as Nomad's: `alloc/` for all of its tasks, and for each task
//! one with `local/`, `secrets/` and `tmp/`; and where the client keeps its own notes, which no
//! task finds below its folders.
//!
//! Read next: `files.rs` (the folder over HTTP), `supervise.rs` (the notes on a process).

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Beside the allocations' folders; the name is no allocation's.
const NOTES: &str = ".client";
/// Among the notes on a task: its folder is there, with all that belongs in it.
const MADE: &str = "made";

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    notes: PathBuf,
}

impl Folder {
    pub fn new(root: &Path, allocation: &str) -> Self {
        Self { path: root.join(allocation), notes: root.join(NOTES).join(allocation) }
    }

    /// The allocations that the client has notes on.
    pub fn noted(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join(NOTES)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn shared(&self) -> PathBuf {
        self.path.join("alloc")
    }

    pub fn task(&self, task: &str) -> PathBuf {
        self.path.join(task)
    }

    pub fn local(&self, task: &str) -> PathBuf {
        self.task(task).join("local")
    }

    pub fn secrets(&self, task: &str) -> PathBuf {
        self.task(task).join("secrets")
    }

    /// What the client knows of the allocation.
    pub fn notes(&self) -> &Path {
        &self.notes
    }

    /// What a task's supervisor has written down.
    pub fn notes_on(&self, task: &str) -> PathBuf {
        self.notes.join(task)
    }

    pub fn make_shared(&self) -> io::Result<()> {
        fs::create_dir_all(&self.notes)?;
        for folder in ["alloc", "alloc/logs", "alloc/data", "alloc/tmp"] {
            open_to_all(&self.path.join(folder))?;
        }
        Ok(())
    }

    pub fn make(&self, task: &str) -> io::Result<()> {
        self.make_shared()?;
        open_to_all(&self.task(task))?;
        for folder in ["local", "secrets", "tmp"] {
            open_to_all(&self.task(task).join(folder))?;
        }
        let notes = self.notes_on(task);
        fs::create_dir_all(&notes)?;
        fs::write(notes.join(MADE), "")
    }

    /// Nothing is left to do for [`Folder::make`].
    pub fn is_made(&self, task: &str) -> bool {
        self.notes_on(task).join(MADE).exists()
    }

    /// Where what a task writes goes: `stdout` or `stderr`.
    pub fn log(&self, task: &str, stream: &str) -> PathBuf {
        self.shared().join("logs").join(format!("{task}.{stream}.0"))
    }

    /// A path that a jobspec names, where it does not lead out of the allocation. An absolute one
    /// must lie in it already.
    pub fn inside(&self, base: &Path, name: &str) -> Option<PathBuf> {
        let path = if name.starts_with(&*self.path.to_string_lossy()) {
            plain(Path::new(name))
        } else {
            plain(&base.join(name.trim_start_matches('/')))
        };
        path.starts_with(&self.path).then_some(path)
    }

    /// With everything in it.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_dir_all(&self.notes);
    }
}

/// For whoever the tasks run as.
fn open_to_all(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

pub(super) fn write(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        make_all(folder)?;
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(mode).open(file)?.write_all(content)?;
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
}

/// Folders that a jobspec names, for whoever the tasks run as.
pub(super) fn make_all(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_all(above)?;
    }
    open_to_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        let folder = Folder::new(Path::new("/a"), "b");
        let base = folder.local("t");
        let all = [
            ("c/d", Some("/a/b/t/local/c/d")),
            ("../../x", Some("/a/b/x")),
            ("/etc/x", Some("/a/b/t/local/etc/x")),
            ("/a/b/t/secrets/x.env", Some("/a/b/t/secrets/x.env")),
            ("../../../x", None),
            ("/a/b/../x", None),
        ];
        for (name, path) in all {
            assert_eq!(folder.inside(&base, name), path.map(PathBuf::from), "{name}");
        }
    }
}
