//! `[vault]`: whether it can be logged in to, and what the token may do: with the credentials of runners
//! (`delivery = "vault"`), and with the entries that have the daemon's own secrets.
//!
//! Vault says what a token may do where, so nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use crate::config::{Delivery, Loaded, OneSecret, Origin, Pool, SecretPlace, Settings, VaultLogin};
use crate::deposit::vault_path;
use crate::own_secrets;
use crate::vault::{Client, Error, Lease, MountKind};

pub const SUBJECT: &str = "vault";
const ENDS_SOON: u64 = 14 * 24 * 60 * 60;

/// A runner's name as none has it.
const PROBE: &str = "roustabout-check";

type Rights = BTreeMap<String, BTreeSet<String>>;

pub async fn check(loaded: &Loaded) -> Vec<Finding> {
    let Some(vault) = &loaded.settings.vault else { return Vec::new() };
    let client = match own_secrets::client(vault) {
        Ok(client) => client,
        Err(error) => {
            return vec![Finding::fail(SUBJECT, format!("{error:#}"), "correct [vault]")];
        }
    };
    let found = asked(loaded, &client).await;
    client.leave().await;
    found
}

async fn asked(loaded: &Loaded, client: &Client) -> Vec<Finding> {
    let login = loaded.settings.vault.as_ref().map(|vault| &vault.login);
    // Into a file somebody writes another.
    let is_given = matches!(login, Some(VaultLogin::Token(OneSecret::Value(_))));
    let mut found = match client.lease().await {
        Err(error) if !matches!(error, Error::Denied { .. }) => return vec![away(&error)],
        lease => vec![lives(lease, is_given)],
    };
    let mut needs = needs(loaded);
    let kept = loaded.settings.pools.iter().any(|pool| pool.delivery == Delivery::Vault);
    if let Some(vault) = loaded.settings.vault.as_ref().filter(|_| kept) {
        let kind = client.mounted(&vault.mount).await;
        if kind.as_ref().is_ok_and(|kind| !kind.is_kv_2()) {
            // What the token may do there helps nobody.
            needs.retain(|need| need.subject == SUBJECT);
        }
        found.extend(mount(&vault.mount, kind));
        found.extend(side_by_side(&loaded.settings));
    }
    let paths: Vec<String> = needs.iter().map(|need| need.path.clone()).collect();
    if paths.is_empty() {
        return found;
    }
    match client.capabilities(&paths).await {
        Ok(rights) => found.extend(judged(&needs, &rights)),
        Err(error) => found.push(Finding::warn(
            SUBJECT,
            format!("cannot ask what the token may do: {error}"),
            "let its policy have update on sys/capabilities-self, as the policy default does",
        )),
    }
    found
}

fn away(error: &Error) -> Finding {
    let fix = match error {
        Error::Login { .. } => {
            "correct role_id and secret_id, jwt_role and jwt_file, or auth_path of [vault]"
        }
        Error::File { .. } => "make the file readable for the daemon's user",
        Error::Ended { .. } => {
            "set a token that is still valid, AppRole or a workload identity in [vault]"
        }
        _ => "check vault.address, and whether Vault is up and unsealed",
    };
    Finding::fail(SUBJECT, error.to_string(), fix)
}

fn lives(lease: Result<Lease, Error>, is_given: bool) -> Finding {
    match lease {
        Err(_) => Finding::ok(SUBJECT, "is reachable; the token may not look itself up"),
        Ok(Lease { seconds: Some(seconds), renewable: false })
            if is_given && seconds < ENDS_SOON =>
        {
            Finding::warn(
                SUBJECT,
                format!("the token ends in {} min and is not renewable", seconds / 60),
                "use a renewable token, AppRole or a workload identity",
            )
        }
        Ok(_) => Finding::ok(SUBJECT, "is reachable and accepts the token"),
    }
}

/// What has to be allowed at a path, and what for.
struct Need {
    subject: String,
    path: String,
    rights: &'static [&'static str],
    /// What does not work without it.
    without: &'static str,
    /// Whether runners are launched all the same.
    is_spared: bool,
}

