//! Registers the jobspec that we ship with the stand-in for actions/runner in the place of the
//! download; everything else is as on anybody's Nomad.

use anyhow::Context;
use sha2::{Digest, Sha256};
use url::Url;

use crate::nomad::Client;

/// Where it is in the sources.
pub const JOBSPEC_FILE: &str = "deploy/nomad/runner-raw-exec.nomad.hcl";
/// Its text.
pub const JOBSPEC: &str = include_str!("../../deploy/nomad/runner-raw-exec.nomad.hcl");

/// Registers it as `id`, with the runner fetched from `archive`.
pub async fn register(nomad: &Client, id: &str, archive: &Url) -> anyhow::Result<()> {
    let answer = reqwest::get(archive.clone()).await?.error_for_status()?;
    let checksum = hex::encode(Sha256::digest(answer.bytes().await?));
    // As root, for the agent may be; small, for many run on one machine. Nomad wants room for
    // the tasks' logs (100 MB) as the least disk.
    let place = nomad.place();
    let variables = format!(
        "job = {id:?}\nnamespace = {:?}\narch = {:?}\nrunner_archive = {:?}\n\
         runner_checksum = \"sha256:{checksum}\"\n\
         run_as_root = true\ncpu = 50\nmemory = 64\ndisk = 101\n",
        place.namespace,
        nomads_name_of(std::env::consts::ARCH),
        archive.as_str()
    );
    let job =
        nomad.parse_hcl(place, JOBSPEC, &variables).await.context("cannot read the jobspec")?;
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
