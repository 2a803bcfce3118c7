//! Files for secrets: readable by their owner alone, and never written over another.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

/// A folder in which files can be made: tried before anything is asked of GitHub, which tells a
/// secret only once.
pub fn writable(folder: &Path) -> anyhow::Result<PathBuf> {
    let cannot = || format!("cannot write to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(cannot)?;
    // Has no name, and goes when it is closed.
    tempfile::tempfile_in(folder).with_context(cannot)?;
    folder.canonicalize().with_context(cannot)
}

/// Writes it to `NAME`, or where that is taken to `NAME-2` and so on; which one it was.
pub fn write_new(folder: &Path, name: &str, secret: &SecretString) -> anyhow::Result<PathBuf> {
    for number in 1..100 {
        let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
        let path = folder.join(name);
        match create(&path) {
            Ok(file) => {
                return fill(file, secret).map(|()| path.clone()).or_else(|error| {
                    // Half a secret is none, and would take the name.
                    let _ = std::fs::remove_file(&path);
                    Err(error).with_context(|| format!("cannot write {}", path.display()))
                });
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create {}", path.display()));
            }
        }
    }
    anyhow::bail!("too many files in {} are named {name}", folder.display())
}

/// Puts it in place of what the file has, at once: whoever reads it finds the old or the new. Owner
/// and mode stay as they are, as far as they can.
pub fn replace(path: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    if let Ok(before) = std::fs::metadata(path) {
        use std::os::unix::fs::MetadataExt;
        new.as_file().set_permissions(before.permissions()).with_context(cannot)?;
        // Only root may give a file away; whoever is not owns it anyway.
        let _ = std::os::unix::fs::chown(new.path(), Some(before.uid()), Some(before.gid()));
    }
    writeln!(new, "{}", secret.expose_secret()).with_context(cannot)?;
    new.as_file().sync_all().with_context(cannot)?;
    new.persist(path).map_err(|error| error.error).with_context(cannot)?;
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn fill(mut file: File, secret: &SecretString) -> io::Result<()> {
    file.write_all(secret.expose_secret().trim_end().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_and_no_other_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let at = writable(&folder.path().join("new")).unwrap();
        let one = write_new(&at, "app.pem", &"first\n".into()).unwrap();
        let two = write_new(&at, "app.pem", &"second".into()).unwrap();
        assert!(one.ends_with("app.pem") && two.ends_with("app.pem-2"));
        for (path, text) in [(&one, "first\n"), (&two, "second\n")] {
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::set_permissions(&one, PermissionsExt::from_mode(0o640)).unwrap();
        replace(&one, &"third".into()).unwrap();
        assert_eq!(std::fs::read_to_string(&one).unwrap(), "third\n");
        assert_eq!(std::fs::metadata(&one).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(&at).unwrap().count(), 2, "nothing else is left");
    }
}
