//! Every call that the client has, by name, so that the tests can put each through the same.

use std::sync::atomic::{AtomicUsize, Ordering};

use roustabout::github::{Client, Error, Hook, HookSettings, JitRunner, LogOf, Pages, RunnersOf};
use secrecy::SecretString;

use crate::support::daemon::here;

/// What the calls ask about.
#[derive(Clone)]
pub struct Asked {
    /// `owner/name`, and an organization.
    pub repository: String,
    pub organization: String,
    pub run: u64,
    pub job: u64,
    pub runner: u64,
    pub organization_runner: u64,
    pub hook: u64,
    pub delivery: u64,
    /// A runner group of the organization.
    pub group: u64,
    /// Hooks of the organization and of the repository, to be changed.
    pub spare_hooks: [u64; 2],
    /// Runs to be cancelled, by asking and by force.
    pub spare_runs: [u64; 2],
    /// A run that holds a concurrency group, and the group.
    pub grouped: (u64, String),
}

/// Names are taken once.
static JIT: AtomicUsize = AtomicUsize::new(0);

impl Asked {
    /// A repository has one, 1.
    fn group(&self, of_organization: bool) -> u64 {
        if of_organization { self.group } else { 1 }
    }

    /// Nothing of it is there.
    pub fn nowhere() -> Self {
        Self {
            repository: "octo/nowhere".to_owned(),
            organization: "nobody".to_owned(),
            run: 1,
            job: 1,
            runner: 1,
            organization_runner: 1,
            hook: 1,
            delivery: 1,
            group: 1,
            spare_hooks: [1, 1],
            spare_runs: [1, 1],
            grouped: (1, "nobody".to_owned()),
        }
    }
}

/// One call of the client: its name in `crates/github/src`, and whether it asks about the organization
/// where there are both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(pub &'static str, pub bool);

pub const CALLS: [Call; 40] = [
    Call("registration_token", false),
    Call("registration_token", true),
    Call("runners", false),
    Call("runners", true),
    Call("runners_again", false),
    Call("runners_again", true),
    Call("runner", false),
    Call("runner", true),
    Call("jit_config", false),
    Call("jit_config", true),
    Call("runner_groups", true),
    Call("repository_runners", true),
    Call("run", false),
    Call("runs", false),
    Call("runs_again", false),
    Call("job", false),
    Call("jobs_of_run", false),
    Call("jobs_of_run_again", false),
    Call("repository", false),
    Call("repository_if_changed", false),
    Call("my_repositories", false),
    Call("my_repositories_again", false),
    Call("hooks", false),
    Call("organization_hooks", true),
    Call("organization_hooks_again", true),
    Call("deliveries_after", true),
    Call("delivered_payload", true),
    Call("user", false),
    Call("rate_limit", false),
    Call("cancel_run", false),
    Call("force_cancel_run", false),
    Call("groups_of_run", false),
    Call("concurrency_group", false),
    Call("create_hook", false),
    Call("create_hook", true),
    Call("update_hook", false),
    Call("update_hook", true),
    // The last, for they end what others ask about.
    Call("delete_hook", false),
    Call("delete_hook", true),
    Call("delete_runner", false),
];

/// Whatever the descriptions of Enterprise Servers lack.
/// 3.17 has no such policy as the first is about.
const ONLY_AT_GITHUB_COM: [&str; 3] = ["repository_runners", "groups_of_run", "concurrency_group"];

