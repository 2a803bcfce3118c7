//! What the ledger remembers: open jobs, live runners, and everything derived from them.
//!
//! History is in the store, not here. Whatever can be derived (classes, indexes, timers) is
//! made anew at a start from the rows; `step` changes it and keeps the parts in agreement.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::class::Hold;
use super::deposit::{Deposits, Way};
use super::runner::{Leaving, RunnerState, Sending};
use super::unserved::Unserved;
use super::warm::Floors;
use super::{
    Breaker, BreakerKey, Class, ClassKey, Job, JobId, JobReport, NomadPlace, Pool, PoolName,
    Repository, RepositoryId, Roster, Rules, RunId, RunQuestions, Runner, RunnerName, ScopeKey,
    ScopeKind, Superseded, Ticket, Time, Verdict,
};

/// How many jobs that left memory, and whose rows can be read back from the store, are kept all the
/// same: news of them often follows.
const RECENTLY_ENDED: usize = 1024;

#[derive(Debug)]
pub struct State {
    pub rules: Rules,
    pub repositories: BTreeMap<RepositoryId, Repository>,
    /// Open jobs that a pool has.
    pub jobs: BTreeMap<JobId, Job>,
    pub runners: Roster,
    pub classes: BTreeMap<ClassKey, Class>,
    /// Classes that would hire if there were room, in the order in which turns go round.
    pub hungry: BTreeSet<ClassKey>,
    /// Those of them that have too few runners for what people caused.
    pub hungry_people: BTreeSet<ClassKey>,
    /// The class that was served last.
    pub turn: Option<ClassKey>,
    /// Where runs are classes: the one that was served last in each scope that has had a turn.
    pub run_turns: BTreeMap<BreakerKey, RunId>,
    pub credentials: BTreeMap<ScopeKey, CredentialState>,
    /// Pools and scopes in which the last request for a runner's own credential failed.
    pub minting: BTreeMap<BreakerKey, Gate>,
    /// Tasks that wait for the credential of their runner.
    pub claims: BTreeMap<RunnerName, Vec<Ticket>>,
    /// Credentials that are laid down for tasks.
    pub deposits: Deposits,
    /// Pools whose parameterized job refused a dispatch.
    pub refusals: BTreeMap<PoolName, Gate>,
    /// Pools and scopes whose runners ended unused.
    pub breakers: BTreeMap<BreakerKey, Breaker>,
    /// Pools that hire nobody new, and until when, if that was said.
    pub pauses: BTreeMap<PoolName, Option<Time>>,
    /// What has been looked at since the start.
    pub swept: Swept,
    /// Whoever is missing has not shown its children since the start.
    pub nomad: BTreeMap<NomadPlace, NomadState>,
    pub run_questions: RunQuestions,
    /// Jobs that have ended and were then told of as if they were open, with what was told: the
    /// forge is being asked whether it was late news, or a rerun under the same id.
    pub reruns: BTreeMap<JobId, (Job, JobReport)>,
    /// The class in whose demand a job stands.
    pub enlisted: BTreeMap<JobId, ClassKey>,
    pub by_repository: BTreeMap<RepositoryId, BTreeSet<JobId>>,
    pub by_run: BTreeMap<RunId, BTreeSet<JobId>>,
    /// Repositories that are looked at out of turn.
    pub looks: BTreeMap<RepositoryId, Looking>,
    /// Runners that ended while GitHub was being asked about them: the answer may be older
    /// than their end, so they are asked about once more.
    pub outdated: BTreeSet<RunnerName>,
    pub timers: BTreeSet<(Time, Timer)>,
    /// Jobs that wait although no pool has them.
    pub unserved: Unserved,
    /// Runs that a newer push may have made pointless.
    pub superseded: Superseded,
    /// How many idle runners are asked for.
    pub floors: Floors,
    pub(super) ended: BTreeMap<JobId, Job>,
    pub(super) ended_order: VecDeque<JobId>,
    /// Children whose runners left memory, and when: listings may be older than that.
    pub(super) left: VecDeque<(String, Time)>,
}

#[derive(Debug, Default)]
pub struct CredentialState {
    pub ends: Option<Time>,
    pub minting: bool,
    /// How long the one that is being minted must live.
    pub life: Duration,
    pub failed: Option<Gate>,
}

/// A way that is closed after a failure: one try when the time is over, then longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub reason: String,
    pub tries: u32,
    pub until: Time,
    #[serde(skip)]
    pub probe: Option<RunnerName>,
}

/// A pause as its row tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused {
    pub until: Option<Time>,
    /// When that was said; rows of earlier versions do not tell.
    pub since: Option<Time>,
}

impl Paused {
    /// Until when it lasts, read at a start: never longer than was said, for the clock may have been
    /// ahead when it was.
    pub fn until_as_of(self, now: Time) -> Option<Time> {
        let until = self.until?;
        let length = self.since.map(|since| until.since(since));
        Some(length.map_or(until, |length| until.min(now + length)))
    }
}

