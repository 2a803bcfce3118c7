//! A real Gitea as the demo's forge: jobs are queued by pushes, their steps are real, and what
//! happens is found by asking, for nobody else tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use local_parts::gitea::{Gitea, Parts, Person};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use simulated::github::{Happening, What};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::news::News;
use crate::scene::{PUBLIC, Part, SERVED, Shows};

/// Nothing dies here, so it need not be short.
const ZOMBIE_TIMEOUT: Duration = Duration::from_secs(600);
/// How often it is asked what has happened.
const LOOK: Duration = Duration::from_millis(200);
/// How long it may take until a push has become jobs.
const JOBS_WITHIN: Duration = Duration::from_secs(20);

/// A runner at work does not hear that its job was cancelled, and goes on for long after its steps:
/// so long a run whose jobs are at work may take to its end by itself.
const AT_WORK_WITHIN: Duration = Duration::from_secs(20);

pub struct RealGitea {
    gitea: Gitea,
    owner: Person,
    told: String,
    known: Known,
    news: mpsc::UnboundedSender<News>,
    /// Until [`RealGitea::feed`] takes it.
    heard: Option<mpsc::UnboundedReceiver<News>>,
    watching: Option<JoinHandle<()>>,
    /// From here on jobs are told of that nobody here queued.
    by_others: Arc<AtomicBool>,
}

/// The jobs that were queued here, by id.
type Known = Arc<Mutex<BTreeMap<u64, Job>>>;

#[derive(Debug, Clone)]
struct Job {
    repository: &'static str,
    run: u64,
    started: bool,
    ended: bool,
}

impl RealGitea {
    pub async fn start(parts: &Parts) -> anyhow::Result<Self> {
        let began = Instant::now();
        let gitea = Gitea::start(parts, ZOMBIE_TIMEOUT).await?;
        let owner = gitea.owner();
        let version = owner.get("/version").await?;
        let told = format!(
            "{}, real, started for this at {} in {:.1} s",
            version["version"].as_str().unwrap_or_default(),
            gitea.url(),
            began.elapsed().as_secs_f64()
        );
        owner.add_organization("octo").await?;
        for repository in SERVED {
            owner.add_repository(repository, true).await?;
        }
        owner.add_repository(PUBLIC, false).await?;
        let (news, heard) = mpsc::unbounded_channel();
        let (known, heard) = (Known::default(), Some(heard));
        let by_others = Arc::default();
        Ok(Self { gitea, owner, told, known, news, heard, watching: None, by_others })
    }

    pub fn told(&self) -> String {
        self.told.clone()
    }

    pub fn url(&self) -> String {
        self.gitea.url()
    }

    pub fn config(&self, sweeps: &str) -> String {
        format!(
            "[github]\nkind = \"gitea\"\napi_url = {:?}\n{sweeps}[[github.credentials]]\nowners = [\"octo\"]\ntoken = {:?}\n",
            self.gitea.api_url(),
            self.gitea.token().expose_secret(),
        )
    }

    pub fn runner_program(&self) -> &Path {
        self.gitea.runner_program()
    }

    pub async fn hook(&self, door: &str, secret: &SecretString) -> anyhow::Result<()> {
        for repository in all_repositories() {
            let place = format!("repos/{repository}");
            self.owner.add_hook(&place, door, secret.expose_secret()).await?;
        }
        Ok(())
    }

