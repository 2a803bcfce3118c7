//! `[vault]`: how to reach a Vault or an OpenBao, how to log in there, and where the runners' credentials are put
//! (`delivery = "vault"`). What is not set here comes from the `VAULT_*` variables, or OpenBao's `BAO_*`.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::ca_cert;
use super::github::web_url;
use super::nomad::readable;
use super::placeholders::placeholders;
use super::pool::{Delivery, Pool};
use super::secrets::{self, Found};
use super::section::Section;
use super::suggest::nearest;

const MOUNT: &str = "secret";
const PATH: &str = "roustabout/{runner_name}";

/// What may stand in `path`. None of these contains a slash.
pub const VAULT_PLACEHOLDERS: [&str; 4] = ["runner_name", "pool", "namespace", "nomad_job"];

/// `[vault]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Vault {
    pub address: Url,
    pub namespace: Option<String>,
    pub login: VaultLogin,
    /// PEM, readable when the config was loaded.
    pub ca_cert_file: Option<PathBuf>,
    /// KV version 2, for the credentials of runners.
    pub mount: String,
    /// Below it, with placeholders; contains `{runner_name}`.
    pub path: String,
}

impl Vault {
    /// The path of the entries of a pool whose job is in that namespace; `{runner_name}` stays.
    pub fn path_for(&self, pool: &Pool, namespace: &str) -> String {
        values(pool, namespace).into_iter().fold(self.path.clone(), |path, (name, value)| {
            path.replace(&format!("{{{name}}}"), value)
        })
    }
}

/// What stands in the place of placeholders.
fn values<'a>(pool: &'a Pool, namespace: &'a str) -> [(&'static str, &'a str); 3] {
    [("pool", &pool.name), ("namespace", namespace), ("nomad_job", &pool.nomad_job)]
}

/// How to log in.
#[derive(Debug, Clone, PartialEq)]
pub enum VaultLogin {
    Token(OneSecret),
    AppRole { auth_path: String, role_id: String, secret_id: Option<OneSecret> },
    Jwt { auth_path: String, role: String, jwt_file: PathBuf },
}

/// A secret, or the file that is read at each login.
#[derive(Debug, Clone)]
pub enum OneSecret {
    Value(SecretString),
    File(PathBuf),
}

impl PartialEq for OneSecret {
    fn eq(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret;
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => one.expose_secret() == other.expose_secret(),
            (Self::File(one), Self::File(other)) => one == other,
            _ => false,
        }
    }
}

impl OneSecret {
    fn of(found: Found) -> Option<Self> {
        match found {
            Found::Secret(_, Some(file)) => Some(Self::File(file)),
            Found::Secret(secret, None) => Some(Self::Value(secret)),
            Found::Absent | Found::Bad => None,
        }
    }
}

/// Without the section, where nothing needs it. The outer `None`: there is an error.
pub(super) fn read(section: &Section, is_needed: bool) -> Option<Option<Vault>> {
    if !is_needed {
        return Some(None);
    }
    if !section.says("address") {
        let fix = "set [vault] address, or the variable VAULT_ADDR";
        section.report("address", "missing", fix);
    }
    let address = section.parsed("address", |text| web_url(text, &["http", "https"]));
    let namespace = section.text("namespace");
    let login = login(section);
    let ca_cert_file = ca_cert::read(section).map(|(path, _)| path);
    let mount = match section.says("mount") {
        true => section.parsed("mount", mount_of_entries),
        false => Some(MOUNT.to_owned()),
    };
    let path = match section.says("path") {
        true => path(section),
        false => Some(PATH.to_owned()),
    };
    let namespace_is_wrong = section.says("namespace") && namespace.is_none();
    let ca_is_wrong = section.says("ca_cert_file") && ca_cert_file.is_none();
    if namespace_is_wrong || ca_is_wrong {
        return None;
    }
    Some(Some(Vault {
        address: address?,
        namespace,
        login: login?,
        ca_cert_file,
        mount: mount?,
        path: path?,
    }))
}

