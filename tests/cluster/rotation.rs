//! A daemon whose secrets lie in files, or in systemd's credentials: each is replaced while webhooks and jobs come, and
//! the one before is invalid soon after. No webhook is refused, and no job is lost. (In Vault: `vault_rotation`.)

use crate::support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use local_parts::runner_job;
use serde_json::{Value, json};
use simulated::AppKeys;
use simulated::github::{HookSpec, Scope, Server};
use support::certificates::Certificates;
use support::daemon::{Daemon, IN_EFFECT, SECRET};
use support::parts::{Part, is_missing};
use support::senders::Senders;
use support::two_owners::{self, TwoOwners};
use support::vault_and_nomad::{self, Both};
use support::webhook::{Request, queued};
use support::world::{LABELS, PARENT};
use support::{free_port, until};

const LIMIT: Duration = Duration::from_secs(90);
/// The parameterized job whose tasks claim, over TLS; that of the tests reads Vault.
const CLAIMING: &str = "github-runner-claim";
const OLDER: &str = "a secret before the first one";
const SECOND: &str = "the secret after the first";
const CERTIFICATE: [&str; 2] = ["global-server-nomad-key.pem", "global-server-nomad.pem"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    InFiles,
    InCredentials,
}

/// An organization with an App whose jobs' runners claim, a user with a token whose jobs' runners read Vault.
struct World {
    both: Both,
    daemon: Daemon,
    lie: Lie,
    /// Where each secret lies, by its name as a credential.
    folder: tempfile::TempDir,
    certificates: [Certificates; 2],
    owners: TwoOwners,
    hook: u64,
}

impl World {
    async fn start(lie: Lie) -> Self {
        let both = vault_and_nomad::with(|options| options.acl = true).await;
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let certificates = [Certificates::make(), Certificates::make()];
        let authorities = certificates.each_ref().map(|of| std::fs::read(of.ca()).unwrap());
        std::fs::write(file("authorities.pem"), authorities.concat()).unwrap();
        take_up(&certificates[0], folder.path());
        let archive = both.parts.github.runner_archive_url().parse().unwrap();
        let trusts = format!("claim_ca_file = {:?}\n", file("authorities.pem"));
        let memory = runner_job::MEMORY;
        runner_job::register_saying(&both.parts.nomad, CLAIMING, &archive, memory, &trusts)
            .await
            .unwrap();
        let owners = TwoOwners::at(&both.parts.github);
        for (name, secret) in [
            ("webhook-secret", SECRET.to_owned()),
            ("previous-webhook-secret", OLDER.to_owned()),
            ("app-webhook-secret", of_app(SECRET)),
            ("previous-app-webhook-secret", of_app(OLDER)),
            ("github-token", "ghp_first".to_owned()),
            ("github-app-key", simulated::app_key()),
        ] {
            std::fs::write(file(name), format!("{secret}\n")).unwrap();
        }
        let daemon = Daemon::prepare(&config(&both, lie, folder.path(), owners.app).await);
        let said = format!("secret = \"{SECRET}\"\n");
        let secrets = match lie {
            Lie::InFiles => format!(
                "secret_file = {:?}\nprevious_secret_file = {:?}\n",
                file("webhook-secret"),
                file("previous-webhook-secret")
            ),
            Lie::InCredentials => String::new(),
        };
        daemon.configure(|config| config.replace(&said, &secrets));
        let mut world = Self { both, daemon, lie, folder, certificates, owners, hook: 0 };
        world.new_nomad_token("first").await;
        let passed = world.folder.path().to_owned();
        world
            .daemon
            .start_with(&[], |command| {
                if lie == Lie::InCredentials {
                    command.env("CREDENTIALS_DIRECTORY", passed);
                }
            })
            .await;
        let url = world.daemon.url();
        world.hook = world.github().with(|github, now| {
            github.lead_app_hook(owners.app, &url, &of_app(SECRET), now);
            github.add_hook(Scope::Repository(owners.of_user), HookSpec::new(&url, SECRET), now)
        });
        world
    }

    fn github(&self) -> &Server {
        &self.both.parts.github
    }

    fn put(&self, name: &str, secret: &str) {
        std::fs::write(self.folder.path().join(name), format!("{secret}\n")).unwrap();
    }

    /// In its file.
    async fn new_nomad_token(&self, name: &str) {
        let token = two_owners::daemon_token(&self.both.parts.agent, name).await;
        self.put("nomad-token", &token);
    }

