//! Small helpers for reading Nomad's JSON: Go writes `null` for empty lists and maps, and times as
//! nanoseconds since 1970.
//!
//! The structs themselves stay private to the file of the call that reads them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

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
