//! A client of Vault and OpenBao: KV version 2, and the ways to log in that need no person.
//!
//! It knows their API and nothing of why anybody wants what is there. It never sleeps, and repeats a request
//! only with a new token in place of one that was refused. Secrets are in types that do not print. Read
//! `transport` next (one request), then `session` (whose token), then `kv`.
//!
//! Source of all facts unless said otherwise: OpenBao 2.7.2, as it answers.

mod error;
mod kv;
mod login;
mod session;
mod system;
mod transport;

pub use error::Error;
pub use kv::{Entry, Fields, Metadata};
pub use login::{Login, Secret};
pub use session::Lease;
pub use system::MountKind;
pub use transport::{BuildError, Client, Connection};
