//! A configuration for one runner: `run.sh --jitconfig`.
//!
//! As the real one, it is the base64 of a JSON object of file names and their content in base64; the
//! runner writes them into its root (`Runner.cs`). Read next: `files.rs`.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::files::{self, Settings};
use super::{Environment, Failure};
use crate::github::jit::packed;
use crate::protocol::Registered;

/// What is in it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The page of the repository or organization.
    pub url: String,
    pub name: String,
    pub registered: Registered,
    /// What the real one's private key takes up.
    pub key: String,
}

impl Config {
    #[must_use]
    pub fn encoded(&self) -> String {
        let settings = Settings {
            agent_id: self.registered.id,
            agent_name: self.name.clone(),
            git_hub_url: self.url.clone(),
            ephemeral: true,
        };
        let text = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        packed(&[
            (".runner", text(serde_json::to_string(&settings))),
            (".credentials", text(serde_json::to_string(&self.registered))),
            (".credentials_rsaparams", self.key.clone()),
        ])
    }

    /// `None`: it is none.
    #[must_use]
    pub fn decoded(text: &str) -> Option<Self> {
        let found = unpacked(text)?;
        let of = |name: &str| found.iter().find(|(it, _)| it == name).map(|(_, content)| content);
        let settings: Settings = serde_json::from_slice(of(".runner")?).ok()?;
        let registered = serde_json::from_slice(of(".credentials")?).ok()?;
        let key = String::from_utf8(of(".credentials_rsaparams")?.clone()).ok()?;
        Some(Self { url: settings.git_hub_url, name: settings.agent_name, registered, key })
    }
}

fn unpacked(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let object: Value = serde_json::from_slice(&STANDARD.decode(text.trim()).ok()?).ok()?;
    let files = object.as_object()?.iter().map(|(name, content)| {
        let inside = !name.contains('/') && name.starts_with('.');
        Some((name.clone(), STANDARD.decode(content.as_str()?).ok()?)).filter(|_| inside)
    });
    files.collect()
}

/// Writes the files of a configuration that was given, as an option or in the environment.
pub(super) fn set_up(
    root: &Path,
    args: &[String],
    environment: &Environment,
) -> Result<(), Failure> {
    let option = args.iter().position(|arg| arg == "--jitconfig");
    let option = option.and_then(|at| args.get(at + 1));
    let Some(text) = option.or_else(|| environment.get(VARIABLE)) else { return Ok(()) };
    let files = unpacked(text).ok_or_else(|| {
        Failure::Usage("Invalid configuration provided for jitconfig.".to_owned())
    })?;
    for (name, content) in files {
        files::put(root, &name, &content)?;
    }
    Ok(())
}

/// The listener takes it out of its own environment (`CommandSettings.cs`).
pub(super) const VARIABLE: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
