//! The way of a job from `queued` to its runner's first listen, step by step, for each way of starting a
//! runner, beside the bare runner. Run by hand, on an idle machine; what came out is in docs/benchmarks.md:
//! `scripts/test --release --test cluster way -- --ignored --nocapture`.

use crate::support;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use local_parts::runner_job::JOBSPEC;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use sha2::{Digest, Sha256};
use simulated::github::What;
use simulated::runner::archive;
use support::daemon::GITHUB_TOKEN;
use support::parts::{self, Part};
use support::root::{Docker, IMAGE, Root};
use support::world::{LABELS, PARENT, Parts, Plan, World};
use support::{programs, until};

const LIMIT: Duration = Duration::from_secs(120);
const ROUNDS: usize = 7;
/// MB that the stand-in is made as large by as actions/runner is: it does not shrink when it is packed.
const SIZE: usize = 200;

/// How a runner is started.
struct Way {
    called: &'static str,
    pool: &'static str,
    /// Its node has it already.
    at_home: bool,
    claims: bool,
}

const WAYS: [Way; 9] = [
    Way {
        called: "raw_exec, registration token",
        pool: "delivery = \"payload\"\n",
        at_home: false,
        claims: false,
    },
    Way {
        called: "raw_exec, JIT",
        pool: "delivery = \"payload\"\ncredential = \"jit\"\n",
        at_home: false,
        claims: false,
    },
    Way {
        called: "raw_exec, token by claim",
        pool: "delivery = \"claim\"\n",
        at_home: false,
        claims: true,
    },
    Way {
        called: "raw_exec, token by Variable",
        pool: "delivery = \"variable\"\n",
        at_home: false,
        claims: false,
    },
    Way {
        called: "raw_exec, `runner_home`, registration token",
        pool: "delivery = \"payload\"\n",
        at_home: true,
        claims: false,
    },
    Way {
        called: "raw_exec, `runner_home`, token by claim",
        pool: "delivery = \"claim\"\n",
        at_home: true,
        claims: true,
    },
    Way {
        called: "raw_exec, `runner_home`, token by Variable",
        pool: "delivery = \"variable\"\n",
        at_home: true,
        claims: false,
    },
    Way {
        called: "raw_exec, `runner_home`, JIT",
        pool: "delivery = \"payload\"\ncredential = \"jit\"\n",
        at_home: true,
        claims: false,
    },
    Way {
        called: "warm",
        pool: "delivery = \"payload\"\n[[pools.warm]]\nrepositories = [\"octo/app\"]\n",
        at_home: true,
        claims: false,
    },
];

/// Milliseconds since the job was queued; the last one from the webhook's first byte to Nomad's word that it has the
/// dispatch.
type Steps = [Option<i64>; 7];
const NAMES: [&str; 7] = [
    "webhook answered",
    "dispatched",
    "placed",
    "task started",
    "registered",
    "job started",
    "ours",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs an idle machine"]
async fn from_queued_to_the_first_listen() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("runner");
    archive::write_to(&home, programs::roustabout_demo()).unwrap();
    std::fs::create_dir(home.join("externals")).unwrap();
    let mut ballast = vec![0; SIZE << 20];
    rand::rngs::StdRng::seed_from_u64(1).fill(&mut ballast[..]);
    std::fs::write(home.join("externals/ballast"), ballast).unwrap();
    println!("| | {} |\n|---|{}", NAMES.join(" | "), "---|".repeat(NAMES.len()));
    bare_in_all().await;
    for way in &WAYS {
        let world = world_of(way, &home).await;
        let mut steps = Vec::new();
        // The first mints the token.
        for round in 0..=ROUNDS {
            let took = one(&world, way).await;
            steps.extend((round > 0).then_some(took));
        }
        tell(way.called, steps);
        world.agent.stop().await;
    }
}