    /// A workflow file for each repository, and one of its own for the job that is to be
    /// cancelled: a button cancels a whole run.
    pub async fn queue(&self, parts: &[Part]) -> anyhow::Result<Vec<u64>> {
        let mut pushed = Vec::new();
        for repository in all_repositories() {
            let mut files = Vec::new();
            let at = Timestamp::now().as_millisecond();
            for (file, alone) in [("ci.yml", false), ("alone.yml", true)] {
                let here = parts.iter().filter(|part| {
                    part.repository == repository && (part.shows == Shows::AWait) == alone
                });
                let here: Vec<&Part> = here.collect();
                if !here.is_empty() {
                    files.push((format!(".gitea/workflows/{file}"), workflow(&here)));
                    pushed.extend(here.into_iter().map(|part| (at, part)));
                }
            }
            if !files.is_empty() {
                self.owner.push_new(repository, &files).await?;
            }
        }
        let mut ids = BTreeMap::new();
        let deadline = Instant::now() + JOBS_WITHIN;
        while ids.len() < pushed.len() {
            if Instant::now() > deadline {
                bail!("Gitea made {} jobs of {} that were pushed", ids.len(), pushed.len());
            }
            for repository in all_repositories() {
                for job in self.owner.jobs(repository).await? {
                    let (id, name) =
                        (number(&job["id"])?, job["name"].as_str().unwrap_or_default());
                    ids.insert((repository, name.to_owned()), (id, number(&job["run_id"])?));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (at, part) in pushed {
            let (job, run) = ids[&(part.repository, part.name.clone())];
            let repository = part.repository;
            lock(&self.known).insert(job, Job { repository, run, started: false, ended: false });
            let (name, labels) = (part.name.clone(), part.labels.map(str::to_owned).to_vec());
            let what = What::JobQueued { job, name, repository: repository.to_owned(), labels };
            let _ = self.news.send(News::Happened(Happening { at, what }));
        }
        Ok(parts.iter().map(|part| ids[&(part.repository, part.name.clone())].0).collect())
    }

    pub async fn cancel(&self, job: u64) -> anyhow::Result<()> {
        let known = lock(&self.known).get(&job).cloned();
        let Job { repository, run, .. } = known.context("Gitea has no such job of ours")?;
        Ok(self.owner.cancel(repository, run).await?)
    }

    pub async fn cancel_all(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + AT_WORK_WITHIN;
        loop {
            let over = Instant::now() > deadline;
            let mut at_work = false;
            for repository in all_repositories() {
                let jobs = self.owner.jobs(repository).await?;
                let in_status = |status: &str| -> BTreeSet<u64> {
                    let those = jobs.iter().filter(|job| job["status"] == status);
                    those.filter_map(|job| job["run_id"].as_u64()).collect()
                };
                let working = in_status("in_progress");
                at_work |= !working.is_empty();
                let open = &(&in_status("queued") | &in_status("waiting")) | &working;
                for run in open.into_iter().filter(|run| over || !working.contains(run)) {
                    self.owner.cancel(repository, run).await?;
                }
            }
            if over || !at_work {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A clone to push from, in a folder that nobody else can enter: what it takes to push is in
    /// it. From here on whatever is pushed is told of.
    pub fn check_out(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let git = |arguments: &[&str]| {
            let mut git = std::process::Command::new("git");
            // Nothing of whose machine this is.
            git.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").args(arguments);
            let output = git.output().context("cannot run git")?;
            let told = String::from_utf8_lossy(&output.stderr);
            anyhow::ensure!(output.status.success(), "git {}: {told}", arguments[0]);
            Ok(())
        };
        git(&["init", "-q", "-b", "main"])?;
        let config = format!(
            "[user]\n\tname = {name}\n\temail = {name}@localhost\n[commit]\n\tgpgSign = false\n\
             [http]\n\textraHeader = {:?}\n[remote \"origin\"]\n\turl = {}/{}.git\n\
             \tfetch = +refs/heads/*:refs/remotes/origin/*\n\
             [branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n",
            self.owner.git_header().expose_secret(),
            self.gitea.url(),
            SERVED[0],
            name = self.owner.name,
        );
        let file = folder.join(".git/config");
        let mut options = std::fs::File::options();
        options
            .append(true)
            .open(&file)
            .and_then(|mut file| file.write_all(config.as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))?;
        git(&["pull", "-q"])?;
        self.by_others.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Of the web page.
    pub fn login(&self) -> (&str, &SecretString) {
        (&self.owner.name, self.owner.password())
    }

    /// The last job that is known.
    pub fn last_job(&self) -> Option<u64> {
        lock(&self.known).last_key_value().map(|(id, _)| *id)
    }

    pub async fn registered(&self) -> anyhow::Result<u64> {
        Ok(u64::try_from(self.owner.runners("admin").await?.len())?)
    }

    pub fn feed(&mut self) -> GiteaFeed {
        let heard = self.heard.take().unwrap_or_else(|| mpsc::unbounded_channel().1);
        let (owner, known, news) = (self.owner.clone(), self.known.clone(), self.news.clone());
        let by_others = self.by_others.clone();
        self.watching = Some(tokio::spawn(watch(owner, known, news, by_others)));
        GiteaFeed { heard, next: Vec::new() }
    }

    pub async fn shutdown(mut self) {
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
        // Its end may block for a moment.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

pub struct GiteaFeed {
    heard: mpsc::UnboundedReceiver<News>,
    next: Vec<News>,
}

impl GiteaFeed {
    pub async fn changed(&mut self) {
        match self.heard.recv().await {
            Some(news) => self.next.push(news),
            // It is over, and nobody is to be woken again and again for that.
            None => std::future::pending().await,
        }
    }

    pub fn take(&mut self) -> Vec<News> {
        let mut news = std::mem::take(&mut self.next);
        while let Ok(more) = self.heard.try_recv() {
            news.push(more);
        }
        news
    }
}

/// Asks for runners and jobs again and again, and tells what is new. A Gitea that does not answer
/// for once is asked again.
async fn watch(
    owner: Person,
    known: Known,
    news: mpsc::UnboundedSender<News>,
    by_others: Arc<AtomicBool>,
) {
    let mut registered = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let mut happened = Vec::new();
        let scope = "octo";
        let mut register = |name: &str, id: u64, happened: &mut Vec<What>| {
            if registered.insert(name.to_owned()) {
                let (name, scope) = (name.to_owned(), scope.to_owned());
                happened.push(What::RunnerRegistered { id, name, scope });
            }
        };
        for runner in owner.runners("admin").await.unwrap_or_default() {
            let name = runner["name"].as_str().unwrap_or_default();
            register(name, runner["id"].as_u64().unwrap_or_default(), &mut happened);
        }
        let mut logs = Vec::new();
        for repository in all_repositories() {
            for job in owner.jobs(repository).await.unwrap_or_default() {
                let Some(id) = job["id"].as_u64() else { continue };
                let name = job["name"].as_str().unwrap_or_default().to_owned();
                let runner = job["runner_name"].as_str().map(str::to_owned);
                let mut known = lock(&known);
                if by_others.load(Ordering::Relaxed) && !known.contains_key(&id) {
                    let run = job["run_id"].as_u64().unwrap_or_default();
                    known.insert(id, Job { repository, run, started: false, ended: false });
                    let labels = job["labels"].as_array().into_iter().flatten();
                    happened.push(What::JobQueued {
                        job: id,
                        name: name.clone(),
                        repository: repository.to_owned(),
                        labels: labels.filter_map(|l| Some(l.as_str()?.to_owned())).collect(),
                    });
                }
                let Some(tale) = known.get_mut(&id) else { continue };
                if let Some(runner) = runner.clone().filter(|_| !tale.started) {
                    tale.started = true;
                    register(&runner, job["runner_id"].as_u64().unwrap_or_default(), &mut happened);
                    happened.push(What::JobStarted { job: id, name: name.clone(), runner });
                }
                if job["status"] == "completed" && !tale.ended {
                    tale.ended = true;
                    let conclusion = conclusion(&job["conclusion"]);
                    if runner.is_some() {
                        logs.push((repository, id));
                    }
                    happened.push(What::JobCompleted { job: id, name, conclusion, runner });
                }
            }
        }
        let at = Timestamp::now().as_millisecond();
        for what in happened {
            let _ = news.send(News::Happened(Happening { at, what }));
        }
        for (repository, job) in logs {
            let log = owner.log(repository, job).await.unwrap_or_default();
            if let Some(line) = log.lines().find_map(|line| line.split_once(SAYS)) {
                let line = line.1.trim().to_owned();
                let _ = news.send(News::Logged { at, job, line });
            }
        }
    }
}

/// What the line of a job's own step begins with, after the time.
const SAYS: &str = "Z real step: ";

/// Its jobs run a step of a shell each.
fn workflow(parts: &[&Part]) -> String {
    let mut text = "on: push\njobs:\n".to_owned();
    for (n, part) in parts.iter().enumerate() {
        let seconds = format!("{}.{:03}", part.millis / 1000, part.millis % 1000);
        text += &format!(
            "  job{n}:\n    name: {:?}\n    runs-on: {:?}\n    steps:\n      - run: |\n          \
             echo \"real step: $(uname -sr), process $$, commit $GITHUB_SHA\"\n          sleep {seconds}\n",
            part.name, part.labels,
        );
    }
    text
}

fn all_repositories() -> impl Iterator<Item = &'static str> {
    SERVED.into_iter().chain([PUBLIC])
}

fn conclusion(said: &Value) -> &'static str {
    match said.as_str() {
        Some("success") => "success",
        Some("failure") => "failure",
        Some("cancelled") => "cancelled",
        Some("skipped") => "skipped",
        _ => "unknown",
    }
}

fn number(value: &Value) -> anyhow::Result<u64> {
    value.as_u64().context("Gitea shows a job without its id")
}

fn lock(known: &Known) -> std::sync::MutexGuard<'_, BTreeMap<u64, Job>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
