//! Where a Gitea with its runner may be: said, or built by `scripts/get-gitea`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::programs::is_program;

/// A folder as `scripts/get-gitea` makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(PathBuf);

impl Parts {
    /// The forge.
    #[must_use]
    pub fn gitea(&self) -> PathBuf {
        self.0.join("gitea")
    }

    /// Its runner.
    #[must_use]
    pub fn runner(&self) -> PathBuf {
        self.0.join("gitea-runner")
    }

    /// Its templates, options and public files.
    pub(super) fn static_files(&self) -> PathBuf {
        self.0.join("static")
    }
}

/// Looks for both: the explicit folder, `GITEA_PARTS`, then the newest that `scripts/get-gitea`
/// has built. `env` is the environment (`|name| std::env::var_os(name)`). A folder that was said
/// and does not hold them is not replaced by another: the answer is then None.
pub fn find_parts(
    explicit: Option<&Path>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Option<Parts> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let said = explicit.map(Path::to_owned).or_else(|| env("GITEA_PARTS").map(PathBuf::from));
    // The static files are the last that the script puts there.
    let whole = |parts: &Parts| parts.static_files().is_dir() && parts.runner().is_file();
    if let Some(said) = said {
        return Some(Parts(said)).filter(whole);
    }
    newest_built(&built_here(env)?).map(Parts).filter(whole)
}

/// Where `scripts/get-gitea` puts what it builds, a folder for each version.
fn built_here(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let parts = env("ROUSTABOUT_PARTS").map(PathBuf::from).or_else(|| {
        let cache = env("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env("HOME")?).join(".cache")))?;
        Some(cache.join("roustabout"))
    })?;
    Some(parts.join("gitea"))
}

/// Of the folders in `folder` that hold a Gitea, the one where it is newest.
fn newest_built(folder: &Path) -> Option<PathBuf> {
    let built = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    built.filter(|folder| is_program(&folder.join("gitea"))).max_by_key(|folder| {
        let built = fs::metadata(folder.join("gitea")).and_then(|meta| meta.modified());
        built.unwrap_or(SystemTime::UNIX_EPOCH)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_said_wins_and_a_half_built_folder_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("gitea/0123");
        let env = |name: &str| match name {
            "ROUSTABOUT_PARTS" => Some(folder.path().as_os_str().to_owned()),
            _ => None,
        };
        fs::create_dir_all(&built).unwrap();
        for program in ["gitea", "gitea-runner"] {
            fs::write(built.join(program), "").unwrap();
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(built.join(program), open).unwrap();
        }
        assert_eq!(find_parts(None, env), None);
        fs::create_dir(built.join("static")).unwrap();
        assert_eq!(find_parts(None, env), Some(Parts(built.clone())));
        assert_eq!(find_parts(Some(Path::new("/nowhere")), env), None);
        assert_eq!(find_parts(Some(&built), |_| None), Some(Parts(built)));
    }
}
