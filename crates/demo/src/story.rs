//! Makes steps of what is heard, and keeps what the summary needs.
//!
//! A runner is not a job's until GitHub says so: until then steps are the runner's own.

use std::collections::BTreeMap;

use roustabout::engine::Told;
use roustabout::ledger::{Happened, Happening, JobStatus, PoolName, RunnerName};
use simulated::github::{self, Millis, What};

use crate::forge::Forge;
use crate::news::News;
use crate::step::{Kind, Step};

#[derive(Debug, Clone, Default)]
pub struct JobTale {
    pub name: String,
    pub repository: String,
    pub labels: Vec<String>,
    pub queued: Millis,
    /// When the door had answered its webhook.
    pub webhook: Option<Millis>,
    /// Each time that a runner started it. Once is what should be.
    pub started: Vec<Millis>,
    pub ended: Option<Millis>,
    pub conclusion: Option<&'static str>,
    /// Why it gets no runner.
    pub refused: Option<String>,
    /// The daemon's answer to why it is where it is.
    pub explained: Option<String>,
    /// The one that has it; before that one which was hired for it, as far as one can say.
    pub runner: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct RunnerTale {
    pub number: usize,
    pub repository: String,
    pub hired: Millis,
    pub dispatched: Option<Millis>,
    pub placed: Option<Millis>,
    pub registered: Option<Millis>,
    pub gone: Option<Millis>,
}

/// Who a step is about.
#[derive(Default)]
struct Whose {
    job: Option<u64>,
    runner: Option<String>,
    repository: Option<String>,
}

#[derive(Debug, Default)]
pub struct Story {
    /// The forge's name.
    pub forge: &'static str,
    /// It does not tell how its webhooks were answered: what the daemon knows has come by one.
    pub silent: bool,
    pub jobs: BTreeMap<u64, JobTale>,
    pub runners: BTreeMap<String, RunnerTale>,
    pub tokens: usize,
    pub registered: usize,
    /// Why jobs of a repository wait that have no runner yet.
    pub reasons: BTreeMap<String, String>,
    /// What the daemon warned of.
    pub troubles: Vec<String>,
    /// When the first job was queued: the zero of all times.
    pub begin: Option<Millis>,
}

impl Story {
    pub fn new(forge: &Forge) -> Self {
        Self { forge: forge.name(), silent: !forge.tells_answers(), ..Self::default() }
    }

    /// The step that a piece of news is, if it is one.
    pub fn tell(&mut self, news: News) -> Option<Step> {
        match news {
            News::Happened(happening) => self.happened(happening),
            News::Logged { at, job, line } => {
                let whose = Whose { job: Some(job), ..Whose::default() };
                Some(self.step(at, Kind::Log, whose, format!("wrote: {line}")))
            }
            News::Told(told) => self.told(told),
            News::Answered { at, job, action, answer } => {
                if let Some(tale) = self.jobs.get_mut(&job) {
                    tale.webhook.get_or_insert(at);
                }
                // Later events of the job are shown by what they are about.
                (action == "queued").then(|| {
                    let whose = Whose { job: Some(job), ..Whose::default() };
                    self.step(at, Kind::Webhook, whose, format!("queued → webhook {answer}"))
                })
            }
        }
    }

    /// Why so many jobs of a repository wait.
    pub fn waits(&self, at: Millis, repository: &str, jobs: usize, reason: &str) -> Step {
        let whose = Whose { repository: Some(repository.to_owned()), ..Whose::default() };
        let mut step = self.step(at, Kind::Waits, whose, format!("wait: {reason}"));
        step.who = format!("{jobs} job{}", if jobs == 1 { "" } else { "s" });
        step
    }

    /// What the daemon answered when it was asked about one job.
    pub fn explains(&mut self, at: Millis, job: u64, sentence: &str) -> Step {
        if let Some(tale) = self.jobs.get_mut(&job) {
            tale.explained = Some(sentence.to_owned());
        }
        let whose = Whose { job: Some(job), ..Whose::default() };
        self.step(at, Kind::Explained, whose, format!("why? {sentence}"))
    }

    /// Whether Nomad has taken the dispatch of the runner that was hired for the job.
    pub fn has_dispatched(&self, job: u64) -> bool {
        self.runner_of(job).is_some_and(|runner| runner.dispatched.is_some())
    }

    pub fn runner_of(&self, job: u64) -> Option<&RunnerTale> {
        self.runners.get(self.jobs.get(&job)?.runner.as_ref()?)
    }

