//! What can be said of the settings without asking anybody: the config's own warnings, who else
//! can read its secrets, what travels in the clear.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::finding::Finding;
use crate::config::{Loaded, NomadAddress, SecretPlace, Settings};

/// Others may not read a secret; nobody but its owner may change it. A group that reads
/// (`root:roustabout`, 0640) is how a service gets a file that is not its own.
const TOO_MUCH: u32 = 0o037;

pub fn check(loaded: &Loaded) -> Vec<Finding> {
    let credentials = counted(loaded.settings.github.credentials.len(), "credential");
    let mut findings = config(loaded, &format!(", {credentials} for GitHub"));
    findings.extend(secrets(loaded));
    findings.extend(in_the_clear(&loaded.settings));
    findings
}

/// That it loads, and its own warnings. Of secrets, which may have been taken as given, nothing.
pub fn config_only(loaded: &Loaded) -> Vec<Finding> {
    config(loaded, "")
}

fn config(loaded: &Loaded, more: &str) -> Vec<Finding> {
    let file = loaded.file.as_deref().unwrap_or(Path::new("the config")).display();
    let pools = counted(loaded.settings.pools.len(), "pool");
    let mut findings = vec![Finding::ok("config", format!("{file} loads: {pools}{more}"))];
    findings.extend(loaded.warnings.iter().map(|warning| {
        let message = format!("{}: {}: {}", warning.origin, warning.key, warning.what);
        Finding::warn("config", message, &warning.mend)
    }));
    findings
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn secrets(loaded: &Loaded) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for SecretPlace { key, file } in &loaded.secrets {
        let Some(path) = file.as_deref().or(loaded.file.as_deref()) else { continue };
        let trouble = exposed(key, path);
        // A config that holds several secrets is told once.
        found.extend(
            trouble.filter(|new| file.is_some() || !found.iter().any(|f| f.mend == new.mend)),
        );
    }
    if found.is_empty() {
        found.push(Finding::ok("secret", "no file with a secret can be read by everyone"));
    }
    found
}

fn exposed(key: &str, path: &Path) -> Option<Finding> {
    let shown = path.display();
    // It was read a moment ago; if it is gone by now, the next load says so.
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & TOO_MUCH != 0).then(|| {
        Finding::warn(
            "secret",
            format!("{key} is in {shown}, which others than its owner can get at (mode {mode:o})"),
            format!("chmod 600 {shown}, or 640 where roustabout reads it by its group"),
        )
    })
}

fn in_the_clear(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let api = &settings.github.api_url;
    if api.scheme() == "http" && !is_loopback(api.host()) {
        findings.push(Finding::warn(
            "github",
            format!("{api} is http: everyone on the way can read the tokens"),
            "write https:// in github.api_url",
        ));
    }
    if let NomadAddress::Http(url) = &settings.nomad.address
        && url.scheme() == "http"
        && !is_loopback(url.host())
    {
        let host = url.host_str().unwrap_or_default();
        findings.push(Finding::warn(
            "nomad",
            format!("{host} is reached by http: everyone on the way can read its token and the runners' credentials"),
            "turn on TLS in Nomad's agent and write https:// in nomad.address, or use the agent on this machine",
        ));
    }
    let admin = &settings.admin;
    findings.push(match admin.listen.ip().is_loopback() {
        true => Finding::ok(
            "admin",
            format!("{} is reached from this machine alone, and asks for the token", admin.listen),
        ),
        false => Finding::ok("admin", format!("{} asks for the token", admin.listen)),
    });
    findings
}

fn is_loopback(host: Option<url::Host<&str>>) -> bool {
    match host {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{loaded, loaded_in};
    use crate::check::{Level, Report, render};

    fn text(findings: Vec<Finding>) -> String {
        render::text(&Report(findings), false)
    }

    #[test]
    fn a_good_config_has_nothing_to_mend() {
        insta::assert_snapshot!(text(check(&loaded(""))), @r"
        ok    config  the config loads: 1 pool, 1 credential for GitHub
        ok    secret  no file with a secret can be read by everyone
        ok    admin   127.0.0.1:9090 is reached from this machine alone, and asks for the token
        3 ok, 0 warn, 0 fail
        ");
    }

    #[test]
    fn what_travels_in_the_clear_is_told() {
        let told = |text_: &str| text(in_the_clear(&loaded(text_).settings));
        insta::assert_snapshot!(
            told("[nomad]\naddress = \"http://10.0.0.1:4646\"\n[github]\napi_url = \"http://ghes/api/v3\"\n\
                  [admin]\nlisten = \"0.0.0.0:9090\"\ntoken = \"abc\"\n"), @r"
        warn  github  http://ghes/api/v3 is http: everyone on the way can read the tokens; write https:// in github.api_url
        warn  nomad   10.0.0.1 is reached by http: everyone on the way can read its token and the runners' credentials; turn on TLS in Nomad's agent and write https:// in nomad.address, or use the agent on this machine
        ok    admin   0.0.0.0:9090 asks for the token
        1 ok, 2 warn, 0 fail
        ");
        for good in
            ["https://10.0.0.1", "http://[::1]:4646", "http://localhost:4646", "unix:///n.sock"]
        {
            let told = told(&format!("[nomad]\naddress = \"{good}\"\n"));
            assert!(!told.contains("nomad"), "{told}");
        }
    }

    #[test]
    fn a_short_secret_is_told_and_not_shown() {
        let told = text(check(&loaded("[webhook]\nsecret = \"hunter2\"\n")));
        assert!(told.contains("webhook.secret: is shorter than 16 characters"), "{told}");
        assert!(told.contains("; `openssl rand -hex 32`"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn files_that_others_can_read_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "0123456789abcdef0").unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
            let text = format!("[webhook]\nsecret_file = {secret:?}\n[admin]\ntoken = \"abc\"\n");
            // The config holds a secret itself, and is readable by its owner alone.
            secrets(&loaded_in(folder.path(), &text))
        };
        for fine in [0o400, 0o600, 0o640] {
            assert_eq!(with_mode(fine)[0].level, Level::Ok, "{fine:o}");
        }
        for wrong in [0o644, 0o604, 0o660] {
            let found = with_mode(wrong);
            assert_eq!((found.len(), found[0].level), (1, Level::Warn), "{wrong:o}: {found:?}");
            assert!(found[0].message.starts_with("webhook.secret_file is in "), "{found:?}");
            assert!(found[0].mend.as_ref().unwrap().starts_with("chmod 600 /"), "{found:?}");
        }
    }

    #[test]
    fn a_config_that_holds_secrets_and_is_open_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[webhook]\nsecret = \"0123456789abcdef0\"\n[admin]\ntoken = \"abc\"\n";
        let loaded = loaded_in(folder.path(), text);
        let file = loaded.file.clone().unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let found = secrets(&loaded);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.starts_with("webhook.secret is in "), "{found:?}");
    }
}
