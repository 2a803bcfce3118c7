//! The burst itself: queues the jobs, shows what follows, cancels one, and asks what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use super::left::Left;
use super::news::{Listening, News};
use super::screen::Screen;
use super::stage::{LABELS, MAX_RUNNERS, Secrets, Stage};
use super::step::Kind;
use super::story::Story;
use super::summary::Summary;
use crate::simulated::github::{GitHub, JobSpec, RunSpec, Status};

/// How often the daemon is asked why jobs wait, and whether all is over.
const LOOK: Duration = Duration::from_millis(150);

pub struct Play<'a> {
    pub stage: &'a Stage,
    pub secrets: &'a Secrets,
    pub screen: &'a Screen,
    pub listening: Listening,
    story: Story,
    /// Repositories whose waiting was shown.
    waits: BTreeSet<String>,
    cancelled: Option<u64>,
}

impl<'a> Play<'a> {
    pub fn new(
        stage: &'a Stage,
        secrets: &'a Secrets,
        screen: &'a Screen,
        listening: Listening,
    ) -> Self {
        Self {
            stage,
            secrets,
            screen,
            listening,
            story: Story::default(),
            waits: BTreeSet::new(),
            cancelled: None,
        }
    }

    /// Until nothing is left, or until the deadline: then the summary says what did not happen.
    pub async fn run(
        mut self,
        jobs: usize,
        repositories: [u64; 2],
        deadline: Instant,
    ) -> anyhow::Result<Summary> {
        // What was built before is no step.
        self.listening.now();
        self.screen.begins();
        self.queue(jobs, repositories)?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut problems = Vec::new();
        let left = loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    problems = self.what_did_not_happen().await;
                    break self.left().await.ok();
                }
                news = self.listening.next() => self.show(jobs, news)?,
                _ = look.tick() => {
                    self.show_waiting(jobs).await?;
                    if self.story.all_ended() {
                        let left = self.left().await?;
                        if left.is_nothing() {
                            break Some(left);
                        }
                    }
                }
            }
        };
        let news = self.listening.now();
        self.show(jobs, news)?;
        let dispatches = self.stage.nomad()?.children().await.map(|all| all.len());
        let dispatches = dispatches.unwrap_or_else(|error| {
            problems.push(format!("cannot count the dispatches: {error}"));
            0
        });
        Ok(Summary::of(&self.story, self.cancelled, dispatches, left, problems))
    }

    /// The first repository has a few more, so that turns are seen.
    fn queue(&self, jobs: usize, repositories: [u64; 2]) -> anyhow::Result<()> {
        let second = jobs * 2 / 5;
        self.stage.github()?.with(|github, now| {
            for (repository, name, count) in
                [(repositories[0], "build", jobs - second), (repositories[1], "test", second)]
            {
                let job = |n| {
                    // Of unlike length, 1 to 2.4 s.
                    let millis = 1_000 + i64::try_from(n * 370 % 1_500).unwrap_or(0);
                    JobSpec::new(format!("{name} {n}"), &LABELS).lasting(millis)
                };
                let run: Vec<JobSpec> = (1..=count).map(job).collect();
                if !run.is_empty() {
                    github.add_run(repository, RunSpec::default(), run, now);
                }
            }
        });
        Ok(())
    }

    fn show(&mut self, jobs: usize, news: Vec<News>) -> anyhow::Result<()> {
        for news in news {
            let Some(step) = self.story.tell(news) else { continue };
            self.screen.step(&step);
            // Somebody cancels a job that waits for a place, once the first is under way.
            if step.step == Kind::Started && self.cancelled.is_none() && jobs > MAX_RUNNERS {
                self.cancelled = self.stage.github()?.with(|github, now| {
                    let job = last_in_queue(github)?;
                    github.cancel_job(job, now);
                    Some(job)
                });
            }
        }
        Ok(())
    }

    /// Once for each repository, when its jobs wait for more than a runner on its way.
    async fn show_waiting(&mut self, jobs: usize) -> anyhow::Result<()> {
        let reasons = self.reasons().await?;
        let now = jiff::Timestamp::now().as_millisecond();
        let news = self.listening.now();
        self.show(jobs, news)?;
        for (repository, (count, reason)) in reasons {
            if reason.contains("at capacity") && self.waits.insert(repository.clone()) {
                self.screen.step(&self.story.waits(now, &repository, count, &reason));
            }
        }
        Ok(())
    }

    /// By repository: how many jobs wait, and why, in the daemon's words.
    async fn reasons(&self) -> anyhow::Result<BTreeMap<String, (usize, String)>> {
        let jobs: Vec<Value> = self.stage.daemon()?.api.get("/api/v1/jobs").await?;
        let mut reasons = BTreeMap::new();
        for job in jobs.iter().filter(|job| job["status"] == "queued") {
            let (Some(repository), Some(reason)) =
                (job["repository"].as_str(), job["reason"].as_str())
            else {
                continue;
            };
            let (count, _) =
                reasons.entry(repository.to_owned()).or_insert_with(|| (0, reason.to_owned()));
            *count += 1;
        }
        Ok(reasons)
    }

    async fn left(&self) -> anyhow::Result<Left> {
        let Stage { github, nomad, daemon, .. } = self.stage;
        let (github, nomad, daemon) = (github.as_ref(), nomad.as_ref(), daemon.as_ref());
        let missing = "the demo is not set up";
        let (github, nomad) = (github.context(missing)?, nomad.context(missing)?);
        Left::ask(nomad, github, daemon.context(missing)?, self.secrets).await
    }

    async fn what_did_not_happen(&self) -> Vec<String> {
        let mut problems = vec!["the time was up before everything had ended".to_owned()];
        match self.reasons().await {
            Ok(reasons) => problems.extend(
                reasons
                    .into_iter()
                    .map(|(repository, (_, reason))| format!("{repository} waits: {reason}")),
            ),
            Err(error) => problems.push(format!("{error:#}")),
        }
        if let Ok(nomad) = self.stage.nomad() {
            problems
                .extend(nomad.not_placed().await.into_iter().map(|why| format!("Nomad: {why}")));
        }
        problems
    }
}

fn last_in_queue(github: &GitHub) -> Option<u64> {
    github.jobs().filter(|job| job.status == Status::Queued).last().map(|job| job.id)
}
