//! Every call of the client, with every answer that GitHub's description gives it and those that the
//! description keeps silent about; then what else the simulated GitHub answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roustabout::github::{Client, Conditional, DeleteOutcome, Error, LogOf, RunnersOf};
use secrecy::SecretString;
use serde_json::json;
use simulated::github::{
    Concurrency, FaultKind, FaultRule, Head, HookSpec, JobSpec, RunSpec, Scope,
};

use crate::contract::calls::{Asked, CALLS, Call, of_the_source};
use crate::contract::description::{Api, Description};
use crate::contract::judge::{Exchange, Judge, undescribed_but_never_met};
use crate::contract::stage::{self, POWERLESS, Stage, TOKEN};
use crate::support::parts::{self, Part};
use crate::support::until;

/// Described, and never answered to this client.
const NEVER: [(&str, u16, &str); 2] = [
    ("GET /user", 304, "the client does not ask conditionally"),
    ("GET /rate_limit", 304, "the client does not ask conditionally"),
];

#[tokio::test]
async fn every_call_and_every_answer_keep_to_githubs_description() {
    try_everything(Api::GitHubCom).await;
}

#[tokio::test]
async fn every_call_and_every_answer_keep_to_the_description_of_enterprise_server_3_17() {
    try_everything(Api::EnterpriseServer317).await;
}

#[tokio::test]
async fn every_call_and_every_answer_keep_to_the_description_of_enterprise_server_3_19() {
    try_everything(Api::EnterpriseServer319).await;
}

async fn try_everything(api: Api) {
    if parts::is_missing(Part::Descriptions, &format!("our calls by the description of {api:?}")) {
        return;
    }
    let called: BTreeSet<&str> = CALLS.iter().map(|call| call.0).collect();
    let source = of_the_source();
    let known: BTreeSet<&str> = source.iter().map(String::as_str).collect();
    assert_eq!(called, known, "the calls tried here (left) and those in crates/github/src (right)");

    let stage = Stage::set("http://127.0.0.1:1/").await;
    stage.server.with(|github, _| github.knobs.kind = api.kind());
    let asked = fill(&stage).await;
    let judge = Judge::before(&stage.server.url(), api).await;
    judge.name_repository(stage.app, "octo/app");
    let it = Trial { api, stage, judge, asked };

    it.answers_what_is_asked().await;
    it.answers_whatever_there_is().await;
    it.says_that_nothing_changed().await;
    it.says_where_a_renamed_repository_is().await;
    it.refuses().await;
    it.deletes_runners().await;
    let by_the_client = it.judge.seen();
    it.answers_others_too().await;

    let breaches = it.judge.breaches();
    assert!(breaches.is_empty(), "{breaches:#?}");
    assert_eq!(missing(api, &by_the_client), BTreeSet::new(), "described, and not tried");
    assert_eq!(undescribed_but_never_met(&by_the_client), [0; 0]);
    it.nothing_went_past();
    it.catches_what_is_not_described().await;
}

struct Trial {
    api: Api,
    stage: Stage,
    judge: Judge,
    asked: Asked,
}

/// Fills the stage, with more than a page of jobs, runners and deliveries.
async fn fill(stage: &Stage) -> Asked {
    stage.play(stage.app);
    let (run, runner, organization_runner) = stage.server.with(|github, now| {
        let many = (0..101).map(|n| JobSpec::new(format!("job {n}"), &["nobody"])).collect();
        let run = github.add_run(stage.app, RunSpec::default(), many, now);
        for number in 0..100 {
            stage::register(github, "octo", &format!("idle-{number}"), now);
        }
        let idle = stage::register(github, "octo/app", "idle", now);
        (run, idle.id, stage::register(github, "octo", "idle", now).id)
    });
    let hook = stage.hooks[0];
    let logged = || stage.server.with(|github, _| github.deliveries(hook).len());
    until("all deliveries have failed", Duration::from_secs(60), async || {
        let before = logged();
        tokio::time::sleep(Duration::from_millis(500)).await;
        before > 100 && logged() == before
    })
    .await;
    let (job, delivery, spare_hooks, spare_runs, grouped, group) =
        stage.server.with(|github, now| {
            let organization = github.account("octo").unwrap().id;
            let scopes = [Scope::Organization(organization), Scope::Repository(stage.app)];
            let spec =
                || HookSpec { active: false, ..HookSpec::new("http://127.0.0.1:1/spare", "x") };
            let spare = scopes.map(|scope| github.add_hook(scope, spec(), now));
            let group = github.add_runner_group(organization, "some");
            let only = [stage.app].into_iter().collect();
            github.change_runner_group(group, |group| group.repositories = Some(only));
            let mut begin = |concurrency: Option<Concurrency>| {
                let jobs = vec![JobSpec::new("spare", &["nobody"])];
                github.add_run(stage.app, RunSpec { concurrency, ..RunSpec::default() }, jobs, now)
            };
            let deploy =
                Concurrency { group: "deploy-refs/heads/main".to_owned(), has_queue: true };
            let grouped = (begin(Some(deploy.clone())), deploy.group.clone());
            begin(Some(deploy));
            let spare_runs = [begin(None), begin(None)];
            (
                github.run(run).unwrap().jobs[0],
                github.deliveries(hook)[0].delivery.id,
                spare,
                spare_runs,
                grouped,
                group,
            )
        });
    Asked {
        repository: "octo/app".to_owned(),
        organization: "octo".to_owned(),
        run,
        job,
        runner,
        organization_runner,
        hook,
        delivery,
        group,
        spare_hooks,
        spare_runs,
        grouped,
    }
}