    async fn jobs_run(&self) {
        let TwoOwners { of_team, of_user, .. } = self.owners;
        let all = [(of_team, LABELS), (of_user, ["self-hosted", "linux", "laid"])];
        two_owners::jobs_run(self.github(), &all).await;
    }

    /// Jobs come before, while and after it is done.
    async fn under_load(&self, what: impl Future<Output = ()>) {
        tokio::join!(self.jobs_run(), what);
        self.jobs_run().await;
    }

    async fn status(&self, id: u64, secret: &str) -> u16 {
        let job = Request::job(&format!("{id} {secret}"), &queued(id)).signed(secret);
        job.send(self.daemon.door).await.status
    }

    async fn new_webhook_secrets(&self, senders: &Senders) {
        assert_eq!((self.status(1, OLDER).await, self.status(2, SECOND).await), (202, 401));
        let before = self.daemon.count_of(IN_EFFECT);
        self.put("previous-webhook-secret", SECRET);
        self.put("webhook-secret", SECOND);
        self.put("previous-app-webhook-secret", &of_app(SECRET));
        self.put("app-webhook-secret", &of_app(SECOND));
        self.are_taken_up(before).await;
        // Some were signed with the one before.
        senders.until_accepted(10).await;
        senders.sign_with(SECOND);
        let url = self.daemon.url();
        self.github()
            .with(|github, now| github.lead_app_hook(self.owners.app, &url, &of_app(SECOND), now));
        senders.until_accepted(10).await;
        assert_eq!((self.status(3, OLDER).await, self.status(4, SECOND).await), (401, 202));
    }

    async fn new_credentials_of_github(&self) {
        let keys = AppKeys::generate();
        let before = self.daemon.count_of(IN_EFFECT);
        self.put("github-app-key", &keys.pkcs1);
        self.put("github-token", "ghp_second");
        self.github().with(|github, _| {
            github.app_mut(self.owners.app).unwrap().keys.push(keys.public.clone());
            github.add_full_token("ghp_second", self.owners.user);
        });
        self.are_taken_up(before).await;
        self.github().with(|github, _| {
            github.app_mut(self.owners.app).unwrap().keys = vec![keys.public.clone()];
            github.revoke_token("ghp_first");
            github.revoke_tokens_of(self.owners.installation);
        });
    }

    /// Files are looked at; of credentials, which systemd gives anew only at a start, somebody tells.
    async fn are_taken_up(&self, before: usize) {
        match self.lie {
            Lie::InFiles => {
                let seen = async || self.daemon.count_of(IN_EFFECT) > before;
                until("the files are taken up", LIMIT, seen).await;
            }
            Lie::InCredentials => self.daemon.reload().await,
        }
    }

    async fn new_token_of_nomad(&self) {
        self.new_nomad_token("second").await;
        self.daemon.reload().await;
        two_owners::delete_token(&self.both.parts.agent, "first").await;
    }

    /// Nobody says that there is another: the daemon looks when it is refused.
    async fn another_login_at_vault(&self) {
        let vault = &self.both.vault;
        let role = "auth/approle/role/roustabout/secret-id";
        let new = match self.lie {
            Lie::InFiles => vault.token("roustabout", "1h").await,
            Lie::InCredentials => {
                let made = vault.ask("POST", role, json!({})).await;
                made["data"]["secret_id"].as_str().unwrap().to_owned()
            }
        };
        let old = std::fs::read_to_string(self.folder.path().join("vault")).unwrap();
        self.put("vault", &new);
        if self.lie == Lie::InCredentials {
            vault.ask("POST", &format!("{role}/destroy"), json!({ "secret_id": old })).await;
        }
        let accessors = vault.ask("LIST", "auth/token/accessors", Value::Null).await;
        for accessor in accessors["data"]["keys"].as_array().unwrap() {
            let body = json!({ "accessor": accessor });
            let about = vault.ask("POST", "auth/token/lookup-accessor", body.clone()).await;
            let policies = about["data"]["policies"].as_array().unwrap();
            let of_daemon = policies.contains(&json!("roustabout"));
            if of_daemon && !is_new(vault, &new, accessor).await {
                vault.ask("POST", "auth/token/revoke-accessor", body).await;
            }
        }
    }
}

/// Whether that is the accessor of the token.
async fn is_new(vault: &support::vault::Vault, token: &str, accessor: &Value) -> bool {
    let body = json!({ "token": token });
    let about = vault.bao.ask("POST", "auth/token/lookup", Some(&body)).await;
    about.is_ok_and(|about| about["data"]["accessor"] == *accessor)
}

