//! An allocation's folder as `/v1/client/fs/…` shows it: listings, files, logs.
//!
//! Only reads. Read next: `answers/client.rs`, which answers with it.

use std::fs::{self, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::folder::Folder;
use super::supervise::in_go;

/// What cannot be shown, in Nomad's words.
pub(crate) type Trouble = String;

/// # Errors
/// Where there is nothing of that name.
pub(crate) fn list(folder: &Folder, path: &str) -> Result<Value, Trouble> {
    let place = place(folder, path)?;
    let entries = fs::read_dir(&place).map_err(|error| trouble("open", &place, &error))?;
    let mut all: Vec<(String, Metadata)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?)))
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(all.iter().map(|(name, metadata)| about(name, metadata)).collect())
}

/// # Errors
/// Where there is nothing of that name.
pub(crate) fn stat(folder: &Folder, path: &str) -> Result<Value, Trouble> {
    let place = place(folder, path)?;
    let metadata = fs::metadata(&place).map_err(|error| trouble("stat", &place, &error))?;
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(about(&name.unwrap_or_default(), &metadata))
}

/// # Errors
/// Where it is no file, or one of a task's secrets.
pub(crate) fn read(
    folder: &Folder,
    path: &str,
    offset: u64,
    limit: Option<u64>,
) -> Result<Vec<u8>, Trouble> {
    let place = place(folder, path)?;
    let metadata = fs::metadata(&place).map_err(|error| trouble("stat", &place, &error))?;
    if is_secret(folder, &place) {
        return Err(format!("Reading secret file prohibited: {path}"));
    }
    if metadata.is_dir() {
        return Err(format!("file {path:?} is a directory"));
    }
    read_at(&place, offset, limit).map_err(|error| trouble("read", &place, &error))
}

/// What a task has written so far, from there on; nothing where it has written nothing.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn log(
    folder: &Folder,
    task: &str,
    stream: &str,
    offset: u64,
) -> Result<Vec<u8>, Trouble> {
    let place = folder.log(task, stream);
    match read_at(&place, offset, None) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| trouble("open", &place, &error)),
    }
}

/// How its log file is called in frames.
pub(crate) fn log_name(task: &str, stream: &str) -> String {
    format!("alloc/logs/{task}.{stream}.0")
}

fn read_at(place: &Path, offset: u64, limit: Option<u64>) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(place)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(limit.unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn place(folder: &Folder, path: &str) -> Result<PathBuf, Trouble> {
    folder.inside(folder.path(), path).ok_or_else(|| "Path escapes the alloc directory".to_owned())
}

fn is_secret(folder: &Folder, place: &Path) -> bool {
    let below = place.strip_prefix(folder.path()).ok();
    let part = below.and_then(|below| below.components().nth(1));
    part.is_some_and(|part| part.as_os_str() == "secrets")
}

fn trouble(doing: &str, place: &Path, error: &io::Error) -> Trouble {
    format!("{doing} {}: {}", place.display(), in_go(error))
}

fn about(name: &str, metadata: &Metadata) -> Value {
    let modified = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    json!({
        "Name": name, "IsDir": metadata.is_dir(), "Size": metadata.len(),
        "FileMode": mode(metadata), "ModTime": modified,
    })
}

/// As `ls -l` shows it.
fn mode(metadata: &Metadata) -> String {
    let kind = if metadata.is_dir() {
        'd'
    } else if metadata.is_symlink() {
        'L'
    } else {
        '-'
    };
    let bits = metadata.permissions().mode();
    let letter = |at: u32| match (bits >> at & 1 == 1, at % 3) {
        (false, _) => '-',
        (true, 2) => 'r',
        (true, 1) => 'w',
        (true, _) => 'x',
    };
    std::iter::once(kind).chain((0..9).rev().map(letter)).collect()
}