#[derive(Debug, Default)]
pub struct Swept {
    /// Every served repository has been asked about once.
    pub all: bool,
    /// And every question about a fork that this raised is answered: runners may be let go.
    pub settled: bool,
    /// GitHub does not let us see these; their own classes are left alone.
    pub refused: BTreeSet<RepositoryId>,
}

/// How Nomad stands in one of its places.
#[derive(Debug)]
pub enum NomadState {
    /// Since the start it has not shown its children, and why: nobody is hired there.
    Unlisted(String),
    Listed,
    /// It does not answer.
    Away(Gate),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Class(ClassKey),
    Runner(RunnerName),
    /// One of the deadlines of its life.
    Deadline(RunnerName),
    Breaker(BreakerKey),
    /// A job for which nobody was hired for a while.
    Held(JobId),
    Pause(PoolName),
    Credential(ScopeKey),
    Refusal(PoolName),
    /// Credentials are to be removed there.
    Deposits(Way),
    Nomad(NomadPlace),
    /// Of which a question about a fork failed.
    RunQuestions(RepositoryId),
    Job(JobId),
    /// With its name when it was asked for.
    Look(RepositoryId, String),
    /// A run that a newer one has made pointless.
    Superseded(RunId),
    /// Schedules of warm runners begin or end.
    Floors,
}

/// A look that was asked for.
#[derive(Debug, Default)]
pub struct Looking {
    pub under_way: bool,
    /// Asked for while one was under way, which may have been too early.
    pub again: bool,
    pub tries: u32,
}

