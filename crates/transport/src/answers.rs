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
        Ok(WireError { message, errors }) => match details(&errors) {
            details if details.is_empty() => message,
            details => format!("{message}: {details}"),
        },
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    harmless_up_to(&text, TEXT_LIMIT)
}

/// Of a list, what each says: a text, or an object with a message or with field and code.
fn details(errors: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    match errors {
        serde_json::Value::String(one) => one.clone(),
        serde_json::Value::Array(all) => {
            let one = |error: &serde_json::Value| {
                let named =
                    || Some(format!("{} {}", error["field"].as_str()?, error["code"].as_str()?));
                text(error).or_else(|| text(&error["message"])).or_else(named)
            };
            all.iter().filter_map(one).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}

/// Why a body was not the JSON that was expected. The value that is there may be a secret, and is not named.
pub fn misread(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Only names of our own fields.
    if text.starts_with("missing field") {
        return text;
    }
    let what = match error.classify() {
        serde_json::error::Category::Data => "a value of another type than expected",
        serde_json::error::Category::Eof => "JSON that ends early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "no JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_request_is_told() {
        let told = |errors: &str| {
            let body = format!(r#"{{"message": "Validation Failed", "errors": {errors}}}"#);
            forge_message(body.as_bytes())
        };
        let hook = r#"[{"resource": "Hook", "code": "custom", "message": "Hook already exists"}]"#;
        assert_eq!(told(hook), "Validation Failed: Hook already exists");
        let two = r#"[{"field": "name", "code": "missing"}, "x"]"#;
        assert_eq!(told(two), "Validation Failed: name missing, x");
        assert_eq!(told("[]"), "Validation Failed");
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_repeated() {
        #[derive(Debug, Deserialize)]
        struct Wire {
            #[expect(dead_code, reason = "only read")]
            token: u8,
        }
        let told = |body: &str| misread(&serde_json::from_str::<Wire>(body).unwrap_err());
        for body in [r#""ghs_x""#, r#"{"token": "ghs_x"}"#, r#"["ghs_x"]"#, "ghs_x"] {
            assert!(!told(body).contains("ghs_"), "{}", told(body));
        }
        assert_eq!(told("{}"), "missing field `token` at line 1 column 2");
    }
}
