//! All keys, with their defaults: the one list for reading values, reporting unknown keys, suggesting
//! fixes and testing `config.example.toml`. Keys that are declared but not yet supported are in
//! `not_yet.rs`.

use ::config::{Value, ValueKind};

/// A value as a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    Text(&'static str),
    Number(u32),
    Flag(bool),
    List(&'static [&'static str]),
}

impl Given {
    /// As written in the file.
    pub fn toml(self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => format!("{items:?}"),
        }
    }

    pub(super) fn value(self) -> Value {
        let kind = match self {
            Self::Text(text) => ValueKind::from(text),
            Self::Number(number) => ValueKind::from(number),
            Self::Flag(flag) => ValueKind::from(flag),
            Self::List(items) => ValueKind::from(items.to_vec()),
        };
        Value::new(None, kind)
    }
}

/// A key of the file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// With its section, as `webhook.listen`; for a key of every pool `pools.labels`.
    pub path: &'static str,
    /// The value if nothing sets the key.
    pub default: Option<Given>,
    /// An example value in TOML, for keys without a default.
    example: &'static str,
    /// Variables of other programs that set the key if nothing else does; the first that is set counts.
    pub(super) filled_by: &'static [&'static str],
}

impl Key {
    /// An example value in TOML.
    pub fn example(&self) -> String {
        self.default.map_or_else(|| self.example.to_owned(), Given::toml)
    }

    const fn filled_by(mut self, variables: &'static [&'static str]) -> Self {
        self.filled_by = variables;
        self
    }

    /// The section and the last part of the path.
    pub fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }
}

const fn default(path: &'static str, value: Given) -> Key {
    Key { path, default: Some(value), example: "", filled_by: &[] }
}

const fn open(path: &'static str, example: &'static str) -> Key {
    Key { path, default: None, example, filled_by: &[] }
}

use Given::{Flag, List, Number, Text};