/// The statuses that the description has and that were not met, by operation.
fn missing(api: Api, seen: &[Exchange]) -> BTreeSet<String> {
    let description = Description::read(api);
    let mut met: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for one in seen {
        let operation = description.operation(&one.method, &one.path);
        let operation = operation.unwrap_or_else(|| panic!("{} is not described", one.path));
        met.entry(operation).or_default().insert(one.status);
    }
    let mut missing = BTreeSet::new();
    for (operation, met) in met {
        for status in description.statuses(&operation) {
            let never = NEVER.iter().any(|one| (one.0, one.1) == (operation.as_str(), status));
            if !never && !met.contains(&status) {
                missing.insert(format!("{operation}: {status}"));
            }
        }
    }
    missing
}

impl Trial {
    /// A client with a gate of its own.
    fn client(&self, token: &str) -> Client {
        Client::new(self.judge.url().parse().unwrap(), SecretString::from(token)).unwrap()
    }

    /// Those that this API has.
    fn calls(&self) -> impl Iterator<Item = &'static Call> + use<> {
        let github_com = self.api == Api::GitHubCom;
        CALLS.iter().filter(move |call| github_com || !call.is_of_github_com_only())
    }

    fn last(&self) -> Exchange {
        self.judge.seen().last().unwrap().clone()
    }

    /// The next request gets this answer.
    fn next(&self, kind: FaultKind) {
        let rule =
            FaultRule { method: "*".to_owned(), path_contains: String::new(), times: 1, kind };
        self.stage.server.with(|github, _| github.fault(rule));
    }

    fn next_error(&self, status: u16, message: &str) {
        let body = json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.to_string(),
        });
        self.next(FaultKind::Status(status, body));
    }

    async fn answers_what_is_asked(&self) {
        for call in self.calls().filter(|call| !call.deletes()) {
            let answer = call.make(&self.client(TOKEN), &self.asked, None).await;
            answer.unwrap_or_else(|error| panic!("{call:?}: {error}"));
        }
    }

    /// Runs and jobs in every state, and lists over more than one page.
    async fn answers_whatever_there_is(&self) {
        let client = self.client(TOKEN);
        let jobs: Vec<(u64, u64)> = self.stage.server.with(|github, _| {
            // Of the many alike, one is enough.
            let some = |id: &u64| *id <= self.asked.job;
            github.jobs().map(|job| (job.run, job.id)).filter(|(_, id)| some(id)).collect()
        });
        for (_, job) in &jobs {
            client.job("octo/app", *job).await.unwrap();
        }
        for status in
            ["queued", "waiting", "in_progress", "completed", "pending", "requested", "success"]
        {
            for run in client.runs("octo/app", status).await.unwrap() {
                client.run("octo/app", run.id).await.unwrap();
            }
        }
        for name in ["octo/inner", "octocat/site"] {
            client.repository(name).await.unwrap();
        }
        let of = RunnersOf::Organization("octo");
        assert!(client.runners(of, None).await.unwrap().len() > 100);
        assert_eq!(client.jobs_of_run("octo/app", self.asked.run).await.unwrap().len(), 101);
        let deliveries = client
            .deliveries_after(&LogOf::organization("octo", self.asked.hook), None, None, 100)
            .await;
        let Conditional::Fresh { value, .. } = deliveries.unwrap() else { panic!("not asked") };
        let all = value.deliveries;
        assert!(all.len() > 100 && all.iter().all(|one| one.failed()));
    }

    async fn says_that_nothing_changed(&self) {
        for call in self.calls().filter(|call| call.is_conditional()) {
            let client = self.client(TOKEN);
            let before = self.judge.seen().len();
            call.make(&client, &self.asked, None).await.unwrap();
            let etag = self.judge.seen()[before].etag.clone();
            call.make(&client, &self.asked, Some(&etag)).await.unwrap();
            assert_eq!(self.last().status, 304, "{call:?}");
        }
    }

    async fn says_where_a_renamed_repository_is(&self) {
        let client = self.client(TOKEN);
        assert_eq!(client.repository("octo/old").await.unwrap().full_name, "octo/app");
        client.runs("octo/old", "queued").await.unwrap();
        client.registration_token(RunnersOf::Repository("octo/old")).await.unwrap();
    }

    async fn refuses(&self) {
        let delete = Call("delete_runner", true);
        for call in self.calls().copied().chain([delete]) {
            let told = call.make(&self.client("ghp_unknown"), &self.asked, None).await;
            assert!(matches!(told, Err(Error::Unauthorized { .. })), "{call:?}: {told:?}");

            if call.is_about_the_token() {
                self.next_error(403, "Resource not accessible by integration");
            }
            let told = call.make(&self.client(POWERLESS), &self.asked, None).await;
            assert!(matches!(told, Err(Error::Forbidden { .. })), "{call:?}: {told:?}");

            match call.0 {
                "rate_limit" => self.next_error(404, "Rate limiting is not enabled."),
                _ if call.is_about_the_token() => self.next_error(404, "Not Found"),
                _ => {}
            }
            let told = call.make(&self.client(TOKEN), &Asked::nowhere(), None).await;
            let deleted = call.deletes() && told == Ok(());
            assert!(deleted || matches!(told, Err(Error::NotFound { .. })), "{call:?}: {told:?}");

            self.next_error(502, "Server Error");
            let told = call.make(&self.client(TOKEN), &self.asked, None).await;
            assert!(matches!(told, Err(Error::Unavailable { .. })), "{call:?}: {told:?}");

            for status in [403, 429] {
                self.next(FaultKind::RetryAfter { status, seconds: 30 });
                let told = call.make(&self.client(TOKEN), &self.asked, None).await;
                assert!(matches!(told, Err(Error::RateLimited { .. })), "{call:?}: {told:?}");
            }
        }
        let user = self.stage.user;
        self.stage.server.with(|github, now| github.set_remaining(user, 0, now));
        let told = self.client(TOKEN).repository("octo/app").await;
        assert!(matches!(told, Err(Error::RateLimited { .. })), "{told:?}");
        self.stage.server.with(|github, now| github.set_remaining(user, 4_000, now));

        for (call, status) in [
            ("my_repositories", 422),
            ("deliveries_after", 400),
            ("deliveries_after", 422),
            ("delivered_payload", 400),
            ("delivered_payload", 422),
            ("create_hook", 422),
            ("update_hook", 422),
            ("groups_of_run", 422),
            ("concurrency_group", 422),
        ] {
            if !self.calls().any(|known| known.0 == call) {
                continue;
            }
            self.next_error(status, "Validation Failed");
            let told = Call(call, false).make(&self.client(TOKEN), &self.asked, None).await;
            let expected = match status {
                422 => matches!(told, Err(Error::Unprocessable { .. })),
                _ => matches!(told, Err(Error::Protocol { .. })),
            };
            assert!(expected, "{call}: {told:?}");
        }
        for of_organization in [false, true] {
            let call = Call("jit_config", of_organization);
            self.next_error(409, "Already exists - A runner with the name *** already exists.");
            let told = call.make(&self.client(TOKEN), &self.asked, None).await;
            assert!(matches!(told, Err(Error::Conflict { .. })), "{told:?}");
            self.next_error(422, "Validation Failed");
            let told = call.make(&self.client(TOKEN), &self.asked, None).await;
            assert!(matches!(told, Err(Error::Unprocessable { .. })), "{told:?}");
        }
        for call in ["cancel_run", "force_cancel_run"] {
            let told = Call(call, false).make(&self.client(TOKEN), &self.asked, None).await;
            assert_eq!((told, self.last().status), (Ok(()), 409), "it is over: {call}");
        }
        for call in ["create_hook", "update_hook"] {
            self.next_error(422, "Validation Failed");
            let told = Call(call, true).make(&self.client(TOKEN), &self.asked, None).await;
            assert!(matches!(told, Err(Error::Unprocessable { .. })), "{call}: {told:?}");
        }
    }

    async fn deletes_runners(&self) {
        let client = self.client(TOKEN);
        for call in [Call("delete_hook", false), Call("delete_hook", true)] {
            call.make(&client, &self.asked, None).await.unwrap();
            assert_eq!(self.last().status, 204);
        }
        for (of, idle) in [
            (RunnersOf::Repository("octo/app"), self.asked.runner),
            (RunnersOf::Organization("octo"), self.asked.organization_runner),
        ] {
            let all = client.runners(of, None).await.unwrap();
            let busy = all.iter().find(|runner| runner.busy).expect("one is at work");
            assert_eq!(client.delete_runner(of, busy.id).await.unwrap(), DeleteOutcome::Busy);
            assert_eq!(client.delete_runner(of, idle).await.unwrap(), DeleteOutcome::Deleted);
            assert_eq!(client.delete_runner(of, idle).await.unwrap(), DeleteOutcome::NotFound);
        }
    }

    /// What the client does not ask for is a model of GitHub too.
    async fn answers_others_too(&self) {
        let Asked { run, hook, delivery, .. } = self.asked;
        let [_, of_repository] = self.stage.hooks;
        let (sent, at_repository, at_organization) = self.stage.server.with(|github, now| {
            let sent = github.deliveries(of_repository)[0].delivery.id;
            let one = stage::register(github, "octo/app", "another", now).id;
            (sent, one, stage::register(github, "octo", "another", now).id)
        });
        let (repository, organization) = ("/repos/octo/app", "/orgs/octo");
        for (method, path, status) in [
            ("GET", organization.to_owned(), 200),
            ("GET", format!("{organization}/repos"), 200),
            ("GET", "/meta".to_owned(), 200),
            ("POST", format!("{organization}/actions/runners/remove-token"), 201),
            ("POST", format!("{repository}/actions/runners/remove-token"), 201),
            ("GET", format!("{organization}/actions/runners/{at_organization}"), 200),
            ("GET", format!("{repository}/actions/runners/{at_repository}"), 200),
            ("GET", format!("{repository}/actions/runs"), 200),
            ("GET", format!("{repository}/actions/runs/{run}/attempts/1/jobs"), 200),
            ("GET", format!("{repository}/actions/runs/{run}/jobs?filter=all&page=2"), 200),
            ("POST", format!("{repository}/actions/runs/{run}/cancel"), 202),
            ("GET", format!("{repository}/hooks/{of_repository}"), 200),
            ("GET", format!("{repository}/hooks/{of_repository}/deliveries"), 200),
            ("GET", format!("{repository}/hooks/{of_repository}/deliveries/{sent}"), 200),
            ("POST", format!("{repository}/hooks/{of_repository}/deliveries/{sent}/attempts"), 202),
            ("GET", format!("{organization}/hooks/{hook}"), 200),
            ("GET", format!("{organization}/hooks/{hook}/deliveries?status=failure"), 200),
            ("POST", format!("{organization}/hooks/{hook}/deliveries/{delivery}/attempts"), 202),
        ] {
            let url = format!("{}{path}", self.judge.url());
            let asked = reqwest::Client::new().request(method.parse().unwrap(), url);
            let answer = asked.bearer_auth(TOKEN).send().await.unwrap();
            let told = answer.status().as_u16();
            assert_eq!(told, status, "{method} {path}: {}", answer.text().await.unwrap());
        }
    }

    /// The one answer in which GitHub is known to depart from its description: the fork of a run is
    /// null where it was deleted (github/rest-api-description#1586).
    async fn catches_what_is_not_described(&self) {
        let run = self.stage.server.with(|github, now| {
            let spec = RunSpec { head: Head::DeletedFork, ..RunSpec::default() };
            github.add_run(self.stage.app, spec, Vec::new(), now)
        });
        let told = self.client(TOKEN).run("octo/app", run).await;
        assert!(matches!(told, Err(Error::Unavailable { .. })), "{told:?}");
        let breaches = self.judge.breaches();
        let fork = "Response body property head_repository must be object";
        assert!(!breaches.is_empty() && breaches.iter().all(|one| one.contains(fork)));
    }

    /// What the simulated GitHub was asked is what was judged, and nothing more.
    fn nothing_went_past(&self) {
        let mut judged: Vec<_> =
            self.judge.seen().into_iter().map(|one| (one.method, one.path)).collect();
        let mut asked: Vec<_> = self.stage.server.with(|github, _| {
            github.requests().iter().map(|one| (one.method.clone(), one.path.clone())).collect()
        });
        judged.sort();
        asked.sort();
        assert_eq!(judged, asked);
    }
}
