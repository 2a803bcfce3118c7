//! Small helpers for reading Nomad's JSON: Go writes `null` for empty lists and maps, and times as
//! nanoseconds since 1970.
//!
//! The structs themselves stay private to the file of the call that reads them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use strangers_text::harmless_up_to;

/// Of a text that people are told: drivers' and schedulers' words can be long.
const TEXT_LIMIT: usize = 500;

/// Text for people. Nodes, jobs, drivers and images choose it, so it is made harmless here; ids, by
/// which more is asked, are not read by it.
pub(super) fn text(text: &str) -> String {
    harmless_up_to(text, TEXT_LIMIT)
}

/// A map that Go may have written as `null`.
pub(super) type Map<T> = Option<BTreeMap<String, T>>;

/// `null` and absence are the type's default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Go's zero and what no calendar holds become 1970.
pub(super) fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Go has no absence for strings: empty is None.
pub(super) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
