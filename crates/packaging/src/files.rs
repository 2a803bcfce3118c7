//! A tree of files, and the tar of it: sorted, owned by root unless said otherwise, of one time. Missing
//! folders are added.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Context;
use flate2::{Compression, GzBuilder};

#[derive(Clone, Debug)]
enum Kind {
    Folder,
    File(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Entry {
    kind: Kind,
    mode: u32,
    /// User and group.
    owner: u64,
}

/// By path without a slash at its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(BTreeMap<String, Entry>);

impl Files {
    pub fn file(&mut self, path: impl Into<String>, mode: u32, content: impl Into<Vec<u8>>) {
        self.put(path.into(), Entry { kind: Kind::File(content.into()), mode, owner: 0 });
    }

    pub fn folder(&mut self, path: impl Into<String>, mode: u32, owner: u64) {
        self.put(path.into(), Entry { kind: Kind::Folder, mode, owner });
    }

    fn put(&mut self, path: String, entry: Entry) {
        let slashes = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
        for parent in slashes.collect::<Vec<_>>() {
            let folder = Entry { kind: Kind::Folder, mode: 0o755, owner: 0 };
            self.0.entry(parent).or_insert(folder);
        }
        self.0.insert(path, entry);
    }

    /// The files alone, by path.
    pub fn contents(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().filter_map(|(path, entry)| match &entry.kind {
            Kind::File(content) => Some((path.as_str(), content.as_slice())),
            Kind::Folder => None,
        })
    }

    /// Each path in it begins with `prefix`.
    pub fn tar(&self, prefix: &str, moment: u64) -> anyhow::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let (kind, content, end): (_, &[u8], _) = match &entry.kind {
                Kind::Folder => (tar::EntryType::Directory, &[], "/"),
                Kind::File(content) => (tar::EntryType::Regular, content, ""),
            };
            let mut head = tar::Header::new_gnu();
            head.set_entry_type(kind);
            head.set_mode(entry.mode);
            head.set_uid(entry.owner);
            head.set_gid(entry.owner);
            if entry.owner == 0 {
                head.set_username("root")?;
                head.set_groupname("root")?;
            }
            head.set_mtime(moment);
            head.set_size(content.len() as u64);
            // The crate takes a leading `./` away, which dpkg wants.
            let path = format!("{prefix}{path}{end}");
            let field = &mut head.as_old_mut().name;
            anyhow::ensure!(path.len() < field.len(), "{path} is too long for an archive");
            field[..path.len()].copy_from_slice(path.as_bytes());
            head.set_cksum();
            tar.append(&head, content).with_context(|| path.clone())?;
        }
        Ok(tar.into_inner()?)
    }
}

/// Without name and time.
pub(crate) fn gzip(bytes: &[u8], effort: u32) -> anyhow::Result<Vec<u8>> {
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(effort));
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tar_has_its_folders_first_and_nothing_of_this_machine() {
        let mut files = Files::default();
        files.file("usr/bin/program", 0o755, *b"x");
        files.folder("var/lib/own", 0o700, 7);
        let tar = files.tar("./", 5).unwrap();
        assert_eq!(tar, files.tar("./", 5).unwrap());
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries = archive.entries().unwrap().map(Result::unwrap);
        let said: Vec<String> = entries
            .map(|entry| {
                let head = entry.header();
                let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                let (mode, owner) = (head.mode().unwrap(), head.uid().unwrap());
                format!("{path} {mode:o} {owner} {}", head.mtime().unwrap())
            })
            .collect();
        assert_eq!(
            said,
            [
                "./usr/ 755 0 5",
                "./usr/bin/ 755 0 5",
                "./usr/bin/program 755 0 5",
                "./var/ 755 0 5",
                "./var/lib/ 755 0 5",
                "./var/lib/own/ 700 7 5",
            ]
        );
    }

    #[test]
    fn gzip_has_no_time() {
        assert_eq!(&gzip(b"x", 9).unwrap()[4..8], [0; 4]);
    }
}