const KEYS: &[Key] = &[
    default("shutdown_grace", Text("20s")),
    default("log.level", Text("info")),
    default("log.format", Text("auto")),
    default("webhook.enabled", Flag(true)),
    default("webhook.listen", Text("0.0.0.0:8080")),
    default("webhook.path", Text("/webhook")),
    open("webhook.public_url", r#""https://hooks.example.org/webhook""#),
    open("webhook.secret", r#""a long random text""#).filled_by(&["ROUSTABOUT_WEBHOOK_SECRET"]),
    open("webhook.secret_file", r#""/etc/roustabout/webhook-secret""#),
    open("webhook.secret_vault", r#""kv/data/github#webhook_secret""#),
    open("webhook.previous_secret", r#""the secret before""#),
    open("webhook.previous_secret_file", r#""/etc/roustabout/previous-webhook-secret""#),
    open("webhook.previous_secret_vault", r#""kv/data/github#previous_webhook_secret""#),
    default("webhook.max_body", Text("25MB")),
    default("webhook.max_connections", Number(256)),
    default("admin.listen", Text("127.0.0.1:9090")),
    open("admin.token", r#""a-long-random-text""#),
    open("admin.token_file", r#""/etc/roustabout/admin-token""#),
    open("admin.token_vault", r#""kv/data/roustabout#admin_token""#),
    default("admin.hosts", List(&[])),
    default("store.url", Text("sqlite://roustabout.db")),
    default("store.retention", Text("90d")),
    default("github.kind", Text("github")),
    default("github.api_url", Text("https://api.github.com")),
    open("github.ca_cert_file", r#""/etc/roustabout/github-ca.pem""#),
    default("github.sweep_interval", Text("1m")),
    default("github.full_sweep_interval", Text("10m")),
    open("github.credentials.owners", r#"["octocat"]"#),
    open("github.credentials.token", r#""github_pat_...""#),
    open("github.credentials.token_file", r#""/etc/roustabout/github-token""#),
    open("github.credentials.token_vault", r#""kv/data/github#org_scope""#),
    open("github.credentials.app.client_id", r#""Iv23liSimulatedId001""#),
    open("github.credentials.app.id", "1234"),
    open("github.credentials.app.private_key", r#""-----BEGIN RSA PRIVATE KEY-----...""#),
    open("github.credentials.app.private_key_file", r#""/etc/roustabout/app.pem""#),
    open("github.credentials.app.private_key_vault", r#""kv/data/github_runner/my-org#app_key""#),
    open("github.credentials.app.webhook_secret", r#""a long random text""#),
    open("github.credentials.app.webhook_secret_file", r#""/etc/roustabout/app-webhook-secret""#),
    open(
        "github.credentials.app.webhook_secret_vault",
        r#""kv/data/github_runner/my-org#webhook_secret""#,
    ),
    open("github.credentials.app.previous_webhook_secret", r#""the secret before""#),
    open(
        "github.credentials.app.previous_webhook_secret_file",
        r#""/etc/roustabout/previous-app-webhook-secret""#,
    ),
    open(
        "github.credentials.app.previous_webhook_secret_vault",
        r#""kv/data/github_runner/my-org#previous_webhook_secret""#,
    ),
    default("nomad.address", Text("http://127.0.0.1:4646"))
        .filled_by(&["NOMAD_ADDR", "NOMAD_UNIX_ADDR"]),
    open("nomad.ui_url", r#""https://nomad.example.org""#),
    default("nomad.namespace", Text("default")).filled_by(&["NOMAD_NAMESPACE"]),
    open("nomad.region", r#""global""#).filled_by(&["NOMAD_REGION"]),
    open("nomad.token", r#""an-acl-token""#).filled_by(&["NOMAD_TOKEN"]),
    open("nomad.token_file", r#""/etc/roustabout/nomad-token""#),
    open("nomad.token_vault", r#""kv/data/nomad#roustabout_token""#),
    open("nomad.ca_cert_file", r#""/etc/roustabout/nomad-ca.pem""#).filled_by(&["NOMAD_CACERT"]),
    open("nomad.client_cert_file", r#""/etc/roustabout/nomad-cert.pem""#)
        .filled_by(&["NOMAD_CLIENT_CERT"]),
    open("nomad.client_key_file", r#""/etc/roustabout/nomad-key.pem""#)
        .filled_by(&["NOMAD_CLIENT_KEY"]),
    open("nomad.tls_server_name", r#""server.global.nomad""#).filled_by(&["NOMAD_TLS_SERVER_NAME"]),
    default("nomad.tls_skip_verify", Flag(false)).filled_by(&["NOMAD_SKIP_VERIFY"]),
    default("runners.name_prefix", Text("roustabout")),
    default("runners.max", Number(20)),
    default("runners.robots", List(&["dependabot[bot]", "renovate[bot]"])),
    open("pools.name", r#""x64""#),
    open("pools.nomad_job", r#""github-runner-x64""#),
    open("pools.namespace", r#""ci""#),
    open("pools.region", r#""global""#),
    open("pools.labels", r#"["self-hosted", "linux", "x64"]"#),
    open("pools.repositories", r#"["octocat/*", "!octocat/secret"]"#),
    open("pools.topics", r#"["self-hosted"]"#),
    open("pools.delivery", r#""payload""#),
    default("pools.scope", Text("repository")),
    open("pools.runner_group", r#""ci""#),
    // Its default is the value of another key, `runners.max`.
    open("pools.max_runners", "20"),
    open("pools.max_runners_per_repository", "4"),
    open("pools.robots_per_repository", "1"),
    default("pools.cancel_superseded", Flag(false)),
    default("pools.credential", Text("registration-token")),
    open("pools.payload", r#""{repository} {runner_name}""#),
    default("pools.public_repositories", Flag(false)),
    default("pools.forks", Flag(false)),
    default("pools.events", List(&["*"])),
    default("pools.actors", List(&["*"])),
    default("pools.placement_timeout", Text("20m")),
    default("pools.boot_timeout", Text("10m")),
    default("pools.idle_timeout", Text("10m")),
    default("pools.release_grace", Text("5m")),
    default("pools.max_lifetime", Text("6h")),
    open("pools.meta", r#"{ REPO_FULL_NAME = "{repository}" }"#),
    open("pools.report.compare_with", r#""linux_4_core""#),
    // A default would stand for the section, which need not be there.
    open("pools.warm.count", "1"),
    open("pools.warm.repositories", r#"["octocat/app"]"#),
    open("pools.warm.owners", r#"["my-org"]"#),
    open("pools.warm.schedule", r#""mon-fri 08:00-18:00 Europe/Rome""#),
    default("report.plan", Text("free")),
    default("report.compare_with", Text("linux")),
    open("claims.listen", r#""0.0.0.0:9191""#),
    open("claims.url", r#""https://roustabout.example:9191""#),
    // A default would stand for the section, which need not be there.
    open("claims.audience", r#""roustabout""#),
    open("claims.tls_cert_file", r#""/etc/roustabout/claims.pem""#),
    open("claims.tls_key_file", r#""/etc/roustabout/claims-key.pem""#),
    open("vault.address", r#""https://127.0.0.1:8200""#).filled_by(&["VAULT_ADDR", "BAO_ADDR"]),
    open("vault.namespace", r#""ci""#).filled_by(&["VAULT_NAMESPACE", "BAO_NAMESPACE"]),
    open("vault.token", r#""hvs.CAES...""#).filled_by(&["VAULT_TOKEN", "BAO_TOKEN"]),
    open("vault.token_file", r#""/etc/roustabout/vault-token""#),
    open("vault.role_id", r#""59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8""#),
    open("vault.secret_id", r#""84896a0c-1347-aa90-a4f6-aca8b7558780""#),
    open("vault.secret_id_file", r#""/etc/roustabout/vault-secret-id""#),
    open("vault.jwt_role", r#""roustabout""#),
    open("vault.jwt_file", r#""/secrets/nomad_vault_default.jwt""#),
    open("vault.auth_path", r#""approle""#),
    open("vault.ca_cert_file", r#""/etc/roustabout/vault-ca.pem""#)
        .filled_by(&["VAULT_CACERT", "BAO_CACERT"]),
    // Defaults would stand for the section, as above.
    open("vault.mount", r#""secret""#),
    open("vault.path", r#""roustabout/{runner_name}""#),
];

/// Sections that may occur several times, `[[…]]`, and so only in the file.
pub(super) const ARRAYS: [&str; 2] = ["pools", "github.credentials"];

/// All keys, in the order of the example config.
pub fn known_keys() -> &'static [Key] {
    KEYS
}

/// The key of that path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The names that may occur directly in a section: its keys and its sections, each once.
pub(super) fn words_in(section: &str) -> Vec<&'static str> {
    let mut words: Vec<&'static str> = KEYS
        .iter()
        .filter_map(|key| match section {
            "" => Some(key.path),
            _ => key.path.strip_prefix(section)?.strip_prefix('.'),
        })
        .map(|rest| rest.split_once('.').map_or(rest, |(first, _)| first))
        .collect();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_section_are_its_keys_and_sections() {
        let root = words_in("");
        assert!(root.contains(&"shutdown_grace") && root.contains(&"pools"));
        assert!(!root.contains(&"listen"));
        assert_eq!(
            words_in("github"),
            [
                "kind",
                "api_url",
                "ca_cert_file",
                "sweep_interval",
                "full_sweep_interval",
                "credentials"
            ]
        );
        assert_eq!(words_in("log"), ["level", "format"]);
    }

    #[test]
    fn no_key_is_declared_twice() {
        let mut paths: Vec<_> = KEYS.iter().map(|key| key.path).collect();
        paths.sort_unstable();
        let all = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), all);
    }
}