    /// The forge is done with every job, or it gets no runner.
    pub fn all_ended(&self) -> bool {
        self.jobs.values().all(|job| job.conclusion.is_some() || job.refused.is_some())
    }

    /// Gives the runner to the job that has it from now on; the one that it was hired for gets
    /// what that one had.
    fn give(&mut self, job: u64, runner: &str) {
        let before = self.jobs.get(&job).and_then(|tale| tale.runner.clone());
        let holder = self.jobs.iter().find(|(_, tale)| tale.runner.as_deref() == Some(runner));
        if let Some(holder) = holder.map(|(id, _)| *id).filter(|holder| *holder != job)
            && let Some(tale) = self.jobs.get_mut(&holder)
        {
            tale.runner = before;
        }
        if let Some(tale) = self.jobs.get_mut(&job) {
            tale.runner = Some(runner.to_owned());
        }
    }

    /// For which job a runner was hired: the one that the daemon names, else the next of its
    /// repository that has none. Pools are called here as the label is that they alone have.
    fn hired_for(&self, cause: Option<u64>, repository: &str, pool: Option<&str>) -> Option<u64> {
        let free = |id: &u64| {
            self.jobs.get(id).is_some_and(|tale| {
                tale.runner.is_none() && tale.conclusion.is_none() && tale.refused.is_none()
            })
        };
        let next = || {
            let here = self.jobs.iter().filter(|(_, tale)| {
                tale.repository == repository
                    && pool.is_none_or(|pool| tale.labels.iter().any(|label| label == pool))
            });
            here.map(|(id, _)| *id).find(free)
        };
        cause.filter(free).or_else(next)
    }

    fn happened(&mut self, github::Happening { at, what }: github::Happening) -> Option<Step> {
        match what {
            What::JobQueued { job, name, repository, labels } => {
                self.begin.get_or_insert(at);
                self.jobs.entry(job).or_insert(JobTale {
                    name,
                    repository,
                    labels,
                    queued: at,
                    ..JobTale::default()
                });
                None
            }
            What::TokenMinted { scope } => {
                self.tokens += 1;
                let whose = Whose { repository: Some(scope), ..Whose::default() };
                let text = format!("{} minted a registration token", self.forge);
                Some(self.step(at, Kind::Token, whose, text))
            }
            What::RunnerRegistered { name, scope, .. } => {
                self.registered += 1;
                if let Some(tale) = self.runners.get_mut(&name) {
                    tale.registered = Some(at);
                    // Of that the daemon may hear from Nomad only later.
                    tale.placed.get_or_insert(at);
                }
                let text = format!("registered at {}", self.forge);
                let whose = Whose { runner: Some(name), repository: Some(scope), job: None };
                Some(self.step(at, Kind::Registered, whose, text))
            }
            What::JobStarted { job, runner, .. } => {
                let text = format!("started on {}", self.short(&runner));
                if let Some(tale) = self.jobs.get_mut(&job) {
                    tale.started.push(at);
                }
                self.give(job, &runner);
                let whose = Whose { job: Some(job), runner: Some(runner), repository: None };
                Some(self.step(at, Kind::Started, whose, text))
            }
            What::JobCompleted { job, conclusion, runner, .. } => {
                let tale = self.jobs.get_mut(&job)?;
                tale.conclusion = Some(conclusion);
                tale.ended = Some(at);
                let text = match tale.started.last() {
                    Some(start) => format!("completed: {conclusion}, ran {}", seconds(at - start)),
                    None => format!("completed: {conclusion} in the queue"),
                };
                let whose = Whose { job: Some(job), runner, repository: None };
                Some(self.step(at, Kind::Completed, whose, text))
            }
            What::JobRequeued { job, runner, .. } => {
                let text = format!("not picked up by {}, queued again", self.short(&runner));
                let whose = Whose { job: Some(job), runner: Some(runner), repository: None };
                Some(self.step(at, Kind::Trouble, whose, text))
            }
            What::JobWaiting { .. }
            | What::JobAssigned { .. }
            | What::RunnerRemoved { .. }
            | What::Delivered { .. } => None,
        }
    }

