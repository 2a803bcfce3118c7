//! A Vault and a Nomad that know each other: tasks log in at the one with the identities of the other, with the
//! policies and the role that we ship.

use local_parts::agent::AgentOptions;
use local_parts::runner_job;
use serde_json::{Value, json};

use super::daemon::here;
use super::vault::Vault;
use super::world::{PARENT, Parts};

/// Where the credentials of the tests' one job lie.
pub const FOLDER: &str = "default/github-runner-x64";

/// A file of deploy/vault, for the mount and the namespace of the tests.
pub fn shipped(file: &str) -> String {
    let text = std::fs::read_to_string(here(&format!("deploy/vault/{file}"))).unwrap();
    text.replace("secret/", "kv/")
        .replace("/runners/", "/default/")
        .replace("\"runners\"", "\"default\"")
}

pub struct Both {
    pub vault: Vault,
    pub parts: Parts,
}

pub async fn start() -> Both {
    with(|_| {}).await
}

/// With another Nomad.
pub async fn with(change: impl FnOnce(&mut AgentOptions)) -> Both {
    let vault = Vault::start().await;
    let parts = Parts::with(|options| {
        change(options);
        options.extra_config = Some(json!({ "vault": {
            "enabled": true,
            "address": vault.bao.address().as_str().trim_end_matches('/'),
            "default_identity": { "aud": ["vault.io"], "ttl": "1h" },
        } }));
    })
    .await;
    vault.policy("roustabout", &shipped("daemon.hcl")).await;
    vault.ask("POST", "sys/auth/jwt-nomad", json!({ "type": "jwt" })).await;
    let keys = parts.agent.address().join(".well-known/jwks.json").unwrap();
    let config = json!({ "jwks_url": keys.as_str(), "jwt_supported_algs": ["RS256", "EdDSA"] });
    vault.ask("POST", "auth/jwt-nomad/config", config).await;
    let method = vault.ask("GET", "sys/auth", Value::Null).await;
    let accessor = method["data"]["jwt-nomad/"]["accessor"].as_str().unwrap().to_owned();
    let rules = shipped("runner.hcl").replace("ACCESSOR", &accessor);
    vault.policy("roustabout-runner", &rules).await;
    let role: Value = serde_json::from_str(&shipped("runner-role.json")).unwrap();
    vault.ask("POST", "auth/jwt-nomad/role/runner", role).await;
    let archive = parts.github.runner_archive_url().parse().unwrap();
    let says = "vault_role = \"runner\"\n";
    let registered =
        runner_job::register_saying(&parts.nomad, PARENT, &archive, runner_job::MEMORY, says);
    registered.await.unwrap();
    Both { vault, parts }
}

impl Vault {
    /// `[vault]` of a daemon with that policy and no other, which can log in once.
    pub async fn section_with(&self, policy: &str) -> String {
        let (role_id, secret_id) =
            self.approle(policy, policy, json!({ "secret_id_num_uses": 1 })).await;
        format!(
            "[vault]\naddress = \"{}\"\nrole_id = \"{role_id}\"\nsecret_id = \"{secret_id}\"\n\
             mount = \"kv\"\npath = \"{{namespace}}/{{nomad_job}}/{{runner_name}}\"\n",
            self.bao.address()
        )
    }

    /// The entries in a folder of `kv`.
    pub async fn names(&self, folder: &str) -> Vec<String> {
        let path = format!("kv/metadata/{folder}?list=true");
        let Ok(listed) = self.bao.ask("GET", &path, None).await else { return Vec::new() };
        let names = listed["data"]["keys"].as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    }
}
