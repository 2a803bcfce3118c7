//! What the answers of forges have in common: redirects that are safe to follow, and the message of
//! a refusal.

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use strangers_text::harmless_up_to;
use url::Url;

/// Of a message that an error repeats.
const TEXT_LIMIT: usize = 500;

/// Where to ask again, if that is safe: the token goes to no other origin.
pub fn redirect(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    from: &Url,
) -> Option<Url> {
    let keeps_method = match status.as_u16() {
        301 | 302 => *method == Method::GET,
        307 | 308 => true,
        _ => false,
    };
    let target = from.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    (keeps_method && target.origin() == from.origin()).then_some(target)
}

/// A forge's own words, bounded and on one line.
pub fn forge_message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct WireError {
        #[serde(default)]
        message: String,
        /// A list for what is wrong with a request; a text where the message is only "Forbidden".
        #[serde(default)]
        errors: serde_json::Value,
    }
    let text = match serde_json::from_slice::<WireError>(body) {
        Ok(WireError { message, errors: serde_json::Value::String(more) }) => {
            format!("{message}: {more}")
        }
        Ok(WireError { message, .. }) => message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    harmless_up_to(&text, TEXT_LIMIT)
}
