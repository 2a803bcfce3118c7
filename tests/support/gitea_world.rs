//! The whole way for real with Gitea as the forge: a real Gitea, a Nomad agent with the
//! jobspec that we ship, real runners, and the daemon between them. What ran is known by lines
//! that the steps write to a file outside of all of them.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use local_parts::agent::Agent;
use local_parts::gitea::{Gitea, Person};
use local_parts::runner_job;
use roustabout::nomad::{ChildStub, Client, DispatchRequest, JobStatus};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::daemon::{Daemon, SECRET};
use super::world::client;
use super::{cluster, gitea, until};

pub const PARENT: &str = "gitea-runner-x64";
/// Within which each thing that is waited for has to happen, on a machine with other work.
const LIMIT: Duration = Duration::from_secs(90);
pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];

/// Gitea and Nomad, before there is a daemon.
pub struct GiteaParts {
    pub gitea: Gitea,
    pub owner: Person,
    pub agent: Agent,
    pub nomad: Client,
    /// Where steps write that they ran.
    outside: tempfile::TempDir,
}

impl GiteaParts {
    pub async fn start() -> Self {
        let (gitea, agent) = tokio::join!(gitea::start(), cluster::start());
        let nomad = client(&agent);
        let program = gitea.runner_program();
        runner_job::register_for_gitea(&nomad, PARENT, program, runner_job::MEMORY).await.unwrap();
        let outside = tempfile::tempdir().unwrap();
        // The agent, and so the steps, may be another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(outside.path(), open).unwrap();
        let owner = gitea.owner();
        Self { gitea, owner, agent, nomad, outside }
    }

    /// A file that steps can write.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    /// The steps of a job that says, outside and in its log, that it ran, and then does `then`.
    /// `name` is the job's at Gitea, of a matrix `build (${{ matrix.letter }})`.
    pub fn says(&self, name: &str, then: &str) -> String {
        // One short write with O_APPEND, so that lines of jobs that run at once do not mix.
        let outside = self.outside("ran");
        format!(
            "steps:\n  - run: |\n      echo \"$GITHUB_REPOSITORY $GITHUB_RUN_ID {name}\" >>{}\n      \
             echo '{name} is at work'\n      {then}",
            outside.display()
        )
    }

    /// What jobs said, in the order in which they did: `REPOSITORY RUN NAME`.
    pub fn said(&self) -> Vec<String> {
        let lines = std::fs::read_to_string(self.outside("ran")).unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }

    /// How often the job, as Gitea shows it, was run.
    pub fn times_run(&self, repository: &str, job: &Value) -> usize {
        let line = format!("{repository} {} {}", job["run_id"], job["name"].as_str().unwrap());
        self.said().iter().filter(|said| **said == line).count()
    }

    /// Children of the parent, dead or alive.
    pub async fn children(&self) -> Vec<ChildStub> {
        self.nomad.children_by_token_prefix(self.nomad.place(), "roustabout-").await.unwrap()
    }

    pub async fn alive(&self) -> usize {
        let children = self.children().await;
        children.iter().filter(|child| child.status != JobStatus::Dead).count()
    }

    /// Hires a runner of `place` (`repos/OWNER/NAME`, `orgs/NAME`) as the daemon would; the child.
    pub async fn dispatch(&self, parent: &str, place: &str, name: &str) -> String {
        let token = self.owner.registration_token(place).await.unwrap();
        self.dispatch_with(parent, name, token).await
    }

    pub async fn dispatch_with(&self, parent: &str, name: &str, token: SecretString) -> String {
        let meta = [
            ("runner_name", name.to_owned()),
            ("runner_url", self.gitea.url()),
            ("runner_labels", LABELS.join(",")),
            // What anybody who can open a pull request may choose.
            ("workflow_name", "$(touch /tmp/roustabout-was-here) \"'`".to_owned()),
        ];
        let meta = meta.map(|(key, value)| (key.to_owned(), SecretString::from(value)));
        let request = DispatchRequest {
            idempotency_token: &format!("roustabout-{name}"),
            payload: Some(&token),
            meta: &meta.into_iter().collect(),
        };
        self.nomad.dispatch(self.nomad.place(), parent, &request).await.unwrap().child
    }

