//! A daemon that has every secret in a real OpenBao, each of which is replaced there while webhooks and jobs come, and
//! the one before is invalid at once: no webhook is refused, and no job is lost.

use crate::support;

use serde_json::json;
use simulated::AppKeys;
use simulated::github::{HookSpec, Scope, Server};
use support::daemon::{Daemon, SECRET};
use support::parts::{Part, is_missing};
use support::senders::Senders;
use support::two_owners::{self, TwoOwners};
use support::vault::Vault;
use support::world::{LABELS, PARENT, Parts};

const READER: &str = r#"
path "kv/data/roustabout/*" { capabilities = ["read"] }
path "kv/metadata/roustabout/*" { capabilities = ["read"] }
"#;

/// An organization with an App, a user with a token, and a Nomad with ACLs.
struct World {
    vault: Vault,
    parts: Parts,
    daemon: Daemon,
    owners: TwoOwners,
}

impl World {
    async fn start() -> Self {
        let vault = Vault::start().await;
        vault.policy("roustabout", READER).await;
        let (role_id, secret_id) =
            vault.approle("roustabout", "roustabout", json!({ "secret_id_num_uses": 1 })).await;
        let parts = Parts::with(|options| options.acl = true).await;
        let github = &parts.github;
        let owners = TwoOwners::at(github);
        let TwoOwners { app, of_team, of_user, .. } = owners;
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
        let world = Self { vault, parts, daemon, owners };
        world.new_nomad_token("first").await;
        world
    }

    fn github(&self) -> &Server {
        &self.parts.github
    }

    /// In Vault.
    async fn new_nomad_token(&self, name: &str) {
        let token = two_owners::daemon_token(&self.parts.agent, name).await;
        self.vault.put("roustabout/nomad", json!({ "token": token })).await;
    }

    async fn jobs_run(&self) {
        let TwoOwners { of_team, of_user, .. } = self.owners;
        two_owners::jobs_run(self.github(), &[(of_team, LABELS), (of_user, LABELS)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_key_a_token_and_a_token_of_nomad_are_replaced_and_nothing_is_lost() {
    if is_missing(Part::OpenBao, "the rotation of secrets in Vault") {
        return;
    }
    let mut world = World::start().await;
    world.daemon.start().await;
    let senders = Senders::start(world.daemon.door);
    world.jobs_run().await;

    let keys = AppKeys::generate();
    let both = json!({ "token": "ghp_second", "app": keys.pkcs1 });
    world.vault.put("roustabout/github", both).await;
    world.github().with(|github, _| {
        github.app_mut(world.owners.app).unwrap().keys = vec![keys.public.clone()];
        github.add_full_token("ghp_second", world.owners.user);
        github.revoke_token("ghp_first");
        github.revoke_tokens_of(world.owners.installation);
    });
    world.jobs_run().await;

    world.new_nomad_token("second").await;
    two_owners::delete_token(&world.parts.agent, "first").await;
    world.jobs_run().await;

    senders.until_accepted(10).await;
    let (_, failed) = senders.end().await;
    assert_eq!(failed, [""; 0]);
    assert_eq!(world.daemon.count_of("a secret in Vault has changed"), 2);
}
