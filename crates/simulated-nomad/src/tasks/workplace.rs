//! Where and with what a client runs its tasks.
//!
//! Plain data, from the agent's configuration. Read next: `client.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::vault::VaultAccess;

/// Where and with what an allocation's processes run.
#[derive(Clone, Debug)]
pub struct Workplace {
    /// Has one folder for each allocation.
    pub root: PathBuf,
    /// This program, which supervises each task: see `supervise.rs`.
    pub program: PathBuf,
}

/// What a task can learn of its node.
#[derive(Clone, Debug)]
pub struct Site {
    /// What tasks inherit of the agent's environment.
    pub environment: BTreeMap<String, String>,
    pub region: String,
    pub datacenter: String,
    /// `attr.kernel.name`, `node.unique.name`, `meta.rack`, …
    pub facts: BTreeMap<String, String>,
    /// Where tasks get their tokens of Vault.
    pub vault: Option<VaultAccess>,
}
