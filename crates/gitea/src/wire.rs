//! Small helpers for reading Gitea's JSON. The structs stay private to the file of their call.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// A time that may be null, absent or, for "not yet", 1970. One that cannot be read is None: none
/// of these is relied on.
pub(super) fn maybe_time<'de, D>(deserializer: D) -> Result<Option<Timestamp>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    let time = text.and_then(|text| text.parse::<Timestamp>().ok());
    Ok(time.filter(|time| time.as_second() > 0))
}

/// `null` is the type's default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Gitea says nothing by leaving a text out or empty.
pub(super) fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
