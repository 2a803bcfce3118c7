//! What can be checked without a request: the config's own warnings, where its secrets come from and
//! who else can read them, what is sent unencrypted, and which proxies are used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use transport::is_loopback;
use url::Url;

use super::finding::Finding;
use crate::config::{Listen, Loaded, NomadAddress, Origin, SecretPlace, Settings};

/// Others may not read a secret, and only its owner may change it. Reading by group
/// (`root:roustabout`, 0640) is allowed: that is how a service reads a file that it does not own.
const TOO_MUCH: u32 = 0o037;

pub fn check(loaded: &Loaded) -> Vec<Finding> {
    let credentials = counted(loaded.settings.github.credentials.len(), "credential");
    let mut findings = config(loaded, &format!(", {credentials} for GitHub"));
    findings.extend(sources(loaded));
    findings.extend(secrets(loaded));
    findings.extend(in_the_clear(&loaded.settings));
    findings.extend(proxies(&loaded.settings));
    findings
}

/// That it loads, and its own warnings. Nothing about secrets, which may have been assumed to exist.
pub fn config_only(loaded: &Loaded) -> Vec<Finding> {
    config(loaded, "")
}

fn config(loaded: &Loaded, more: &str) -> Vec<Finding> {
    let file = loaded.file.as_deref().unwrap_or(Path::new("the config")).display();
    let pools = counted(loaded.settings.pools.len(), "pool");
    let mut findings = vec![Finding::ok("config", format!("{file} loads: {pools}{more}"))];
    findings.extend(loaded.warnings.iter().map(|warning| {
        let message = format!("{}: {}: {}", warning.origin, warning.key, warning.what);
        Finding::warn("config", message, &warning.fix)
    }));
    findings
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Who else can read or change the files that hold secrets.
fn secrets(loaded: &Loaded) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let in_files = || {
        loaded
            .secrets
            .iter()
            .filter(|one| !matches!(one.from, Origin::Variable(_) | Origin::Vault(_)))
    };
    for SecretPlace { key, from } in in_files() {
        let Some(path) = from.file().or(loaded.file.as_deref()) else { continue };
        let trouble = exposed(key, path);
        // A config that contains several secrets is reported once.
        found.extend(
            trouble.filter(|new| from.file().is_some() || !found.iter().any(|f| f.fix == new.fix)),
        );
    }
    if found.is_empty() && in_files().next().is_some() {
        found.push(Finding::ok("secret", "no file with a secret is readable by everyone"));
    }
    found
}

/// Where each secret comes from, and which other values come from variables.
fn sources(loaded: &Loaded) -> Vec<Finding> {
    let secrets = loaded.secrets.iter().map(|place| Finding::ok("secret", source(place)));
    secrets.chain(variables(loaded)).collect()
}

fn source(SecretPlace { key, from }: &SecretPlace) -> String {
    let key = match key.as_str() {
        "github.credentials" => "the token for all owners",
        key => key,
    };
    match from {
        Origin::Config => format!("{key} is in the config file"),
        Origin::File(file) => format!("{key} comes from {}", file.display()),
        Origin::Credential { name, file } => {
            format!("{key} comes from the credential {name}, {}", file.display())
        }
        Origin::Variable(name) => {
            format!("{key} comes from the variable {name}")
        }
        Origin::Vault(field) => format!("{key} comes from Vault, {field}"),
    }
}

fn variables(loaded: &Loaded) -> Option<Finding> {
    let is_secret = |key: &str| loaded.secrets.iter().any(|secret| secret.key == key);
    let told = loaded.variables.iter().filter(|(key, _)| !is_secret(key));
    let told: Vec<String> =
        told.map(|(key, name)| format!("{key} comes from the variable {name}")).collect();
    (!told.is_empty()).then(|| Finding::ok("config", told.join(", ")))
}

fn exposed(key: &str, path: &Path) -> Option<Finding> {
    let shown = path.display();
    // It was read a moment ago; if it is gone by now, the next load reports it.
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & TOO_MUCH != 0).then(|| {
        Finding::warn(
            "secret",
            format!(
                "{key} is in {shown}, which users other than its owner can access (mode {mode:o})"
            ),
            format!("chmod 600 {shown}, or 640 if roustabout reads it by its group"),
        )
    })
}

fn in_the_clear(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let api = &settings.github.api_url;
    if api.scheme() == "http" && !is_loopback(api) {
        findings.push(Finding::warn(
            "github",
            format!("{api} is unencrypted: anyone on the network path can read the tokens"),
            "use https:// in github.api_url",
        ));
    }
    if let NomadAddress::Http(url) = &settings.nomad.address
        && url.scheme() == "http"
        && !is_loopback(url)
    {
        let host = url.host_str().unwrap_or_default();
        findings.push(Finding::warn(
            "nomad",
            format!("{host} is reached without encryption: anyone on the network path can read its token and the runners' credentials"),
            "enable TLS in the Nomad agent and use https:// in nomad.address, or use the agent on this machine",
        ));
    }
    let admin = &settings.admin;
    findings.push(match &admin.listen {
        Listen::Socket(path) => Finding::ok(
            "admin",
            format!("{} is open to its owner and its group, without a token", path.display()),
        ),
        Listen::Tcp(address) if address.ip().is_loopback() => Finding::ok(
            "admin",
            format!("{} is reachable only from this machine, and requires the token", admin.listen),
        ),
        Listen::Tcp(_) => Finding::warn(
            "admin",
            format!(
                "{} requires the token, but is reachable from other machines without encryption: anyone on the network path can read it",
                admin.listen
            ),
            "listen on loopback, and put a TLS proxy in front of it",
        ),
    });
    findings
}

