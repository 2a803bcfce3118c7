//! Access control: policies, tokens, and what they allow. Pure, like the rest of the model.
//!
//! A token names policies (`tokens.rs`, `policies.rs`), whose rules (`rules.rs`, read by `hcl.rs`)
//! add up to rights (`grants.rs`) of whoever asks (`callers.rs`). Which call needs what, and how it
//! is refused, is the business of the answers (`answers/calls.rs`).
//! Read next: `tables.rs`, then `callers.rs`.

pub mod callers;
pub mod capabilities;
pub mod grants;
mod hcl;
pub(crate) mod lengths;
pub mod policies;
pub mod rules;
pub mod tables;
pub mod tokens;

pub use callers::{BadToken, Caller};
pub use capabilities::{Capability, OnVariables};
pub use policies::{Attached, Claim, Policy, PolicyRequest};
pub use tables::{Acl, Refusal};
pub use tokens::{Lifetimes, Token, TokenKind, TokenRequest};

/// Several complaints as one text.
fn several(wrong: &[String]) -> String {
    let count = match wrong.len() {
        1 => "1 error".to_owned(),
        more => format!("{more} errors"),
    };
    let all: Vec<String> = wrong.iter().map(|one| format!("\t* {one}\n")).collect();
    format!("{count} occurred:\n{}\n", all.concat())
}
