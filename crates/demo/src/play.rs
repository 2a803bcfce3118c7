//! The burst itself: queues the jobs, shows what follows, asks why one waits and cancels it, and
//! asks at the end what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use crate::left::Left;
use crate::listening::Listening;
use crate::news::News;
use crate::scene::{self, Shows};
use crate::screen::Screen;
use crate::stage::Stage;
use crate::story::Story;
use crate::summary::Summary;

/// How often the daemon is asked why jobs wait, and whether all is over.
const LOOK: Duration = Duration::from_millis(150);
/// How often a table is drawn though nothing has happened: its clocks go on.
const DRAW: Duration = Duration::from_millis(100);
/// So long an explanation is left to be read before the job is cancelled.
const READ: Duration = Duration::from_secs(4);

pub struct Play<'a> {
    pub stage: &'a Stage,
    pub screen: &'a Screen,
    pub listening: Listening,
    story: Story,
    /// Repositories whose waiting was shown.
    waits: BTreeSet<String>,
    /// The job that Nomad has no room for, and the one that is refused.
    unplaceable: Option<u64>,
    refused: Option<u64>,
    explained: Option<Instant>,
    cancelled: bool,
}

impl<'a> Play<'a> {
    pub fn new(stage: &'a Stage, screen: &'a Screen, listening: Listening, story: Story) -> Self {
        Self {
            stage,
            screen,
            listening,
            story,
            waits: BTreeSet::new(),
            unplaceable: None,
            refused: None,
            explained: None,
            cancelled: false,
        }
    }

    /// Until nothing is left, or until the deadline: then the summary says what did not happen.
    pub async fn run(&mut self, jobs: usize, deadline: Instant) -> anyhow::Result<Summary> {
        // What was built before is no step.
        self.listening.now();
        self.screen.begins();
        self.queue(jobs).await?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draw = tokio::time::interval(DRAW);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut problems = Vec::new();
        let left = loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    problems = self.what_did_not_happen().await;
                    break Left::ask(self.stage).await.ok();
                }
                news = self.listening.next() => self.show(news),
                _ = draw.tick() => self.screen.draw(&self.story),
                _ = look.tick() => {
                    self.show_waiting().await?;
                    self.explain().await?;
                    if self.story.all_ended() {
                        let left = Left::ask(self.stage).await?;
                        if left.is_nothing() {
                            break Some(left);
                        }
                    }
                }
            }
        };
        let news = self.listening.now();
        self.show(news);
        self.screen.draw(&self.story);
        self.screen.table_is_over();
        let dispatches = self.stage.nomad()?.children().await.map(|all| all.len());
        let dispatches = dispatches.unwrap_or_else(|error| {
            problems.push(format!("cannot count the dispatches: {error}"));
            0
        });
        let nomad = self.stage.nomad()?.told.clone();
        let (waits, refused) = (self.unplaceable, self.refused);
        Ok(Summary::of(&self.story, nomad, waits, refused, dispatches, left, problems))
    }

    /// Shows whatever happens from now on; it never ends by itself.
    pub async fn watch(&mut self) {
        loop {
            let news = self.listening.next().await;
            self.show(news);
        }
    }

    async fn queue(&mut self, jobs: usize) -> anyhow::Result<()> {
        let parts = scene::parts(jobs);
        let ids = self.stage.forge()?.queue(&parts).await?;
        for (part, id) in parts.iter().zip(ids) {
            match part.shows {
                Shows::TheWay => {}
                Shows::AWait => self.unplaceable = Some(id),
                Shows::ARefusal => self.refused = Some(id),
            }
        }
        Ok(())
    }

    fn show(&mut self, news: Vec<News>) {
        let mut shown = false;
        for step in news.into_iter().filter_map(|news| self.story.tell(news)) {
            self.screen.step(&step);
            shown = true;
        }
        if shown {
            self.screen.draw(&self.story);
        }
    }

    /// Once for each repository, when its jobs wait for more than a runner on its way.
    async fn show_waiting(&mut self) -> anyhow::Result<()> {
        let reasons = self.reasons().await?;
        let now = jiff::Timestamp::now().as_millisecond();
        let news = self.listening.now();
        self.show(news);
        let short = |(repository, (_, reason)): (&String, &(usize, String))| {
            (repository.clone(), reason.clone())
        };
        self.story.reasons = reasons.iter().map(short).collect();
        for (repository, (count, reason)) in reasons {
            if reason.contains("at capacity") && self.waits.insert(repository.clone()) {
                self.screen.step(&self.story.waits(now, &repository, count, &reason));
            }
        }
        Ok(())
    }

    /// Asks why the job waits that Nomad has no room for, until the answer is Nomad's own reason;
    /// and cancels it when that could be read.
    async fn explain(&mut self) -> anyhow::Result<()> {
        let Some(job) = self.unplaceable.filter(|_| !self.cancelled) else { return Ok(()) };
        match self.explained {
            None if self.story.has_dispatched(job) => {
                let path = format!("/api/v1/explain/{job}");
                let answer: Value = self.stage.daemon()?.api.get(&path).await?;
                let sentence = answer["sentence"].as_str().unwrap_or_default();
                if sentence.contains("lack") {
                    let now = jiff::Timestamp::now().as_millisecond();
                    let step = self.story.explains(now, job, sentence);
                    self.screen.step(&step);
                    self.explained = Some(Instant::now());
                }
            }
            Some(at) if at.elapsed() > READ => {
                self.stage.forge()?.cancel(job).await?;
                self.cancelled = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// By repository: how many jobs of it wait without a runner of their own, and why, in the
    /// daemon's words.
    async fn reasons(&self) -> anyhow::Result<BTreeMap<String, (usize, String)>> {
        let jobs: Vec<Value> = self.stage.daemon()?.api.get("/api/v1/jobs").await?;
        let mut reasons = BTreeMap::new();
        for job in jobs.iter().filter(|job| job["status"] == "queued") {
            let id = job["id"].as_u64();
            let (Some(repository), Some(reason)) =
                (job["repository"].as_str(), job["reason"].as_str())
            else {
                continue;
            };
            if id == self.unplaceable || id == self.refused {
                continue;
            }
            let (count, _) =
                reasons.entry(repository.to_owned()).or_insert_with(|| (0, reason.to_owned()));
            *count += 1;
        }
        Ok(reasons)
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
