//! The files of the stand-in: written into a folder, or as the `.tar.gz` that jobspecs download.
//!
//! Read next: `config.sh`, `run.sh`.

use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Name, mode and content of each file; `binary` is the program the scripts call.
fn files(binary: &Path) -> [(&'static str, u32, Vec<u8>); 3] {
    [
        ("config.sh", 0o755, include_bytes!("config.sh").to_vec()),
        ("run.sh", 0o755, include_bytes!("run.sh").to_vec()),
        (".simulated-by", 0o644, binary.as_os_str().as_encoded_bytes().to_vec()),
    ]
}

/// Writes the files into a folder, as unpacking the archive there would.
///
/// # Errors
/// When the folder cannot be made or written to.
pub fn write_to(folder: &Path, binary: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, mode, content) in files(binary) {
        let path = folder.join(name);
        std::fs::write(&path, content)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        }
        #[cfg(not(unix))]
        let _ = mode;
    }
    Ok(())
}

/// The archive that stands in for `actions-runner-linux-x64-VERSION.tar.gz`.
#[must_use]
pub fn tar_gz(binary: &Path) -> Vec<u8> {
    #[expect(clippy::unwrap_used, reason = "writing to memory does not fail")]
    packed(binary).unwrap()
}

fn packed(binary: &Path) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, mode, content) in files(binary) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        tar.append_data(&mut header, name, content.as_slice())?;
    }
    tar.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_archive_unpacks_with_executable_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("actions-runner.tar.gz");
        std::fs::write(&archive, tar_gz(Path::new("/opt/roustabout"))).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("xzf").arg(&archive).arg("-C").arg(folder.path());
        let status = tar.status().unwrap();
        assert!(status.success());
        for script in ["config.sh", "run.sh"] {
            let found = std::fs::metadata(folder.path().join(script)).unwrap();
            assert_eq!(found.permissions().mode() & 0o777, 0o755, "{script}");
        }
        let by = std::fs::read_to_string(folder.path().join(".simulated-by")).unwrap();
        assert_eq!(by, "/opt/roustabout");
    }

    #[test]
    fn the_scripts_hand_their_options_on() {
        let folder = tempfile::tempdir().unwrap();
        write_to(folder.path(), Path::new("/bin/echo")).unwrap();
        let call = |script: &str| {
            let mut command = Command::new(folder.path().join(script));
            command.args(["--name", "two words"]).env("RUNNER_ALLOW_RUNASROOT", "1");
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let root = folder.path().canonicalize().unwrap();
        let root = root.display();
        let given = format!("simulated-runner config {root} --name two words\n");
        assert_eq!(call("config.sh"), given);
        assert_eq!(call("run.sh"), given.replace(" config ", " run "));
    }
}