    fn told(&mut self, Told { at, happening }: Told) -> Option<Step> {
        let at = at.0;
        let Happening { what, about } = &happening;
        let job = about.job.map(|id| id.0);
        let runner = about.runner.as_ref().map(|name| name.0.clone());
        if let Happened::JobStatus { status, .. } = what {
            return self.told_of_job(at, *status, job);
        }
        if let Some((runner, repository)) = runner.as_ref().zip(about.repository.as_ref()) {
            let pool = about.pool.as_ref().map(PoolName::as_str);
            self.meet_runner(at, job, runner, repository, pool);
        }
        let (kind, text) = self.of_kind(&happening)?;
        if kind == Kind::Trouble {
            let whose = runner.as_ref().map(|runner| format!("{}: ", self.short(runner)));
            self.troubles.push(format!("{}{text}", whose.unwrap_or_default()));
        }
        if let (Happened::JobRefused { why }, Some(job)) = (what, job)
            && let Some(tale) = self.jobs.get_mut(&job)
        {
            tale.refused = Some(why.clone());
        }
        if let Some(tale) = runner.as_ref().and_then(|runner| self.runners.get_mut(runner)) {
            match kind {
                Kind::Dispatched => tale.dispatched = Some(at),
                Kind::Placed => drop(tale.placed.get_or_insert(at)),
                Kind::Gone => tale.gone = Some(at),
                _ => {}
            }
        }
        let job = job.filter(|_| runner.is_none());
        let whose = Whose { job, runner, repository: about.repository.clone() };
        Some(self.step(at, kind, whose, text))
    }

    /// What the daemon says of jobs is what the forge has said; but of a silent one's webhooks
    /// nothing else tells.
    fn told_of_job(&mut self, at: Millis, status: JobStatus, job: Option<u64>) -> Option<Step> {
        let tale = job.and_then(|job| self.jobs.get_mut(&job))?;
        if !self.silent || status != JobStatus::Queued {
            return None;
        }
        tale.webhook.get_or_insert(at);
        let whose = Whose { job, ..Whose::default() };
        Some(self.step(at, Kind::Webhook, whose, "queued → known to the daemon".to_owned()))
    }

    fn meet_runner(
        &mut self,
        at: Millis,
        cause: Option<u64>,
        runner: &str,
        repository: &str,
        pool: Option<&str>,
    ) {
        if self.runners.contains_key(runner) {
            return;
        }
        let tale = RunnerTale {
            number: self.runners.len() + 1,
            repository: repository.to_owned(),
            hired: at,
            ..RunnerTale::default()
        };
        self.runners.insert(runner.to_owned(), tale);
        if let Some(job) = self.hired_for(cause, repository, pool) {
            self.give(job, runner);
        }
    }

    /// How it is shown; nothing where the forge has shown it before.
    fn of_kind(&self, happening: &Happening) -> Option<(Kind, String)> {
        let Happening { what, about } = happening;
        let text = happening.to_string();
        // The second column says whose.
        let rest = text.strip_prefix("runner ").map_or(text.clone(), str::to_owned);
        Some(match what {
            _ if what.is_warning() => (Kind::Trouble, text),
            Happened::RunnerBusy | Happened::RunnerFinished => return None,
            Happened::RunnerLaunched { waiting, supply } => {
                let name = about.runner.as_ref().map_or("", RunnerName::as_str);
                let counts = format!("({waiting} waiting, {supply} launched for them)");
                (Kind::Hired, format!("launched as {name} {counts}"))
            }
            Happened::RunnerDispatched { .. } => (Kind::Dispatched, rest),
            Happened::RunnerPlaced => (Kind::Placed, rest),
            Happened::RunnerGone { how } if how.is_usual() => (Kind::Gone, "gone".to_owned()),
            Happened::RunnerGone { .. } => (Kind::Gone, rest),
            Happened::JobRefused { .. } => (Kind::Refused, text),
            Happened::Recovered { .. } => (Kind::Note, text),
            _ if about.runner.is_some() => (Kind::Note, rest),
            _ => return None,
        })
    }

    fn step(&self, at: Millis, kind: Kind, whose: Whose, text: String) -> Step {
        let Whose { job, runner, repository } = whose;
        let tale = job.and_then(|job| self.jobs.get(&job));
        let hired = runner.as_ref().and_then(|runner| self.runners.get(runner));
        let repository = tale
            .map(|tale| tale.repository.clone())
            .or_else(|| hired.map(|hired| hired.repository.clone()))
            .or(repository);
        let job_name = tale.map(|tale| tale.name.clone());
        let who = match (&job_name, &runner) {
            (Some(name), _) => name.clone(),
            (None, Some(runner)) => self.short(runner),
            (None, None) => String::new(),
        };
        let since = at - self.begin.unwrap_or(at);
        #[expect(clippy::cast_precision_loss, reason = "a demo is over within minutes")]
        let seconds = since as f64 / 1000.0;
        Step { seconds, step: kind, repository, job, job_name, runner, text, who }
    }

