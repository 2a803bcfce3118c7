//! Fetches a task's artifacts over HTTP, holds them to their checksums and puts them where they
//! belong, unpacked where they are archives.
//!
//! Other ways to fetch one (git, S3) are refused, as an unknown one is. Read next: `archive.rs`.
//! (hashicorp/go-getter; the words are those of a task's event.)

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256, Sha512};

use super::archive::{self, Kind};
use super::environment::Environment;
use super::folder::{self, Folder};
use super::group::Artifact;
use super::supervise::in_go;

/// # Errors
/// In the words of a failed download.
pub(super) async fn fetch(
    artifact: &Artifact,
    environment: &Environment,
    folder: &Folder,
    task: &str,
) -> Result<(), String> {
    let source = environment.fill_in(&artifact.getter_source);
    let failed = |why: String| format!("failed to download artifact {source:?}: {why}");
    let to = environment.fill_in(artifact.relative_dest.as_deref().unwrap_or("local/"));
    let to = folder.inside(&folder.task(task), &to).ok_or_else(|| {
        failed("artifact destination path escapes the alloc directory".to_owned())
    })?;
    let getter = |why: String| {
        failed(format!(
            "getter subprocess failed: exit status 1: failed to download artifact: {why}"
        ))
    };
    let getting = Getting { artifact, environment, source: &source, to, task: folder.task(task) };
    getting.get().await.map_err(getter)
}

struct Getting<'a> {
    artifact: &'a Artifact,
    environment: &'a Environment,
    source: &'a str,
    to: PathBuf,
    task: PathBuf,
}

impl Getting<'_> {
    async fn get(&self) -> Result<(), String> {
        let url = Url::parse(self.source).map_err(|error| error.to_string())?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(format!("download not supported for scheme '{}'", url.scheme()));
        }
        let name = url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
        let archive = match self.option("archive").as_deref() {
            Some("false") => None,
            Some(name) => Kind::of(&format!("x.{name}")),
            None => Kind::of(&name),
        };
        let bytes = download(url, self.headers()).await?;
        let mode = self.artifact.getter_mode.as_deref().unwrap_or("any");
        let one_file = mode == "file";
        let name = self.option("filename").unwrap_or(name);
        let name = if name.is_empty() { "artifact".to_owned() } else { name };
        let file = if one_file { self.to.clone() } else { self.to.join(name) };
        let Some(kind) = archive else {
            // As the real one: the file is there, and then it is judged.
            store(&file, &bytes)?;
            return self.check(&bytes, &file);
        };
        let scratch = self.scratch();
        self.check(&bytes, &scratch)?;
        store(&scratch, &bytes)?;
        let unpacked = archive::unpack(
            kind,
            &bytes,
            &scratch,
            if one_file { &file } else { &self.to },
            one_file,
        );
        if let Some(folder) = scratch.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
        unpacked
    }

    fn option(&self, name: &str) -> Option<String> {
        let options = self.artifact.getter_options.as_ref()?;
        options.get(name).map(|text| self.environment.fill_in(text)).filter(|it| !it.is_empty())
    }

    fn headers(&self) -> HeaderMap {
        let given: BTreeMap<String, String> =
            self.artifact.getter_headers.clone().unwrap_or_default();
        let pair = |(name, value): (String, String)| {
            let value = self.environment.fill_in(&value);
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        given.into_iter().filter_map(pair).collect()
    }

    fn scratch(&self) -> PathBuf {
        let number: u32 = rand::rng().random();
        self.task.join("tmp").join(format!("getter{number}")).join("archive")
    }

    fn check(&self, bytes: &[u8], file: &Path) -> Result<(), String> {
        match self.option("checksum") {
            Some(wanted) => hold_to(&wanted, bytes, file),
            None => Ok(()),
        }
    }
}

/// `wanted`: `sha256:…`, `sha512:…`, or the digits alone.
fn hold_to(wanted: &str, bytes: &[u8], file: &Path) -> Result<(), String> {
    let (kind, digits) = wanted
        .split_once(':')
        .unwrap_or((if wanted.len() == 128 { "sha512" } else { "sha256" }, wanted));
    let (found, name) = match kind {
        "sha256" => (hex::encode(Sha256::digest(bytes)), "*sha256.Digest"),
        "sha512" => (hex::encode(Sha512::digest(bytes)), "*sha512.Digest"),
        _ => return Err(format!("unsupported checksum type: {kind}")),
    };
    let digits = digits.to_ascii_lowercase();
    if found == digits {
        return Ok(());
    }
    let file = file.display();
    Err(format!("Checksums did not match for {file}.\nExpected: {digits}\nGot: {found}\n{name}"))
}

fn store(file: &Path, bytes: &[u8]) -> Result<(), String> {
    folder::write(file, bytes, 0o644).map_err(|error| in_go(&error))
}

async fn download(url: Url, headers: HeaderMap) -> Result<Vec<u8>, String> {
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    let answer = http.get(url.clone()).headers(headers).send().await;
    let answer = answer.map_err(|error| unreachable(&url, &error))?;
    if !answer.status().is_success() {
        return Err(format!("bad response code: {}", answer.status().as_u16()));
    }
    let bytes = answer.bytes().await.map_err(|error| unreachable(&url, &error))?;
    Ok(bytes.to_vec())
}

fn unreachable(url: &Url, error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(one) = cause {
        if let Some(error) = one.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some()
        {
            let host = url.host_str().unwrap_or_default();
            let port = url.port_or_known_default().unwrap_or_default();
            let why = in_go(error);
            return format!("Get \"{url}\": dial tcp {host}:{port}: connect: {why}");
        }
        cause = one.source();
    }
    format!("Get \"{url}\": {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_to_its_checksum() {
        let found = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hold_to = |wanted: &str| hold_to(wanted, b"abc", Path::new("/x"));
        assert_eq!(hold_to(found), Ok(()));
        assert_eq!(hold_to(&format!("sha256:{}", found.to_uppercase())), Ok(()));
        let why = hold_to("sha256:00").unwrap_err();
        assert_eq!(
            why,
            format!("Checksums did not match for /x.\nExpected: 00\nGot: {found}\n*sha256.Digest")
        );
        assert!(hold_to("crc32:00").is_err());
    }
}
