//! Filter expressions (`?filter=`), in the language of hashicorp/go-bexpr, on the JSON of what is
//! listed.
//!
//! Read next: `parsing.rs` (the language), `matching.rs` (what an expression means).

mod matching;
mod parsing;
mod regexp;

use serde_json::Value;

use super::refusal::Refusal;
use parsing::Expression;

#[derive(Debug)]
pub(super) struct Filter(Expression);

impl Filter {
    /// None where nothing is asked for.
    pub fn read(text: &str) -> Result<Option<Self>, Refusal> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |why| {
            let stage = "failed to create result paginator: failed to read filter expression";
            Refusal::new(400, format!("{stage}: {why}"))
        };
        parsing::parse(text).map(|it| Some(Self(it))).map_err(wrong)
    }

    pub fn holds(&self, of: &Value) -> Result<bool, Refusal> {
        let wrong = |why| Refusal::new(400, format!("failed to read result page: {why}"));
        matching::holds(&self.0, of).map_err(wrong)
    }
}
