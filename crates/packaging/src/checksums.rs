//! `SHA256SUMS`, as `sha256sum --check` reads it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

pub const FILE: &str = "SHA256SUMS";

pub fn of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Of each file of a folder but the list itself, by name.
pub fn of_folder(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && name != FILE {
            found.push((name, of(&fs::read(entry.path())?)));
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub fn write(folder: &Path) -> anyhow::Result<()> {
    let list = of_folder(folder)?;
    let lines: String = list.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    fs::write(folder.join(FILE), lines).with_context(|| folder.display().to_string())
}
