//! `[claims]`: where running tasks ask for the credential of their runner (`delivery = "claim"`).

use std::net::SocketAddr;
use std::path::PathBuf;

use transport::is_loopback;
use url::Url;

use super::Origin;
use super::nomad::readable;
use super::section::Section;
use super::webhook::address;

/// Of the identities, if nothing else is said.
const AUDIENCE: &str = "roustabout";

/// `[claims]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub listen: SocketAddr,
    /// As tasks reach it, without `/claim`.
    pub url: Url,
    /// What the identities of tasks must be made for.
    pub audience: String,
    /// `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// In PEM, each readable when the config was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Claims {
    /// Where a task sends its claim.
    pub fn claim_url(&self) -> String {
        format!("{}/claim", self.url.as_str().trim_end_matches('/'))
    }
}

/// The outer `None`: there is an error. The inner one: nothing is claimed here.
pub(super) fn read(section: &Section, is_given: bool) -> Option<Option<Claims>> {
    if !is_given {
        return Some(None);
    }
    let listen = section.required("listen", |section, key| section.parsed(key, address));
    let url = section.required("url", |section, key| section.parsed(key, url));
    let audience = match section.says("audience") {
        true => section.parsed("audience", audience),
        false => Some(AUDIENCE.to_owned()),
    };
    let cert = readable(section, "tls_cert_file");
    let key = readable(section, "tls_key_file");
    if let Some(path) = &key {
        section.note_secret("tls_key_file", Origin::File(path.clone()));
    }
    for (given, missing) in [("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")] {
        if section.says(given) && !section.says(missing) {
            section.report(missing, format!("missing, but {given} is set"), "set both or neither");
        }
    }
    let tls = cert.zip(key).map(|(cert, key)| TlsFiles { cert, key });
    if let Some(url) = &url {
        let says_tls = section.says("tls_cert_file") || section.says("tls_key_file");
        match (url.scheme(), says_tls) {
            ("https", false) => section.report(
                "tls_cert_file",
                "missing, but url begins with https://",
                "set tls_cert_file and tls_key_file to a certificate for the host of url and its key",
            ),
            ("http", true) => section.report(
                "url",
                "begins with http://, but tls_cert_file is set",
                "write https:// in url, or remove tls_cert_file and tls_key_file",
            ),
            ("http", false) if !is_loopback(url) => section.warn(
                "url",
                "credentials cross the network unencrypted",
                "set tls_cert_file and tls_key_file, and write https:// in url",
            ),
            _ => {}
        }
    }
    Some(Some(Claims { listen: listen?, url: url?, audience: audience?, tls }))
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let plain = |url: &Url| {
        url.host().is_some()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    url.filter(plain).filter(|url| matches!(url.path(), "" | "/")).ok_or_else(|| {
        format!("{text:?} is not an address such as https://roustabout.example:9191")
    })
}

fn audience(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not an audience: it must be a word without spaces")),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded, pool_with};

    const PLAIN: &str = "[claims]\nlisten = \"127.0.0.1:9191\"\nurl = \"http://127.0.0.1:9191/\"\n";

    #[test]
    fn nothing_is_claimed_unless_it_says_where() {
        assert!(loaded("").settings.claims.is_none());
        let claims = loaded(PLAIN).settings.claims.unwrap();
        assert_eq!((claims.audience.as_str(), &claims.tls), ("roustabout", &None));
        assert_eq!(claims.claim_url(), "http://127.0.0.1:9191/claim");
        let errors = errors("[claims]\naudience = \"a b\"\n");
        for part in ["claims.listen: missing", "claims.url: missing", "without spaces"] {
            assert!(errors.contains(part), "{errors}");
        }
    }

    #[test]
    fn what_crosses_the_network_is_encrypted_or_says_that_it_is_not() {
        let at = |url: &str, more: &str| {
            format!("[claims]\nlisten = \"0.0.0.0:1\"\nurl = \"{url}\"\n{more}")
        };
        assert!(errors(&at("https://c.example", "")).contains("claims.tls_cert_file: missing"));
        assert!(errors(&at("ftp://c.example", "")).contains("is not an address"));
        assert!(errors(&at("https://c.example/x", "")).contains("is not an address"));
        let half = errors(&at("https://c.example", "tls_cert_file = \"/dev/null\"\n"));
        assert!(half.contains("claims.tls_key_file: missing, but tls_cert_file is set"), "{half}");
        let both = "tls_cert_file = \"/dev/null\"\ntls_key_file = \"/dev/null\"\n";
        assert!(errors(&at("http://c.example", both)).contains("begins with http://"));
        assert!(loaded(&at("https://c.example", both)).settings.claims.unwrap().tls.is_some());
        let warnings = loaded(&at("http://c.example", "")).warnings;
        assert!(warnings.iter().any(|it| it.to_string().contains("unencrypted")), "{warnings:?}");
        assert!(loaded(PLAIN).warnings.is_empty());
    }

    #[test]
    fn a_pool_that_delivers_by_claim_needs_it_and_may_wait_in_the_queue() {
        let pool = pool_with("delivery = \"claim\"\nplacement_timeout = \"5h\"\n");
        assert!(errors(&pool).contains("needs [claims]"), "{}", errors(&pool));
        assert_eq!(loaded(&format!("{PLAIN}{pool}")).settings.pools.len(), 1);
        let slow = pool_with("delivery = \"claim\"\nboot_timeout = \"56m\"\n");
        assert!(errors(&format!("{PLAIN}{slow}")).contains("boot_timeout"));
    }
}
