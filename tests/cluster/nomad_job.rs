//! The daemon as a job on the Nomad that it dispatches to: the jobspec and the policy that we
//! ship, with an identity in the place of a token and its secrets in a Nomad Variable.

use crate::support;

use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use simulated::github::{HookSpec, JobSpec, RunSpec, Scope, Status, Visibility};
use support::daemon::{GITHUB_TOKEN, SECRET, here};
use support::only_nomad::OnlyNomad;
use support::volume::Volume;
use support::world::{LABELS, PARENT, Parts};
use support::{free_port, until};

const LIMIT: Duration = Duration::from_secs(90);
const ADMIN_TOKEN: &str = "admin-token-of-the-private-door";
const VARIABLE: &str = "/v1/var/nomad/jobs/roustabout";

/// A Nomad with ACLs and the host volume, and what the daemon's job is made of.
struct Inside {
    parts: Parts,
    volume: Volume,
    webhook: u16,
    admin: u16,
}

impl Inside {
    async fn prepare() -> Self {
        let volume = Volume::prepare();
        let host_volume =
            json!({ "client": { "host_volume": { "roustabout": { "path": volume.state() } } } });
        let parts = Parts::with(|options| {
            options.acl = true;
            options.extra_config = Some(host_volume);
        })
        .await;
        Self { parts, volume, webhook: free_port(), admin: free_port() }
    }

    async fn manage(&self, method: &str, path: &str, body: Value) -> Value {
        let url = self.parts.agent.address().join(path).unwrap();
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let token = self.parts.agent.token().unwrap().expose_secret();
        let request = request.header("X-Nomad-Token", token);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let answer = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        self.manage("GET", path, Value::Null).await
    }

    /// As the policy's file says it: for the job `roustabout` alone.
    async fn attach_policy(&self) {
        let rules = std::fs::read_to_string(here("deploy/nomad/roustabout-policy.hcl")).unwrap();
        let policy = json!({
            "Name": "roustabout", "Rules": rules,
            "JobACL": { "Namespace": "default", "JobID": "roustabout" },
        });
        self.manage("PUT", "/v1/acl/policy/roustabout", policy).await;
    }

    async fn write_secrets(&self, github_token: &str) {
        let variable = json!({
            "Namespace": "default", "Path": "nomad/jobs/roustabout",
            "Items": {
                "webhook_secret": SECRET, "github_token": github_token, "admin_token": ADMIN_TOKEN,
            },
        });
        self.manage("PUT", VARIABLE, variable).await;
    }

    async fn run(&self) {
        let text = std::fs::read_to_string(here("deploy/nomad/roustabout.nomad.hcl")).unwrap();
        let config = format!(
            "[github]\napi_url = \"{}\"\n[[pools]]\nname = \"x64\"\nnomad_job = \"{PARENT}\"\n\
             labels = [\"self-hosted\", \"linux\", \"x64\"]\nrepositories = [\"octo/*\"]\n\
             delivery = \"payload\"\n",
            self.parts.github.url().trim_end_matches('/')
        );
        let variables = format!(
            "driver = \"raw_exec\"\nuid = -1\nprogram = {:?}\nstate = {:?}\n\
             webhook_port = {}\nadmin_port = {}\nconfig = <<EOF\n{config}EOF\n",
            self.volume.program(),
            self.volume.state(),
            self.webhook,
            self.admin
        );
        let nomad = &self.parts.nomad;
        let job = nomad.parse_hcl(nomad.place(), &text, &variables).await.unwrap();
        nomad.register(nomad.place(), &job).await.unwrap();
    }

    /// Its newest allocation.
    async fn allocation(&self) -> Value {
        let all = self.get("/v1/job/roustabout/allocations").await;
        let newest = all.as_array().unwrap().iter().max_by_key(|a| a["CreateIndex"].as_u64());
        newest.cloned().unwrap_or_default()
    }

    async fn log(&self) -> String {
        let id = self.allocation().await["ID"].as_str().unwrap_or_default().to_owned();
        let path = format!("/v1/client/fs/logs/{id}?task=roustabout&type=stderr&plain=true");
        let url = self.parts.agent.address().join(&path).unwrap();
        let token = self.parts.agent.token().unwrap().expose_secret();
        let answer = reqwest::Client::new().get(url).header("X-Nomad-Token", token).send().await;
        answer.unwrap().text().await.unwrap()
    }