fn needs(loaded: &Loaded) -> Vec<Need> {
    let settings = &loaded.settings;
    let mut needs = Vec::new();
    for pool in settings.pools.iter().filter(|pool| pool.delivery == Delivery::Vault) {
        let Some(path) = path_of(settings, pool) else { continue };
        let entry = path.replace("{runner_name}", PROBE);
        let metadata = metadata_of(&entry);
        let folder = metadata.strip_suffix(PROBE).unwrap_or(&metadata).to_owned();
        let subject = format!("pool {}", pool.name);
        let need = |path: String, rights, without, is_spared| Need {
            subject: subject.clone(),
            path,
            rights,
            without,
            is_spared,
        };
        let written = "so no credential can be written and no runner is launched";
        let left = "so credentials stay there until they expire";
        let unseen = "so credentials that a crash leaves behind are not found";
        needs.push(need(entry, &["update"], written, false));
        needs.push(need(metadata.clone(), &["create"], written, false));
        needs.push(need(metadata, &["delete"], left, true));
        needs.push(need(folder, &["list"], unseen, true));
    }
    let in_vault = |secret: &SecretPlace| match &secret.from {
        Origin::Vault(field) => Some(field.entry()),
        _ => None,
    };
    let entries: BTreeSet<String> = loaded.secrets.iter().filter_map(in_vault).collect();
    for entry in entries {
        needs.push(Need {
            subject: SUBJECT.to_owned(),
            path: entry.clone(),
            rights: &["read"],
            without: "so the daemon does not start without the secrets in it",
            is_spared: false,
        });
        needs.push(Need {
            subject: SUBJECT.to_owned(),
            path: metadata_of(&entry),
            rights: &["read"],
            without: "so the secrets in it are read each time it is looked whether there is a new version",
            is_spared: true,
        });
    }
    needs
}

/// Where what is known of an entry is.
fn metadata_of(entry: &str) -> String {
    entry.replacen("/data/", "/metadata/", 1)
}

fn path_of(settings: &Settings, pool: &Pool) -> Option<String> {
    let namespace = pool.namespace.as_ref().unwrap_or(&settings.nomad.namespace);
    Some(vault_path(settings.vault.as_ref()?, pool, namespace))
}

/// The policy's own form of a path: what is below the folder.
fn in_policy(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, PROBE | "")) => format!("{folder}/*"),
        _ => path.to_owned(),
    }
}

fn judged(needs: &[Need], rights: &Rights) -> Vec<Finding> {
    let mut found = Vec::new();
    for need in needs {
        let has = rights.get(&need.path);
        let may =
            |right: &&&str| has.is_some_and(|has| has.contains("root") || has.contains(**right));
        let lacks: Vec<&str> = need.rights.iter().filter(|right| !may(right)).copied().collect();
        if lacks.is_empty() {
            continue;
        }
        let path = in_policy(&need.path);
        let message =
            format!("the token lacks {} on {path}, {}", lacks.join(" and "), need.without);
        let quoted: Vec<String> = lacks.iter().map(|right| format!("\"{right}\"")).collect();
        let fix = format!(
            "its policy in Vault needs path \"{path}\" {{ capabilities = [{}] }}",
            quoted.join(", ")
        );
        found.push(match need.is_spared {
            true => Finding::warn(&need.subject, message, fix),
            false => Finding::fail(&need.subject, message, fix),
        });
    }
    let subjects: BTreeSet<&str> = needs.iter().map(|need| need.subject.as_str()).collect();
    for subject in subjects {
        if !found.iter().any(|finding| finding.subject == subject) {
            let message = match subject {
                SUBJECT => "the token may read the daemon's secrets and look for new versions",
                _ => {
                    "the token may write, list and destroy the credentials of its runners in Vault"
                }
            };
            found.push(Finding::ok(subject, message));
        }
    }
    found
}

fn mount(mount: &str, kind: Result<MountKind, Error>) -> Option<Finding> {
    let fix = "enable KV version 2 there (vault secrets enable -path=MOUNT -version=2 kv), or correct vault.mount";
    match kind {
        Ok(kind) if kind.is_kv_2() => None,
        Ok(kind) => {
            let version = kind.version.map(|version| format!(" version {version}"));
            let kind = format!("{}{}", kind.kind, version.unwrap_or_default());
            Some(Finding::fail(SUBJECT, format!("{mount} is {kind}, not KV version 2"), fix))
        }
        Err(Error::Denied { .. }) => Some(Finding::fail(
            SUBJECT,
            format!("nothing is mounted at {mount}, or the token may do nothing there"),
            fix,
        )),
        Err(error) => Some(Finding::warn(
            SUBJECT,
            format!("cannot ask what is mounted at {mount}: {error}"),
            "check whether Vault is up",
        )),
    }
}