    /// The allocation of a child once its last task has ended, as Nomad's API shows it.
    pub async fn allocation_after(&self, child: &str, limit: Duration) -> Value {
        let mut allocation = Value::Null;
        until(&format!("{child} has ended"), limit, async || {
            let mut found = self.nomad_api(&format!("/v1/job/{child}/allocations")).await;
            // None as long as it is not placed.
            allocation = found.get_mut(0).map(Value::take).unwrap_or_default();
            allocation["TaskStates"]["cleanup"]["State"] == "dead"
                && !["running", "pending"].map(Value::from).contains(&allocation["ClientStatus"])
        })
        .await;
        allocation
    }

    pub async fn nomad_api(&self, path: &str) -> Value {
        let url = self.agent.address().join(path).unwrap();
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    /// Every runner that Gitea knows.
    pub async fn registered(&self) -> Vec<Value> {
        self.owner.runners("admin").await.unwrap()
    }

    /// Processes in the folders of Nomad's tasks.
    pub fn at_work(&self) -> Vec<String> {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let inside = |folder: &std::path::Path| {
            let place = std::fs::read_link(folder.join("cwd")).ok()?;
            let is_task = place.starts_with(self.agent.folder().join("alloc"));
            let command = std::fs::read(folder.join("cmdline")).ok()?;
            is_task.then(|| String::from_utf8_lossy(&command).replace('\0', " "))
        };
        entries.filter_map(|entry| inside(&entry.path())).collect()
    }
}

/// `owner/app` and `owner/lib`, each with a hook, and `octo/site`, of an organization with one.
pub const REPOSITORIES: [&str; 3] = ["owner/app", "owner/lib", "octo/site"];

/// All of it, with the daemon.
pub struct GiteaWorld {
    pub parts: GiteaParts,
    pub daemon: Daemon,
}

impl GiteaWorld {
    /// `runners` is what `[runners]` says.
    pub async fn start(runners: &str) -> Self {
        let parts = GiteaParts::start().await;
        let config = format!(
            "[github]\nkind = \"gitea\"\napi_url = \"{}\"\n\
             sweep_interval = \"2s\"\nfull_sweep_interval = \"5s\"\n\
             [[github.credentials]]\nowners = [\"*\"]\ntoken = \"{}\"\n\
             [nomad]\naddress = \"{}\"\n[runners]\n{runners}\n{}{}",
            parts.gitea.api_url(),
            parts.gitea.token().expose_secret(),
            parts.agent.address().as_str().trim_end_matches('/'),
            pool("organization", "octo/*"),
            pool("repository", "owner/*"),
        );
        let mut daemon = Daemon::prepare(&config);
        for repository in REPOSITORIES {
            let (owner, _) = repository.split_once('/').unwrap();
            let of_organization = owner == "octo";
            if of_organization {
                parts.owner.add_organization(owner).await.unwrap();
            }
            parts.owner.add_repository(repository, true).await.unwrap();
            let place = if of_organization {
                format!("orgs/{owner}")
            } else {
                format!("repos/{repository}")
            };
            parts.owner.add_hook(&place, &daemon.url(), SECRET).await.unwrap();
        }
        daemon.start().await;
        Self { parts, daemon }
    }

    /// Pushes the workflow, and waits until its run is there; the run's id.
    pub async fn push(&self, repository: &str, workflow: &str) -> u64 {
        let before = self.owner.runs(repository).await.unwrap().len();
        let file = ".gitea/workflows/ci.yml";
        self.owner.push(repository, "main", file, workflow).await.unwrap();
        let mut runs = Vec::new();
        until(&format!("{repository} has a new run"), Duration::from_secs(30), async || {
            // Gitea may be restarting.
            runs = self.owner.runs(repository).await.unwrap_or_default();
            runs.len() > before
        })
        .await;
        runs[0]["id"].as_u64().unwrap()
    }

    /// The jobs of a run, as Gitea shows them now.
    pub async fn jobs(&self, repository: &str, run: u64) -> Vec<Value> {
        let jobs = self.owner.jobs(repository).await.unwrap_or_default();
        jobs.into_iter().filter(|job| job["run_id"] == run).collect()
    }