/// Which of the two is reached through a proxy, if the environment sets any.
fn proxies(settings: &Settings) -> Vec<Finding> {
    if !transport::any_proxy() {
        return Vec::new();
    }
    let forge = (settings.github.kind.name(), Some(&settings.github.api_url));
    let nomad = match &settings.nomad.address {
        NomadAddress::Http(url) => ("Nomad", Some(url)),
        NomadAddress::Unix(_) => ("Nomad", None),
    };
    let told = [forge, nomad].map(|(who, url)| match url {
        None => format!("{who} is reached through a socket, without a proxy"),
        Some(url) if is_loopback(url) => {
            format!("{who} is reached on this machine ({}), without a proxy", host(url))
        }
        Some(url) => match transport::proxy_of(url) {
            Some(proxy) => format!(
                "{who} is reached at {} through the proxy {} ({})",
                host(url),
                proxy.address,
                proxy.variable
            ),
            None => format!("{who} is reached at {} directly, without a proxy", host(url)),
        },
    });
    told.map(|message| Finding::ok("proxy", message)).into()
}

fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{POOL, loaded, loaded_in};
    use crate::check::{Level, Report, render};
    use crate::config::{Environment, from_text};

    fn text(findings: Vec<Finding>) -> String {
        render::text(&Report(findings), false)
    }

    #[test]
    fn a_good_config_has_nothing_to_fix() {
        insta::assert_snapshot!(text(check(&loaded(""))), @r"
        ok    config  the config loads: 1 pool, 1 credential for GitHub
        ok    secret  webhook.secret comes from the variable ROUSTABOUT_WEBHOOK_SECRET
        ok    secret  the token for all owners comes from the variable ROUSTABOUT_GITHUB_TOKEN
        ok    admin   127.0.0.1:9090 is reachable only from this machine, and requires the token
        4 ok, 0 warn, 0 fail
        ");
    }

    #[test]
    fn where_each_value_comes_from_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["nomad-token", "previous-webhook-secret", "hook"] {
            std::fs::write(folder.path().join(name), "0123456789abcdef0").unwrap();
        }
        let config = format!(
            "[webhook]\nsecret_file = {:?}\n[[github.credentials]]\nowners = [\"octo\"]\ntoken = \"t\"\n{POOL}",
            folder.path().join("hook")
        );
        let env = |first: bool| {
            let env = Environment::from_iter([
                ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap()),
                ("NOMAD_TOKEN", "from-the-shell"),
                ("NOMAD_ADDR", "http://127.0.0.1:4646"),
            ]);
            if first { env.with_credentials_first() } else { env }
        };
        let told = |env: &Environment| {
            let loaded = from_text(&config, "f.toml", env).unwrap();
            text(sources(&loaded)).replace(folder.path().to_str().unwrap(), "FOLDER")
        };
        insta::assert_snapshot!(told(&env(true)), @r"
        ok    secret  webhook.secret_file comes from FOLDER/hook
        ok    secret  webhook.previous_secret comes from the credential previous-webhook-secret, FOLDER/previous-webhook-secret
        ok    secret  github.credentials[#1].token is in the config file
        ok    secret  nomad.token comes from the credential nomad-token, FOLDER/nomad-token
        ok    config  nomad.address comes from the variable NOMAD_ADDR
        5 ok, 0 warn, 0 fail
        ");
        // The daemon itself goes by what it always went by.
        let told = told(&env(false));
        assert!(told.contains("nomad.token comes from the variable NOMAD_TOKEN"), "{told}");
    }

    #[test]
    fn a_credential_that_everybody_can_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nomad-token");
        std::fs::write(&file, "t").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let secrets_of = [
            ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap()),
            ("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef"),
            ("ROUSTABOUT_GITHUB_TOKEN", "t"),
        ];
        let loaded = from_text(POOL, "f.toml", &Environment::from_iter(secrets_of)).unwrap();
        let found = secrets(&loaded);
        assert_eq!((found.len(), found[0].level), (1, Level::Warn), "{found:?}");
        assert!(found[0].message.starts_with("nomad.token is in /"), "{found:?}");
        assert!(found[0].message.ends_with("(mode 644)"), "{found:?}");
    }

    #[test]
    fn what_travels_in_the_clear_is_told() {
        let told = |text_: &str| text(in_the_clear(&loaded(text_).settings));
        insta::assert_snapshot!(
            told("[nomad]\naddress = \"http://10.0.0.1:4646\"\n[github]\napi_url = \"http://ghes/api/v3\"\n\
                  [admin]\nlisten = \"0.0.0.0:9090\"\ntoken = \"abc\"\n"), @r"
        warn  github  http://ghes/api/v3 is unencrypted: anyone on the network path can read the tokens; use https:// in github.api_url
        warn  nomad   10.0.0.1 is reached without encryption: anyone on the network path can read its token and the runners' credentials; enable TLS in the Nomad agent and use https:// in nomad.address, or use the agent on this machine
        warn  admin   0.0.0.0:9090 requires the token, but is reachable from other machines without encryption: anyone on the network path can read it; listen on loopback, and put a TLS proxy in front of it
        0 ok, 3 warn, 0 fail
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
            assert!(found[0].fix.as_ref().unwrap().starts_with("chmod 600 /"), "{found:?}");
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