/// Pools whose credentials no policy can tell apart but by the names of their runners.
fn side_by_side(settings: &Settings) -> Vec<Finding> {
    let mut folders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for pool in settings.pools.iter().filter(|pool| pool.delivery == Delivery::Vault) {
        let path = path_of(settings, pool).unwrap_or_default();
        folders.entry(path).or_default().push(&pool.name);
    }
    let shared = folders.into_iter().filter(|(_, pools)| pools.len() > 1);
    shared
        .map(|(path, pools)| {
            Finding::warn(
                SUBJECT,
                format!(
                    "the credentials of the pools {} lie side by side at {path}, so a policy for the tasks of one may reach those of another",
                    pools.join(", ")
                ),
                "use {namespace} and {nomad_job}, or {pool}, in vault.path",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Report, render, testing};

    const CONFIG: &str = "[vault]\naddress = \"https://v\"\ntoken = \"t\"\n[[pools]]\nname = \"a\"\nnomad_job = \"r\"\n\
        labels = [\"x\"]\nrepositories = [\"o/*\"]\ndelivery = \"vault\"\n";

    fn told(config: &str, rights: &[(&str, &[&str])]) -> String {
        let own = |(path, rights): &(&str, &[&str])| {
            ((*path).to_owned(), rights.iter().map(|right| (*right).to_owned()).collect())
        };
        let rights: Rights = rights.iter().map(own).collect();
        let found = judged(&needs(&testing::loaded(config)), &rights);
        render::text(&Report(found), false)
    }

    #[test]
    fn each_right_that_is_missing_is_named() {
        let data = "secret/data/roustabout/roustabout-check";
        let metadata = "secret/metadata/roustabout/roustabout-check";
        let folder = "secret/metadata/roustabout/";
        let all = told(
            CONFIG,
            &[(data, &["update"]), (metadata, &["create", "delete"]), (folder, &["list"])],
        );
        assert!(all.starts_with("ok    pool a  the token may write, list and destroy"), "{all}");
        let root = told(CONFIG, &[(data, &["root"]), (metadata, &["root"]), (folder, &["root"])]);
        assert!(root.starts_with("ok    pool a"), "{root}");
        let none = told(CONFIG, &[(data, &["deny"]), (metadata, &["deny"]), (folder, &["deny"])]);
        insta::assert_snapshot!(none, @r#"
        fail  pool a  the token lacks update on secret/data/roustabout/*, so no credential can be written and no runner is launched; its policy in Vault needs path "secret/data/roustabout/*" { capabilities = ["update"] }
        fail  pool a  the token lacks create on secret/metadata/roustabout/*, so no credential can be written and no runner is launched; its policy in Vault needs path "secret/metadata/roustabout/*" { capabilities = ["create"] }
        warn  pool a  the token lacks delete on secret/metadata/roustabout/*, so credentials stay there until they expire; its policy in Vault needs path "secret/metadata/roustabout/*" { capabilities = ["delete"] }
        warn  pool a  the token lacks list on secret/metadata/roustabout/*, so credentials that a crash leaves behind are not found; its policy in Vault needs path "secret/metadata/roustabout/*" { capabilities = ["list"] }
        0 ok, 2 warn, 2 fail
        "#);
    }

    #[test]
    fn where_a_new_version_cannot_be_seen_is_told() {
        let config = "[vault]\naddress = \"https://v\"\ntoken = \"t\"\n[nomad]\ntoken_vault = \"kv/data/nomad#t\"\n";
        let data: (&str, &[&str]) = ("kv/data/nomad", &["read"]);
        let lacks = told(config, &[data, ("kv/metadata/nomad", &["list"])]);
        assert!(
            lacks.contains("warn  vault  the token lacks read on kv/metadata/nomad"),
            "{lacks}"
        );
        let may = told(config, &[data, ("kv/metadata/nomad", &["read"])]);
        assert!(may.starts_with("ok    vault  the token may read the daemon's secrets"), "{may}");
        let none = told(config, &[]);
        assert!(none.contains("fail  vault  the token lacks read on kv/data/nomad"), "{none}");
    }

    #[test]
    fn pools_whose_credentials_lie_side_by_side_are_told() {
        let second = "[[pools]]\nname = \"a-big\"\nnomad_job = \"s\"\nlabels = [\"y\"]\nrepositories = [\"o/*\"]\ndelivery = \"vault\"\n";
        let shared = side_by_side(&testing::loaded(&format!("{CONFIG}{second}")).settings);
        assert!(shared[0].message.contains("the pools a, a-big lie side by side"), "{shared:?}");
        let apart = CONFIG.replace("token = ", "path = \"{nomad_job}/{runner_name}\"\ntoken = ");
        let apart = side_by_side(&testing::loaded(&format!("{apart}{second}")).settings);
        assert!(apart.is_empty(), "{apart:?}");
    }
}