impl Call {
    /// Makes it, conditionally where it can be with an ETag.
    pub async fn make(self, client: &Client, on: &Asked, etag: Option<&str>) -> Result<(), Error> {
        let Asked { repository, organization, .. } = on;
        let (of, runner) = if self.1 {
            (RunnersOf::Organization(organization), on.organization_runner)
        } else {
            (RunnersOf::Repository(repository), on.runner)
        };
        let spare = on.spare_hooks[usize::from(!self.1)];
        let secret = SecretString::from("secret");
        match self.0 {
            "registration_token" => client.registration_token(of).await.map(drop),
            "runners" => client.runners(of, Some("busy")).await.map(drop),
            "runners_again" => {
                again(etag, async |known| client.runners_again(of, known, drop).await).await
            }
            "runner" => client.runner(of, runner).await.map(drop),
            "jit_config" => {
                let name = format!("jit-{}", JIT.fetch_add(1, Ordering::Relaxed));
                let labels = ["x64".to_owned()];
                let runner = JitRunner { name: &name, labels: &labels, group: on.group(self.1) };
                client.jit_config(of, runner).await.map(drop)
            }
            "runner_groups" => client.runner_groups(organization, Some("app")).await.map(drop),
            "repository_runners" => client.repository_runners(organization).await.map(drop),
            "run" => client.run(repository, on.run).await.map(drop),
            "runs" => client.runs(repository, "queued").await.map(drop),
            "runs_again" => {
                let ask = async |known: &mut Pages<()>| {
                    client.runs_again(repository, "queued", known, drop).await
                };
                again(etag, ask).await
            }
            "job" => client.job(repository, on.job).await.map(drop),
            "jobs_of_run" => client.jobs_of_run(repository, on.run).await.map(drop),
            "jobs_of_run_again" => {
                let ask = async |known: &mut Pages<()>| {
                    client.jobs_of_run_again(repository, on.run, known, drop).await
                };
                again(etag, ask).await
            }
            "repository" => client.repository(repository).await.map(drop),
            "repository_if_changed" => {
                client.repository_if_changed(repository, etag).await.map(drop)
            }
            "my_repositories" => client.my_repositories().await.map(drop),
            "my_repositories_again" => {
                again(etag, async |known| client.my_repositories_again(known, drop).await).await
            }
            "hooks" => client.hooks(repository).await.map(drop),
            "organization_hooks" => client.organization_hooks(organization).await.map(drop),
            "organization_hooks_again" => {
                let ask = async |known: &mut Pages<Hook>| {
                    client.organization_hooks_again(organization, known).await
                };
                again(etag, ask).await
            }
            "deliveries_after" => {
                let log = LogOf::organization(organization, on.hook);
                client.deliveries_after(&log, None, etag, 100).await.map(drop)
            }
            "delivered_payload" => {
                let log = LogOf::organization(organization, on.hook);
                client.delivered_payload(&log, on.delivery).await.map(drop)
            }
            "user" => client.user().await.map(drop),
            "rate_limit" => client.rate_limit().await.map(drop),
            "cancel_run" => client.cancel_run(repository, on.spare_runs[0]).await.map(drop),
            "force_cancel_run" => {
                client.force_cancel_run(repository, on.spare_runs[1]).await.map(drop)
            }
            "groups_of_run" => client.groups_of_run(repository, on.grouped.0).await.map(drop),
            "concurrency_group" => {
                client.concurrency_group(repository, &on.grouped.1).await.map(drop)
            }
            "create_hook" => client.create_hook(of, &settings(&secret)).await.map(drop),
            "update_hook" => client.update_hook(of, spare, &settings(&secret)).await.map(drop),
            "delete_hook" => client.delete_hook(of, spare).await,
            "delete_runner" => client.delete_runner(of, runner).await.map(drop),
            unknown => panic!("{unknown} is no call"),
        }
    }

    /// No Enterprise Server has it.
    pub fn is_of_github_com_only(self) -> bool {
        ONLY_AT_GITHUB_COM.contains(&self.0)
    }

    /// Ends what it asks about, and is content where there is nothing.
    pub fn deletes(self) -> bool {
        self.0.starts_with("delete_")
    }

    /// Answers whoever has a token: nobody is refused and nothing is missing.
    pub fn is_about_the_token(self) -> bool {
        matches!(self.0, "my_repositories" | "my_repositories_again" | "user" | "rate_limit")
    }

    /// Can be asked with an ETag.
    pub fn is_conditional(self) -> bool {
        self.0.ends_with("_if_changed")
            || self.0.ends_with("_again")
            || self.0 == "deliveries_after"
    }
}

fn settings(secret: &SecretString) -> HookSettings<'_> {
    let url = "http://127.0.0.1:1/new";
    HookSettings { url, secret, events: &["workflow_job"], insecure_ssl: "0" }
}

/// Asks for a list, and where something is known already once more, for what was seen.
async fn again<T>(
    etag: Option<&str>,
    ask: impl AsyncFn(&mut Pages<T>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut known = Pages::default();
    ask(&mut known).await?;
    match etag {
        Some(_) => ask(&mut known).await,
        None => Ok(()),
    }
}

/// Those that an App makes, by its JWT or as an installation: tried in `apps`.
pub const OF_APPS: [&str; 3] = ["app.rs", "installation.rs", "manifest.rs"];

/// The names of all asynchronous methods in `crates/github/src`: whatever makes a request.
pub fn of_the_source() -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(here("crates/github/src")).unwrap() {
        let path = file.unwrap().path();
        if OF_APPS.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let public = text.split("pub async fn ").skip(1);
        let name = |rest: &str| rest.split(['(', '<']).next().unwrap().to_owned();
        found.extend(public.map(name));
    }
    found
}
