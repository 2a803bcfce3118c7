//! Registers the jobspec that we ship with the stand-in for actions/runner in the place of the
//! download; everything else is as on anybody's Nomad.

use anyhow::Context;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::nomad::Client;

/// Where it is in the sources.
pub const JOBSPEC_FILE: &str = "deploy/nomad/runner-raw-exec.nomad.hcl";
/// Its text.
pub const JOBSPEC: &str = include_str!("../../deploy/nomad/runner-raw-exec.nomad.hcl");

/// As Nomad parses it with [`variables`] of these: for the stand-in, which reads no HCL.
pub const PARSED: &str = include_str!("runner-raw-exec.json");

/// What the jobspec is registered with.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    pub job: &'a str,
    pub namespace: &'a str,
    pub arch: &'a str,
    pub archive: &'a str,
    /// `sha256:HEX`.
    pub checksum: &'a str,
    /// MB of the runner's task.
    pub memory: u64,
}

/// In [`PARSED`] these stand for what they are called, and this number for the memory.
pub const PLACEHOLDERS: Variables<'_> = Variables {
    job: "@job@",
    namespace: "@namespace@",
    arch: "@arch@",
    archive: "@archive@",
    checksum: "@checksum@",
    memory: 987_654_321,
};

impl Variables<'_> {
    /// The text of a variables file.
    #[must_use]
    pub fn file(&self) -> String {
        let Self { job, namespace, arch, archive, checksum, memory } = self;
        // As root, for the agent may be; small, for many run on one machine. Nomad wants room for
        // the tasks' logs (100 MB) as the least disk.
        format!(
            "job = {job:?}\nnamespace = {namespace:?}\narch = {arch:?}\n\
             runner_archive = {archive:?}\nrunner_checksum = {checksum:?}\n\
             run_as_root = true\ncpu = 50\nmemory = {memory}\ndisk = 101\n",
        )
    }

    /// [`PARSED`] with these in it.
    fn filled_in(&self) -> Value {
        let text = |it: &str| it.replace(['"', '\\'], "");
        let text = PARSED
            .replace(PLACEHOLDERS.job, &text(self.job))
            .replace(PLACEHOLDERS.namespace, &text(self.namespace))
            .replace(PLACEHOLDERS.arch, &text(self.arch))
            .replace(PLACEHOLDERS.archive, &text(self.archive))
            .replace(PLACEHOLDERS.checksum, &text(self.checksum))
            .replace(&PLACEHOLDERS.memory.to_string(), &self.memory.to_string());
        serde_json::from_str(&text).expect("a test reads it, and no quote was put in")
    }
}

/// Who reads the jobspec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Nomad,
    StandIn,
}

/// Small, for many run on one machine.
pub const MEMORY: u64 = 64;

/// Registers it as `id`, with the runner fetched from `archive`.
///
/// # Errors
/// When the archive cannot be had, or Nomad does not take the job.
pub async fn register(nomad: &Client, id: &str, archive: &Url) -> anyhow::Result<()> {
    register_with(nomad, id, archive, MEMORY, Reader::Nomad).await
}

/// As [`register`], with so much memory (MB).
///
/// # Errors
/// As there.
pub async fn register_with(
    nomad: &Client,
    id: &str,
    archive: &Url,
    memory: u64,
    reader: Reader,
) -> anyhow::Result<()> {
    let answer = reqwest::get(archive.clone()).await?.error_for_status()?;
    let checksum = format!("sha256:{}", hex::encode(Sha256::digest(answer.bytes().await?)));
    let place = nomad.place();
    let variables = Variables {
        job: id,
        namespace: &place.namespace,
        arch: nomads_name_of(std::env::consts::ARCH),
        archive: archive.as_str(),
        checksum: &checksum,
        memory,
    };
    let job = match reader {
        Reader::Nomad => nomad
            .parse_hcl(place, JOBSPEC, &variables.file())
            .await
            .context("cannot read the jobspec")?,
        Reader::StandIn => variables.filled_in(),
    };
    nomad.register(place, &job).await.with_context(|| format!("cannot register the job {id}"))
}

/// Nomad has Go's names for what Rust calls otherwise.
fn nomads_name_of(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
