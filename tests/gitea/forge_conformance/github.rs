//! The simulated GitHub as a stage, asked over HTTP.

use roustabout::forge::Forge;
use roustabout::ledger::{JobId, RunId};
use simulated::github::tokens::Purpose;
use simulated::github::{Conclusion, Head, HookSpec, JobSpec, RunSpec, Scope, Server, Visibility};
use simulated::protocol::{Poll, Registered, Registration};
use tokio::net::TcpListener;

use crate::forge_conformance::stage::{self, APP, LABELS, OWN, Stage};

const TOKEN: &str = "ghp_conformance";

pub struct GitHub {
    server: Server,
    app: u64,
    own: u64,
    forge: Forge,
    runner: Option<Registered>,
    at_work: Option<u64>,
}

pub async fn start() -> GitHub {
    // Only the first test of a process finds none installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = Server::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), 7).unwrap();
    let (app, own) = server.with(|github, now| {
        let user = github.add_user("owner");
        github.add_organization("octo", &[user]);
        github.add_full_token(TOKEN, user);
        github.knobs.busy_lag_max = 0;
        let app = github.add_repository(APP, Visibility::Private, now);
        (app, github.add_repository(OWN, Visibility::Public, now))
    });
    let forge = stage::forge(&address(&server), TOKEN);
    GitHub { server, app, own, forge, runner: None, at_work: None }
}

fn address(server: &Server) -> String {
    format!("api_url = \"{}\"", server.url().trim_end_matches('/'))
}

impl GitHub {
    fn run(&self, repository: u64, spec: RunSpec) -> (RunId, JobId) {
        let jobs = vec![JobSpec::new("one", &LABELS)];
        self.server.with(|github, now| {
            let run = github.add_run(repository, spec, jobs, now);
            (RunId(run), JobId(github.run(run).unwrap().jobs[0]))
        })
    }
}

impl Stage for GitHub {
    fn forge(&self) -> &Forge {
        &self.forge
    }

    fn with_a_wrong_token(&self) -> Forge {
        stage::forge(&address(&self.server), "ghp_wrong")
    }

    fn actor(&self) -> &str {
        "owner"
    }

    fn reruns_keep_ids(&self) -> bool {
        false
    }

    async fn push(&mut self) -> (RunId, JobId) {
        self.run(self.app, RunSpec { actor: "owner".to_owned(), ..RunSpec::default() })
    }

    async fn register(&mut self, name: &str) {
        let url = format!("{}/{APP}", self.server.url().trim_end_matches('/'));
        let scope = Scope::Repository(self.app);
        let registered = self.server.with(|github, now| {
            let (token, _) = github.mint_runner_token(scope, Purpose::Register, now);
            let asked = Registration {
                url,
                token,
                name: name.to_owned(),
                labels: LABELS.map(str::to_owned).to_vec(),
                group: None,
                ephemeral: true,
                replace: false,
            };
            github.register(&asked, now).unwrap()
        });
        self.runner = Some(registered);
    }

    async fn work(&mut self) {
        let runner = self.runner.as_ref().unwrap();
        // It listens first, and is given a job by that.
        let job = self.server.with(|github, now| {
            github.poll(runner.id, &runner.secret, now);
            github.tick(now);
            let Poll::Job { job } = github.poll(runner.id, &runner.secret, now) else {
                panic!("there is no job for it");
            };
            assert!(github.started(runner.id, &runner.secret, job.id, now));
            job.id
        });
        self.at_work = Some(job);
    }

    async fn finish(&mut self) {
        let (runner, job) = (self.runner.take().unwrap(), self.at_work.take().unwrap());
        let ended = self.server.with(|github, now| {
            github.finished(runner.id, &runner.secret, job, Conclusion::Success, now)
        });
        assert!(ended);
    }

    async fn rerun(&mut self, run: RunId) {
        self.server.with(|github, now| github.rerun(run.0, false, now));
    }

    async fn cancel(&mut self, run: RunId) {
        self.server.with(|github, now| github.cancel_run(run.0, now));
    }

    async fn push_and_pull(&mut self) -> (RunId, RunId) {
        let fork = self.server.with(|github, now| {
            github.add_user("stranger");
            let fork = github.add_repository("stranger/own", Visibility::Public, now);
            github.repository_mut(self.own).unwrap().forks_count += 1;
            fork
        });
        let (pushed, _) = self.run(self.own, RunSpec::default());
        let pull = RunSpec {
            event: "pull_request".to_owned(),
            head: Head::Fork { id: fork, full_name: "stranger/own".to_owned() },
            ..RunSpec::default()
        };
        let (pulled, _) = self.run(self.own, pull);
        (pushed, pulled)
    }

    async fn add_hook(&mut self, url: &str) {
        let hook = HookSpec::new(url, "0123456789abcdef");
        self.server.with(|github, now| github.add_hook(Scope::Repository(self.app), hook, now));
    }
}
