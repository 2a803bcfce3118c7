//! The client's side of the stand-in: runs the tasks of allocations as local processes, as
//! `raw_exec` does, and tells the servers how they are.
//!
//! Read next: `client.rs` (all allocations), `allocation.rs` (one), `life.rs` (one task of it),
//! `process.rs` and `supervise.rs` (its process), `files.rs` (its folder over HTTP).

mod allocation;
mod api_socket;
mod archive;
mod artifact;
mod assignment;
mod client;
mod config;
mod coordination;
mod envfile;
mod environment;
pub(crate) mod files;
mod folder;
mod group;
mod hcl;
mod identities;
mod interpolation;
mod life;
mod prepare;
mod process;
mod rendering;
mod servers;
pub mod supervise;
mod template;
mod vault;
mod workplace;

pub use assignment::Assignment;
pub use client::Client;
pub(crate) use folder::Folder;
pub use servers::{IdentityAsked, Update, VariableAsked};
pub use template::Items;
pub use vault::VaultAccess;
pub use workplace::{Site, Workplace};