    /// Until Nomad's own check of `/readyz` passes, as it shows a service's health; where no Nomad
    /// checks, until what it would ask is answered so.
    async fn until_healthy(&self) {
        if OnlyNomad::ItsChecks.nomad().is_none() {
            let url = format!("http://127.0.0.1:{}/readyz", self.admin);
            return until("it is ready", LIMIT, async || {
                reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        }
        let deadline = Instant::now() + LIMIT;
        loop {
            let allocation = self.allocation().await;
            if allocation["ClientStatus"] == "running" {
                let id = allocation["ID"].as_str().unwrap();
                let checks = self.get(&format!("/v1/client/allocation/{id}/checks")).await;
                let mut checks = checks.as_object().unwrap().values();
                if checks.any(|check| check["Status"] == "success") {
                    return;
                }
            }
            assert!(
                Instant::now() < deadline,
                "its check does not pass: {:#}\n{}",
                allocation["TaskStates"],
                self.log().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn api(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.admin);
        let request = reqwest::Client::new().get(url).bearer_auth(ADMIN_TOKEN);
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// With isolation, which the other test's agent may not have: parsed only.
async fn exec_mounts_the_volume(inside: &Inside) {
    let text = std::fs::read_to_string(here("deploy/nomad/roustabout.nomad.hcl")).unwrap();
    let nomad = &inside.parts.nomad;
    let job = nomad.parse_hcl(nomad.place(), &text, "config = \"\"").await.unwrap();
    let task = &job["TaskGroups"][0]["Tasks"][0];
    assert_eq!(task["Driver"], "exec");
    assert_eq!(task["VolumeMounts"][0]["Destination"], "/var/lib/roustabout");
    assert_eq!(task["Env"]["ROUSTABOUT__STORE__URL"], "sqlite:///var/lib/roustabout/roustabout.db");
}

/// The job for the image, which needs a Docker beside the Nomad: parsed and validated only.
async fn the_image_is_loaded_and_mounts_the_volume(inside: &Inside) {
    let text = std::fs::read_to_string(here("deploy/nomad/roustabout-docker.nomad.hcl")).unwrap();
    let nomad = &inside.parts.nomad;
    let job = async |variables: &str| {
        let variables = format!("config = \"[log]\"\n{variables}");
        let job = nomad.parse_hcl(nomad.place(), &text, &variables).await.unwrap();
        let validated = inside.manage("PUT", "/v1/validate/job", json!({ "Job": job })).await;
        assert_eq!(validated["ValidationErrors"].as_array().map_or(0, Vec::len), 0, "{validated}");
        job
    };
    let pulled = job("").await;
    let group = &pulled["TaskGroups"][0];
    let task = &group["Tasks"][0];
    assert_eq!(task["Config"]["image"], "roustabout:0.1.0");
    assert_eq!(task["VolumeMounts"][0]["Destination"], "/var/lib/roustabout");
    assert_eq!(task["Artifacts"].as_array().map_or(0, Vec::len), 0);
    assert_eq!(group["Services"][1]["Provider"], "nomad");
    let checksum = format!("sha256:{}", "0f".repeat(32));
    let archive = format!(
        "image_archive = \"https://files.test/image.tar\"\nimage_checksum = \"{checksum}\"\n\
         service_provider = \"consul\"\n"
    );
    let loaded = job(&archive).await;
    let group = &loaded["TaskGroups"][0];
    let task = &group["Tasks"][0];
    let options = json!({ "archive": "false", "checksum": checksum });
    assert_eq!(task["Artifacts"][0]["GetterOptions"], options);
    assert_eq!(task["Config"]["load"], "roustabout-image.tar");
    assert_eq!(group["Services"][1]["Provider"], "consul");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_dispatches_from_inside_reloads_and_ends_in_order() {
    let inside = Inside::prepare().await;
    exec_mounts_the_volume(&inside).await;
    the_image_is_loaded_and_mounts_the_volume(&inside).await;
    inside.attach_policy().await;
    inside.write_secrets("ghp_expired").await;
    inside.run().await;
    inside.until_healthy().await;

    let github = &inside.parts.github;
    let repository = github.with(|github, now| {
        let user = github.add_user("octocat");
        github.add_organization("octo", &[user]);
        github.add_full_token(GITHUB_TOKEN, user);
        let repository = github.add_repository("octo/app", Visibility::Private, now);
        let url = format!("http://127.0.0.1:{}/webhook", inside.webhook);
        github.add_hook(Scope::Repository(repository), HookSpec::new(url, SECRET), now);
        repository
    });
    let queue = |millis: i64| {
        github.with(|github, now| {
            let jobs = vec![JobSpec::new("build", &LABELS).lasting(millis)];
            let run = github.add_run(repository, RunSpec::default(), jobs, now);
            github.run(run).unwrap().jobs[0]
        })
    };
    let until_status = async |job: u64, status: Status| {
        let so = github.until(LIMIT, |github| github.job(job).unwrap().status == status);
        so.await.unwrap_or_else(|error| panic!("job {job} is not {status:?}: {error:?}"));
    };

    // A changed Variable is a reload: the same allocation goes on with the new token.
    let first = queue(200);
    until("GitHub refuses the token", LIMIT, async || {
        let reason = inside.api(&format!("/api/v1/jobs/{first}")).await["reason"].clone();
        reason.as_str().is_some_and(|reason| reason.contains("401"))
    })
    .await;
    let before = inside.allocation().await["ID"].clone();
    inside.write_secrets(GITHUB_TOKEN).await;
    until_status(first, Status::Completed).await;
    assert_eq!(inside.allocation().await["ID"], before);

    // Stopped while a runner is at work: it ends by itself, well, and the runner works on.
    let second = queue(8_000);
    until_status(second, Status::InProgress).await;
    inside.manage("DELETE", "/v1/job/roustabout", Value::Null).await;
    until("its allocation has ended", LIMIT, async || {
        inside.allocation().await["ClientStatus"] == "complete"
    })
    .await;
    let state = inside.allocation().await["TaskStates"]["roustabout"].clone();
    let events = state["Events"].as_array().unwrap();
    let ended = events.iter().find(|event| event["Type"] == "Terminated").unwrap();
    assert_eq!(ended["Details"]["exit_code"], "0", "{state:#}");
    assert!(inside.log().await.contains("\"ended\""));
    github.with(|github, _| {
        assert_eq!(github.job(second).unwrap().status, Status::InProgress, "nobody stopped it");
    });

    // The next one finds the database of the one before.
    inside.run().await;
    inside.until_healthy().await;
    assert_eq!(inside.api(&format!("/api/v1/jobs/{first}")).await["status"], "completed");
    until_status(second, Status::Completed).await;
    until("nothing is left", LIMIT, async || {
        let left = github.with(|github, _| github.leftovers());
        let alive = inside.api("/api/v1/status").await["capacity"]["alive"].as_u64();
        left.is_empty() && alive == Some(0)
    })
    .await;
    let children =
        inside.parts.nomad.children_by_token_prefix(inside.parts.nomad.place(), "roustabout-");
    assert_eq!(children.await.unwrap().len(), 2, "one for each job");
}
