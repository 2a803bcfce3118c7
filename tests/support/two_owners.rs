//! An organization with an App and a user with a token, a repository each, beside a Nomad with ACLs whose daemon has a
//! token of its own: for tests that replace the credentials of both and of Nomad.

use std::time::Duration;

use local_parts::agent::Agent;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use simulated::github::{AppSpec, JobSpec, RunSpec, Server, Visibility};

use super::daemon::here;
use super::until;

const LIMIT: Duration = Duration::from_secs(90);

#[derive(Clone, Copy)]
pub struct TwoOwners {
    pub app: u64,
    pub installation: u64,
    pub user: u64,
    /// `team/app`, of the organization.
    pub of_team: u64,
    /// `octocat/app`.
    pub of_user: u64,
}

impl TwoOwners {
    /// The user's token is `ghp_first`.
    pub fn at(github: &Server) -> Self {
        github.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_full_token("ghp_first", user);
            let team = github.add_organization("team", &[user]);
            let of_team = github.add_repository("team/app", Visibility::Private, now);
            let of_user = github.add_repository("octocat/app", Visibility::Private, now);
            let app = github.add_app(AppSpec::new("of team", team), now);
            let installation = github.install(app, team, None, now);
            Self { app, installation, user, of_team, of_user }
        })
    }
}

/// Two jobs of each repository, with those labels, run to their end.
pub async fn jobs_run(github: &Server, of: &[(u64, [&str; 3])]) {
    let jobs = github.with(|github, now| {
        let mut all = Vec::new();
        for (repository, labels) in of {
            let job = |n| JobSpec::new(format!("job {n}"), labels).lasting(100);
            let jobs = (0..2).map(job).collect();
            let run = github.add_run(*repository, RunSpec::default(), jobs, now);
            all.extend(github.run(run).unwrap().jobs.clone());
        }
        all
    });
    until("the jobs have run", LIMIT, async || {
        github
            .with(|github, _| jobs.iter().all(|job| github.job(*job).unwrap().conclusion.is_some()))
    })
    .await;
    for job in jobs {
        let conclusion = github.with(|github, _| github.job(job).unwrap().conclusion);
        assert_eq!(conclusion.unwrap().as_str(), "success");
    }
}

/// A token of that name with the daemon's policy, as shipped, for the namespace of the tests.
pub async fn daemon_token(nomad: &Agent, name: &str) -> String {
    let rules = std::fs::read_to_string(here("deploy/nomad/acl/daemon.hcl")).unwrap();
    let rules = rules.replace("namespace \"runners\"", "namespace \"default\"");
    ask(nomad, "PUT", "/v1/acl/policy/daemon", json!({ "Name": "daemon", "Rules": rules })).await;
    let body = json!({ "Name": name, "Type": "client", "Policies": ["daemon"] });
    let made = ask(nomad, "PUT", "/v1/acl/token", body).await;
    made["SecretID"].as_str().unwrap().to_owned()
}

/// The token of that name ends.
pub async fn delete_token(nomad: &Agent, name: &str) {
    let all = ask(nomad, "GET", "/v1/acl/tokens", Value::Null).await;
    let one = all.as_array().unwrap().iter().find(|token| token["Name"] == name).unwrap();
    let path = format!("/v1/acl/token/{}", one["AccessorID"].as_str().unwrap());
    ask(nomad, "DELETE", &path, Value::Null).await;
}

async fn ask(nomad: &Agent, method: &str, path: &str, body: Value) -> Value {
    let url = nomad.address().join(path).unwrap();
    let token = nomad.token().unwrap().expose_secret();
    let request = reqwest::Client::new().request(method.parse().unwrap(), url);
    let answer = request.header("X-Nomad-Token", token).json(&body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}
