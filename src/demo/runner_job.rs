//! Registers the jobspecs that we ship: GitHub's with the stand-in for actions/runner in the place
//! of the download, Gitea's with the real runner; everything else is as on anybody's Nomad.

use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};
use url::Url;

use crate::nomad::Client;

/// Where it is in the sources.
pub const JOBSPEC_FILE: &str = "deploy/nomad/runner-raw-exec.nomad.hcl";
/// Its text.
pub const JOBSPEC: &str = include_str!("../../deploy/nomad/runner-raw-exec.nomad.hcl");

/// The one for Gitea's runners.
pub const GITEA_JOBSPEC_FILE: &str = "deploy/nomad/gitea-runner-raw-exec.nomad.hcl";
/// Its text.
pub const GITEA_JOBSPEC: &str = include_str!("../../deploy/nomad/gitea-runner-raw-exec.nomad.hcl");

/// Registers it as `id`, with the runner fetched from `archive`.
pub async fn register(nomad: &Client, id: &str, archive: &Url) -> anyhow::Result<()> {
    let checksum = checksum_of(archive).await?;
    // As root, for the agent may be.
    let variables = format!(
        "runner_archive = {:?}\nrunner_checksum = {checksum:?}\nrun_as_root = true\n",
        archive.as_str()
    );
    register_as(nomad, id, JOBSPEC, &variables).await
}

/// Registers the one for Gitea as `id`, with the runner that lies at `program` on this machine.
pub async fn register_for_gitea(nomad: &Client, id: &str, program: &Path) -> anyhow::Result<()> {
    let variables = format!("runner_path = {program:?}\n");
    register_as(nomad, id, GITEA_JOBSPEC, &variables).await
}

/// The same, with the runner fetched from `program`.
pub async fn register_for_gitea_from(
    nomad: &Client,
    id: &str,
    program: &Url,
) -> anyhow::Result<()> {
    let checksum = checksum_of(program).await?;
    let variables =
        format!("runner_program = {:?}\nrunner_checksum = {checksum:?}\n", program.as_str());
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
    let place = nomad.place();
    // Small, for many run on one machine. Nomad wants room for the tasks' logs (100 MB) as the
    // least disk.
    let variables = format!(
        "job = {id:?}\nnamespace = {:?}\narch = {:?}\ncpu = 50\nmemory = 64\ndisk = 101\n{variables}",
        place.namespace,
        nomads_name_of(std::env::consts::ARCH),
    );
    let job =
        nomad.parse_hcl(place, jobspec, &variables).await.context("cannot read the jobspec")?;
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