impl State {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            repositories: BTreeMap::new(),
            jobs: BTreeMap::new(),
            runners: Roster::default(),
            classes: BTreeMap::new(),
            hungry: BTreeSet::new(),
            hungry_people: BTreeSet::new(),
            turn: None,
            run_turns: BTreeMap::new(),
            credentials: BTreeMap::new(),
            minting: BTreeMap::new(),
            claims: BTreeMap::new(),
            deposits: Deposits::default(),
            refusals: BTreeMap::new(),
            breakers: BTreeMap::new(),
            pauses: BTreeMap::new(),
            swept: Swept::default(),
            nomad: BTreeMap::new(),
            run_questions: RunQuestions::default(),
            reruns: BTreeMap::new(),
            enlisted: BTreeMap::new(),
            by_repository: BTreeMap::new(),
            by_run: BTreeMap::new(),
            looks: BTreeMap::new(),
            outdated: BTreeSet::new(),
            timers: BTreeSet::new(),
            unserved: Unserved::default(),
            superseded: Superseded::default(),
            floors: Floors { outdated: true, ..Floors::default() },
            ended: BTreeMap::new(),
            ended_order: VecDeque::new(),
            left: VecDeque::new(),
        }
    }

    /// Takes up the rows of an earlier life. What was under way is in doubt now: a request
    /// that may have left is looked up before anything is sent again.
    pub fn load(
        rules: Rules,
        repositories: Vec<Repository>,
        jobs: Vec<Job>,
        runners: Vec<Runner>,
    ) -> Self {
        let mut state = Self::new(rules);
        state.repositories = repositories.into_iter().map(|r| (r.id, r)).collect();
        for mut runner in runners {
            runner.place = Some(state.rules.place_of_runner(&runner));
            match runner.state {
                // Nobody has its credential, if it was registered at all.
                RunnerState::Dispatching(_) if runner.is_minting() => {
                    runner.state = RunnerState::Dispatching(Sending::Unregistering);
                }
                RunnerState::Dispatching(_) => {
                    runner.state = RunnerState::Dispatching(Sending::LookingUp);
                }
                // Whatever was seen before the stop is old by now.
                RunnerState::Withdrawing(Leaving::Stopping) => {
                    runner.state = RunnerState::Withdrawing(runner.look_before_stopping());
                }
                _ => {}
            }
            let class = state.classes.entry(runner.class.clone()).or_default();
            class.runners.insert(runner.name.clone());
            let was_sent = runner.child.is_some() || runner.sends > 0;
            if runner.state == RunnerState::Clearing && runner.took.is_none() && was_sent {
                class.unaccounted.insert(runner.name.clone());
                class.hold = Some(Hold::Asking { sent: false });
            }
            state.runners.insert(runner);
        }
        for job in jobs {
            state.take_up(job);
        }
        state
    }

    /// One more open job of an earlier life, after its runners.
    pub fn take_up(&mut self, mut job: Job) {
        job.cause_of = job.cause_of.filter(|name| self.runners.contains_key(name));
        self.insert_job(job);
    }

    /// The class of a job that `pool` has.
    pub fn class_key(&self, pool: &Pool, repository: &Repository, run: RunId) -> ClassKey {
        ClassKey {
            pool: pool.name.clone(),
            scope: match pool.scope {
                ScopeKind::Repository => ScopeKey::Repository(repository.id),
                ScopeKind::Organization => {
                    ScopeKey::Organization(repository.owner().to_ascii_lowercase())
                }
            },
            run: pool.is_per_run().then_some(run),
        }
    }

    /// The class that a job in memory belongs to.
    pub fn class_of(&self, job: &Job) -> Option<ClassKey> {
        let pool = self.rules.pool(job.pool.as_ref()?)?;
        let repository = self.repositories.get(&job.repository)?;
        Some(self.class_key(pool, repository, job.report.run))
    }

    pub(super) fn sated(&mut self, key: &ClassKey) {
        self.hungry.remove(key);
        self.hungry_people.remove(key);
    }

    /// A scope as people call it.
    pub fn name_of(&self, scope: &ScopeKey) -> String {
        match scope {
            ScopeKey::Repository(id) => match self.repositories.get(id) {
                Some(repository) => repository.full_name.clone(),
                None => scope.to_string(),
            },
            ScopeKey::Organization(login) => login.clone(),
        }
    }

    /// Whether no answer about a fork can bring back demand for a runner that no job needs.
    pub fn runs_are_known(&self) -> bool {
        let surplus = |key: &ClassKey| {
            let demand = self.classes.get(key).map_or(0, Class::demand);
            self.runners.counts(key).supply > demand
        };
        self.run_questions.asking_over_all() == 0
            && !self.run_questions.open().any(|(key, _)| surplus(key))
    }

    pub fn is_in_progress(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.report.status == super::JobStatus::InProgress)
    }

    /// Jobs that left memory a moment ago, as far as they are kept.
    pub fn lately_ended(&self) -> impl Iterator<Item = &Job> {
        self.ended.values()
    }

    /// Whether the end of that job may turn out not to be one.
    pub fn may_open_again(&self, past: &Job) -> bool {
        past.vanished || !self.rules.forge.ends_are_final
    }

    /// A job as it is known now, open or ended a moment ago.
    pub fn known_job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id).or_else(|| self.ended.get(&id))
    }

    /// Puts an open job into memory and into the indexes. Whether it is demand is for
    /// `step` to say.
    pub(super) fn insert_job(&mut self, job: Job) {
        let id = job.id();
        self.by_repository.entry(job.repository).or_default().insert(id);
        self.by_run.entry(job.report.run).or_default().insert(id);
        self.jobs.insert(id, job);
    }

    /// Takes a job that ended, or that nobody serves, out of memory.
    pub(super) fn remove_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(ids) = self.by_repository.get_mut(&job.repository) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_repository.remove(&job.repository);
            }
        }
        if let Some(ids) = self.by_run.get_mut(&job.report.run) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_run.remove(&job.report.run);
                self.run_questions.forget(job.report.run);
            }
        }
        self.remember_ended(job);
    }

    /// Keeps a job that left memory until its row is sure to be readable.
    pub(super) fn remember_ended(&mut self, job: Job) {
        let id = job.id();
        if self.ended.insert(id, job).is_none() {
            self.ended_order.push_back(id);
        }
    }

    /// All records of the steps so far are on disk. Before that no job is forgotten, however many
    /// leave memory at once.
    pub fn recorded(&mut self) {
        while self.ended_order.len() > RECENTLY_ENDED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// A child that nobody follows any more.
    pub(super) fn remember_left(&mut self, child: String, at: Time) {
        self.left.push_back((child, at));
        if self.left.len() > RECENTLY_ENDED {
            self.left.pop_front();
        }
    }

    /// Whether the child was followed to its end after that moment.
    pub(super) fn has_left_since(&self, child: &str, then: Time) -> bool {
        self.left.iter().any(|(left, at)| left == child && *at >= then)
    }

    /// Jobs that left memory only because no pool has them: those whose rows say so, and what memory
    /// knows better.
    pub(super) fn left_unserved(&self, rows: Vec<Job>) -> BTreeMap<JobId, Job> {
        let mut all: BTreeMap<JobId, Job> = rows.into_iter().map(|job| (job.id(), job)).collect();
        all.extend(self.ended.iter().map(|(id, job)| (*id, job.clone())));
        all.retain(|id, job| {
            let unserved = matches!(job.verdict, Verdict::Unserved(_));
            !self.jobs.contains_key(id) && job.ended_at.is_none() && unserved
        });
        all
    }

    /// When `Event::Tick` is due next.
    pub fn next_timer(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Sets the one timer for a runner's deadlines, or takes it away.
    pub(super) fn set_clock(&mut self, name: &RunnerName, at: Option<Time>) {
        let before = self.runners.change(name, |runner| std::mem::replace(&mut runner.clock, at));
        let Some(before) = before else { return };
        if let Some(old) = before {
            self.timers.remove(&(old, Timer::Deadline(name.clone())));
        }
        if let Some(at) = at {
            self.timers.insert((at, Timer::Deadline(name.clone())));
        }
    }

    pub(super) fn set_timer(&mut self, at: Time, timer: Timer) {
        self.timers.insert((at, timer));
    }
}