/// By a role that the file names, else by a token: Nomad puts `VAULT_TOKEN` into tasks that log in otherwise.
fn login(section: &Section) -> Option<VaultLogin> {
    let ways = [
        ("role_id", "role_id"),
        ("jwt_role", "jwt_role"),
        ("token", "token"),
        ("token_file", "token"),
    ];
    let mut said: Vec<&str> = Vec::new();
    for (key, way) in ways {
        if section.given(key).is_some() && !said.contains(&way) {
            said.push(way);
        }
    }
    if let [first, second, ..] = said[..] {
        section.report(second, format!("{first} and {second} are both set"), "keep one of them");
        return None;
    }
    let of_role = |key: &str, way: &str| {
        if section.given(key).is_some() && !said.contains(&way) {
            section.report(key, format!("has no effect without {way}"), format!("set {way}"));
        }
    };
    of_role("secret_id", "role_id");
    of_role("secret_id_file", "role_id");
    of_role("jwt_file", "jwt_role");
    let auth_path = |default: &str| match section.says("auth_path") {
        true => section.parsed("auth_path", mount),
        false => Some(default.to_owned()),
    };
    match said.first() {
        Some(&"role_id") => {
            let role_id = section.text("role_id")?;
            let secret_id = match secrets::find_token(section, "secret_id", None) {
                Found::Bad => return None,
                found => OneSecret::of(found),
            };
            Some(VaultLogin::AppRole { auth_path: auth_path("approle")?, role_id, secret_id })
        }
        Some(&"jwt_role") => {
            let role = section.text("jwt_role")?;
            let jwt_file = section.required("jwt_file", |section, key| readable(section, key))?;
            Some(VaultLogin::Jwt { auth_path: auth_path("jwt-nomad")?, role, jwt_file })
        }
        _ => {
            if section.given("auth_path").is_some() {
                let fix = "set role_id (AppRole) or jwt_role (workload identity), or remove it";
                section.report("auth_path", "has no effect with a token", fix);
            }
            match secrets::find_token(section, "token", Some("vault-token")) {
                Found::Bad => None,
                Found::Absent => {
                    let fix = "set token_file, role_id (AppRole) or jwt_role (workload identity), pass the systemd credential vault-token, or set VAULT_TOKEN";
                    section.report("token", "missing", fix);
                    None
                }
                found => OneSecret::of(found).map(VaultLogin::Token),
            }
        }
    }
}

/// Names of namespaces and jobs may contain what paths may not.
pub(super) fn check_paths(section: &Section, vault: &Vault, pools: &[Pool], default: &str) {
    for pool in pools.iter().filter(|pool| pool.delivery == Delivery::Vault) {
        let namespace = pool.namespace.as_deref().unwrap_or(default);
        for (name, value) in values(pool, namespace) {
            let is_used = vault.path.contains(&format!("{{{name}}}"));
            if is_used && (value.contains('/') || mount(value).is_err()) {
                let what = format!(
                    "{{{name}}} of pool {} is {value:?}, which is no segment of a path",
                    pool.name
                );
                section.report("path", what, "use {pool} in its place");
            }
        }
    }
}

/// A path of segments, of a mount or of an auth method.
fn mount(text: &str) -> Result<String, String> {
    let plain = |segment: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !segment.is_empty() && segment.chars().all(fits) && !matches!(segment, "." | "..")
    };
    match text.split('/').all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not the path of a mount")),
    }
}

/// A segment `data` or `metadata` is where the API begins.
fn mount_of_entries(text: &str) -> Result<String, String> {
    match text.split('/').find(|segment| matches!(*segment, "data" | "metadata")) {
        Some(segment) => {
            Err(format!("{text:?} contains {segment}; write the path of the mount alone"))
        }
        None => mount(text),
    }
}

