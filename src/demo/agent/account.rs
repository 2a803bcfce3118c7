//! Under which account an agent runs, and the folder that account can use.
//!
//! As root, Nomad mounts a tmpfs for every task's secrets and makes cgroups, and fails where it may
//! not (an ordinary container). As another user it does without both. So root without the right to
//! mount becomes somebody else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::binary::on_path;
use super::{AgentError, random};

/// What every system calls nobody.
const NOBODY: u32 = 65534;

#[derive(Debug)]
pub(super) enum Account {
    /// The one we run under.
    Own,
    /// Nobody, by way of setpriv.
    Nobody { setpriv: PathBuf },
}

impl Account {
    pub(super) fn choose() -> Result<Self, AgentError> {
        let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
        if !root || (may_mount() && cgroups_writable()) {
            return Ok(Self::Own);
        }
        let setpriv = on_path("setpriv", std::env::var_os("PATH"));
        setpriv.map(|setpriv| Self::Nobody { setpriv }).ok_or(AgentError::NoSetpriv)
    }

    /// A command that runs `program` under this account. setpriv is replaced by it: same process.
    pub(super) fn command(&self, program: &Path) -> Command {
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
    pub(super) fn make_folder(&self, asked: Option<&Path>) -> Result<PathBuf, AgentError> {
        let folder = match asked {
            Some(folder) => {
                std::path::absolute(folder).map_err(AgentError::file("resolve", folder))?
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
            return Err(AgentError::Closed { uid: NOBODY, path: parent.to_owned() });
        }
        for path in [&folder, &folder.join("tmp")] {
            fs::create_dir_all(path).map_err(AgentError::file("make the folder", path))?;
            // Tasks may run as other users than the agent: they have to pass through.
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .map_err(AgentError::file("open the folder", path))?;
            self.own(path)?;
        }
        Ok(folder)
    }

    /// The binary, or a copy of it in `folder` where this account cannot reach the binary.
    pub(super) fn make_readable(
        &self,
        binary: &Path,
        folder: &Path,
    ) -> Result<PathBuf, AgentError> {
        let binary = binary.canonicalize().map_err(AgentError::file("find", binary))?;
        let mode = fs::metadata(&binary).map_err(AgentError::file("read", &binary))?.mode();
        if self.can_enter(binary.parent().unwrap_or(&binary))
            && (matches!(self, Self::Own) || mode & 0o005 == 0o005)
        {
            return Ok(binary);
        }
        let copy = folder.join("nomad");
        fs::copy(&binary, &copy).map_err(AgentError::file("copy Nomad to", &copy))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))
            .map_err(AgentError::file("open", &copy))?;
        Ok(copy)
    }

    /// Gives a file or folder of ours to this account.
    pub(super) fn own(&self, path: &Path) -> Result<(), AgentError> {
        match self {
            Self::Own => Ok(()),
            Self::Nobody { .. } => chown(path, Some(NOBODY), Some(NOBODY))
                .map_err(AgentError::file("give to another user", path)),
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
