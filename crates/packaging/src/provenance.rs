//! Where the files of a release come from: an in-toto statement with the SLSA provenance predicate, unsigned.
//! The workflow that releases has GitHub sign one of its own as well.

use std::path::Path;

use serde_json::{Value, json};

use crate::{Architecture, Release, checksums};

pub fn name(release: &Release) -> String {
    format!("roustabout-{}.intoto.jsonl", release.version)
}

/// How it was built, besides what [`Release`] says.
#[derive(Clone, Debug)]
pub struct Build {
    pub architectures: Vec<Architecture>,
    pub profile: String,
    /// What `rustc --version` says.
    pub compiler: String,
    /// Where the source is, such as `https://github.com/octocat/app`; empty where it is nowhere else.
    pub source: String,
    /// Who ran it: the workflow of a run of GitHub Actions, else empty.
    pub builder: String,
    pub run: String,
}

impl Build {
    /// What the variables of GitHub Actions say, where it runs there.
    pub fn here(architectures: Vec<Architecture>, profile: String, compiler: String) -> Self {
        let of = |name: &str| std::env::var(name).unwrap_or_default();
        let server = of("GITHUB_SERVER_URL");
        let (source, builder, run) = match of("GITHUB_ACTIONS").as_str() {
            "true" => (
                format!("{server}/{}", of("GITHUB_REPOSITORY")),
                format!("{server}/{}", of("GITHUB_WORKFLOW_REF")),
                format!(
                    "{server}/{}/actions/runs/{}/attempts/{}",
                    of("GITHUB_REPOSITORY"),
                    of("GITHUB_RUN_ID"),
                    of("GITHUB_RUN_ATTEMPT")
                ),
            ),
            _ => Default::default(),
        };
        Self { architectures, profile, compiler, source, builder, run }
    }
}

/// Of the files that are in the folder now.
pub fn make(
    release: &Release,
    build: &Build,
    folder: &Path,
    lock: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let statement = statement(release, build, &checksums::of_folder(folder)?, &checksums::of(lock));
    Ok(format!("{statement}\n").into_bytes())
}

fn statement(release: &Release, build: &Build, files: &[(String, String)], lock: &str) -> Value {
    let or = |text: &str, other: &str| if text.is_empty() { other } else { text }.to_owned();
    let subjects: Vec<Value> = files
        .iter()
        .map(|(name, sum)| json!({ "name": name, "digest": { "sha256": sum } }))
        .collect();
    let architectures: Vec<&str> = build.architectures.iter().map(|one| one.name()).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:roustabout:scripts/release:1",
                "externalParameters": {
                    "version": release.version, "architectures": architectures,
                    "profile": build.profile,
                },
                "internalParameters": { "compiler": build.compiler, "sourceDateEpoch": release.moment },
                "resolvedDependencies": [
                    {
                        "uri": format!("git+{}", or(&build.source, "urn:roustabout:source")),
                        "digest": { "gitCommit": release.commit },
                    },
                    { "name": "Cargo.lock", "digest": { "sha256": lock } },
                ],
            },
            "runDetails": {
                "builder": { "id": or(&build.builder, "urn:roustabout:local") },
                "metadata": { "invocationId": or(&build.run, "urn:roustabout:local") },
            },
        },
    })
}
