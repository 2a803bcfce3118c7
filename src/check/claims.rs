//! `[claims]`: whether tasks can reach the listener, whether its certificate can be used, and whether Nomad
//! shows the keys that it signs identities with.

use transport::is_loopback;

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
            Ok(_) => Finding::ok(SUBJECT, "the certificate and its key can be used"),
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
    fn nomad_without_keys_is_a_failure() {
        assert_eq!(keys(Ok(Vec::new())).level, crate::check::Level::Fail);
    }
}
