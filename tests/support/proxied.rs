//! The world with a proxy before GitHub and one before Nomad, and what is asked of its end:
//! every job ran once, on one runner of its own, and nothing is left.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use serde_json::Value;
use simulated::github::tokens::Purpose;
use simulated::github::{HookSpec, Scope, Status, Visibility, What};
use simulated::protocol::Registration;

use super::daemon::SECRET;
use super::proxy::Proxy;
use super::until;
use super::world::{Parts, Plan, World};

pub struct Proxied {
    pub world: World,
    pub github_proxy: Proxy,
    pub nomad_proxy: Proxy,
}

impl Proxied {
    pub async fn start() -> Self {
        Self::planned(Plan::default()).await
    }

    pub async fn planned(plan: Plan) -> Self {
        let mut proxied = Self::prepared(plan).await;
        proxied.world.daemon.start().await;
        proxied
    }

    /// Everything but the start of the daemon.
    pub async fn prepared(plan: Plan) -> Self {
        let parts = Parts::start().await;
        Self::around(parts, plan).await
    }

    pub async fn around(parts: Parts, plan: Plan) -> Self {
        let github_proxy = Proxy::before(&parts.github.url()).await;
        let nomad_proxy = Proxy::before(parts.agent.address().as_str()).await;
        let plan =
            Plan { github: Some(github_proxy.url()), nomad: Some(nomad_proxy.url()), ..plan };
        let world = World::around(parts, plan).await;
        Self { world, github_proxy, nomad_proxy }
    }

    /// Until so many webhooks have got their 2xx.
    pub async fn until_delivered(&self, count: usize) {
        let delivered =
            |what: &What| matches!(what, What::Delivered { status_code: 200..=299, .. });
        let limit = Duration::from_secs(20);
        let so = self.github.until(limit, |github| {
            github.events().iter().filter(|event| delivered(&event.what)).count() >= count
        });
        so.await.unwrap();
    }

    /// Every job has ended well, each on a runner that ran nothing else; nothing is left, and no
    /// two children carry one token.
    pub async fn each_ran_once(&self, jobs: &[u64], limit: Duration) {
        let ended = until("every job has ended", limit, async || {
            self.github.with(|github, _| {
                jobs.iter().all(|id| github.job(*id).unwrap().status == Status::Completed)
            })
        });
        ended.await;
        self.until_nothing_is_left(limit).await;
        let runners: BTreeSet<String> = self.github.with(|github, _| {
            let ran = jobs.iter().map(|id| {
                let job = github.job(*id).unwrap();
                assert_eq!(job.conclusion.unwrap().as_str(), "success", "{job:?}");
                job.runner.as_ref().unwrap().name.clone()
            });
            ran.collect()
        });
        assert_eq!(runners.len(), jobs.len(), "each job has a runner of its own");
        self.no_token_twice().await;
    }

    /// A repository with a hook to the daemon.
    pub fn add_repository(&self, name: &str, visibility: Visibility) -> u64 {
        let url = self.daemon.url();
        self.github.with(|github, now| {
            let id = github.add_repository(name, visibility, now);
            github.add_hook(Scope::Repository(id), HookSpec::new(&url, SECRET), now);
            id
        })
    }

    /// A registration at `octo/app` that no runner of ours made and that fits no job.
    pub fn register_by_hand(&self, name: &str) -> u64 {
        self.github.with(|github, now| {
            let scope = Scope::Repository(self.app);
            let (token, _) = github.mint_runner_token(scope, Purpose::Register, now);
            let registration = Registration {
                url: format!("{}/octo/app", self.github.url().trim_end_matches('/')),
                token,
                name: name.to_owned(),
                labels: vec!["self-hosted".to_owned(), "elsewhere".to_owned()],
                ephemeral: true,
                replace: false,
                group: None,
            };
            github.register(&registration, now).unwrap().id
        })
    }

    pub fn cancel(&self, jobs: &[u64]) {
        self.github.with(|github, now| jobs.iter().for_each(|job| github.cancel_job(*job, now)));
    }

    /// Until so many children were ever made; as Nomad shows them by id.
    pub async fn until_children(&self, count: usize, limit: Duration) -> Vec<Value> {
        until(&format!("there are {count} children"), limit, async || {
            self.children().await.len() >= count
        })
        .await;
        let mut children = Vec::new();
        for child in self.children().await {
            children.push(self.child(&child.id).await);
        }
        assert_eq!(children.len(), count);
        children
    }

    pub async fn child(&self, id: &str) -> Value {
        self.nomad_get(&format!("/v1/job/{}", id.replace('/', "%2F"))).await
    }

    /// Until the API gives a reason with that text for the job.
    pub async fn until_reason(&self, job: u64, text: &str) {
        let mut reason = Value::Null;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !reason.as_str().is_some_and(|reason| reason.contains(text)) {
            assert!(Instant::now() < deadline, "no reason with {text:?}, but {reason}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            reason = self.daemon.job(job).await["reason"].clone();
        }
    }

    pub async fn no_token_twice(&self) {
        let mut tokens = BTreeSet::new();
        for child in self.children().await {
            let job = self.nomad.job(self.nomad.place(), &child.id).await.unwrap();
            let token = job.dispatch_idempotency_token.unwrap();
            assert!(tokens.insert(token.clone()), "two children with the token {token}");
        }
    }

    /// `GET` at the agent itself.
    pub async fn nomad_get(&self, path: &str) -> Value {
        let url = self.agent.address().join(path).unwrap();
        reqwest::get(url).await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// Any other request at the agent itself.
    pub async fn nomad_send(&self, method: &str, path: &str, body: Value) -> Value {
        let url = self.agent.address().join(path).unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let sent = reqwest::Client::new().request(method, url).json(&body).send().await.unwrap();
        sent.error_for_status().unwrap().json().await.unwrap()
    }

    /// Somebody stops it by hand.
    pub async fn stop_by_hand(&self, child: &str) {
        let path = format!("/v1/job/{}", child.replace('/', "%2F"));
        self.nomad_send("DELETE", &path, Value::Null).await;
    }

    /// Nothing new is placed on the one node, or everything is again.
    pub async fn set_eligible(&self, eligible: bool) {
        let node = self.nomad_get("/v1/nodes").await[0]["ID"].as_str().unwrap().to_owned();
        let word = if eligible { "eligible" } else { "ineligible" };
        let path = format!("/v1/node/{node}/eligibility");
        self.nomad_send("PUT", &path, serde_json::json!({ "Eligibility": word })).await;
    }

    /// Nomad forgets everything that has ended.
    pub async fn collect_garbage(&self) {
        let url = self.agent.address().join("/v1/system/gc").unwrap();
        let answer = reqwest::Client::new().put(url).send().await.unwrap();
        assert!(answer.status().is_success());
    }
}

impl Deref for Proxied {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Proxied {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}
