//! A whole installation: applied, used, changed, repaired and destroyed. Its daemon runs on Nomad, reads its secrets
//! in a real OpenBao, to which Nomad's identity is the key, and its runners run jobs.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulated::github::{JobSpec, Kind, RunSpec, Scope, Visibility};

use crate::contract::description::Api;
use crate::contract::judge::Judge;
use crate::support::daemon::GITHUB_TOKEN;
use crate::support::parts::{Part, is_missing};
use crate::support::vault::Vault;
use crate::support::volume::Volume;
use crate::support::world::{LABELS, Parts};
use crate::support::{free_port, until};
use crate::terraform::tofu::Tofu;

const LIMIT: Duration = Duration::from_secs(90);
const ADMIN_TOKEN: &str = "admin-token-of-the-private-door";
const SECRET: &str = "the first webhook secret";
const SECOND: &str = "the second webhook secret";

struct Installation {
    parts: Parts,
    vault: Vault,
    tofu: Tofu,
    /// Stands before the API where GitHub's description can be had.
    judge: Option<Judge>,
    volume: Volume,
    ports: [u16; 3],
    /// The ids of octocat/app, octocat/lib and octo/tools.
    repositories: [u64; 3],
}

impl Installation {
    async fn prepare() -> Self {
        let volume = Volume::prepare();
        let state = volume.state();
        let vault = Vault::start().await;
        let vault_address = vault.bao.address().as_str().trim_end_matches('/').to_owned();
        let parts = Parts::with(|options| {
            options.acl = true;
            options.extra_config = Some(json!({
                "client": { "host_volume": { "roustabout": { "path": state } } },
                "vault": {
                    "enabled": true,
                    "address": vault_address,
                    "default_identity": { "aud": ["vault.io"], "ttl": "1h" },
                },
            }));
        })
        .await;
        let repositories = parts.github.with(|github, now| {
            github.knobs.kind = Kind::EnterpriseServer;
            let user = github.add_user("octocat");
            github.add_organization("octo", &[user]);
            github.add_full_token(GITHUB_TOKEN, user);
            ["octocat/app", "octocat/lib", "octo/tools"]
                .map(|name| github.add_repository(name, Visibility::Private, now))
        });
        vault.ask("POST", "sys/auth/jwt-nomad", json!({ "type": "jwt" })).await;
        let keys = json!({
            "jwks_url": parts.agent.address().join("/.well-known/jwks.json").unwrap().as_str(),
            "jwt_supported_algs": ["RS256", "EdDSA"],
        });
        vault.ask("POST", "auth/jwt-nomad/config", keys).await;
        let judge = match is_missing(
            Part::Descriptions,
            "the webhooks of deploy/terraform by GitHub's description",
        ) {
            true => None,
            false => Some(
                Judge::before(parts.github.url().trim_end_matches('/'), Api::EnterpriseServer319)
                    .await,
            ),
        };
        let mut tofu = Tofu::at("installation");
        tofu.write("main.tf", include_str!("installation.tf"));
        let github = parts.github.url().trim_end_matches('/').to_owned();
        let base = judge.as_ref().map_or_else(|| github.clone(), Judge::url);
        let ports = [free_port(), free_port(), free_port()];
        tofu.set("GITHUB_BASE_URL", format!("{}/", base.trim_end_matches("/api/v3")));
        tofu.set("GITHUB_TOKEN", GITHUB_TOKEN);
        tofu.set("NOMAD_ADDR", parts.agent.address().as_str().trim_end_matches('/'));
        tofu.set("NOMAD_TOKEN", parts.agent.token().unwrap().expose_secret());
        tofu.set("VAULT_ADDR", &vault_address);
        tofu.set("VAULT_TOKEN", vault.root());
        let mut installation = Self { parts, vault, tofu, judge, volume, ports, repositories };
        let daemon = json!({
            "driver": "raw_exec", "uid": "-1", "program": installation.volume.program(), "state": installation.volume.state(),
        });
        let archive = installation.parts.github.runner_archive_url();
        let bytes = reqwest::get(&archive).await.unwrap().bytes().await.unwrap();
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let runner = json!({
            "runner_archive": archive, "runner_checksum": format!("sha256:{}", hex::encode(Sha256::digest(&bytes))),
            "run_as_root": "true", "cpu": "50", "memory": "64", "disk": "101", "arch": arch,
        });
        let [webhook, admin, claims] = ports;
        installation.say("ports", &json!({ "webhook": webhook, "admin": admin, "claims": claims }));
        installation.say("api_url", &json!(format!("{github}/api/v3")));
        installation.say("vault_address", &json!(vault_address));
        installation.say("daemon", &daemon);
        installation.say("runner", &runner);
        installation.say("labels", &json!(LABELS));
        installation.say("octo_job", &json!("runner-octo"));
        installation.say("exclude", &json!(["site"]));
        installation.say("webhook_secret", &json!(SECRET));
        installation
            .say("secrets", &json!({ "admin_token": ADMIN_TOKEN, "github_token": GITHUB_TOKEN }));
        installation.say("secrets_version", &json!(1));
        installation
    }

