//! Where a Nomad binary may be: said, on `PATH`, or built by `scripts/get-nomad`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where programs are when the environment does not say.
pub(in crate::demo) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Looks for a Nomad binary: the explicit path, `NOMAD_BIN`, `PATH`, then the newest that
/// `scripts/get-nomad` has built. `env` is the environment (`|name| std::env::var_os(name)`).
/// A path that was said and is no program is not replaced by another: the answer is then None.
pub fn find_binary(
    explicit: Option<&Path>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(said) = explicit.map(Path::to_owned).or_else(|| env("NOMAD_BIN").map(Into::into)) {
        return is_program(&said).then_some(said);
    }
    on_path("nomad", env("PATH")).or_else(|| {
        let built = newest_built(&parts_folder(env)?.join("nomad"), "nomad")?;
        Some(built.join("nomad"))
    })
}

/// Where the scripts put what they build.
pub(in crate::demo) fn parts_folder(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    env("ROUSTABOUT_PARTS").map(PathBuf::from).or_else(|| {
        let cache = env("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env("HOME")?).join(".cache")))?;
        Some(cache.join("roustabout"))
    })
}

/// The first program of that name in the folders of `path`.
pub(in crate::demo) fn on_path(name: &str, path: Option<OsString>) -> Option<PathBuf> {
    let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

/// Of the folders in `folder` that hold `program`, the one where it is newest.
pub(in crate::demo) fn newest_built(folder: &Path, program: &str) -> Option<PathBuf> {
    let built = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    built.filter(|folder| is_program(&folder.join(program))).max_by_key(|folder| {
        let built = fs::metadata(folder.join(program)).and_then(|meta| meta.modified());
        built.unwrap_or(SystemTime::UNIX_EPOCH)
    })
}

fn is_program(file: &Path) -> bool {
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
    fn the_explicit_path_wins_then_nomad_bin_then_path_then_the_built_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let said = program(&root.join("said"));
        let bin = program(&root.join("bin/other"));
        let on_path = program(&root.join("path/nomad"));
        let built = program(&root.join("home/.cache/roustabout/nomad/0123/nomad"));
        let env = |known: &[&str]| {
            let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
            let root = root.to_owned();
            move |name: &str| {
                let value = match name {
                    "NOMAD_BIN" => "bin/other",
                    "PATH" => "path",
                    "HOME" => "home",
                    _ => return None,
                };
                // PATH is always set to something of ours, so that the machine's is not asked.
                (known.iter().any(|k| k == name) || name == "PATH").then(|| {
                    let value = if known.iter().any(|k| k == name) { value } else { "nowhere" };
                    root.join(value).into_os_string()
                })
            }
        };
        let all = ["NOMAD_BIN", "PATH", "HOME"];
        assert_eq!(find_binary(Some(&said), env(&all)), Some(said));
        assert_eq!(find_binary(None, env(&all)), Some(bin));
        assert_eq!(find_binary(None, env(&all[1..])), Some(on_path));
        assert_eq!(find_binary(None, env(&all[2..])), Some(built));
        assert_eq!(find_binary(None, env(&[])), None);
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
