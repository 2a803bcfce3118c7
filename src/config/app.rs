//! `app` of a credential: a GitHub App in place of a token. Its key is read here, so that one that is
//! no key is told with everything else that is wrong.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::secrets::{self, Found};
use super::section::Section;
use super::webhook::warn_of_odd;
use crate::github::{AppKey, NotAKey};

/// `[github.credentials.app]`.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// The client id, else the id.
    pub issuer: String,
    pub key: AppKey,
    /// Of the App's own webhook, and where it was read from.
    pub webhook: Option<Secret>,
    /// Also accepted, while the secret is being changed.
    pub previous_webhook: Option<Secret>,
}

/// A secret, and its file, if it has one.
#[derive(Debug, Clone)]
pub struct Secret {
    pub secret: SecretString,
    pub file: Option<PathBuf>,
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret() && self.file == other.file
    }
}

/// The inner `None`: it is wrong, which is recorded. The key of a unit's that is not read is none.
pub(super) fn read(section: &Section) -> Option<Option<App>> {
    let issuer = issuer(section);
    let key = match secrets::find(section, "private_key", Some("github-app-key")) {
        Found::Secret(pem, _) if secrets::is_taken_as_given(&pem) => return Some(None),
        Found::Secret(pem, path) => AppKey::from_pem(pem)
            .map_err(|error| {
                let (key, what) = match path {
                    Some(path) => ("private_key_file", format!("{} {error}", path.display())),
                    None if section.given("private_key_vault").is_some() => {
                        ("private_key_vault", error.to_string())
                    }
                    None => ("private_key", error.to_string()),
                };
                let fix = match error {
                    NotAKey::Encrypted => {
                        "remove the passphrase: openssl rsa -in KEY.pem -out app.pem"
                    }
                    _ => {
                        "use the file that GitHub made (the App's settings → Private keys → \
                         Generate a private key)"
                    }
                };
                section.report(key, what, fix);
            })
            .ok(),
        Found::Absent => {
            let fix = "set private_key_file, or pass the systemd credential github-app-key";
            section.report("private_key_file", "missing", fix);
            None
        }
        Found::Bad => None,
    };
    let webhook = secret(section, "webhook_secret");
    if let Some(Some(webhook)) = &webhook {
        warn_of_odd(section, "webhook_secret", &webhook.secret);
    }
    let previous_webhook = secret(section, "previous_webhook_secret").map(|said| {
        let in_vault = || secrets::previous_in_vault(section, "webhook_secret");
        said.or_else(|| in_vault().map(|secret| Secret { secret, file: None }))
    });
    Some(Some(App {
        issuer: issuer?,
        key: key?,
        webhook: webhook?,
        previous_webhook: previous_webhook?,
    }))
}

fn issuer(section: &Section) -> Option<String> {
    let (client_id, id) = (section.given("client_id").is_some(), section.given("id").is_some());
    match (client_id, id) {
        (true, true) => {
            section.report("id", "client_id and id are both set", "keep one of them");
            None
        }
        (false, true) => Some(section.number("id", 1)?.to_string()),
        (true, false) => {
            let text = section.text("client_id")?;
            let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
            if !fits {
                section.refuse("client_id", format!("{text:?} is not the client id of an App"));
            }
            fits.then_some(text)
        }
        (false, false) => {
            section.report("client_id", "missing", "set client_id, or id (the App ID)");
            None
        }
    }
}

/// The outer `None`: it is set and cannot be read, which is recorded.
fn secret(section: &Section, key: &str) -> Option<Option<Secret>> {
    match secrets::find(section, key, None) {
        Found::Secret(secret, file) => Some(Some(Secret { secret, file })),
        Found::Absent => Some(None),
        Found::Bad => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded};

    fn app(lines: &str) -> String {
        format!("[[github.credentials]]\nowners = [\"octo\"]\n[github.credentials.app]\n{lines}\n")
    }

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), content).expect("it is writable");
        file
    }

    #[test]
    fn a_key_that_is_none_is_told_with_the_rest() {
        for (content, what) in [
            ("ghp_token", "contains no private key in PEM form"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "a public key"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "encrypted with a passphrase; remove the passphrase: openssl rsa",
            ),
            ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "damaged"),
        ] {
            let key = file(content);
            let lines = format!("client_id = \"Iv23\"\nprivate_key_file = {:?}", key.path());
            let told = errors(&app(&lines));
            let begins = "f.toml: github.credentials[#1].app.private_key_file: /";
            assert!(told.starts_with(begins) && told.contains(what), "{told}");
            assert!(!told.contains("AAAA"), "{told}");
        }
    }

    #[test]
    fn what_is_missing_or_said_twice_is_told() {
        let told = errors(&app(""));
        assert!(told.contains("app.client_id: missing; set client_id, or id"), "{told}");
        assert!(told.contains("app.private_key_file: missing"), "{told}");
        let told = errors(&app("client_id = \"Iv23\"\nid = 1\nprivate_key = \"x\""));
        assert!(told.contains("client_id and id are both set"), "{told}");
        let told = errors(&app("client_id = \"my app\"\nprivate_key = \"x\""));
        assert!(told.contains("is not the client id of an App"), "{told}");
        let token = "[[github.credentials]]\nowners = [\"octo\"]\ntoken = \"t\"\n\
                     app = { id = 1, private_key = \"x\" }\n";
        assert!(errors(token).contains("token and app are both set; keep one of them"));
    }

    #[test]
    fn an_app_has_its_key_and_its_secrets() {
        let pem = simulated::app_key();
        let key = file(&pem);
        let lines = format!(
            "id = 12\nprivate_key_file = {:?}\nwebhook_secret = \"0123456789abcdef\"",
            key.path()
        );
        let loaded = loaded(&app(&lines));
        let app = loaded.settings.github.credentials[0].app().expect("it is an App").clone();
        assert_eq!((app.issuer.as_str(), app.previous_webhook.is_none()), ("12", true));
        let shown = format!("{:?}", loaded.settings);
        assert!(!shown.contains("0123456789abcdef") && !shown.contains(&pem[40..80]), "{shown}");
    }
}
