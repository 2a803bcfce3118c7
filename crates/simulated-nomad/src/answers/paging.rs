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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answers::options::Query;

    fn asked(query: &str, from: Option<u64>, rows: &[u64]) -> (Vec<u64>, Option<u64>) {
        let options = Options::read(&Query::read(query)).unwrap_or_else(|why| panic!("{why:?}"));
        let rows = rows.iter().map(|row| (*row, *row));
        let json = |row: &u64| Some(json!({"N": row}));
        page(rows, from.as_ref(), options.reverse, &options, json).unwrap_or_default()
    }

    #[test]
    fn a_page_ends_where_the_next_one_begins() {
        let all = [1, 2, 3, 4];
        assert_eq!(asked("", None, &all), (vec![1, 2, 3, 4], None));
        assert_eq!(asked("per_page=2", None, &all), (vec![1, 2], Some(3)));
        assert_eq!(asked("per_page=2", Some(3), &all), (vec![3, 4], None));
        assert_eq!(asked("per_page=2&reverse=true", Some(3), &[4, 3, 2, 1]), (vec![3, 2], Some(1)));
        assert_eq!(asked("per_page=-1", None, &all), (vec![], Some(1)));
    }

    #[test]
    fn what_a_filter_leaves_out_fills_no_page() {
        let odd = "per_page=2&filter=N%20%21%3D%202";
        assert_eq!(asked(odd, None, &[1, 2, 3, 4]), (vec![1, 3], Some(4)));
    }
}
