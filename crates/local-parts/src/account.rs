//! Under which account a part of the demo runs, and the folder that account can use.
//!
//! As root, Nomad mounts a tmpfs for every task's secrets and makes cgroups, and fails where it may
//! not (an ordinary container). As another user it does without both. So root without the right to
//! mount becomes somebody else for it. Gitea refuses to be root at all.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::on_path;
use crate::random;

/// What every system calls nobody.
const NOBODY: u32 = 65534;

/// Why a part cannot run under its account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A file or folder that it needs could not be made.
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// Another account could not enter the folder.
    #[error(
        "it has to run as uid {uid} here, which cannot enter {}; \
         choose a folder open to all (TMPDIR, or the data folder)", path.display()
    )]
    Closed { uid: u32, path: PathBuf },
    /// Root that has to become somebody else, and no way to.
    #[error(
        "it does not run as root (Nomad not without the right to mount, as in an ordinary \
         container; Gitea never); install setpriv (Debian: util-linux) or start this as another user"
    )]
    NoSetpriv,
}

impl AccountError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }
}

#[derive(Debug)]
pub(crate) enum Account {
    /// The one we run under.
    Own,
    /// Nobody, by way of setpriv.
    Nobody { setpriv: PathBuf },
}

impl Account {
    /// For a Nomad agent.
    pub(crate) fn for_nomad() -> Result<Self, AccountError> {
        if is_root() && may_mount() && cgroups_writable() {
            return Ok(Self::Own);
        }
        Self::never_root()
    }

    /// For what refuses to be root.
    pub(crate) fn never_root() -> Result<Self, AccountError> {
        if !is_root() {
            return Ok(Self::Own);
        }
        let setpriv = on_path("setpriv", std::env::var_os("PATH"));
        setpriv.map(|setpriv| Self::Nobody { setpriv }).ok_or(AccountError::NoSetpriv)
    }

    /// A command that runs `program` under this account. setpriv is replaced by it: same process.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match self {
            Self::Own => Command::new(program),
            Self::Nobody { setpriv } => {
                let mut command = Command::new(setpriv);
                command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
        }
    }

    /// The agent's folder: the one that was asked for, or a fresh temporary one.
    pub(crate) fn make_folder(&self, asked: Option<&Path>) -> Result<PathBuf, AccountError> {
        let folder = match asked {
            Some(folder) => {
                std::path::absolute(folder).map_err(AccountError::file("resolve", folder))?
            }
            None => {
                // Short: sockets in it must not have paths of more than 107 bytes.
                let name = format!("roustabout-{}", hex::encode(random::<4>()));
                let folder = std::env::temp_dir().join(&name);
                if self.can_enter(&std::env::temp_dir()) {
                    folder
                } else {
                    Path::new("/tmp").join(name)
                }
            }
        };
        let parent = folder.parent().unwrap_or(&folder);
        if !self.can_enter(parent) {
            return Err(AccountError::Closed { uid: NOBODY, path: parent.to_owned() });
        }
        for path in [&folder, &folder.join("tmp")] {
            fs::create_dir_all(path).map_err(AccountError::file("make the folder", path))?;
            // Tasks may run as other users than the agent: they have to pass through.
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .map_err(AccountError::file("open the folder", path))?;
            self.give(path)?;
        }
        Ok(folder)
    }

    /// The binary, or a copy of it in `folder` where this account cannot reach the binary.
    pub(crate) fn make_readable(
        &self,
        binary: &Path,
        folder: &Path,
    ) -> Result<PathBuf, AccountError> {
        let binary = binary.canonicalize().map_err(AccountError::file("find", binary))?;
        let mode = fs::metadata(&binary).map_err(AccountError::file("read", &binary))?.mode();
        if self.can_enter(binary.parent().unwrap_or(&binary))
            && (matches!(self, Self::Own) || mode & 0o005 == 0o005)
        {
            return Ok(binary);
        }
        let copy = folder.join(binary.file_name().unwrap_or_default());
        fs::copy(&binary, &copy).map_err(AccountError::file("copy the program to", &copy))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))
            .map_err(AccountError::file("open", &copy))?;
        Ok(copy)
    }

    /// The folder of files, or a copy of it in `folder` where this account cannot reach it.
    pub(crate) fn make_readable_all(
        &self,
        files: &Path,
        folder: &Path,
    ) -> Result<PathBuf, AccountError> {
        let files = files.canonicalize().map_err(AccountError::file("find", files))?;
        if self.can_enter(&files) {
            return Ok(files);
        }
        let copy = folder.join(files.file_name().unwrap_or_default());
        copy_all(&files, &copy)?;
        Ok(copy)
    }

    /// Makes it this account's own.
    pub(crate) fn give(&self, path: &Path) -> Result<(), AccountError> {
        match self {
            Self::Own => Ok(()),
            Self::Nobody { .. } => chown(path, Some(NOBODY), Some(NOBODY))
                .map_err(AccountError::file("give to another user", path)),
        }
    }

    fn can_enter(&self, folder: &Path) -> bool {
        let open = |path: &Path| {
            // A folder that is not there yet will be made by us, open.
            fs::metadata(path).map_or(true, |meta| meta.mode() & 0o001 != 0)
        };
        matches!(self, Self::Own) || folder.ancestors().all(open)
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<(), AccountError> {
    fs::create_dir_all(to).map_err(AccountError::file("make the folder", to))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))
        .map_err(AccountError::file("open the folder", to))?;
    for entry in fs::read_dir(from).map_err(AccountError::file("read", from))? {
        let entry = entry.map_err(AccountError::file("read", from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_all(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(AccountError::file("copy a file to", &to))?;
        }
    }
    Ok(())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Tries to mount a tmpfs, as Nomad would. A uid says little in a container.
fn may_mount() -> bool {
    let folder =
        std::env::temp_dir().join(format!("roustabout-mount-{}", hex::encode(random::<4>())));
    if fs::create_dir(&folder).is_err() {
        return false;
    }
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg(&folder).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let mounted = run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
    if mounted {
        run("umount", &[]);
    }
    let _ = fs::remove_dir(&folder);
    mounted
}

/// False where the cgroup file systems are mounted read-only.
fn cgroups_writable() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    !mounts.lines().any(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        matches!(fields.get(2), Some(&("cgroup" | "cgroup2")))
            && fields.get(3).is_some_and(|options| options.split(',').any(|option| option == "ro"))
    })
}
