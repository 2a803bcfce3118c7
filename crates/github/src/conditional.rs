//! What a conditional request comes to: nothing new, or the whole anew and the tag to ask with next.

/// An answer to a question that may not have changed. An unchanged one costs no rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conditional<T> {
    Unchanged,
    Fresh { value: T, etag: Option<String> },
}
