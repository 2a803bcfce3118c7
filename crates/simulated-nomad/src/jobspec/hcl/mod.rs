//! Jobspecs in HCL 2: what `/v1/jobs/parse` makes of them. (Nomad `jobspec2/`.)
//!
//! The text is read by hcl-rs, and its expressions are evaluated by it; what blocks and arguments
//! there are is said by the tables in `../shapes/`. The errors are HCL's, as far as they are told
//! apart here: see `diagnostics.rs`. Names that only the client knows stay as they are.
//! Read next: `blocks.rs`, `values.rs`, `variables.rs`, `normal.rs`.

mod arithmetic;
mod blocks;
mod constraints;
mod diagnostics;
mod functions;
mod normal;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
mod types;
mod values;
mod variables;

use hcl::edit::Span as _;
use hcl::edit::structure::{Body, Structure};
use serde_json::{Map, Value};

use diagnostics::{Diagnostic, Source};
use values::Scope;

/// The blocks that stand outside of the job.
const OUTSIDE: [&str; 4] = ["job", "variable", "variables", "locals"];

/// A job in the asked form, without Nomad's defaults.
///
/// # Errors
/// What is wrong with the text, as HCL says it.
pub fn parse(text: &str, variables: &str) -> Result<Map<String, Value>, String> {
    let source = Source::new(text);
    let body = source.read().map_err(|one| one.to_string())?;
    let given =
        variables::given(variables).map_err(|one| format!("unable to parse var content: {one}"))?;
    let job = read(&source, &body, &given);
    job.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn read(
    source: &Source<'_>,
    body: &Body,
    given: &variables::Given,
) -> Result<Map<String, Value>, Vec<Diagnostic>> {
    for structure in body {
        match structure {
            Structure::Block(block) if OUTSIDE.contains(&block.ident.as_str()) => {}
            Structure::Block(block) => {
                return Err(vec![source.unexpected_block(block)]);
            }
            Structure::Attribute(attribute) => {
                return Err(vec![source.unexpected_argument(attribute)]);
            }
        }
    }
    let mut jobs = body.get_blocks("job");
    let Some(job) = jobs.next() else {
        return Err(vec![Diagnostic::nowhere("Missing job block", "A job block is required")]);
    };
    if let Some(second) = jobs.next() {
        let at = source.range(second.ident.span());
        let first = source.range(job.ident.span());
        let detail = format!("Only one job block is allowed. Another was defined at {first}.");
        return Err(vec![Diagnostic::new(at, "Duplicate job block", detail)]);
    }
    let mut scope = Scope::new(source);
    variables::declare(&mut scope, body, given)?;
    let label = match &job.labels[..] {
        [label] => label.as_str().to_owned(),
        _ => {
            let at = source.range(job.ident.span());
            let detail = "All job blocks must have 1 labels (name).";
            return Err(vec![Diagnostic::new(at, "Missing name for job", detail)]);
        }
    };
    let read = blocks::job(&scope, &job.body)?;
    Ok(normal::normalized(read, &label))
}
