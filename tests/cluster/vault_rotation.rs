//! A daemon that has every secret in a real OpenBao, each of which is replaced there while webhooks and jobs come, and
//! the one before is invalid at once: no webhook is refused, and no job is lost.

use crate::support;

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use simulated::AppKeys;
use simulated::github::{AppSpec, HookSpec, JobSpec, RunSpec, Scope, Server, Visibility};
use support::daemon::{Daemon, SECRET, here};
use support::parts::{Part, is_missing};
use support::senders::Senders;
use support::until;
use support::vault::Vault;
use support::world::{LABELS, PARENT, Parts};

const LIMIT: Duration = Duration::from_secs(90);
const READER: &str = r#"
path "kv/data/roustabout/*" { capabilities = ["read"] }
path "kv/metadata/roustabout/*" { capabilities = ["read"] }
"#;

/// An organization with an App, a user with a token, and a Nomad with ACLs.
struct World {
    vault: Vault,
    parts: Parts,
    daemon: Daemon,
    app: u64,
    installation: u64,
    user: u64,
    of_team: u64,
    of_user: u64,
}

impl World {
    async fn start() -> Self {
        let vault = Vault::start().await;
        vault.policy("roustabout", READER).await;
        let (role_id, secret_id) =
            vault.approle("roustabout", "roustabout", json!({ "secret_id_num_uses": 1 })).await;
        let parts = Parts::with(|options| options.acl = true).await;
        let github = &parts.github;
        let (app, installation, user, of_team, of_user) = github.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_full_token("ghp_first", user);
            let team = github.add_organization("team", &[user]);
            let of_team = github.add_repository("team/app", Visibility::Private, now);
            let of_user = github.add_repository("octocat/app", Visibility::Private, now);
            let app = github.add_app(AppSpec::new("of team", team), now);
            let installation = github.install(app, team, None, now);
            (app, installation, user, of_team, of_user)
        });
        vault
            .put("roustabout/github", json!({ "token": "ghp_first", "app": simulated::app_key() }))
            .await;
        let config = format!(
            "[github]\napi_url = \"{}\"\n\
             [[github.credentials]]\nowners = [\"team\"]\n[github.credentials.app]\nid = {app}\n\
             private_key_vault = \"kv/data/roustabout/github#app\"\nwebhook_secret = \"{SECRET} of the App\"\n\
             [[github.credentials]]\nowners = [\"octocat\"]\ntoken_vault = \"kv/data/roustabout/github#token\"\n\
             [nomad]\naddress = \"{}\"\ntoken_vault = \"kv/data/roustabout/nomad#token\"\n\
             [vault]\naddress = \"{}\"\nrole_id = \"{role_id}\"\nsecret_id = \"{secret_id}\"\n\
             [[pools]]\nname = \"x64\"\nnomad_job = \"{PARENT}\"\nlabels = [\"self-hosted\", \"linux\", \"x64\"]\n\
             repositories = [\"team/*\", \"octocat/*\"]\ndelivery = \"payload\"\ncredential = \"jit\"\n",
            github.url(),
            parts.agent.address().as_str().trim_end_matches('/'),
            vault.bao.address(),
        );
        let daemon = Daemon::prepare(&config);
        let url = daemon.url();
        github.with(|github, now| {
            for repository in [of_team, of_user] {
                github.add_hook(Scope::Repository(repository), HookSpec::new(&url, SECRET), now);
            }
        });
        let world = Self { vault, parts, daemon, app, installation, user, of_team, of_user };
        world.new_nomad_token("first").await;
        world
    }

    fn github(&self) -> &Server {
        &self.parts.github
    }

    /// In Vault; its accessor.
    async fn new_nomad_token(&self, name: &str) -> String {
        let rules = std::fs::read_to_string(here("deploy/nomad/acl/daemon.hcl")).unwrap();
        let rules = rules.replace("namespace \"runners\"", "namespace \"default\"");
        self.at_nomad("PUT", "/v1/acl/policy/daemon", json!({ "Name": "daemon", "Rules": rules }))
            .await;
        let body = json!({ "Name": name, "Type": "client", "Policies": ["daemon"] });
        let made = self.at_nomad("PUT", "/v1/acl/token", body).await;
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        self.vault.put("roustabout/nomad", json!({ "token": text("SecretID") })).await;
        text("AccessorID")
    }

    async fn at_nomad(&self, method: &str, path: &str, body: Value) -> Value {
        let url = self.parts.agent.address().join(path).unwrap();
        let token = self.parts.agent.token().unwrap().expose_secret();
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let answer = request.header("X-Nomad-Token", token).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Jobs of both owners run to their end.
    async fn jobs_run(&self) {
        let jobs = self.github().with(|github, now| {
            let mut all = Vec::new();
            for repository in [self.of_team, self.of_user] {
                let job = |n| JobSpec::new(format!("job {n}"), &LABELS).lasting(100);
                let run =
                    github.add_run(repository, RunSpec::default(), (0..2).map(job).collect(), now);
                all.extend(github.run(run).unwrap().jobs.clone());
            }
            all
        });
        until("the jobs have run", LIMIT, async || {
            self.github().with(|github, _| {
                jobs.iter().all(|job| github.job(*job).unwrap().conclusion.is_some())
            })
        })
        .await;
        let succeeded = |job: &u64| {
            let conclusion = self.github().with(|github, _| github.job(*job).unwrap().conclusion);
            assert_eq!(conclusion.unwrap().as_str(), "success");
        };
        jobs.iter().for_each(succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_key_a_token_and_a_token_of_nomad_are_replaced_and_nothing_is_lost() {
    if is_missing(Part::OpenBao, "the rotation of secrets in Vault") {
        return;
    }
    let mut world = World::start().await;
    let first = world.at_nomad("GET", "/v1/acl/tokens", Value::Null).await;
    let first = first.as_array().unwrap().iter().find(|token| token["Name"] == "first").unwrap();
    let first = first["AccessorID"].as_str().unwrap().to_owned();
    world.daemon.start().await;
    let senders = Senders::start(world.daemon.door);
    world.jobs_run().await;

    let keys = AppKeys::generate();
    let both = json!({ "token": "ghp_second", "app": keys.pkcs1 });
    world.vault.put("roustabout/github", both).await;
    world.github().with(|github, _| {
        github.app_mut(world.app).unwrap().keys = vec![keys.public.clone()];
        github.add_full_token("ghp_second", world.user);
        github.revoke_token("ghp_first");
        github.revoke_tokens_of(world.installation);
    });
    world.jobs_run().await;

    world.new_nomad_token("second").await;
    world.at_nomad("DELETE", &format!("/v1/acl/token/{first}"), Value::Null).await;
    world.jobs_run().await;

    senders.until_accepted(10).await;
    let (_, failed) = senders.end().await;
    assert_eq!(failed, [""; 0]);
    assert_eq!(world.daemon.count_of("a secret in Vault has changed"), 2);
}