    fn short(&self, runner: &str) -> String {
        match self.runners.get(runner) {
            Some(tale) => format!("runner {}", tale.number),
            None => runner.to_owned(),
        }
    }
}

/// `1.204 s`.
pub fn seconds(millis: Millis) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use roustabout::ledger::{About, Gone, JobId, Time};

    use super::*;

    fn said(at: Millis, what: Happened) -> News {
        let about = About {
            repository: Some("octo/app".to_owned()),
            runner: Some("roustabout-x64-1".into()),
            job: Some(JobId(7)),
            ..About::default()
        };
        News::Told(Told { at: Time(at), happening: what.about(about) })
    }

    fn happened(at: Millis, what: What) -> News {
        News::Happened(github::Happening { at, what })
    }

    #[test]
    fn what_has_registered_was_placed_though_that_is_heard_later() {
        let (name, scope) = ("roustabout-x64-1".to_owned(), "octo/app".to_owned());
        let mut story = Story::default();
        story.tell(said(1, Happened::RunnerLaunched { waiting: 1, supply: 1 }));
        let id = 1;
        story.tell(happened(5, What::RunnerRegistered { id, name: name.clone(), scope }));
        story.tell(said(7, Happened::RunnerPlaced));
        let tale = &story.runners[&name];
        assert_eq!((tale.placed, tale.registered), (Some(5), Some(5)));
    }

    #[test]
    fn one_job_the_whole_way() {
        let (job, name) = (7, "build 1".to_owned());
        let runner = "roustabout-x64-1".to_owned();
        let repository = "octo/app".to_owned();
        let labels = Vec::new();
        let queued = What::JobQueued { job, name: name.clone(), repository, labels };
        let answer = "202 accepted".to_owned();
        let started = What::JobStarted { job, name: name.clone(), runner: runner.clone() };
        let (conclusion, runner) = ("success", Some(runner));
        let completed = What::JobCompleted { job, name, conclusion, runner };
        let in_progress = Happened::JobStatus {
            title: "build 1".to_owned(),
            status: JobStatus::InProgress,
            conclusion: None,
        };
        let how = Gone::ChildEnded { how: "its allocation on node-1 is complete".to_owned() };
        let news = [
            happened(1_000, queued),
            News::Answered { at: 1_010, job, action: "queued".to_owned(), answer },
            said(1_020, Happened::RunnerLaunched { waiting: 1, supply: 1 }),
            said(1_030, Happened::RunnerDispatched { child: "gha/dispatch-1-ab".to_owned() }),
            said(1_040, Happened::RunnerPlaced),
            happened(1_500, started),
            said(1_510, in_progress),
            said(1_520, Happened::RunnerBusy),
            happened(2_750, completed),
            said(2_800, Happened::RunnerFinished),
            said(3_000, Happened::RunnerGone { how }),
        ];
        let mut story = Story::default();
        let steps = news.into_iter().filter_map(|news| story.tell(news));
        let told: Vec<_> =
            steps.map(|step| (step.seconds, step.step, step.who, step.text)).collect();
        let line = |at, kind, who: &str, text: &str| (at, kind, who.to_owned(), text.to_owned());
        let hired = "launched as roustabout-x64-1 (1 waiting, 1 launched for them)";
        assert_eq!(
            told,
            [
                line(0.01, Kind::Webhook, "build 1", "queued → webhook 202 accepted"),
                line(0.02, Kind::Hired, "runner 1", hired),
                line(0.03, Kind::Dispatched, "runner 1", "dispatched as gha/dispatch-1-ab"),
                line(0.04, Kind::Placed, "runner 1", "placed"),
                line(0.5, Kind::Started, "build 1", "started on runner 1"),
                line(1.75, Kind::Completed, "build 1", "completed: success, ran 1.250 s"),
                line(2.0, Kind::Gone, "runner 1", "gone"),
            ]
        );
        assert!(story.all_ended());
    }

    #[test]
    fn what_has_no_kind_of_its_own_is_shown_in_its_words() {
        let mut story = Story::default();
        let step = story.tell(said(0, Happened::RunnerStillBusy)).unwrap();
        assert_eq!((step.step, step.text.as_str()), (Kind::Note, "is busy and is kept"));
    }
}