    /// Waits until so many jobs of the run are in `status`.
    pub async fn until_status(&self, repository: &str, run: u64, count: usize, status: &str) {
        until(&format!("{count} jobs of {repository} are {status}"), LIMIT, async || {
            let jobs = self.jobs(repository, run).await;
            jobs.iter().filter(|job| job["status"] == status).count() >= count
        })
        .await;
    }

    /// Waits for the end of every job of the run, and holds each to what was expected of it:
    /// its conclusion, how often it was run, and that its log is there where it was.
    pub async fn ended_as(&self, repository: &str, run: u64, conclusion: &str, times: usize) {
        let mut jobs = Vec::new();
        until(&format!("run {run} of {repository} has ended"), LIMIT, async || {
            jobs = self.jobs(repository, run).await;
            !jobs.is_empty() && jobs.iter().all(|job| job["status"] == "completed")
        })
        .await;
        for job in &jobs {
            assert_eq!(job["conclusion"], conclusion, "{job:#}");
            assert_eq!(self.times_run(repository, job), times, "{job:#}\n{:#?}", self.said());
            if times > 0 {
                let id = job["id"].as_u64().unwrap();
                let log = self.owner.log(repository, id).await.unwrap();
                let line = format!("{} is at work", job["name"].as_str().unwrap());
                assert!(log.contains(&line), "the log of job {id}:\n{log}");
            }
        }
    }

    /// Waits until every job of the run has told Gitea's log that it is at work.
    pub async fn until_logged(&self, repository: &str, run: u64) {
        until("the logs have come", LIMIT, async || {
            let mut logged = true;
            for job in self.jobs(repository, run).await {
                let log = self.owner.log(repository, job["id"].as_u64().unwrap()).await;
                logged &= log.is_ok_and(|log| log.contains("is at work\n"));
            }
            logged
        })
        .await;
    }

    /// No child is alive, no runner registered, no process of one at work, and the daemon's ledger
    /// has nobody either.
    pub async fn until_nothing_is_left(&self) {
        let mut left = String::new();
        let looked = tokio::time::timeout(
            LIMIT,
            until("nothing is left", 2 * LIMIT, async || {
                let alive = self.alive().await;
                let registered: Vec<Value> =
                    self.registered().await.iter().map(|runner| runner["name"].clone()).collect();
                let at_work = self.at_work();
                let ours = self.daemon.api("/api/v1/status").await["capacity"]["alive"].clone();
                left = format!("{alive} alive in Nomad, registered {registered:?}, at work {at_work:?}, ledger {ours}");
                alive == 0 && registered.is_empty() && at_work.is_empty() && ours == 0
            }),
        )
        .await;
        assert!(looked.is_ok(), "something is left: {left}");
    }

    /// Which children were hired for a job.
    pub async fn hired_for(&self, job: u64) -> usize {
        let (mut count, job) = (0, job.to_string());
        for child in self.children().await {
            let meta = self.nomad_api(&format!("/v1/job/{}", child.id.replace('/', "%2F"))).await;
            count += usize::from(meta["Meta"]["workflow_job_id"] == job.as_str());
        }
        count
    }
}

impl Deref for GiteaWorld {
    type Target = GiteaParts;

    fn deref(&self) -> &GiteaParts {
        &self.parts
    }
}

impl DerefMut for GiteaWorld {
    fn deref_mut(&mut self) -> &mut GiteaParts {
        &mut self.parts
    }
}

fn pool(scope: &str, repositories: &str) -> String {
    // An organization's runners are given any job there, so its pool has to allow all.
    let all = match scope {
        "organization" => "public_repositories = true\nforks = true\n",
        _ => "",
    };
    format!(
        "[[pools]]\nname = {scope:?}\nnomad_job = {PARENT:?}\nlabels = {LABELS:?}\n\
         repositories = [{repositories:?}]\nscope = {scope:?}\ndelivery = \"payload\"\n\
         release_grace = \"10s\"\n{all}"
    )
}