fn tell(called: &str, steps: Vec<Steps>) {
    let median = |step: usize| {
        let mut times: Vec<i64> = steps.iter().filter_map(|it| it[step]).collect();
        times.sort_unstable();
        times.get(times.len() / 2).map_or("".to_owned(), |time| format!("{time} ms"))
    };
    let columns: Vec<String> = (0..NAMES.len()).map(median).collect();
    println!("| {called} | {} |", columns.join(" | "));
}

async fn world_of(way: &Way, home: &Path) -> World {
    let parts = Parts::start().await;
    let nomad = parts.nomad.clone();
    let place = nomad.place().clone();
    let from = match way.at_home {
        true => format!("runner_home = {home:?}\n"),
        false => {
            let archive = home.with_extension("tar.gz");
            let mut tar = Command::new("tar");
            let packed = tar.arg("-czf").arg(&archive).arg("-C").arg(home).arg(".").status();
            assert!(packed.unwrap().success());
            let sum = hex::encode(Sha256::digest(std::fs::read(&archive).unwrap()));
            let url = served(std::fs::read(&archive).unwrap()).await;
            format!("runner_archive = {url:?}\nrunner_checksum = \"sha256:{sum}\"\n")
        }
    };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let audience = if way.claims { "" } else { "claim_audience = \"\"\n" };
    let variables = format!(
        "job = {PARENT:?}\nnamespace = {:?}\narch = {arch:?}\ncpu = 50\nmemory = 64\ndisk = 101\n\
         run_as_root = true\n{audience}{from}",
        place.namespace
    );
    let job = nomad.parse_hcl(&place, JOBSPEC, &variables).await.unwrap();
    nomad.register(&place, &job).await.unwrap();
    let port = support::free_port();
    let claims =
        format!("[claims]\nlisten = \"127.0.0.1:{port}\"\nurl = \"http://127.0.0.1:{port}\"\n");
    let plan = Plan {
        before_pools: if way.claims { claims } else { String::new() },
        pool: way.pool.to_owned(),
        ..Plan::default()
    };
    let mut world = World::around(parts, plan).await;
    world.daemon.start().await;
    world
}

