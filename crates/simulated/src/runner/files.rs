//! `.runner` and `.credentials`: what a configured runner keeps in its root.
//!
//! Their names are the real ones, their content is ours. Read next: `configure.rs`.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::protocol::Registered;

const SETTINGS: &str = ".runner";
const CREDENTIALS: &str = ".credentials";
/// Of runners with a configuration of their own.
const KEY: &str = ".credentials_rsaparams";

/// Content of `.runner`, fields named as the real one's.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    pub agent_id: u64,
    pub agent_name: String,
    pub git_hub_url: String,
    pub ephemeral: bool,
}

pub(super) fn configured(root: &Path) -> bool {
    root.join(SETTINGS).exists()
}

pub(super) fn write(root: &Path, settings: &Settings, registered: &Registered) -> io::Result<()> {
    fs::write(root.join(SETTINGS), serde_json::to_vec_pretty(settings)?)?;
    put(root, CREDENTIALS, &serde_json::to_vec_pretty(registered)?)
}

/// For nobody else to read.
pub(super) fn put(root: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = root.join(name);
    fs::write(&path, content)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

pub(super) fn read(root: &Path) -> io::Result<(Settings, Registered)> {
    let settings = serde_json::from_slice(&fs::read(root.join(SETTINGS))?)?;
    let registered = serde_json::from_slice(&fs::read(root.join(CREDENTIALS))?)?;
    Ok((settings, registered))
}

/// What an ephemeral runner does after its job, and `config.sh remove`.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    for name in [SETTINGS, CREDENTIALS, KEY] {
        match fs::remove_file(root.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
