//! Unpacks the archives that an artifact can be: tar, tar.gz, zip, and one file in gzip.
//!
//! Nothing in an archive leads out of where it is unpacked to. Read next: `artifact.rs`.

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use super::folder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tar,
    TarGz,
    Gz,
    Zip,
}

impl Kind {
    /// By the end of a file's name.
    pub fn of(name: &str) -> Option<Self> {
        let ends = |end: &str| name.ends_with(end);
        if ends(".tar.gz") || ends(".tgz") {
            Some(Self::TarGz)
        } else if ends(".tar") {
            Some(Self::Tar)
        } else if ends(".gz") {
            Some(Self::Gz)
        } else if ends(".zip") {
            Some(Self::Zip)
        } else {
            None
        }
    }
}

/// `shown`: how the archive is called in an error. `one_file`: the archive holds one, which becomes
/// `to` itself.
///
/// # Errors
/// In go-getter's words.
pub(super) fn unpack(
    kind: Kind,
    bytes: &[u8],
    shown: &Path,
    to: &Path,
    one_file: bool,
) -> Result<(), String> {
    let shown = shown.display();
    match kind {
        Kind::Tar => untar(bytes, to, one_file),
        Kind::TarGz | Kind::Gz => {
            if let Some(why) = no_gzip(bytes) {
                return Err(format!("Error opening a gzip reader for {shown}: {why}"));
            }
            let mut reader = GzDecoder::new(bytes);
            if kind == Kind::TarGz {
                return untar(reader, to, one_file);
            }
            let mut plain = Vec::new();
            reader.read_to_end(&mut plain).map_err(in_words)?;
            folder::write(to, &plain, 0o644).map_err(in_words)
        }
        Kind::Zip => unzip(bytes, to, one_file),
    }
}

fn no_gzip(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [] => Some("EOF"),
        _ if bytes.len() < 10 => Some("unexpected EOF"),
        [0x1f, 0x8b, ..] => None,
        _ => Some("gzip: invalid header"),
    }
}

fn untar(reader: impl Read, to: &Path, one_file: bool) -> Result<(), String> {
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(true);
    if one_file {
        for entry in archive.entries().map_err(in_words)? {
            let mut entry = entry.map_err(in_words)?;
            if entry.header().entry_type().is_file() {
                if let Some(above) = to.parent() {
                    folder::make_all(above).map_err(in_words)?;
                }
                return entry.unpack(to).map(drop).map_err(in_words);
            }
        }
        return Err("empty archive".to_owned());
    }
    folder::make_all(to).map_err(in_words)?;
    archive.unpack(to).map_err(in_words)
}

fn unzip(bytes: &[u8], to: &Path, one_file: bool) -> Result<(), String> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    if !one_file {
        folder::make_all(to).map_err(in_words)?;
        return archive.extract(to).map_err(|error| error.to_string());
    }
    let mut file = archive.by_index(0).map_err(|error| error.to_string())?;
    if let Some(above) = to.parent() {
        folder::make_all(above).map_err(in_words)?;
    }
    let mut made = fs::File::create(to).map_err(in_words)?;
    io::copy(&mut file, &mut made).map(drop).map_err(in_words)
}

fn in_words(error: io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o755);
        header.set_cksum();
        tar.append_data(&mut header, "bin/run", &b"abc"[..]).unwrap();
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        let shown = Path::new("x");
        unpack(Kind::TarGz, &bytes, shown, &folder.path().join("all"), false).unwrap();
        assert_eq!(fs::read(folder.path().join("all/bin/run")).unwrap(), b"abc");
        unpack(Kind::TarGz, &bytes, shown, &folder.path().join("one"), true).unwrap();
        assert_eq!(fs::read(folder.path().join("one")).unwrap(), b"abc");
        for (bytes, why) in
            [(&b"abc"[..], "unexpected EOF"), (b"0123456789", "gzip: invalid header")]
        {
            let found = unpack(Kind::Gz, bytes, shown, folder.path(), false).unwrap_err();
            assert_eq!(found, format!("Error opening a gzip reader for x: {why}"));
        }
    }
}
