//! A simulated GitHub that shows all it can: runs and jobs in every state, of branches and of
//! forks, runners idle and at work, hooks of both kinds with a log.

use simulated::github::tokens::Purpose;
use simulated::github::{
    Conclusion, ContentType, GitHub, Head, HookSpec, JobSpec, Millis, RunSpec, Scope, Server,
    Visibility,
};
use simulated::protocol::{Poll, Registered, Registration};
use tokio::net::TcpListener;

pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];
/// May do everything.
pub const TOKEN: &str = "ghp_all";
/// Sees everything, and may do nothing.
pub const POWERLESS: &str = "ghp_powerless";

pub struct Stage {
    pub server: Server,
    pub user: u64,
    /// `octo/app`, private, formerly `octo/old`.
    pub app: u64,
    /// Hooks of the organization and of `octo/app`.
    pub hooks: [u64; 2],
}

impl Stage {
    /// Hooks deliver to `receiver`.
    pub async fn set(receiver: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::start(listener, 11).unwrap();
        let (user, app, hooks) = server.with(|github, now| {
            github.knobs.busy_lag_max = 0;
            let user = github.add_user("octocat");
            let organization = github.add_organization("octo", &[user]);
            github.add_full_token(TOKEN, user);
            github.add_token(POWERLESS, user, &[]);
            let app = github.add_repository("octo/old", Visibility::Private, now);
            github.rename_repository(app, "app");
            github.add_repository("octo/inner", Visibility::Internal, now);
            github.add_repository("octocat/site", Visibility::Public, now);
            let hook = |content_type| HookSpec {
                content_type,
                events: vec!["*".to_owned()],
                ..HookSpec::new(receiver, "secret")
            };
            let hooks = [
                github.add_hook(Scope::Organization(organization), hook(ContentType::Json), now),
                github.add_hook(Scope::Repository(app), hook(ContentType::Form), now),
            ];
            (user, app, hooks)
        });
        Self { server, user, app, hooks }
    }

    /// Plays jobs through everything that can become of one, in the repository. Nothing is left
    /// that a new runner could be given but the jobs labelled `nobody`.
    pub fn play(&self, repository: u64) {
        self.server.with(|github, now| {
            let name = github.full_name(repository);
            let job = |name: &str| JobSpec::new(name, &LABELS);
            let ended = [
                job("good"),
                job("bad").concluding(Conclusion::Failure),
                job("slow").concluding(Conclusion::TimedOut),
                job("neither").concluding(Conclusion::Neutral),
            ];
            let run = github.add_run(repository, RunSpec::default(), ended.to_vec(), now);
            for number in 0..ended.len() {
                work(github, &name, &format!("worker-{number}"), now);
            }
            github.rerun(run, true, now);
            github.cancel_run(run, now);

            let skipped = vec![job("skipped").concluding(Conclusion::Skipped)];
            github.add_run(repository, RunSpec::default(), skipped, now);

            let deploys = vec![job("approved").waiting(), job("still waiting").waiting()];
            let run = github.add_run(repository, RunSpec::default(), deploys, now);
            let approved = github.run(run).unwrap().jobs[0];
            github.approve_job(approved, now);
            github.cancel_job(approved, now);

            // Some of them show their missing runner as null, some as 0 and "".
            let cancelled = (0..8).map(|n| job(&format!("cancelled {n}"))).collect();
            let run = github.add_run(repository, RunSpec::default(), cancelled, now);
            github.cancel_run(run, now);

            let head = Head::Fork { id: 77, full_name: "stranger/app".to_owned() };
            let spec = RunSpec { event: "pull_request".to_owned(), head, ..RunSpec::default() };
            let run = github.add_run(repository, spec.clone(), vec![job("fork's")], now);
            github.cancel_run(run, now);
            let spec = RunSpec { needs_approval: true, ..spec };
            github.add_run(repository, spec, vec![job("unapproved")], now);

            let organization = name.starts_with("octo/").then_some("octo");
            for page in [Some(name.as_str()), organization].into_iter().flatten() {
                github.add_run(repository, RunSpec::default(), vec![job("at work")], now);
                begin(github, page, "busy", now);
            }
            let waiting = vec![JobSpec::new("waiting", &["nobody"])];
            github.add_run(repository, RunSpec::default(), waiting, now);
        });
    }
}

/// Registers a runner where `page` (`owner/name` or `owner`) says, without its asking for a job.
pub fn register(github: &mut GitHub, page: &str, name: &str, now: Millis) -> Registered {
    let scope = match github.repository(page) {
        Some(found) => Scope::Repository(found.id),
        None => Scope::Organization(github.account(page).unwrap().id),
    };
    let (token, _) = github.mint_runner_token(scope, Purpose::Register, now);
    let asked = Registration {
        url: format!("http://github/{page}"),
        token,
        name: name.to_owned(),
        labels: LABELS.map(str::to_owned).to_vec(),
        group: None,
        ephemeral: true,
        replace: false,
    };
    github.register(&asked, now).unwrap()
}

/// A runner takes a job and is at it.
fn begin(github: &mut GitHub, page: &str, name: &str, now: Millis) -> (Registered, u64) {
    let runner = register(github, page, name, now);
    github.poll(runner.id, &runner.secret, now);
    github.assign(now);
    let Poll::Job { job } = github.poll(runner.id, &runner.secret, now) else { panic!("no job") };
    assert!(github.started(runner.id, &runner.secret, job.id, now));
    (runner, job.id)
}

/// A runner takes a job and ends it as it is meant to.
fn work(github: &mut GitHub, page: &str, name: &str, now: Millis) {
    let (runner, job) = begin(github, page, name, now);
    let conclusion = github.job(job).unwrap().spec.conclusion;
    assert!(github.finished(runner.id, &runner.secret, job, conclusion, now));
}