async fn served(archive: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/runner.tar.gz", listener.local_addr().unwrap());
    let archive = axum::body::Bytes::from(archive);
    let app =
        axum::Router::new().route("/runner.tar.gz", axum::routing::get(async move || archive));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// One job, from its webhook to its end.
async fn one(world: &World, way: &Way) -> Steps {
    let is_warm = way.called == "warm";
    if is_warm {
        until("a runner waits", LIMIT, async || {
            world.daemon.api("/api/v1/status").await["pools"][0]["warm_idle"] == 1
        })
        .await;
    }
    let before = world.github.with(|github, _| github.events().len());
    let job = world.queue(world.app, 1, 100)[0];
    until("the job has ended", LIMIT, async || {
        world.github.with(|github, _| github.job(job).unwrap().conclusion.is_some())
    })
    .await;
    let (queued, answered, started, name) = seen(world, before, job);
    let sent = sent(world, job);
    let registered = registered(world, &name);
    let mut steps: Steps =
        [Some(answered - queued), None, None, None, None, Some(started - queued), None];
    if !is_warm {
        let child = child_of(world, &name).await;
        let times = [child[0], child[1], child[2], registered];
        for (step, at) in steps[1..5].iter_mut().zip(times) {
            *step = Some(at - queued);
        }
        steps[6] = Some(child[0] - sent);
        world.until_nothing_is_left(LIMIT).await;
    }
    steps
}

/// When it was queued, its first webhook answered and the job started, and by whom.
fn seen(world: &World, from: usize, job: u64) -> (i64, i64, i64, String) {
    world.github.with(|github, _| {
        let events = &github.events()[from..];
        let at = |is: &dyn Fn(&What) -> bool| events.iter().find(|it| is(&it.what)).unwrap().at;
        let queued = at(&|what| matches!(what, What::JobQueued { job: it, .. } if *it == job));
        let answered = at(&|what| matches!(what, What::Delivered { .. }));
        let started = at(&|what| matches!(what, What::JobStarted { job: it, .. } if *it == job));
        let runner = github.job(job).unwrap().runner.as_ref().unwrap().name.clone();
        (queued, answered, started, runner)
    })
}

/// When GitHub began to send that it is queued.
fn sent(world: &World, job: u64) -> i64 {
    let id = format!("\"id\":{job},");
    world.github.with(|github, _| {
        let logged = github.deliveries(world.hook);
        let is = |action: &Option<String>| action.as_deref() == Some("queued");
        let one = logged
            .iter()
            .find(|it| is(&it.delivery.action) && it.delivery.payload.contains(&id))
            .unwrap();
        one.delivered_at - one.outcome.duration
    })
}

fn registered(world: &World, runner: &str) -> i64 {
    world.github.with(|github, _| {
        let is =
            |what: &What| matches!(what, What::RunnerRegistered { name, .. } if name == runner);
        github.events().iter().find(|it| is(&it.what)).unwrap().at
    })
}

/// When Nomad had its dispatch, had placed it, and had started its first task.
async fn child_of(world: &World, runner: &str) -> [i64; 3] {
    let get = async |path: String| -> Value {
        let url = world.agent.address().join(&path).unwrap();
        reqwest::get(url).await.unwrap().json().await.unwrap()
    };
    let children = world.children().await;
    for child in children {
        let job = get(format!("/v1/job/{}", child.id)).await;
        if job["Meta"]["runner_name"] != runner {
            continue;
        }
        let allocations = get(format!("/v1/job/{}/allocations?task_states=true", child.id)).await;
        let allocation = &allocations[0];
        let millis = |value: &Value| value.as_i64().unwrap() / 1_000_000;
        let started = allocation["TaskStates"]["configure"]["StartedAt"].as_str().unwrap();
        let started: Timestamp = started.parse().unwrap();
        return [
            millis(&job["SubmitTime"]),
            millis(&allocation["CreateTime"]),
            started.as_millisecond(),
        ];
    }
    panic!("no child of {runner}")
}

/// Where the bare runner runs.
enum Place {
    Process(tempfile::TempDir),
    /// The client's command, up to its own arguments.
    Container(Vec<OsString>),
}

impl Place {
    fn process() -> Self {
        let folder = tempfile::tempdir().unwrap();
        archive::write_to(folder.path(), programs::roustabout_demo()).unwrap();
        Place::Process(folder)
    }

    fn container(client: &Command) -> Self {
        let words = [client.get_program()].into_iter().chain(client.get_args());
        Place::Container(words.map(OsStr::to_owned).collect())
    }

    /// A shell in the runner's folder, with this in its environment.
    fn shell(&self, script: &str, environment: &[(&str, &str)]) -> tokio::process::Command {
        let mut command = match self {
            Place::Process(folder) => {
                let mut command = tokio::process::Command::new("/bin/sh");
                command.current_dir(folder.path());
                command
            }
            Place::Container(client) => {
                let mut command = tokio::process::Command::new(&client[0]);
                command.args(&client[1..]).args(["run", "--rm", "--network", "host"]);
                // Podman would raise them, which even root may not everywhere.
                command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
                for (name, _) in environment {
                    command.args(["--env", name]);
                }
                command.args(["--workdir", "/home/runner", "--entrypoint", "/bin/sh", IMAGE]);
                command
            }
        };
        command.args(["-c", script]).envs(environment.iter().copied());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Podman with a storage of its own, and the image that Docker has.
struct Podman(tempfile::TempDir);

impl Podman {
    /// `None` where there is none.
    fn start(root: &Root) -> Option<Self> {
        Command::new("podman").arg("--version").output().ok()?;
        let podman = Self(tempfile::tempdir().unwrap());
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped());
        let mut tar = tar.spawn().unwrap();
        let mut import = podman.client();
        import.args(["import", "-", IMAGE]).stdin(tar.stdout.take().unwrap());
        let imported = import.output().unwrap();
        assert!(imported.status.success() && tar.wait().unwrap().success(), "{imported:?}");
        Some(podman)
    }

    fn client(&self) -> Command {
        let mut command = Command::new("podman");
        // Its default, crun, refuses a machine that has cgroups of both versions.
        command.args(["--runtime", "runc"]).arg("--root").arg(self.0.path().join("root"));
        command.arg("--runroot").arg(self.0.path().join("run"));
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        for all in ["rm", "rmi"] {
            let _ = self.client().args([all, "--all", "--force"]).output();
        }
    }
}

/// The runner by itself, for each credential: as a process, and in a container of each engine that is here, as the
/// jobspecs for these start it.
async fn bare_in_all() {
    let engines = tokio::task::spawn_blocking(|| {
        let missing = parts::is_missing(Part::Docker, "the bare runner in a container");
        (!missing).then(|| {
            let root = Root::make();
            let docker = Docker::start(&root);
            let podman = Podman::start(&root);
            (docker, podman)
        })
    });
    let engines = engines.await.unwrap();
    let mut places = vec![("the bare runner", Place::process())];
    if let Some((docker, podman)) = &engines {
        places
            .push(("the bare runner in a container of Docker", Place::container(&docker.client())));
        let podman = podman.iter().map(|podman| Place::container(&podman.client()));
        places.extend(podman.map(|place| ("the bare runner in a container of Podman", place)));
    }
    for (called, place) in &places {
        for (credential, jit) in [("registration token", false), ("JIT", true)] {
            let mut steps = Vec::new();
            for _ in 0..ROUNDS {
                steps.push(bare(place, jit).await);
            }
            tell(&format!("{called}, {credential}"), steps);
        }
    }
    tokio::task::spawn_blocking(move || drop(engines)).await.unwrap();
}

/// Started for a job that waits already: what it needs with nobody in between.
async fn bare(place: &Place, jit: bool) -> Steps {
    let parts = Parts::start().await;
    let world = World::around(parts, Plan::default()).await;
    let job = world.queue(world.app, 1, 100)[0];
    let began = Timestamp::now().as_millisecond();
    let kind = if jit { "generate-jitconfig" } else { "registration-token" };
    let url = format!("{}/repos/octo/app/actions/runners/{kind}", world.github.url());
    let body = serde_json::json!({ "name": "bare", "labels": LABELS, "runner_group_id": 1 });
    let asked = reqwest::Client::new().post(url).bearer_auth(GITHUB_TOKEN).json(&body);
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    let (script, name, value) = match jit {
        true => {
            ("./run.sh".to_owned(), "ACTIONS_RUNNER_INPUT_JITCONFIG", &answer["encoded_jit_config"])
        }
        false => {
            let (url, labels) = (format!("{}/octo/app", world.github.url()), LABELS.join(","));
            let configure = format!(
                "./config.sh --unattended --ephemeral --no-default-labels --url '{url}' --name bare --labels '{labels}'"
            );
            (format!("{configure} && ./run.sh"), "ACTIONS_RUNNER_INPUT_TOKEN", &answer["token"])
        }
    };
    let environment = [(name, value.as_str().unwrap()), ("RUNNER_ALLOW_RUNASROOT", "1")];
    assert!(place.shell(&script, &environment).status().await.unwrap().success());
    let started = world.github.with(|github, _| {
        let is = |what: &What| matches!(what, What::JobStarted { job: it, .. } if *it == job);
        github.events().iter().find(|it| is(&it.what)).unwrap().at
    });
    let registered = registered(&world, "bare") - began;
    world.agent.stop().await;
    [None, None, None, None, Some(registered), Some(started - began), None]
}
