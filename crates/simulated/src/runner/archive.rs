//! The files of the stand-in: written into a folder, or as the `.tar.gz` that jobspecs download.
//!
//! The archive is a few hundred bytes, so it is a plain ustar inside a gzip that compresses nothing.
//! Read next: `config.sh`, `run.sh`.

use std::io;
use std::path::Path;

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
    let mut tar = Vec::new();
    for (name, mode, content) in files(binary) {
        tar.extend_from_slice(&header(name, mode, content.len()));
        tar.extend_from_slice(&content);
        tar.resize(tar.len().next_multiple_of(RECORD), 0);
    }
    tar.resize(tar.len() + 2 * RECORD, 0);
    gzip(&tar)
}

const RECORD: usize = 512;

/// One ustar header (POSIX.1-2017, pax, "ustar Interchange Format").
fn header(name: &str, mode: u32, size: usize) -> [u8; RECORD] {
    let mut header = [0_u8; RECORD];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A gzip member (RFC 1952) of stored blocks (RFC 1951, 3.2.4).
fn gzip(content: &[u8]) -> Vec<u8> {
    const LONGEST: usize = 0xffff;
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = content.chunks(LONGEST).peekable();
    while let Some(chunk) = chunks.next() {
        out.push(u8::from(chunks.peek().is_none()));
        #[expect(clippy::cast_possible_truncation, reason = "a chunk is at most 65535 long")]
        let length = chunk.len() as u16;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(&crc32(content).to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "the format has the length modulo 2^32")]
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out
}

/// RFC 1952, 8.
fn crc32(content: &[u8]) -> u32 {
    !content.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
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

    #[test]
    fn crc_of_the_standard_check_string() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
