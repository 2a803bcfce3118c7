//! An allocation's folder, laid out as Nomad's: `alloc/` for all of its tasks, and for each task
//! one with `local/`, `secrets/` and `tmp/`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new(root: &Path, allocation: &str) -> Self {
        Self { path: root.join(allocation) }
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

    pub fn make(&self, task: &str) -> io::Result<()> {
        for folder in ["alloc/logs", "alloc/data", "alloc/tmp"] {
            fs::create_dir_all(self.path.join(folder))?;
        }
        for folder in ["local", "secrets", "tmp"] {
            fs::create_dir_all(self.task(task).join(folder))?;
        }
        Ok(())
    }

    /// Where what a task writes goes: `stdout` or `stderr`.
    pub fn log(&self, task: &str, stream: &str) -> io::Result<File> {
        File::create(self.shared().join("logs").join(format!("{task}.{stream}.0")))
    }

    /// A path below `base` that a jobspec names, and no way out of it.
    pub fn inside(&self, base: &Path, name: &str) -> Result<PathBuf, String> {
        let mut parts = Path::new(name).components();
        if parts.clone().next().is_none() || !parts.all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(format!("the path {name:?} escapes its folder"));
        }
        Ok(base.join(name))
    }
}

/// For its owner alone: it may be a credential.
pub(super) fn write(file: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(content)
}

/// The same for what others may read, as Nomad leaves an identity of a task that runs as the agent
/// itself ([V]).
pub(super) fn write_readable(file: &Path, content: &[u8]) -> io::Result<()> {
    write(file, content)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}

/// The same for what its owner may run.
pub(super) fn write_program(file: &Path, content: &[u8]) -> io::Result<()> {
    write(file, content)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        let folder = Folder::new(Path::new("/a"), "b");
        let base = folder.local("t");
        assert_eq!(folder.inside(&base, "c/d").unwrap(), Path::new("/a/b/t/local/c/d"));
        for name in ["", "../c", "/c", "c/../../d"] {
            assert!(folder.inside(&base, name).is_err(), "{name}");
        }
    }
}