    /// A variable of the root module.
    fn say(&mut self, name: &str, value: &Value) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.tofu.set(&format!("TF_VAR_{name}"), text);
    }

    /// The secrets of the hooks at a repository's or organization's.
    fn hooks(&self, scope: Scope) -> Vec<Option<String>> {
        let hooks = self.parts.github.with(|github, _| github.hooks_at(scope));
        hooks.into_iter().map(|hook| hook.secret).collect()
    }

    fn organization(&self) -> Scope {
        Scope::Organization(self.parts.github.with(|github, _| github.account("octo").unwrap().id))
    }

    async fn nomad(&self, path: &str) -> (u16, Value) {
        let url = self.parts.agent.address().join(path).unwrap();
        let token = self.parts.agent.token().unwrap().expose_secret();
        let answer =
            reqwest::Client::new().get(url).header("X-Nomad-Token", token).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    async fn until_ready(&self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.ports[1]);
        until("the daemon is ready", LIMIT, async || {
            reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    async fn runs_a_job(&self, repository: u64, labels: &[&str]) {
        let job = self.parts.github.with(|github, now| {
            let jobs = vec![JobSpec::new("build", labels).lasting(100)];
            let run = github.add_run(repository, RunSpec::default(), jobs, now);
            github.run(run).unwrap().jobs[0]
        });
        let ended =
            |github: &simulated::github::GitHub| github.job(job).unwrap().conclusion.is_some();
        let so = self.parts.github.until(LIMIT, ended).await;
        assert!(so.is_ok(), "job {job} of {repository} does not end: {:#}", self.why(job).await);
    }

    async fn why(&self, job: u64) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/jobs/{job}", self.ports[1]);
        let answer = reqwest::Client::new().get(url).bearer_auth(ADMIN_TOKEN).send().await;
        answer.unwrap().json().await.unwrap_or_default()
    }

    async fn until_no_runner_is_left(&self) {
        let url = format!("http://127.0.0.1:{}/api/v1/status", self.ports[1]);
        until("no runner is left", LIMIT, async || {
            let answer = reqwest::Client::new().get(&url).bearer_auth(ADMIN_TOKEN).send().await;
            let status: Value = answer.unwrap().json().await.unwrap();
            status["capacity"]["alive"] == 0
                && self.parts.github.with(|github, _| github.leftovers().is_empty())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_applied_used_changed_repaired_and_destroyed() {
    if is_missing(Part::OpenTofu, "applying deploy/terraform")
        || is_missing(Part::OpenBao, "applying deploy/terraform")
    {
        return;
    }
    let mut it = Installation::prepare().await;
    let [app, lib, tools] = it.repositories;
    let organization = it.organization();
    it.tofu.init();
    it.tofu.apply();
    assert_eq!(it.tofu.changes(), "");
    assert_eq!(it.hooks(Scope::Repository(app)), [Some(SECRET.to_owned())]);
    assert_eq!(it.hooks(organization), [Some(SECRET.to_owned())]);
    assert_eq!(it.hooks(Scope::Repository(lib)), []);
    for secret in [ADMIN_TOKEN, GITHUB_TOKEN] {
        assert!(!it.tofu.state().contains(secret), "a secret is in the state");
    }
    it.until_ready().await;
    it.runs_a_job(app, &LABELS).await;
    it.runs_a_job(tools, &LABELS).await;
    it.runs_a_job(app, &["self-hosted", "by-vault"]).await;

    // A repository gets the topic, and another loses its webhook by hand: both are seen.
    it.parts.github.with(|github, _| {
        github.repository_mut(lib).unwrap().topics = vec!["ci".to_owned()];
    });
    remove_hooks(&it, "octocat/app").await;
    assert_ne!(it.tofu.changes(), "");
    it.tofu.apply();
    assert_eq!(it.hooks(Scope::Repository(app)).len(), 1);
    assert_eq!(it.hooks(Scope::Repository(lib)).len(), 1);
    it.runs_a_job(lib, &LABELS).await;

    // Another secret, another label, and another name of a job.
    it.say("octo_job", &json!("runner-of-octo"));
    it.say("webhook_secret", &json!(SECOND));
    it.say("secrets_version", &json!(2));
    it.say("labels", &json!([LABELS.as_slice(), &["big"]].concat()));
    it.tofu.apply();
    assert_eq!(it.tofu.changes(), "");
    assert_eq!(it.hooks(Scope::Repository(app)), [Some(SECOND.to_owned())]);
    it.runs_a_job(app, &["self-hosted", "big"]).await;
    it.runs_a_job(tools, &["self-hosted", "big"]).await;
    assert_eq!(it.nomad("/v1/job/runner-octo?namespace=runners").await.0, 404);

    it.until_no_runner_is_left().await;
    it.tofu.run(&["destroy", "-auto-approve"]).good();
    for scope in [Scope::Repository(app), Scope::Repository(lib), organization] {
        assert_eq!(it.hooks(scope), []);
    }
    for path in [
        "/v1/job/roustabout",
        "/v1/job/github-runner-x64?namespace=runners",
        "/v1/job/runner-of-octo?namespace=runners",
        "/v1/namespace/runners",
        "/v1/acl/policy/roustabout",
        "/v1/acl/policy/roustabout-runner-octo",
    ] {
        assert_eq!(it.nomad(path).await.0, 404, "{path}");
    }
    for path in [
        "kv/metadata/roustabout",
        "sys/policies/acl/roustabout",
        "auth/jwt-nomad/role/roustabout",
        "auth/jwt-nomad/role/roustabout-runner-by-vault",
    ] {
        assert!(it.vault.bao.ask("GET", path, None).await.is_err(), "{path}");
    }
    if let Some(judge) = &it.judge {
        assert!(judge.seen().len() > 20, "{:#?}", judge.seen());
        let breaches = judge.breaches();
        assert!(breaches.is_empty(), "{breaches:#?}");
    }
}

async fn remove_hooks(it: &Installation, repository: &str) {
    let url =
        format!("{}/api/v3/repos/{repository}/hooks", it.parts.github.url().trim_end_matches('/'));
    let http = reqwest::Client::new();
    let hooks: Value =
        http.get(&url).bearer_auth(GITHUB_TOKEN).send().await.unwrap().json().await.unwrap();
    for hook in hooks.as_array().unwrap() {
        let one = format!("{url}/{}", hook["id"]);
        assert!(
            http.delete(one).bearer_auth(GITHUB_TOKEN).send().await.unwrap().status().is_success()
        );
    }
}
