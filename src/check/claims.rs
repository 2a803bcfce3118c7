//! `[claims]`: whether tasks can reach the listener, whether its certificate can be used, and whether Nomad
//! shows the keys that it signs identities with.

use std::path::Path;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use transport::is_loopback;
use url::{Host, Url};

use super::finding::Finding;
use crate::config::{Delivery, NomadAddress, Settings};
use crate::nomad::{Error, SigningKey};
use crate::webhook::Tls;

pub const SUBJECT: &str = "claims";

/// Without a request.
pub fn check(settings: &Settings) -> Vec<Finding> {
    let Some(claims) = &settings.claims else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(files) = &claims.tls {
        found.push(match Tls::of(&files.cert, &files.key) {
            Ok(_) => named(&files.cert, &claims.url).unwrap_or_else(|| {
                Finding::ok(SUBJECT, "the certificate and its key can be used")
            }),
            Err(why) => Finding::fail(
                SUBJECT,
                format!("the certificate cannot be used: {why}"),
                "set claims.tls_cert_file and claims.tls_key_file to a certificate and its key, in PEM",
            ),
        });
    }
    let nomad_is_here = match &settings.nomad.address {
        NomadAddress::Http(url) => is_loopback(url),
        NomadAddress::Unix(_) => true,
    };
    if is_loopback(&claims.url) && !nomad_is_here {
        found.push(Finding::warn(
            SUBJECT,
            format!("claims.url is {}, which tasks on other nodes cannot reach", claims.url),
            "use a name or address of this machine that Nomad's clients can reach",
        ));
    }
    if claims.listen.ip().is_loopback() && !is_loopback(&claims.url) {
        found.push(Finding::warn(
            SUBJECT,
            format!("claims.listen is {}, but claims.url is {}", claims.listen, claims.url),
            "listen on 0.0.0.0 or the address of claims.url, unless a proxy forwards to it",
        ));
    }
    if !settings.pools.iter().any(|pool| pool.delivery == Delivery::Claim) {
        found.push(Finding::warn(
            SUBJECT,
            "no pool has delivery = \"claim\", so nothing is claimed",
            "remove [claims], or set delivery = \"claim\" in a pool",
        ));
    }
    found
}

/// Whether tasks would refuse the certificate because it is for other names than the one by which they reach it.
fn named(cert: &Path, url: &Url) -> Option<Finding> {
    if url.scheme() != "https" {
        return None;
    }
    let host = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let leaf = CertificateDer::from_pem_file(cert).ok()?;
    let name = ServerName::try_from(host.clone()).ok()?;
    let fits = ParsedCertificate::try_from(&leaf).and_then(|it| verify_server_name(&it, &name));
    fits.is_err().then(|| {
        Finding::fail(
            SUBJECT,
            format!("the certificate is not for {host}, the host of claims.url, so tasks refuse it"),
            "use a certificate with this name among its subject alternative names, or correct claims.url",
        )
    })
}

/// By what Nomad answers when it is asked for its keys.
pub fn keys(answer: Result<Vec<SigningKey>, Error>) -> Finding {
    match answer {
        Ok(keys) if !keys.is_empty() => {
            Finding::ok(SUBJECT, "Nomad shows the keys that it signs identities with")
        }
        Ok(_) => Finding::fail(
            SUBJECT,
            "Nomad shows no key that it signs identities with",
            "check that Nomad is 1.8 or newer",
        ),
        Err(error) => Finding::fail(
            SUBJECT,
            format!("cannot read the keys that Nomad signs identities with: {error}"),
            "allow GET /.well-known/jwks.json",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing;
    use crate::check::{Report, render};

    fn told(claims: &str, delivery: &str) -> String {
        let text = format!(
            "{claims}\n[[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"x64\"]\nrepositories = [\"o/*\"]\ndelivery = \"{delivery}\"\n"
        );
        render::text(&Report(check(&testing::loaded(&text).settings)), false)
    }

    #[test]
    fn where_tasks_reach_nobody_is_told() {
        let local = "[claims]\nlisten = \"127.0.0.1:9191\"\nurl = \"http://127.0.0.1:9191\"\n";
        assert_eq!(told(local, "claim"), "0 ok, 0 warn, 0 fail\n");
        let away = format!("{local}[nomad]\naddress = \"http://nomad.example:4646\"\n");
        assert!(told(&away, "claim").contains("tasks on other nodes cannot reach"));
        let mixed = local.replace("url = \"http://127.0.0.1", "url = \"http://ci.example");
        assert!(told(&mixed, "claim").contains("claims.listen is 127.0.0.1:9191, but"));
        assert!(told(local, "payload").contains("no pool has delivery"));
        let tls = local.replace(
            "url = \"http:",
            "tls_cert_file = \"/dev/null\"\ntls_key_file = \"/dev/null\"\nurl = \"https:",
        );
        assert!(told(&tls, "claim").contains("the certificate cannot be used: /dev/null"));
    }

    #[test]
    fn a_certificate_for_another_name_is_told() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["ci.example".to_owned(), "10.0.0.1".to_owned()];
        let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), cert.pem()).unwrap();
        let told = |url: &str| {
            named(file.path(), &url.parse().unwrap()).map(|it| it.message).unwrap_or_default()
        };
        assert_eq!(told("https://ci.example:9191"), "");
        assert_eq!(told("https://10.0.0.1:9191"), "");
        let other =
            "the certificate is not for other.example, the host of claims.url, so tasks refuse it";
        assert_eq!(told("https://other.example"), other);
        assert!(told("https://[::1]:9191").contains("is not for ::1"));
    }

    #[test]
    fn nomad_without_keys_is_a_failure() {
        assert_eq!(keys(Ok(Vec::new())).level, crate::check::Level::Fail);
    }
}
