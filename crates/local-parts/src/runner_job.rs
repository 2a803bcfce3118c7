//! Registers the jobspecs that we ship: GitHub's with the stand-in for actions/runner in the place
//! of the download, Gitea's with the real runner; everything else is as on anybody's Nomad.

use std::path::Path;

use anyhow::Context;
use nomad::Client;
use sha2::{Digest, Sha256};
use url::Url;

/// Where it is in the sources.
pub const JOBSPEC_FILE: &str = "deploy/nomad/runner-raw-exec.nomad.hcl";
/// Its text.
pub const JOBSPEC: &str = include_str!("../../../deploy/nomad/runner-raw-exec.nomad.hcl");

/// The one for Gitea's runners.
pub const GITEA_JOBSPEC_FILE: &str = "deploy/nomad/gitea-runner-raw-exec.nomad.hcl";
/// Its text.
pub const GITEA_JOBSPEC: &str =
    include_str!("../../../deploy/nomad/gitea-runner-raw-exec.nomad.hcl");

/// MB; small, for many run on one machine.
pub const MEMORY: u64 = 64;

/// Registers it as `id`, with the runner fetched from `archive`.
///
/// # Errors
/// When the archive cannot be had, or Nomad does not take the job.
pub async fn register(nomad: &Client, id: &str, archive: &Url) -> anyhow::Result<()> {
    register_with(nomad, id, archive, MEMORY).await
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
) -> anyhow::Result<()> {
    register_saying(nomad, id, archive, memory, "").await
}

/// As [`register_with`], with more of the jobspec's variables, as lines of HCL.
///
/// # Errors
/// As there.
pub async fn register_saying(
    nomad: &Client,
    id: &str,
    archive: &Url,
    memory: u64,
    more: &str,
) -> anyhow::Result<()> {
    let checksum = checksum_of(archive).await?;
    // As root, for the agent may be.
    let variables = format!(
        "{}runner_archive = {:?}\nrunner_checksum = {checksum:?}\nrun_as_root = true\n{more}",
        common_here(nomad, id, memory),
        archive.as_str()
    );
    register_as(nomad, id, JOBSPEC, &variables).await
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
    let place = nomad.place();
    nomad.register(place, &job).await.with_context(|| format!("cannot register the job {id}"))
}

/// What every jobspec of ours is registered with here. Nomad wants room for the tasks' logs
/// (100 MB) as the least disk.
fn common_here(nomad: &Client, id: &str, memory: u64) -> String {
    let (namespace, arch) = (&nomad.place().namespace, nomads_name_of(std::env::consts::ARCH));
    format!(
        "job = {id:?}\nnamespace = {namespace:?}\narch = {arch:?}\ncpu = 50\n\
         memory = {memory}\ndisk = 101\n"
    )
}

/// Nomad has Go's names for what Rust calls otherwise.
fn nomads_name_of(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
