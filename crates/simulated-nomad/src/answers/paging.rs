//! Pages of a list: which part of it, from which key on, and what a filter leaves.
//!
//! Read next: `filter/mod.rs`, `reading.rs`.

use serde_json::Value;

use super::filter::Filter;
use super::options::Options;
use super::refusal::Refusal;

/// The rows of the page that is asked for, and the key with which the next one begins. The rows
/// come in the order of their keys; `from` is where the page begins, `whole` gives a row's JSON for
/// the filter.
pub(super) fn page<K: Ord, T>(
    rows: impl Iterator<Item = (K, T)>,
    from: Option<&K>,
    descending: bool,
    options: &Options,
    whole: impl Fn(&T) -> Option<Value>,
) -> Result<(Vec<T>, Option<K>), Refusal> {
    let filter = Filter::read(&options.filter)?;
    let mut page = Vec::new();
    for (key, row) in rows {
        if from.is_some_and(|from| if descending { key > *from } else { key < *from }) {
            continue;
        }
        if let Some(filter) = &filter
            && !filter.holds(&whole(&row).unwrap_or_default())?
        {
            continue;
        }
        let full = i32::try_from(page.len()).is_ok_and(|length| length >= options.per_page);
        if options.per_page != 0 && full {
            return Ok((page, Some(key)));
        }
        page.push(row);
    }
    Ok((page, None))
}
