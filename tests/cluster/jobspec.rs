//! The runner jobspec that we ship, on a Nomad, with a small stand-in for the runner: what the
//! runner is told, what a job can find of the registration token, and how an allocation ends.

use crate::support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_parts::agent::Agent;
use local_parts::runner_job::{GITEA_JOBSPEC_FILE, JOBSPEC_FILE};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::daemon::here;
use support::only_nomad::OnlyNomad;
use support::{cluster, world};

/// What the stand-in looks for begins so; this text itself does not match its pattern.
const TOKEN: &str = "TOKENMARK0123abcd";

/// Writes down what it was told, as hashes where it is secret.
const CONFIG: &str = r#"#!/bin/sh
mkdir -p _diag
: >_diag/in-arguments
printf '%s\n' "$@" >_diag/arguments
printf %s "$ACTIONS_RUNNER_INPUT_TOKEN" | sha256sum | cut -d ' ' -f 1 >_diag/token-hash
for file in /proc/[0-9]*/cmdline; do
  case $(tr '\0' ' ' <"$file") in
    *"$ACTIONS_RUNNER_INPUT_TOKEN"*) echo "$file" >>_diag/in-arguments ;;
  esac
done 2>/dev/null
while [ $# -gt 0 ]; do
  if [ "$1" = --name ]; then echo "$2" >.runner; fi
  shift
done
"#;

/// Looks for the token as a job would, then ends as the last part of its name says.
const RUN: &str = r#"#!/bin/sh
mkdir -p _diag _work
if [ -n "$ACTIONS_RUNNER_INPUT_JITCONFIG" ]; then
  printf %s "$ACTIONS_RUNNER_INPUT_JITCONFIG" | sha256sum | cut -d ' ' -f 1 >_diag/config-hash
  grep -l 'TOKENMARK[0-9a-f]\{8\}' /proc/[0-9]*/cmdline >_diag/in-arguments 2>/dev/null
  find ../.. -type f ! -path '*/_diag/*' -exec grep -l 'TOKENMARK[0-9a-f]\{8\}' {} + >_diag/found 2>/dev/null
  exit 0
fi
echo "left by a job" >_work/file
env >_diag/environment
pattern='TOKENMARK[0-9a-f]\{8\}'
{
  env | grep "$pattern"
  find ../.. -type f ! -path '*/_diag/*' -exec grep -l "$pattern" {} +
  grep -l "$pattern" /proc/[0-9]*/environ /proc/[0-9]*/cmdline
  ls ../../configure/local
} >_diag/found 2>/dev/null
how=$(sed 's/.*-//' .runner)
if [ "$how" = wait ]; then
  trap 'echo yes >_diag/interrupted; exit 0' INT
  touch _diag/waiting
  while :; do sleep 0.1; done
fi
exit "$how"
"#;

fn jobspec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nomad/runner-raw-exec.nomad.hcl")
}

struct Bench {
    agent: Agent,
    http: Client,
    /// What jobspecs need to fetch the stand-in.
    archive: String,
    folder: tempfile::TempDir,
}

