//! `[webhook]`: the public door: where it listens, the secrets, the limits.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::secrets::{self, Found};
use super::section::Section;
use crate::quantity;

/// GitHub sends no larger body.
const LARGEST_BODY: u64 = 25 * 1024 * 1024;

/// Shorter secrets can be guessed by trying.
const SHORT_SECRET: usize = 16;

/// `[webhook]`.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Whether webhooks are received at all.
    pub enabled: bool,
    pub listen: SocketAddr,
    /// Begins with `/`.
    pub path: String,
    /// The door's address as the forge reaches it.
    pub public_url: Option<Url>,
    /// For verifying signatures; always set if the door is enabled, unless every credential is an App
    /// that has its own.
    pub secret: Option<SecretString>,
    /// Also accepted, while the secret is being changed.
    pub previous_secret: Option<SecretString>,
    /// In bytes, at most 25 MB.
    pub max_body: u64,
    /// Connections at a time, at least 1.
    pub max_connections: usize,
}

/// And whether its secret is missing, unless Apps have secrets of their own.
pub(super) fn read(section: &Section) -> (Option<Webhook>, bool) {
    let enabled = section.flag("enabled");
    let listen = section.parsed("listen", address);
    let path = section.parsed("path", path);
    let public_url = section.parsed("public_url", public_url);
    let found = secrets::find(section, "secret", Some("webhook-secret"));
    let missing = enabled == Some(true) && matches!(found, Found::Absent);
    let secret = found.secret();
    if let Some(secret) = &secret {
        warn_of_odd(section, "secret", secret);
    }
    let previous = secrets::find(section, "previous_secret", Some("previous-webhook-secret"));
    let previous = previous.secret().or_else(|| secrets::previous_in_vault(section, "secret"));
    let max_body = section.parsed("max_body", max_body);
    let max_connections = section.number("max_connections", 1);
    let whole = || {
        Some(Webhook {
            enabled: enabled?,
            listen: listen?,
            path: path?,
            public_url,
            secret,
            previous_secret: previous,
            max_body: max_body?,
            max_connections: usize::try_from(max_connections?).ok()?,
        })
    };
    (whole(), missing)
}

/// Warns of a secret that works and is probably not meant.
pub(super) fn warn_of_odd(section: &Section, key: &str, secret: &SecretString) {
    if secret.expose_secret().len() < SHORT_SECRET {
        section.warn(
            key,
            format!("is shorter than {SHORT_SECRET} characters and can be guessed"),
            "`openssl rand -hex 32` makes a good one; set it in GitHub's webhook too",
        );
    }
    if padded(secret.expose_secret()) {
        section.warn(
            key,
            "begins or ends with a space or a line break, which is part of the secret",
            "remove it (printf writes a file without one), unless GitHub's webhook has it too",
        );
    }
}

pub(super) fn report_missing_secret(section: &Section) {
    section.report(
        "secret",
        "missing",
        "set secret or secret_file here, set the variable ROUSTABOUT_WEBHOOK_SECRET, or pass the systemd credential webhook-secret",
    );
}

/// The last line break of a file has been removed already.
fn padded(secret: &str) -> bool {
    secret.trim() != secret
}

/// An address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address with a port"))
}

/// An address that webhooks are sent to.
pub fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.filter(|url| url.host().is_some() && url.fragment().is_none());
    url.ok_or_else(|| format!("{text:?} is not a URL that webhooks can be sent to"))
}

fn path(text: &str) -> Result<String, String> {
    let unfit = |c: char| c == '?' || c == '#' || !c.is_ascii_graphic();
    match text.starts_with('/') && !text.contains(unfit) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not a path: it must begin with / and contain no ?, # or spaces"
        )),
    }
}

fn max_body(text: &str) -> Result<u64, String> {
    match quantity::size(text)? {
        0 => Err(format!("{text:?} rejects every webhook")),
        size if size > LARGEST_BODY => {
            Err(format!("{text:?} is more than 25MB, the most that GitHub sends"))
        }
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{errors, loaded, no_secret, without_secret};

    #[test]
    fn addresses_paths_and_sizes() {
        assert!(address("[::]:8080").is_ok() && address("127.0.0.1:0").is_ok());
        for wrong in [":8080", "8080", "localhost:8080", "0.0.0.0"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert!(path("/").is_ok() && path("/hooks/github").is_ok());
        for wrong in ["webhook", "/a?b", "/a#b", "/a b"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
        assert_eq!(max_body("25MB"), Ok(LARGEST_BODY));
        assert!(max_body("26MB").is_err() && max_body("0B").is_err());
    }

    #[test]
    fn an_open_door_needs_a_secret() {
        assert_eq!(
            no_secret("[webhook]\n"),
            "f.toml: webhook.secret: missing; set secret or secret_file here, set the variable ROUSTABOUT_WEBHOOK_SECRET, or pass the systemd credential webhook-secret"
        );
    }

    #[test]
    fn a_short_secret_is_warned_of_and_never_shown() {
        let loaded = loaded("[webhook]\nsecret = \"hunter2\"\n");
        assert_eq!(loaded.warnings.len(), 1);
        assert!(loaded.warnings[0].to_string().contains("webhook.secret"));
        assert!(!loaded.warnings[0].to_string().contains("hunter2"));
        assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
    }

    #[test]
    fn a_secret_is_said_once() {
        assert_eq!(
            errors("[webhook]\nsecret = \"x\"\nsecret_file = \"y\"\n"),
            "f.toml: webhook.secret: secret and secret_file are both set; keep one of them"
        );
        assert_eq!(
            errors("[webhook]\nsecret = \"\"\n"),
            "f.toml: webhook.secret: is empty; write, for example, secret = \"a long random text\""
        );
        assert!(
            errors("[webhook]\nsecret = 123456\n")
                .contains("must be a string in quotes, not a number")
        );
    }

    #[test]
    fn an_unreadable_secret_file_is_named() {
        let text = errors("[webhook]\nprevious_secret_file = \"/nowhere/secret\"\n");
        assert!(
            text.starts_with("f.toml: webhook.previous_secret_file: cannot read /nowhere/secret: "),
            "{text}"
        );
    }

    #[test]
    fn a_closed_door_needs_no_secret() {
        let closed = without_secret("[webhook]\nenabled = false\n");
        assert!(!closed.settings.webhook.enabled && closed.settings.webhook.secret.is_none());
    }
}
