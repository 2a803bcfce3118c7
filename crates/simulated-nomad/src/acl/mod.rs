//! Access control: policies, tokens, and what they allow. Pure, like the rest of the model.
//!
//! A token names policies (`tokens.rs`, `policies.rs`), whose rules (`rules.rs`, read by `hcl.rs`)
//! add up to rights (`grants.rs`) of whoever asks (`callers.rs`). Which call needs what, and how it
//! is refused, is the business of the answers (`answers/call.rs`).
//! Read next: `tables.rs`, then `callers.rs`.

pub mod callers;
pub mod capabilities;
pub mod grants;
mod hcl;
pub mod policies;
pub mod rules;
pub mod tables;
pub mod tokens;

pub use callers::{BadToken, Caller};
pub use capabilities::{Capability, OnNodePool, OnVariables};
pub use policies::{Attached, Claim, Policy, PolicyRequest};
pub use tables::{Acl, Refusal};
pub use tokens::{Lifetimes, Token, TokenKind, TokenRequest};
