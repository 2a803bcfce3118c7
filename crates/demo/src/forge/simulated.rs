//! The simulated GitHub as the demo's forge, with its repositories, hooks and jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use local_parts::random;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use simulated::github::hooks::Logged;
use simulated::github::{Happening, HookSpec, JobSpec, RunSpec, Scope, Server, Status, Visibility};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use url::Url;

use crate::news::News;
use crate::scene::{LABELS, PUBLIC, Part, SERVED};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Simulated {
    server: Server,
    /// Of this run alone, as all secrets here.
    token: SecretString,
    repositories: BTreeMap<&'static str, u64>,
    hooks: Vec<u64>,
}

impl Simulated {
    /// `program` stands in for actions/runner.
    pub async fn start(program: PathBuf) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let server = Server::start(listener, u64::from_le_bytes(random()))?;
        server.set_runner_binary(program);
        let token: SecretString = format!("ghp_{}", hex::encode(random::<16>())).into();
        let repositories = server.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_organization("octo", &[user]);
            github.add_full_token(token.expose_secret(), user);
            let served = SERVED.map(|name| (name, Visibility::Private));
            let all = served.into_iter().chain([(PUBLIC, Visibility::Public)]);
            all.map(|(name, seen)| (name, github.add_repository(name, seen, now))).collect()
        });
        Ok(Self { server, token, repositories, hooks: Vec::new() })
    }

    /// What it is and where, for whoever watches.
    pub fn told(&self) -> String {
        format!("simulated, at {}", self.url())
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn config(&self, sweeps: &str) -> String {
        format!(
            "[github]\napi_url = {:?}\n{sweeps}[[github.credentials]]\nowners = [\"octo\"]\ntoken = {:?}\n",
            self.url(),
            self.token.expose_secret(),
        )
    }

    /// What the runner's jobspec fetches.
    pub fn runner_archive(&self) -> anyhow::Result<Url> {
        Ok(self.server.runner_archive_url().parse()?)
    }

    /// A hook on each repository.
    pub fn hook(&mut self, door: &str, secret: &SecretString) {
        self.hooks = self.server.with(|github, now| {
            let mut hook = |repository| {
                let spec = HookSpec::new(door, secret.expose_secret());
                github.add_hook(Scope::Repository(repository), spec, now)
            };
            self.repositories.values().map(|id| hook(*id)).collect()
        });
    }

    /// Queues them all at once, one run a repository; their ids, in the same order.
    pub fn queue(&self, parts: &[Part]) -> Vec<u64> {
        self.server.with(|github, now| {
            let mut ids = vec![0; parts.len()];
            for (name, repository) in &self.repositories {
                let here = parts.iter().enumerate().filter(|(_, part)| part.repository == *name);
                let (places, specs): (Vec<usize>, Vec<JobSpec>) = here
                    .map(|(place, part)| {
                        (place, JobSpec::new(&part.name, &part.labels).lasting(part.millis))
                    })
                    .unzip();
                if specs.is_empty() {
                    continue;
                }
                let run = github.add_run(*repository, RunSpec::default(), specs, now);
                let jobs = github.run(run).map(|run| run.jobs.clone()).unwrap_or_default();
                for (place, job) in places.into_iter().zip(jobs) {
                    ids[place] = job;
                }
            }
            ids
        })
    }

    /// Queues a job and delivers no webhook for it: its id, and its payload for somebody else to
    /// send.
    pub fn queue_unheard(&self) -> (u64, String) {
        self.server.with(|github, now| {
            for hook in &self.hooks {
                if let Some(hook) = github.hook_mut(*hook) {
                    hook.active = false;
                }
            }
            let spec = JobSpec::new("sent by hand", &LABELS).lasting(3_000);
            let repository = self.repositories[SERVED[0]];
            let run = github.add_run(repository, RunSpec::default(), vec![spec], now);
            for hook in &self.hooks {
                if let Some(hook) = github.hook_mut(*hook) {
                    hook.active = true;
                }
            }
            let job = github.run(run).and_then(|run| run.jobs.first().copied()).unwrap_or_default();
            (job, github.job_payload(job, "queued"))
        })
    }

    /// As somebody who presses the button does.
    pub fn cancel(&self, job: u64) {
        self.server.with(|github, now| github.cancel_job(job, now));
    }

    /// Every job that is not done.
    pub fn cancel_all(&self) {
        self.server.with(|github, now| {
            let open = github.jobs().filter(|job| job.status != Status::Completed);
            let open: Vec<u64> = open.map(|job| job.id).collect();
            for job in open {
                github.cancel_job(job, now);
            }
        });
    }

    /// How many runners its API lists for all repositories.
    pub async fn registered(&self) -> anyhow::Result<u64> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let mut registered = 0;
        for repository in self.repositories.keys() {
            let url = format!("{}/repos/{repository}/actions/runners", self.url());
            let request = http.get(url).bearer_auth(self.token.expose_secret());
            let answer: Value = request.send().await?.error_for_status()?.json().await?;
            registered += answer["total_count"].as_u64().context("GitHub did not count")?;
        }
        Ok(registered)
    }

    /// Everything that happens there from now on.
    pub fn feed(&self) -> SimulatedFeed {
        let changes = self.server.subscribe();
        let told = self.server.with(|github, _| github.events().len());
        let (server, hooks) = (self.server.clone(), self.hooks.clone());
        SimulatedFeed { server, hooks, changes, told, answered: BTreeSet::new() }
    }

    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

/// What happens at a forge, told once.
pub struct SimulatedFeed {
    server: Server,
    hooks: Vec<u64>,
    /// Wakes; what happened is read from the model itself, so that none is missed.
    changes: broadcast::Receiver<Happening>,
    told: usize,
    answered: BTreeSet<u64>,
}

impl SimulatedFeed {
    /// Waits until there is something new.
    pub async fn changed(&mut self) {
        // An error means that some were missed here, or that it is over.
        let _ = self.changes.recv().await;
    }

    pub fn take(&mut self) -> Vec<News> {
        while !matches!(
            self.changes.try_recv(),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
        ) {}
        let (told, hooks, answered) = (self.told, &self.hooks, &mut self.answered);
        let (now_told, news) = self.server.with(|github, _| {
            let events = github.events();
            let mut news: Vec<News> = events[told..].iter().cloned().map(News::Happened).collect();
            let logged = hooks.iter().flat_map(|hook| github.deliveries(*hook));
            let mut fresh: Vec<_> =
                logged.filter(|logged| answered.insert(logged.delivery.id)).collect();
            fresh.sort_by_key(|logged| logged.delivery.id);
            news.extend(fresh.into_iter().filter_map(answer_of));
            (events.len(), news)
        });
        self.told = now_told;
        news
    }
}

/// None for a `ping`.
fn answer_of(logged: &Logged) -> Option<News> {
    let payload: Value = serde_json::from_str(&logged.delivery.payload).ok()?;
    let job = payload["workflow_job"]["id"].as_u64()?;
    let body: Value = serde_json::from_str(&logged.outcome.body).unwrap_or_default();
    let answer = match logged.outcome.status_code {
        Some(code) => format!("{code} {}", body["outcome"].as_str().unwrap_or_default()),
        None => logged.status(),
    };
    let action = logged.delivery.action.clone().unwrap_or_default();
    Some(News::Answered { at: logged.delivered_at, job, action, answer })
}