impl Bench {
    /// An agent with the jobspec registered, and the stand-in where it fetches the runner.
    async fn start() -> Self {
        let agent = cluster::start().await;
        let folder = tempfile::tempdir().unwrap();
        let archive = archive(folder.path());
        let checksum = format!("sha256:{}", hex::encode(Sha256::digest(&archive)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/runner.tar.gz", listener.local_addr().unwrap());
        let app = Router::new().route("/runner.tar.gz", get(async move || archive));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let archive = format!("runner_archive = {url:?}\nrunner_checksum = {checksum:?}\n");
        let bench = Self { agent, http: Client::new(), archive, folder };
        let job = bench.parsed(&jobspec(), &bench.archive).await;
        bench.register(&job).await;
        bench
    }

    async fn parsed(&self, file: &Path, variables: &str) -> Value {
        let nomad = world::client(&self.agent);
        let text = std::fs::read_to_string(file).unwrap();
        let variables = format!("job = \"runner-test\"\n{variables}");
        nomad.parse_hcl(nomad.place(), &text, &variables).await.unwrap()
    }

    async fn register(&self, job: &Value) {
        let nomad = world::client(&self.agent);
        nomad.register(nomad.place(), job).await.unwrap();
    }

    /// Dispatches a runner of that name and returns the child's id.
    async fn dispatch(&self, name: &str) -> String {
        self.dispatch_with(name, "registration-token").await
    }

    async fn dispatch_with(&self, name: &str, credential: &str) -> String {
        let body = json!({
            "Payload": STANDARD.encode(TOKEN),
            "Meta": {
                "runner_name": name,
                "credential": credential,
                "runner_url": "https://github.com/octo/app",
                "runner_labels": "self-hosted,linux,x64",
                "allow_repositories": "octo/*",
                "allow_public": "false",
                "allow_forks": "false",
                "allow_events": "*",
                "allow_actors": "*",
                "workflow_name": "$(touch /tmp/roustabout-was-here) \"'`",
            },
        });
        let url = self.agent.address().join("/v1/job/runner-test/dispatch").unwrap();
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
        let answer: Value = answer.json().await.unwrap();
        answer["DispatchedJobID"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Value {
        let url = self.agent.address().join(path).unwrap();
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// The only allocation of a child, once `enough` says so.
    async fn allocation(&self, child: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let allocations = self.get(&format!("/v1/job/{child}/allocations")).await;
            if let [allocation] = &allocations.as_array().unwrap()[..]
                && enough(allocation)
            {
                return allocation.clone();
            }
            assert!(Instant::now() < deadline, "not there in time: {allocations:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The allocation after its last task.
    async fn ended(&self, child: &str) -> Value {
        let cleaned = |allocation: &Value| {
            allocation["TaskStates"]["cleanup"]["State"] == "dead"
                && allocation["ClientStatus"] != "running"
                && allocation["ClientStatus"] != "pending"
        };
        self.allocation(child, cleaned).await
    }

    /// A file of the allocation; where there is none, Nomad's text that says so.
    async fn file(&self, allocation: &Value, path: &str) -> String {
        let id = allocation["ID"].as_str().unwrap();
        let url = format!("/v1/client/fs/cat/{id}?path={path}");
        let url = self.agent.address().join(&url).unwrap();
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    async fn list(&self, allocation: &Value, path: &str) -> Vec<String> {
        let id = allocation["ID"].as_str().unwrap();
        let files = self.get(&format!("/v1/client/fs/ls/{id}?path={path}")).await;
        let name = |file: &Value| file["Name"].as_str().unwrap().to_owned();
        files.as_array().unwrap().iter().map(name).collect()
    }
}

fn archive(folder: &Path) -> Vec<u8> {
    for (name, script) in [("config.sh", CONFIG), ("run.sh", RUN)] {
        let file = folder.join(name);
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let mut tar = Command::new("tar");
    let tar = tar.arg("-C").arg(folder).args(["-czf", "-", "config.sh", "run.sh"]);
    let output = tar.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn exit_code(allocation: &Value, task: &str) -> Option<i64> {
    let events = allocation["TaskStates"][task]["Events"].as_array()?;
    let ended = events.iter().find(|event| event["Type"] == "Terminated")?;
    ended["Details"]["exit_code"].as_str()?.parse().ok()
}

#[tokio::test]
async fn the_runner_is_registered_as_asked_and_the_job_finds_no_token() {
    let bench = Bench::start().await;
    let child = bench.dispatch("roustabout-x64-0").await;
    let allocation = bench.ended(&child).await;
    let file =
        async |name: &str| bench.file(&allocation, &format!("alloc/runner/_diag/{name}")).await;

    assert_eq!(allocation["ClientStatus"], "complete", "{allocation:#}");
    let arguments = file("arguments").await;
    let arguments: Vec<&str> = arguments.lines().collect();
    assert_eq!(
        arguments,
        [
            "--unattended",
            "--ephemeral",
            "--no-default-labels",
            "--url",
            "https://github.com/octo/app",
            "--name",
            "roustabout-x64-0",
            "--labels",
            "self-hosted,linux,x64",
            "--work",
            "_work",
        ]
    );
    assert_eq!(file("token-hash").await.trim(), hex::encode(Sha256::digest(TOKEN)));
    assert_eq!(file("in-arguments").await, "", "the token was a process's argument");
    assert_eq!(file("found").await, "", "the job found the token, or the prestart's files");
    assert!(!Path::new("/tmp/roustabout-was-here").exists(), "a workflow's name was run");

    let environment = file("environment").await;
    let names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    for wanted in [
        "HOME",
        "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
        "RUNNER_MANUALLY_TRAP_SIG",
        "ACTIONS_RUNNER_HOOK_JOB_STARTED",
        "NOMAD_ALLOC_ID",
    ] {
        assert!(names.contains(&wanted), "{wanted} is missing in {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("NOMAD_META")), "{names:?}");
    assert!(environment.contains("/alloc/home\n"), "{environment}");

    assert_eq!(exit_code(&allocation, "cleanup"), Some(0));
    assert_eq!(bench.list(&allocation, "alloc/runner").await, ["_diag"]);
    assert!(!bench.list(&allocation, "alloc").await.contains(&"home".to_owned()));
    bench.agent.stop().await;
}

#[tokio::test]
async fn a_runner_with_a_configuration_of_its_own_registers_nothing_and_leaves_nothing() {
    let bench = Bench::start().await;
    let child = bench.dispatch_with("roustabout-x64-0", "jit").await;
    let allocation = bench.ended(&child).await;
    let file =
        async |name: &str| bench.file(&allocation, &format!("alloc/runner/_diag/{name}")).await;
    assert_eq!(allocation["ClientStatus"], "complete", "{allocation:#}");
    assert_eq!(file("config-hash").await.trim(), hex::encode(Sha256::digest(TOKEN)));
    assert_eq!(file("in-arguments").await, "", "the configuration was a process's argument");
    assert_eq!(file("found").await, "", "the configuration is in a file while the runner runs");
    let diag = bench.list(&allocation, "alloc/runner/_diag").await;
    assert!(!diag.contains(&"token-hash".to_owned()), "config.sh was called");
    assert_eq!(exit_code(&allocation, "cleanup"), Some(0));
    assert_eq!(bench.list(&allocation, "alloc/runner").await, ["_diag"]);
    bench.agent.stop().await;
}

#[tokio::test]
async fn a_runner_that_lies_on_the_node_is_neither_fetched_nor_changed() {
    let bench = Bench::start().await;
    let home = bench.folder.path().join("runner/1.2.3");
    let variables = format!("runner_home = {home:?}\n");
    bench.register(&bench.parsed(&jobspec(), &variables).await).await;
    // Before it is there, the task says what is missing.
    let child = bench.dispatch("roustabout-x64-0").await;
    let allocation = bench.ended(&child).await;
    assert_eq!(allocation["ClientStatus"], "failed");
    let told = bench.file(&allocation, "alloc/logs/configure.stderr.0").await;
    assert!(told.contains("run deploy/nomad/runner-home.nomad.hcl for this node"), "{told}");

    // What prepares it runs on every node; here once, as the stand-in for Nomad can.
    let prepares = here("deploy/nomad/runner-home.nomad.hcl");
    let mut job = bench.parsed(&prepares, &format!("{variables}{}", bench.archive)).await;
    assert_eq!(job["Type"], "sysbatch");
    (job["Type"], job["ID"], job["Name"]) = ("batch".into(), "home".into(), "home".into());
    for _ in 0..2 {
        bench.register(&job).await;
        let complete = |allocation: &Value| allocation["ClientStatus"] == "complete";
        let allocation = bench.allocation("home", complete).await;
        assert_eq!(exit_code(&allocation, "prepare"), Some(0), "{allocation:#}");
    }
    let files = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(files(home.parent().unwrap()), ["1.2.3"], "nothing half made is left");
    assert_eq!(files(&home), ["config.sh", "run.sh"]);
    std::fs::create_dir(home.join("externals")).unwrap();

    for (name, credential) in
        [("roustabout-x64-0", "registration-token"), ("roustabout-x64-1", "jit")]
    {
        let child = bench.dispatch_with(name, credential).await;
        let allocation = bench.ended(&child).await;
        assert_eq!(allocation["ClientStatus"], "complete", "{allocation:#}");
        let events = allocation["TaskStates"]["configure"]["Events"].as_array().unwrap();
        assert!(events.iter().all(|it| it["Type"] != "Downloading Artifacts"), "{events:#?}");
        assert_eq!(bench.list(&allocation, "alloc/runner").await, ["_diag"]);
    }
    assert_eq!(files(&home), ["config.sh", "externals", "run.sh"], "it is as it was");
    bench.agent.stop().await;
}

#[tokio::test]
async fn a_runner_that_fails_is_cleaned_up_too_and_its_exit_code_is_told() {
    let bench = Bench::start().await;
    for code in [3, 7] {
        let child = bench.dispatch(&format!("roustabout-x64-{code}")).await;
        let allocation = bench.ended(&child).await;
        assert_eq!(allocation["ClientStatus"], "failed");
        assert_eq!(exit_code(&allocation, "runner"), Some(code));
        assert_eq!(exit_code(&allocation, "cleanup"), Some(0));
        assert_eq!(bench.list(&allocation, "alloc/runner").await, ["_diag"]);
        let evaluations = bench.get(&format!("/v1/job/{child}/evaluations")).await;
        assert_eq!(evaluations.as_array().unwrap().len(), 1, "Nomad tries again: {evaluations:#}");
    }
    bench.agent.stop().await;
}

#[tokio::test]
async fn a_stopped_runner_gets_an_interrupt_and_is_cleaned_up() {
    let bench = Bench::start().await;
    let child = bench.dispatch("roustabout-x64-wait").await;
    let running = |allocation: &Value| allocation["TaskStates"]["runner"]["State"] == "running";
    let allocation = bench.allocation(&child, running).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !bench.list(&allocation, "alloc/runner/_diag").await.contains(&"waiting".to_owned()) {
        assert!(Instant::now() < deadline, "the runner did not get to work");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = bench.agent.address().join(&format!("/v1/job/{child}")).unwrap();
    assert!(bench.http.delete(url).send().await.unwrap().status().is_success());
    let allocation = bench.ended(&child).await;
    assert_eq!(allocation["ClientStatus"], "complete");
    assert_eq!(bench.file(&allocation, "alloc/runner/_diag/interrupted").await, "yes\n");
    assert_eq!(exit_code(&allocation, "cleanup"), Some(0));
    bench.agent.stop().await;
}

/// The shipped jobspecs for runners: of either forge, for each driver.
const SHIPPED: [&str; 7] = [
    JOBSPEC_FILE,
    "deploy/nomad/runner-exec.nomad.hcl",
    "deploy/nomad/runner-docker.nomad.hcl",
    "deploy/nomad/runner-podman.nomad.hcl",
    GITEA_JOBSPEC_FILE,
    "deploy/nomad/gitea-runner-docker.nomad.hcl",
    "deploy/nomad/runner-home.nomad.hcl",
];

#[tokio::test]
async fn the_defaults_are_valid_and_fit_a_node() {
    let agent = cluster::start().await;
    let nomad = world::client(&agent);
    let post = async |path: &str, body: Value| {
        let url = agent.address().join(path).unwrap();
        let answer = Client::new().post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for file in SHIPPED {
        let text = std::fs::read_to_string(here(file)).unwrap();
        let job = nomad.parse_hcl(nomad.place(), &text, "").await.unwrap();
        let validated = post("/v1/validate/job", json!({ "Job": job })).await;
        assert_eq!(validated["ValidationErrors"].as_array().map_or(0, Vec::len), 0, "{validated}");
        assert_eq!(validated["Warnings"].as_str().unwrap_or_default(), "", "{file}");
        // Nodes of ours have raw_exec alone.
        if file.contains("raw-exec") {
            let path = format!("/v1/job/{}/plan", job["ID"].as_str().unwrap());
            let planned = post(&path, json!({ "Job": job, "Diff": false })).await;
            assert!(planned["FailedTGAllocs"].is_null(), "{file}: {planned:#}");
            assert_eq!(planned["Warnings"].as_str().unwrap_or_default(), "", "{file}");
        }
    }
    agent.stop().await;
}

#[tokio::test]
async fn the_default_archive_is_that_of_the_architecture() {
    let agent = cluster::start().await;
    let nomad = world::client(&agent);
    let artifact = async |file: &str, variables: &str| {
        let text = std::fs::read_to_string(here(file)).unwrap();
        let job = nomad.parse_hcl(nomad.place(), &text, variables).await.unwrap();
        let tasks = job["TaskGroups"][0]["Tasks"].as_array().unwrap();
        let artifact = tasks.iter().find_map(|task| task["Artifacts"].get(0)).unwrap().clone();
        let source = artifact["GetterSource"].as_str().unwrap().to_owned();
        let name = source.rsplit('/').next().unwrap().to_owned();
        (name, artifact["GetterOptions"]["checksum"].as_str().unwrap_or_default().to_owned())
    };
    let home = "deploy/nomad/runner-home.nomad.hcl";
    for file in [JOBSPEC_FILE, "deploy/nomad/runner-exec.nomad.hcl", home] {
        let (amd64, its) = artifact(file, "").await;
        assert_eq!(amd64, "actions-runner-linux-x64-2.337.0.tar.gz", "{file}");
        let (arm64, other) = artifact(file, "arch = \"arm64\"").await;
        assert_eq!(arm64, "actions-runner-linux-arm64-2.337.0.tar.gz", "{file}");
        assert!(its.starts_with("sha256:") && other.starts_with("sha256:") && its != other);
        let own = "arch = \"arm64\"\nrunner_archive = \"https://files.test/own.tar.gz\"\n";
        assert_eq!(artifact(file, own).await, ("own.tar.gz".to_owned(), String::new()));
        let checked = format!("{own}runner_checksum = \"sha256:00\"\n");
        assert_eq!(artifact(file, &checked).await.1, "sha256:00");
    }
    agent.stop().await;
}

#[tokio::test]
async fn nomads_own_command_takes_them() {
    let Some(nomad) = OnlyNomad::ItsCommand.nomad() else { return };
    let agent = cluster::start().await;
    let run = |command: &str, file: &str| {
        let mut nomad = Command::new(&nomad);
        nomad.args(["job", command]).arg(here(file)).env("NOMAD_ADDR", agent.address().as_str());
        let output = nomad.output().unwrap();
        // plan: 1 says that there is something to do.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!told.contains("Warning"), "{told}");
        told
    };
    for file in SHIPPED {
        let told = run("validate", file);
        assert!(told.contains("validation successful"), "{file}: {told}");
    }
    run("plan", JOBSPEC_FILE);
    run("plan", GITEA_JOBSPEC_FILE);
    agent.stop().await;
}
