//! Where programs are: in the folders of `PATH`, and a Nomad where it was said. Nothing here fetches
//! or builds one. Read next: `agent.rs`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are when the environment does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Looks for a Nomad binary: the explicit path, `NOMAD_BIN`, then `PATH`. `env` is the environment
/// (`|name| std::env::var_os(name)`). A path that was said and is no program is not replaced by
/// another: the answer is then None.
pub fn find_binary(
    explicit: Option<&Path>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(said) = explicit.map(Path::to_owned).or_else(|| env("NOMAD_BIN").map(Into::into)) {
        return is_program(&said).then_some(said);
    }
    on_path("nomad", env("PATH"))
}

/// The first program of that name in the folders of `path`.
pub fn on_path(name: &str, path: Option<OsString>) -> Option<PathBuf> {
    let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

pub fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(file: &Path) -> PathBuf {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        file.to_owned()
    }

    #[test]
    fn the_explicit_path_wins_then_nomad_bin_then_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let said = program(&root.join("said"));
        let bin = program(&root.join("bin/other"));
        let on_path = program(&root.join("path/nomad"));
        let env = |bin: Option<&'static str>, path: &'static str| {
            let root = root.to_owned();
            move |name: &str| match name {
                "NOMAD_BIN" => bin.map(|bin| root.join(bin).into_os_string()),
                "PATH" => Some(root.join(path).into_os_string()),
                _ => None,
            }
        };
        assert_eq!(find_binary(Some(&said), env(Some("bin/other"), "path")), Some(said));
        assert_eq!(find_binary(None, env(Some("bin/other"), "path")), Some(bin));
        assert_eq!(find_binary(None, env(None, "path")), Some(on_path));
        assert_eq!(find_binary(None, env(None, "nowhere")), None);
    }

    #[test]
    fn a_path_that_was_said_and_is_no_program_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let on_path = program(&folder.path().join("nomad"));
        let env = |name: &str| (name == "PATH").then(|| on_path.parent().unwrap().into());
        assert_eq!(find_binary(Some(Path::new("/nowhere/nomad")), env), None);
        assert_eq!(find_binary(None, env), Some(on_path.clone()));
    }
}
