//! What the ledger decides, one sentence of the design a test, driven by hand. Through a random world it
//! is driven with the whole daemon, by the simulation (`docs/simulation.md`).

mod access;
mod asking;
mod breaker;
mod claims;
mod clock;
mod crowd;
mod deadlines;
mod deposits;
mod details;
mod dispatching;
mod ending;
mod hiring;
mod jobs;
mod letting_go;
mod looking;
mod minting;
mod observing;
mod operator;
mod places;
mod renames;
mod reruns;
mod restart;
mod robots;
mod rules;
mod run_questions;
mod superseding;
mod topics;
mod unserved;
mod warm;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{SeedableRng, rngs::StdRng};

use super::testing::{pool, report, repository};
use super::{resume, step};
use crate::effect::Target;
use crate::event::{
    AtForge, ChildPhase, Children, Deletion, DispatchOutcome, Failure, FoundChild, JobsOfRuns,
    NomadTrouble, Webhook,
};
use crate::observation::{Found, Observation, Registered};
use crate::policy;
use crate::pool::Forge;
use crate::why::class_waits;
use crate::{
    Breaker, BreakerKey, ClassKey, DeliveryId, Effects, Event, Job, JobId, JobReport, JobStatus,
    Leaving, NoCredential, NomadPlace, Pool, Record, Repository, RepositoryId, Request, Rules,
    Runner, RunnerName, RunnerState, ScopeKey, State, Time,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The rows that a store would hold.
#[derive(Default, Clone)]
struct Rows {
    jobs: BTreeMap<JobId, Job>,
    runners: BTreeMap<RunnerName, Runner>,
    repositories: BTreeMap<RepositoryId, Repository>,
    breakers: BTreeMap<BreakerKey, Breaker>,
}

impl Rows {
    fn write(&mut self, effects: &Effects) {
        for record in &effects.records {
            match record.clone() {
                Record::Job(job) => drop(self.jobs.insert(job.id(), *job)),
                Record::Runner(runner) => drop(self.runners.insert(runner.name.clone(), *runner)),
                Record::Repository(repo) => drop(self.repositories.insert(repo.id, *repo)),
                Record::Breaker { key, breaker: Some(breaker) } => {
                    drop(self.breakers.insert(key, *breaker));
                }
                Record::Breaker { key, breaker: None } => drop(self.breakers.remove(&key)),
                Record::Folded { .. } | Record::Pause { .. } | Record::Happened { .. } => {}
            }
        }
    }

    /// A ledger that knows nothing but these rows, as after a crash.
    fn load(&self, rules: Rules) -> State {
        let mut state = State::load(
            rules,
            self.repositories.values().cloned().collect(),
            self.jobs.values().filter(|job| job.ended_at.is_none()).map(through_json).collect(),
            self.runners
                .values()
                .filter(|runner| runner.ended_at.is_none())
                .map(through_json)
                .collect(),
        );
        let breakers = self.breakers.iter();
        state.breakers = breakers.map(|(key, it)| (key.clone(), through_json(it))).collect();
        state
    }
}

/// As a store reads it back.
fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(row: &T) -> T {
    serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap()
}

struct Ledger {
    state: State,
    rows: Rows,
    rng: StdRng,
    now: Time,
    deliveries: u32,
}

fn rules(max: u32, pools: Vec<Pool>) -> Rules {
    Rules { robots: vec!["dependabot[bot]".into()], ..super::testing::rules(max, pools) }
}

fn scope() -> ScopeKey {
    ScopeKey::Repository(RepositoryId(1))
}

fn class() -> ClassKey {
    ClassKey { pool: "x64".into(), scope: scope(), run: None }
}

fn failure(reason: &str) -> Failure {
    Failure { reason: reason.to_owned(), retry_after: None }
}

fn ended() -> ChildPhase {
    ChildPhase::Ended { how: "exit code 1".into(), placed: true }
}

fn children_seen(phases: Vec<(RunnerName, ChildPhase)>) -> Event {
    Event::ChildrenSeen(Children { place: NomadPlace::default(), phases })
}

fn nomad_away(reason: &str) -> Event {
    let trouble = NomadTrouble::Unreachable(reason.to_owned());
    Event::NomadAway { place: NomadPlace::default(), trouble }
}

fn report_by(id: u64, status: JobStatus, runner: &RunnerName) -> JobReport {
    JobReport { runner_name: Some(runner.0.clone()), ..report(id, status) }
}

impl Ledger {
    fn with(rules: Rules) -> Self {
        Self {
            state: State::new(rules),
            rows: Rows::default(),
            rng: StdRng::seed_from_u64(1),
            now: Time(1_800_000_000_000),
            deliveries: 0,
        }
    }

    fn new(max: u32) -> Self {
        Self::with(rules(max, vec![pool("x64", &["linux"])]))
    }

    /// Nomad has shown its children, and there is a token for repository 1.
    fn ready(max: u32) -> Self {
        Self::new(max).made_ready()
    }

    fn made_ready(mut self) -> Self {
        let _ = self.step(children_seen(Vec::new()));
        let _ = self.minted(scope());
        let _ = self.step(Event::Observed(Box::new(Observation::SweptAll)));
        self
    }

    fn step(&mut self, event: Event) -> Effects {
        let effects = step(&mut self.state, event, self.now, &mut self.rng);
        self.rows.write(&effects);
        launches_only_what_is_let_in(&self.state, &effects);
        effects
    }

    fn restart(&mut self) -> Effects {
        let rules = self.state.rules.clone();
        self.restart_with(rules)
    }

    fn restart_with(&mut self, rules: Rules) -> Effects {
        self.state = self.rows.load(rules);
        let effects = resume(&mut self.state, self.now, &mut self.rng);
        self.rows.write(&effects);
        effects
    }

    fn minted(&mut self, scope: ScopeKey) -> Effects {
        let answer = Ok(self.now + HOUR);
        self.step(Event::CredentialMinted { scope, answer })
    }

    fn hears(&mut self, report: JobReport) -> Effects {
        self.hears_of(repository(1, "octo/app"), report)
    }

    fn hears_of(&mut self, repository: Repository, report: JobReport) -> Effects {
        self.deliveries += 1;
        let webhook = Webhook {
            delivery: DeliveryId(self.deliveries.to_string()),
            received_at: self.now,
            repository,
            report: Some(report),
            past: None,
        };
        self.step(Event::Webhook(Box::new(webhook)))
    }

    fn queued(&mut self, id: u64) -> Effects {
        self.hears(report(id, JobStatus::Queued))
    }

    fn cancelled(&mut self, id: u64) -> Effects {
        self.hears(report(id, JobStatus::Completed))
    }

    fn at_work(&mut self, id: u64, runner: &RunnerName) -> Effects {
        self.hears(report_by(id, JobStatus::InProgress, runner))
    }

    fn done(&mut self, id: u64, runner: &RunnerName) -> Effects {
        self.hears(report_by(id, JobStatus::Completed, runner))
    }

    /// A job is queued and exactly one runner is dispatched.
    fn hires(&mut self, id: u64) -> RunnerName {
        let effects = self.queued(id);
        let [runner] = &dispatched(&effects)[..] else { panic!("{:?}", words(&effects)) };
        runner.clone()
    }

    /// The same, and Nomad has it.
    fn hires_at_nomad(&mut self, id: u64) -> RunnerName {
        let runner = self.hires(id);
        let _ = self.accepted(&runner);
        runner
    }

    fn outcome(&mut self, runner: &RunnerName, outcome: DispatchOutcome) -> Effects {
        self.step(Event::DispatchAnswered { runner: runner.clone(), outcome })
    }

    fn accepted(&mut self, runner: &RunnerName) -> Effects {
        self.accepted_as(runner, false)
    }

    fn accepted_as(&mut self, runner: &RunnerName, nameless: bool) -> Effects {
        let child = format!("child of {runner}");
        self.outcome(runner, DispatchOutcome::Accepted { child, nameless, credential_ends: None })
    }

    fn refused(&mut self, runner: &RunnerName) -> Effects {
        self.outcome(runner, DispatchOutcome::Refused { reason: "no such job".into() })
    }

    fn not_sent(&mut self, runner: &RunnerName) -> Effects {
        self.outcome(runner, DispatchOutcome::NotSent { reason: "connection refused".into() })
    }

    fn unknown(&mut self, runner: &RunnerName) -> Effects {
        self.outcome(runner, DispatchOutcome::Unknown { reason: "timeout".into() })
    }

    fn looked_up(&mut self, runner: &RunnerName, found: bool) -> Effects {
        let child = FoundChild { child: format!("child of {runner}"), nameless: false };
        let answer = Ok(found.then_some(child));
        self.step(Event::ChildLookedUp { runner: runner.clone(), answer })
    }

    fn at_forge(&mut self, runner: &RunnerName, at_forge: AtForge) -> Effects {
        self.step(Event::LookedForAtForge { runner: runner.clone(), answer: Ok(at_forge) })
    }

    fn deleted(&mut self, runner: &RunnerName, deletion: Deletion) -> Effects {
        self.step(Event::RegistrationDeleted { runner: runner.clone(), answer: Ok(deletion) })
    }

    fn placement(&mut self, runner: &RunnerName, phase: ChildPhase) -> Effects {
        self.step(Event::PlacementSeen { runner: runner.clone(), answer: Ok(phase) })
    }

    fn stopped(&mut self, runner: &RunnerName) -> Effects {
        self.step(Event::ChildStopped { runner: runner.clone(), answer: Ok(()) })
    }

    fn child(&mut self, runner: &RunnerName, phase: ChildPhase) -> Effects {
        self.step(children_seen(vec![(runner.clone(), phase)]))
    }

    fn jobs_seen(&mut self, names: &[&RunnerName], reports: Vec<JobReport>) -> Effects {
        let names = names.iter().map(|name| (*name).clone()).collect();
        // Every run that a job of the class has.
        let looked_at = self.state.jobs.values().map(|job| job.report.run).collect();
        let answer = Ok(JobsOfRuns { reports, looked_at, removed: Vec::new() });
        self.step(Event::JobsSeen { class: class(), names, answer })
    }

    fn observes(&mut self, observation: Observation) -> Effects {
        self.step(Event::Observed(Box::new(observation)))
    }

    /// Why the jobs of the first class wait.
    fn why(&self) -> Option<String> {
        let key = self.state.classes.keys().next()?;
        class_waits(&self.state, key, self.now)
    }

    /// A sweep shows these jobs of repository 1.
    fn sweeps(&mut self, reports: Vec<JobReport>) -> Effects {
        let repository = Box::new(repository(1, "octo/app"));
        self.observes(Observation::Swept {
            repository,
            reports,
            began: self.now,
            unseen: BTreeSet::new(),
            cut: false,
        })
    }

    fn refuses_to_show(&mut self, full_name: &str) -> Effects {
        let (full_name, reason) = (full_name.to_owned(), "403".to_owned());
        self.observes(Observation::SweepRefused { repository: None, full_name, reason })
    }

    /// GitHub lists these runners of repository 1.
    fn lists(&mut self, runners: Vec<Registered>) -> Effects {
        let target = Target::Repository("octo/app".into());
        self.observes(Observation::Runners { target, runners })
    }

    fn passes(&mut self, time: Duration) -> Effects {
        self.now = self.now + time;
        self.step(Event::Tick)
    }

    /// Time passes timer by timer, with whatever that asks for.
    fn words_within(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut said = Vec::new();
        while let Some(at) = self.state.next_timer().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            said.extend(words(&self.step(Event::Tick)));
        }
        self.now = end;
        said
    }

    fn runner(&self, name: &RunnerName) -> &Runner {
        &self.state.runners[name]
    }

    fn waits(&self) -> String {
        crate::why::class_waits(&self.state, &class(), self.now).unwrap_or_default()
    }

    #[track_caller]
    fn is_empty(&self) {
        let state = &self.state;
        assert!(state.runners.is_empty(), "{:?}", state.runners);
        assert!(state.jobs.is_empty(), "{:?}", state.jobs);
        assert!(state.classes.is_empty(), "{:?}", state.classes);
        assert!(state.enlisted.is_empty() && state.hungry.is_empty());
        assert!(state.by_run.is_empty() && state.by_repository.is_empty());
    }
}