fn path(section: &Section) -> Option<String> {
    let text = section.text("path")?;
    for name in placeholders(&text) {
        if !VAULT_PLACEHOLDERS.contains(&name) {
            let fix = match nearest(name, VAULT_PLACEHOLDERS) {
                Some(near) => format!("did you mean {{{near}}}?"),
                None => format!("known placeholders: {}", VAULT_PLACEHOLDERS.join(", ")),
            };
            section.report("path", format!("unknown placeholder {{{name}}}"), fix);
            return None;
        }
    }
    if !placeholders(&text).any(|name| name == "runner_name") {
        let what = format!("{text:?} is the same for all runners");
        section.report("path", what, "write {runner_name} where it is to differ");
        return None;
    }
    if text.rsplit('/').next() != Some("{runner_name}") {
        let what = format!("{text:?} does not end with /{{runner_name}}");
        section.report(
            "path",
            what,
            "make {runner_name} its last segment: roustabout lists the others beside it",
        );
        return None;
    }
    if placeholders(&text).filter(|name| *name == "runner_name").count() > 1 {
        let what = format!(
            "{text:?} has {{runner_name}} in its folder, which differs for each runner then"
        );
        section.report("path", what, "write {runner_name} once, as its last segment");
        return None;
    }
    let bare = text.replace(['{', '}'], "");
    match mount(&bare) {
        Ok(_) => Some(text),
        Err(_) => {
            section.refuse("path", format!("{text:?} is not a path of an entry"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{errors, errors_with, loaded, loaded_with, pool_with};

    fn vault(keys: &str) -> Vault {
        let text = format!("[vault]\naddress = \"https://vault:8200\"\n{keys}\n");
        loaded(&text).settings.vault.expect("the section is there")
    }

    #[test]
    fn nothing_is_asked_of_a_vault_unless_something_is_to_come_from_it() {
        assert!(loaded_with("", &[("VAULT_ADDR", "nonsense")]).settings.vault.is_none());
        let told = errors("[nomad]\ntoken_vault = \"kv/data/nomad#token\"\n");
        assert!(told.contains("vault.address: missing; set [vault] address"), "{told}");
        let env = [("VAULT_ADDR", "https://vault:8200"), ("VAULT_TOKEN", "hvs.x")];
        let wanted = loaded_with("[nomad]\ntoken_vault = \"kv/data/nomad#token\"\n", &env);
        let vault = wanted.settings.vault.expect("it is needed");
        assert_eq!((vault.mount.as_str(), vault.path.as_str()), (MOUNT, PATH));
        assert!(matches!(vault.login, VaultLogin::Token(OneSecret::Value(_))));
    }

    #[test]
    fn a_role_wins_over_a_token_of_the_environment() {
        let text = "[vault]\naddress = \"https://v\"\njwt_role = \"r\"\njwt_file = \"/dev/null\"\n";
        let loaded = loaded_with(text, &[("VAULT_TOKEN", "hvs.x")]);
        let login = loaded.settings.vault.expect("it is there").login;
        assert!(matches!(login, VaultLogin::Jwt { auth_path, .. } if auth_path == "jwt-nomad"));
        let VaultLogin::AppRole { auth_path, secret_id, .. } =
            vault("role_id = \"r\"\nsecret_id = \"s3cr3t-id\"\nauth_path = \"ci/approle\"").login
        else {
            panic!("it is an AppRole")
        };
        assert_eq!(auth_path, "ci/approle");
        assert!(!format!("{secret_id:?}").contains("s3cr3t-id"));
    }

    #[test]
    fn what_is_said_twice_or_in_vain_is_told() {
        let told = |keys: &str| errors(&format!("[vault]\naddress = \"https://v\"\n{keys}\n"));
        assert!(told("").contains("vault.token: missing"));
        assert!(told("token = \"t\"\nrole_id = \"r\"").contains("role_id and token are both set"));
        assert!(told("token = \"t\"\nsecret_id = \"s\"").contains("has no effect without role_id"));
        assert!(told("token = \"t\"\nauth_path = \"a\"").contains("has no effect with a token"));
        assert!(told("jwt_role = \"r\"").contains("vault.jwt_file: missing"));
        let no_url = errors_with("[vault]\ntoken = \"t\"\n", &[("VAULT_ADDR", "vault:8200")]);
        assert!(no_url.contains("VAULT_ADDR: vault.address: "), "{no_url}");
    }

    #[test]
    fn a_path_differs_by_runner_and_has_no_slash_of_a_stranger() {
        assert_eq!(
            vault("token = \"t\"\npath = \"{namespace}/{nomad_job}/{runner_name}\"").mount,
            "secret"
        );
        let told = |path: &str| {
            errors(&format!("[vault]\naddress = \"https://v\"\ntoken = \"t\"\npath = {path:?}\n"))
        };
        assert!(told("runners/{repository}/{runner_name}").contains("unknown placeholder"));
        assert!(told("runners/{runnername}").contains("did you mean {runner_name}?"));
        assert!(told("runners/x").contains("is the same for all runners"));
        assert!(told("x/{runner_name}/{runner_name}").contains("has {runner_name} in its folder"));
        assert!(told("/{runner_name}").contains("is not a path of an entry"));
        assert!(told("runners/x-{runner_name}").contains("does not end with /{runner_name}"));
    }

    #[test]
    fn a_pool_s_entries_lie_where_its_placeholders_say() {
        let text = |path: &str, job: &str| {
            let pool = pool_with(&format!(
                "delivery = \"vault\"\nnomad_job = {job:?}\nnamespace = \"ci\"\n"
            ));
            format!("[vault]\naddress = \"https://v\"\ntoken = \"t\"\npath = {path:?}\n{pool}")
        };
        let path = "{namespace}/{nomad_job}/{pool}/{runner_name}";
        let settings = loaded(&text(path, "r")).settings;
        let (vault, pool) = (settings.vault.expect("it is there"), &settings.pools[0]);
        assert_eq!(vault.path_for(pool, "ci"), "ci/r/x64/{runner_name}");
        let told = errors(&text(path, "a/r"));
        assert!(told.contains("{nomad_job} of pool x64 is \"a/r\", which is no segment"), "{told}");
        let told = |keys: &str| {
            errors(&format!("[vault]\naddress = \"https://v\"\ntoken = \"t\"\n{keys}\n"))
        };
        assert!(
            told("mount = \"kv/data\"")
                .contains("contains data; write the path of the mount alone")
        );
    }
}
