//! Registers the jobspecs that we ship: GitHub's with the stand-in for actions/runner in the place
//! of the download, Gitea's with the real runner; everything else is as on anybody's Nomad.

mod parsed;

use std::path::Path;

use anyhow::Context;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::nomad::Client;
pub use parsed::{PARSED, PLACEHOLDERS, Variables};

/// Where it is in the sources.
pub const JOBSPEC_FILE: &str = "deploy/nomad/runner-raw-exec.nomad.hcl";
/// Its text.
pub const JOBSPEC: &str = include_str!("../../deploy/nomad/runner-raw-exec.nomad.hcl");

/// The one for Gitea's runners.
pub const GITEA_JOBSPEC_FILE: &str = "deploy/nomad/gitea-runner-raw-exec.nomad.hcl";
/// Its text.
pub const GITEA_JOBSPEC: &str = include_str!("../../deploy/nomad/gitea-runner-raw-exec.nomad.hcl");

/// MB; small, for many run on one machine.
pub const MEMORY: u64 = 64;

/// Who reads the jobspec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Nomad,
    /// It reads no HCL, so it gets what Nomad made of it.
    StandIn,
}

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
    let checksum = checksum_of(archive).await?;
    let place = nomad.place();
    let variables = Variables {
        job: id,
        namespace: &place.namespace,
        arch: nomads_name_of(std::env::consts::ARCH),
        archive: archive.as_str(),
        checksum: &checksum,
        memory,
    };
    match reader {
        Reader::Nomad => register_as(nomad, id, JOBSPEC, &variables.file()).await,
        Reader::StandIn => register_job(nomad, id, &variables.parsed()).await,
    }
}

/// Registers the one for Gitea as `id`, with the runner that lies at `program` on this machine and
/// so much memory (MB).
///
/// # Errors
/// When Nomad does not take the job.
pub async fn register_for_gitea(
    nomad: &Client,
    id: &str,
    program: &Path,
    memory: u64,
) -> anyhow::Result<()> {
    let variables = format!("{}runner_path = {program:?}\n", common_here(nomad, id, memory));
    register_as(nomad, id, GITEA_JOBSPEC, &variables).await
}

/// The same, with the runner fetched from `program`.
///
/// # Errors
/// When that cannot be had, or Nomad does not take the job.
pub async fn register_for_gitea_from(
    nomad: &Client,
    id: &str,
    program: &Url,
) -> anyhow::Result<()> {
    let checksum = checksum_of(program).await?;
    let variables = format!(
        "{}runner_program = {:?}\nrunner_checksum = {checksum:?}\n",
        common_here(nomad, id, MEMORY),
        program.as_str()
    );
    register_as(nomad, id, GITEA_JOBSPEC, &variables).await
}

async fn checksum_of(archive: &Url) -> anyhow::Result<String> {
    let answer = reqwest::get(archive.clone()).await?.error_for_status()?;
    Ok(format!("sha256:{}", hex::encode(Sha256::digest(answer.bytes().await?))))
}

async fn register_as(
    nomad: &Client,
    id: &str,
    jobspec: &str,
    variables: &str,
) -> anyhow::Result<()> {
    let job = nomad
        .parse_hcl(nomad.place(), jobspec, variables)
        .await
        .context("cannot read the jobspec")?;
    register_job(nomad, id, &job).await
}

async fn register_job(nomad: &Client, id: &str, job: &Value) -> anyhow::Result<()> {
    let place = nomad.place();
    nomad.register(place, job).await.with_context(|| format!("cannot register the job {id}"))
}

/// What every jobspec of ours is registered with here. Nomad wants room for the tasks' logs
/// (100 MB) as the least disk.
fn common(id: &str, namespace: &str, arch: &str, memory: u64) -> String {
    format!(
        "job = {id:?}\nnamespace = {namespace:?}\narch = {arch:?}\ncpu = 50\n\
         memory = {memory}\ndisk = 101\n"
    )
}

fn common_here(nomad: &Client, id: &str, memory: u64) -> String {
    common(id, &nomad.place().namespace, nomads_name_of(std::env::consts::ARCH), memory)
}

/// Nomad has Go's names for what Rust calls otherwise.
fn nomads_name_of(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