/// Whatever is launched is launched for a job that its pool's policy lets in, by all that is known.
fn launches_only_what_is_let_in(state: &State, effects: &Effects) {
    for request in &effects.requests {
        let Request::Dispatch(order) = request else { continue };
        let Some(job) = &order.cause else { continue };
        let (Some(pool), Some(repository)) =
            (state.rules.pool(&order.pool), state.repositories.get(&job.repository))
        else {
            continue;
        };
        let judged = policy::judge(pool, repository, policy::Known::of(job));
        assert_eq!(judged, policy::Judgement::Allowed, "{} of {}", job.id(), pool.name);
    }
}

fn dispatched(effects: &Effects) -> Vec<RunnerName> {
    let orders = effects.requests.iter().filter_map(|request| match request {
        Request::Dispatch(order) => Some(order.runner.clone()),
        _ => None,
    });
    orders.collect()
}

/// The requests, in words.
fn words(effects: &Effects) -> Vec<String> {
    effects.requests.iter().map(word).collect()
}

fn word(request: &Request) -> String {
    match request {
        Request::Mint { target, .. } => format!("mint for {}", target.name()),
        Request::MintFor { target, .. } => format!("mint for a runner of {}", target.name()),
        Request::Dispatch(_) => "dispatch".into(),
        Request::HandOver { ticket, .. } => format!("hand over to {}", ticket.0),
        Request::RefuseClaim { ticket, why: NoCredential::Refused(why) } => {
            format!("refuse {}: {why}", ticket.0)
        }
        Request::RefuseClaim { ticket, why: NoCredential::NotYet { reason, .. } } => {
            format!("not yet {}: {reason}", ticket.0)
        }
        Request::ForgetClaim { .. } => "forget claim".into(),
        Request::FindChild { .. } => "find child".into(),
        Request::FindAtForge { id: Some(id), .. } => format!("find runner {id} at forge"),
        Request::FindAtForge { repositories, .. } if repositories.is_empty() => {
            "find registration".into()
        }
        Request::FindAtForge { repositories, .. } => {
            format!("find at forge in {}", repositories.join(" "))
        }
        Request::LookAtPlacement { .. } => "look at placement".into(),
        Request::StopChild { .. } => "stop child".into(),
        Request::DeleteRegistration { id, .. } => format!("delete registration {id}"),
        Request::RemoveDeposit(at) => format!("remove {}", at.path),
        Request::DeleteStray { id, .. } => format!("delete stray {id}"),
        Request::AskRun { run, .. } => format!("ask about run {run}"),
        Request::AskJobs { names, .. } => format!("ask jobs after {} ended", names.len()),
        Request::AskJob { job, .. } => format!("ask job {job}"),
        Request::Look { full_name, .. } => format!("look at {full_name}"),
        Request::WatchParent { .. } => "watch parent".into(),
        Request::LookAtSuperseded { older, newer, .. } => {
            format!("look at runs {older} and {newer}")
        }
        Request::CancelRun { run, force: false, .. } => format!("cancel run {run}"),
        Request::CancelRun { run, force: true, .. } => format!("cancel run {run} by force"),
    }
}