fn of_app(secret: &str) -> String {
    format!("{secret}, of the App")
}

/// The key first, for the daemon looks at both.
fn take_up(certificates: &Certificates, folder: &Path) {
    for name in CERTIFICATE {
        std::fs::copy(certificates.0.path().join(name), folder.join(name)).unwrap();
    }
}

async fn config(both: &Both, lie: Lie, folder: &Path, app: u64) -> String {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let said = |key: &str, name: &str| match lie {
        Lie::InFiles => format!("{key} = {:?}\n", file(name)),
        Lie::InCredentials => String::new(),
    };
    let login = match lie {
        Lie::InFiles => {
            std::fs::write(file("vault"), both.vault.token("roustabout", "1h").await).unwrap();
            format!("token_file = {:?}", file("vault"))
        }
        Lie::InCredentials => {
            let (role_id, secret_id) =
                both.vault.approle("roustabout", "roustabout", json!({})).await;
            std::fs::write(file("vault"), secret_id).unwrap();
            format!("role_id = \"{role_id}\"\nsecret_id_file = {:?}", file("vault"))
        }
    };
    let of_user = match lie {
        Lie::InFiles => format!(
            "[[github.credentials]]\nowners = [\"octocat\"]\ntoken_file = {:?}\n",
            file("github-token")
        ),
        Lie::InCredentials => String::new(),
    };
    let port = free_port();
    format!(
        "[github]\napi_url = \"{}\"\n\
         [[github.credentials]]\nowners = [\"team\"]\n[github.credentials.app]\nid = {app}\n{}\
         webhook_secret_file = {:?}\nprevious_webhook_secret_file = {:?}\n{of_user}\
         [nomad]\naddress = \"{}\"\n{}\
         [claims]\nlisten = \"127.0.0.1:{port}\"\nurl = \"https://127.0.0.1:{port}\"\n\
         tls_cert_file = {:?}\ntls_key_file = {:?}\n\
         [vault]\naddress = \"{}\"\n{login}\nmount = \"kv\"\n\
         path = \"{{namespace}}/{{nomad_job}}/{{runner_name}}\"\n\
         [[pools]]\nname = \"x64\"\nnomad_job = \"{CLAIMING}\"\nlabels = [\"self-hosted\", \"linux\", \"x64\"]\n\
         repositories = [\"team/*\", \"octocat/*\"]\ndelivery = \"claim\"\n\
         [[pools]]\nname = \"laid\"\nnomad_job = \"{PARENT}\"\nlabels = [\"self-hosted\", \"linux\", \"laid\"]\n\
         repositories = [\"team/*\", \"octocat/*\"]\ndelivery = \"vault\"\n",
        both.parts.github.url(),
        said("private_key_file", "github-app-key"),
        file("app-webhook-secret"),
        file("previous-app-webhook-secret"),
        both.parts.agent.address().as_str().trim_end_matches('/'),
        said("token_file", "nomad-token"),
        file(CERTIFICATE[1]),
        file(CERTIFICATE[0]),
        both.vault.bao.address(),
    )
}

async fn everything_is_replaced(lie: Lie) {
    let world = World::start(lie).await;
    let senders = Senders::start(world.daemon.door);
    world.under_load(world.new_webhook_secrets(&senders)).await;
    world.under_load(world.new_credentials_of_github()).await;
    world.under_load(world.new_token_of_nomad()).await;
    world.under_load(world.another_login_at_vault()).await;
    world.under_load(async { take_up(&world.certificates[1], world.folder.path()) }).await;
    assert!(world.daemon.log().contains("new TLS certificate taken up"));

    senders.until_accepted(10).await;
    let (_, failed) = senders.end().await;
    assert_eq!(failed, [""; 0]);
    world.github().with(|github, _| {
        let deliveries = github.deliveries(world.hook);
        assert!(deliveries.len() >= 60, "{}", deliveries.len());
        for delivery in deliveries {
            assert_eq!(delivery.status(), "OK");
        }
    });
    let degraded = async || world.daemon.api("/readyz").await["degraded"].clone();
    until("nothing is in trouble", LIMIT, async || degraded().await == json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_files_are_replaced_and_nothing_is_lost() {
    if is_missing(Part::OpenBao, "the rotation of secrets in files") {
        return;
    }
    everything_is_replaced(Lie::InFiles).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_in_credentials_of_systemd() {
    if is_missing(Part::OpenBao, "the rotation of secrets in systemd's credentials") {
        return;
    }
    everything_is_replaced(Lie::InCredentials).await;
}
