//! Workload identities: what a task can prove that it is, as a JWT that the servers sign.
//!
//! Pure but for the key's own making. What a holder may do is for `acl/`; where a task finds its
//! identities is in `tasks/identities.rs`.
//! Read next: `spec.rs` (the block of a jobspec), `claims.rs`, `keys.rs`, `proof.rs`.

mod base64url;
mod claims;
mod keys;
mod proof;
mod reading;
mod spec;

pub(crate) use claims::Claims;
pub(crate) use keys::Keyring;
pub(crate) use reading::Sight;
pub(crate) use spec::{ChangeMode, IdentitySpec};
