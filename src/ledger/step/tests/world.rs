//! A crude random world in one thread: jobs, doubled and late webhooks, every request answered
//! some time later by success, failure or doubt, and crashes anywhere. A failing seed tells
//! its story; `WORLD_SEED=n` runs that one alone.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;

use super::*;
use crate::ledger::event::Answer;
use crate::ledger::why;

const MAX: usize = 4;
const PER_POOL: usize = 3;
const PER_REPOSITORY: usize = 2;

#[derive(Debug)]
struct GithubJob {
    repository: u64,
    report: JobReport,
    started: Time,
}

#[derive(Debug, Default)]
struct Child {
    placed: Option<Time>,
    /// Its id at GitHub, while it is listed there.
    registered: Option<u64>,
    was_registered: bool,
    job: Option<u64>,
    dies_at: Option<Time>,
    ended: Option<Time>,
    looked_for: Option<Time>,
}

/// Something under way: a request, or after it has acted its answer.
#[derive(Debug)]
enum Way {
    Request(Request),
    Event(Event),
    Hook(u64, JobReport),
}

struct World {
    state: State,
    rows: Rows,
    rng: StdRng,
    now: Time,
    honest: bool,
    way: Vec<(Time, Way)>,
    jobs: BTreeMap<u64, GithubJob>,
    children: BTreeMap<RunnerName, Child>,
    orders: BTreeMap<RunnerName, (String, u64)>,
    deliveries: u32,
    story: Vec<String>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.story {
                eprintln!("{line}");
            }
        }
    }
}

fn laws() -> Rules {
    let mut pools = vec![pool("x64", &["linux"]), pool("arm", &["arm"])];
    for pool in &mut pools {
        pool.max_runners = PER_POOL as u32;
        pool.max_runners_per_repository = Some(PER_REPOSITORY as u32);
    }
    rules(MAX as u32, pools)
}

fn repository_of(number: u64) -> Repository {
    Repository { forkable: number == 2, ..repository(number, &format!("octo/r{number}")) }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            state: State::new(laws()),
            rows: Rows::default(),
            rng: StdRng::seed_from_u64(seed),
            now: Time(1_800_000_000_000),
            honest: false,
            way: Vec::new(),
            jobs: BTreeMap::new(),
            children: BTreeMap::new(),
            orders: BTreeMap::new(),
            deliveries: 0,
            story: vec![format!("seed {seed}")],
        }
    }

    fn tell(&mut self, line: String) {
        let second = (self.now.0 - 1_800_000_000_000) / 1000;
        self.story.push(format!("{second:>6} s  {line}"));
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn soon(&mut self, seconds: u64) -> Time {
        self.now + Duration::from_millis(self.rng.random_range(0..seconds * 1000))
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.rng.random_range(0..from.len())].clone())
    }

    fn step(&mut self, event: Event) {
        match &event {
            Event::Tick => {}
            Event::Webhook(webhook) => {
                let JobReport { id, status, runner_name, .. } = webhook.report.as_ref().unwrap();
                self.tell(format!("-> webhook: job {id} {} {runner_name:?}", status.as_str()));
            }
            Event::ChildrenSeen(children) => {
                let ends = children.iter().filter(|(_, phase)| *phase == ended());
                let ends: Vec<_> = ends.map(|(name, _)| name.as_str()).collect();
                self.tell(format!("-> children seen, ended: {}", ends.join(" ")));
            }
            event => self.tell(format!("-> {event:?}")),
        }
        let again = event.clone();
        let effects = super::step(&mut self.state, event, self.now, &mut self.rng);
        if !self.honest && self.chance(2) {
            // Nothing of this step reached the disk; the inbox still has its webhook.
            if let Event::Webhook(webhook) = again {
                let report = webhook.report.unwrap();
                self.way.push((self.now, Way::Hook(webhook.repository.id.0, report)));
            }
            return self.crash();
        }
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Effects) {
        self.rows.write(&effects);
        for request in effects.requests {
            self.tell(format!(
                "<- {} {}",
                word(&request),
                about(&request).map_or("", RunnerName::as_str)
            ));
            if let Request::Dispatch(order) = &request {
                let ScopeKey::Repository(id) = order.scope else { panic!() };
                self.orders.insert(order.runner.clone(), (order.pool.0.clone(), id.0));
            }
            let at = self.soon(3);
            self.way.push((at, Way::Request(request)));
        }
        self.check();
    }

    fn crash(&mut self) {
        self.tell("CRASH".into());
        self.state = self.rows.load(laws());
        let way = std::mem::take(&mut self.way);
        for (at, thing) in way {
            // What was sent may or may not arrive; answers find nobody.
            match thing {
                Way::Request(request) if self.chance(50) => drop(self.act(request)),
                Way::Hook(..) => self.way.push((at, thing)),
                Way::Request(_) | Way::Event(_) => {}
            }
        }
        let effects = resume(&mut self.state, self.now, &mut self.rng);
        self.carry_out(effects);
    }

    /// What a request does when it arrives, and its answer.
    fn act(&mut self, request: Request) -> Option<Event> {
        let bad = !self.honest && self.chance(15);
        // A question is lost on its way there; a deed may be lost on its way back.
        let acts = !bad || self.chance(50);
        Some(match request {
            Request::Mint { scope, .. } => {
                let answer = answer(bad, self.now + HOUR);
                Event::CredentialMinted { scope, answer }
            }
            Request::Dispatch(order) => {
                let runner = order.runner;
                let outcome = match bad.then(|| self.rng.random_range(0..4)) {
                    None => self.dispatch(&runner),
                    Some(0) => DispatchOutcome::Refused { reason: "no such job".into() },
                    Some(1) => DispatchOutcome::NotSent { reason: "refused".into() },
                    Some(2) => DispatchOutcome::CredentialMissing,
                    Some(_) => {
                        if acts {
                            let _ = self.dispatch(&runner);
                        }
                        DispatchOutcome::Unknown { reason: "timeout".into() }
                    }
                };
                Event::DispatchAnswered { runner, outcome }
            }
            Request::FindChild { runner, .. } => {
                let found = self.children.contains_key(&runner);
                let child = || FoundChild { child: runner.0.clone(), nameless: false };
                let answer = answer(bad, found.then(child));
                Event::ChildLookedUp { runner, answer }
            }
            Request::FindAtForge { runner, .. } => {
                let answer = answer(bad, self.find(&runner));
                Event::LookedForAtForge { runner, answer }
            }
            Request::LookAtPlacement { runner, .. } => {
                let answer = answer(bad, self.phase(&runner));
                Event::PlacementSeen { runner, answer }
            }
            Request::StopChild { runner, .. } => {
                if acts {
                    self.stop(&runner);
                }
                let answer = answer(bad, ());
                Event::ChildStopped { runner, answer }
            }
            Request::DeleteRegistration { runner, .. } => {
                let deletion = if acts { self.delete(&runner) } else { Deletion::Busy };
                let answer = answer(bad, deletion);
                Event::RegistrationDeleted { runner, answer }
            }
            Request::AskFork { run, .. } => Event::ForkKnown { run, answer: answer(bad, false) },
            Request::AskJobs { class, runs, names } => {
                let asked = runs.into_iter().flat_map(|run| run.jobs);
                let mut reports: Vec<_> = asked.map(|id| self.jobs[&id.0].report.clone()).collect();
                // A listing lags.
                reports.retain(|_| self.honest || self.rng.random_range(0..10) > 0);
                let answer = answer(bad, reports);
                Event::JobsSeen { class, names, answer }
            }
            Request::AskJob { job, .. } => {
                let report = self.jobs[&job.0].report.clone();
                Event::JobSeen { job, answer: answer(bad, Some(report)) }
            }
            Request::WatchParent { pool, .. } if self.chance(50) => Event::ParentChanged { pool },
            Request::WatchParent { .. } => return None,
        })
    }

    fn dispatch(&mut self, runner: &RunnerName) -> DispatchOutcome {
        // The token is Nomad's: the same one again is the same child.
        self.children.entry(runner.clone()).or_default();
        let child = runner.0.clone();
        DispatchOutcome::Accepted { child, nameless: false, credential_ends: None }
    }

    fn phase(&self, runner: &RunnerName) -> ChildPhase {
        match &self.children[runner] {
            child if child.ended.is_some() => ended(),
            child if child.placed.is_some() => ChildPhase::Placed,
            _ => ChildPhase::NotPlaced,
        }
    }

    fn started(&self, job: Option<u64>) -> Option<Time> {
        job.map(|id| self.jobs[&id].started)
    }

    /// `busy` lags by up to a minute.
    fn shows_busy(&self, child: &Child) -> bool {
        self.started(child.job).is_some_and(|at| self.now.since(at) > MINUTE)
    }

    fn find(&mut self, runner: &RunnerName) -> AtForge {
        let now = self.now;
        let Some(child) = self.children.get_mut(runner) else { return AtForge::Nowhere };
        child.looked_for = Some(now);
        let child = &self.children[runner];
        if let Some(id) = child.registered {
            return AtForge::Registered { id, busy: self.shows_busy(child) };
        }
        let running = child.job.map(|id| &self.jobs[&id].report);
        match running.filter(|report| report.status == JobStatus::InProgress) {
            Some(report) => AtForge::Named(Box::new(report.clone())),
            None => AtForge::Nowhere,
        }
    }

    fn stop(&mut self, runner: &RunnerName) {
        let child = &self.children[runner];
        if child.ended.is_none()
            && let Some(started) = self.started(child.job)
        {
            let looked = child.looked_for.unwrap_or(Time(0));
            assert!(started > looked, "{runner} is stopped at work");
        }
        let at = self.soon(10);
        self.children.get_mut(runner).unwrap().dies_at.get_or_insert(at);
    }

    fn delete(&mut self, runner: &RunnerName) -> Deletion {
        let busy = self.shows_busy(&self.children[runner]);
        if self.children[runner].registered.is_some() && busy {
            return Deletion::Busy;
        }
        let at = self.soon(20);
        let child = self.children.get_mut(runner).unwrap();
        child.registered = None;
        if child.job.is_none() {
            child.dies_at.get_or_insert(at);
        }
        Deletion::NoNewJob
    }

    /// Moves a job at GitHub, and sends the webhook: late, doubled, or never.
    fn moves(&mut self, id: u64, status: JobStatus, runner: Option<&RunnerName>) {
        let now = self.now;
        let job = self.jobs.get_mut(&id).unwrap();
        job.report.status = status;
        job.started = if status == JobStatus::InProgress { now } else { job.started };
        if let Some(name) = runner {
            job.report.runner_name = Some(name.0.clone());
        }
        let (repository, report) = (job.repository, job.report.clone());
        self.tell(format!("   job {id} is {} ({runner:?})", status.as_str()));
        let copies = [1, 1, 1, 2, 0][self.rng.random_range(0..5)];
        for _ in 0..if self.honest { 1 } else { copies } {
            let late = if self.chance(10) { 200 } else { 10 };
            let at = self.soon(late);
            self.way.push((at, Way::Hook(repository, report.clone())));
        }
    }

    fn new_job(&mut self) {
        let id = self.jobs.len() as u64 + 1;
        let repository = self.rng.random_range(1..=2);
        let label = if self.chance(70) { "linux" } else { "arm" };
        let mut report = report(id, JobStatus::Queued);
        report.run = crate::ledger::RunId(repository * 100 + id % 3);
        report.labels = vec![label.into()];
        self.jobs.insert(id, GithubJob { repository, report, started: Time(0) });
        self.moves(id, JobStatus::Queued, None);
    }

    fn with_status(&self, status: JobStatus) -> Vec<u64> {
        let jobs = self.jobs.iter().filter(|(_, job)| job.report.status == status);
        jobs.map(|(id, _)| *id).collect()
    }

    /// What people and machines do by themselves.
    fn lives(&mut self) {
        if !self.honest && self.chance(25) {
            self.new_job();
        }
        let queued = self.with_status(JobStatus::Queued);
        if let Some(id) = self.pick(&queued).filter(|_| !self.honest) {
            match self.rng.random_range(0..40) {
                0..3 => self.moves(id, JobStatus::Completed, None),
                3 => self.moves(id, JobStatus::InProgress, Some(&"stranger".into())),
                4..6 => self.moves(id, JobStatus::Waiting, None),
                _ => {}
            }
        }
        let waiting = self.with_status(JobStatus::Waiting);
        if let Some(id) = self.pick(&waiting).filter(|_| self.honest || self.rng.random()) {
            self.moves(id, JobStatus::Queued, None);
        }
        for id in self.with_status(JobStatus::InProgress) {
            let job = &self.jobs[&id];
            let name = RunnerName(job.report.runner_name.clone().unwrap());
            let lost = self.children.get(&name).is_some_and(|child| child.ended.is_some());
            // Of a machine that died GitHub learns after ten minutes.
            if lost && self.now.since(job.started) < 10 * MINUTE || !self.chance(15) {
                continue;
            }
            let at = self.soon(5);
            if let Some(child) = self.children.get_mut(&name) {
                child.registered = None;
                child.dies_at.get_or_insert(at);
            }
            self.moves(id, JobStatus::Completed, Some(&name));
        }
        for name in self.children.keys().cloned().collect::<Vec<_>>() {
            self.child_lives(&name);
        }
    }

    fn child_lives(&mut self, name: &RunnerName) {
        let (now, dice) = (self.now, self.rng.random_range(0..1000));
        let bad_luck = !self.honest && dice < 10;
        let (pool, repository) = self.orders[name].clone();
        let label = if pool == "x64" { "linux" } else { "arm" };
        let child = self.children.get_mut(name).unwrap();
        if child.ended.is_some() {
            return;
        }
        if bad_luck || child.dies_at.is_some_and(|at| at <= now) {
            child.ended = Some(now);
            // A machine that dies leaves its registration behind.
            self.tell(format!("   {name} ends (bad luck: {bad_luck})"));
        } else if child.placed.is_none() {
            child.placed = (dice < 400).then_some(now);
        } else if !child.was_registered {
            if child.placed.is_some_and(|at| now.since(at).as_secs() > 8) && dice < 300 {
                child.registered = Some(dice + 1);
                child.was_registered = true;
                self.tell(format!("   {name} registers"));
            }
        } else if child.registered.is_some() && child.job.is_none() && child.dies_at.is_none() {
            let fits = |job: &GithubJob| {
                job.report.status == JobStatus::Queued
                    && job.repository == repository
                    && job.report.labels[0] == label
            };
            let jobs: Vec<u64> =
                self.jobs.iter().filter(|(_, job)| fits(job)).map(|(id, _)| *id).collect();
            if let Some(id) = self.pick(&jobs) {
                let consumed = self.chance(30);
                let child = self.children.get_mut(name).unwrap();
                child.job = Some(id);
                child.registered = child.registered.filter(|_| !consumed);
                self.moves(id, JobStatus::InProgress, Some(name));
            }
        }
    }

    /// Everything due arrives, in any order. One by one, for a crash takes the rest with it.
    fn arrives(&mut self) {
        loop {
            let due = self.way.iter().enumerate().filter(|(_, (at, _))| *at <= self.now);
            let due: Vec<usize> = due.map(|(index, _)| index).collect();
            let Some(index) = self.pick(&due) else { return };
            match self.way.swap_remove(index).1 {
                Way::Hook(repository, report) => self.hook(repository, report),
                Way::Event(event) => self.step(event),
                Way::Request(request) => {
                    if let Some(event) = self.act(request) {
                        let at = self.soon(3);
                        self.way.push((at, Way::Event(event)));
                    }
                }
            }
        }
    }

    fn hook(&mut self, number: u64, report: JobReport) {
        self.deliveries += 1;
        let known = self.state.known_job(report.id).is_some();
        let past = self.rows.jobs.get(&report.id).filter(|_| !known).cloned().map(Box::new);
        self.step(Event::Webhook(Box::new(Webhook {
            delivery: DeliveryId(self.deliveries.to_string()),
            received_at: self.now,
            repository: repository_of(number),
            report: Some(report),
            past,
        })));
    }

    /// Nomad's children that the ledger follows.
    fn listing(&mut self) {
        let followed = self.state.runners.values().filter(|runner| runner.child.is_some());
        let names: Vec<RunnerName> = followed.map(|runner| runner.name.clone()).collect();
        let phases = names.into_iter().map(|name| (name.clone(), self.phase(&name))).collect();
        self.step(Event::ChildrenSeen(phases));
    }

    /// What a sweep would tell: every job as it is now.
    fn sweep(&mut self) {
        for id in self.jobs.keys().copied().collect::<Vec<_>>() {
            let job = &self.jobs[&id];
            self.way.push((self.now, Way::Hook(job.repository, job.report.clone())));
        }
    }

    fn turn(&mut self) {
        self.lives();
        self.arrives();
        if self.state.next_timer().is_some_and(|at| at <= self.now) {
            self.step(Event::Tick);
        }
        if self.honest || self.chance(40) {
            self.listing();
        }
    }

    fn check(&self) {
        let alive = |wanted: &dyn Fn(&(String, u64)) -> bool| {
            let children = self.children.iter().filter(|(_, child)| child.ended.is_none());
            children.filter(|(name, _)| wanted(&self.orders[*name])).count()
        };
        assert!(alive(&|_| true) <= MAX && self.state.alive() <= MAX);
        for pool in ["x64", "arm"] {
            assert!(alive(&|order| order.0 == pool) <= PER_POOL);
            for number in [1, 2] {
                assert!(alive(&|order| *order == (pool.into(), number)) <= PER_REPOSITORY);
            }
        }
        let mut causes = BTreeSet::new();
        for runner in self.state.runners.values() {
            if let Some(job) = runner.cause.filter(|job| self.state.enlisted.contains_key(job)) {
                assert!(causes.insert(job), "job {job} is the cause of two live dispatches");
            }
            let asked = self.way.iter().filter(|(_, thing)| concerns(thing, &runner.name)).count();
            assert!(asked <= usize::from(runner.in_flight), "{}", runner.name);
        }
        for (id, job) in &self.state.jobs {
            let enlisted = self.state.enlisted.get(id);
            assert_eq!(enlisted.is_some(), job.is_demand(), "job {id}");
            let reason = match enlisted {
                Some(key) => why::class_waits(&self.state, key, self.now),
                None => job.verdict.reason().or(Some(job.report.status.as_str().into())),
            };
            assert!(reason.is_some(), "job {id} waits in silence");
        }
        for (key, class) in &self.state.classes {
            let free = |id: &&JobId| self.state.jobs[id].cause_of.is_none();
            let unnamed: BTreeSet<JobId> = class.waiting.iter().filter(free).copied().collect();
            assert_eq!(class.unnamed, unnamed, "{key:?}");
            assert_eq!(class.repositories.values().sum::<usize>(), class.waiting.len());
        }
    }

    fn is_over(&self) -> bool {
        let open = self.jobs.values().any(|job| job.report.status != JobStatus::Completed);
        let left = |child: &Child| child.ended.is_none() || child.registered.is_some();
        let state = &self.state;
        !open
            && !self.children.values().any(left)
            && state.runners.is_empty()
            && state.jobs.is_empty()
            && state.classes.is_empty()
    }

    fn run(&mut self) {
        for _ in 0..120 {
            self.now = self.soon(6);
            self.turn();
            if self.chance(1) {
                self.crash();
            }
        }
        self.tell("FROM HERE ON THE WORLD IS HONEST".into());
        self.honest = true;
        for turn in 0..2000 {
            if turn % 100 == 0 {
                self.sweep();
            }
            if self.is_over() {
                return;
            }
            self.now = self.soon(30);
            self.turn();
        }
        let left: Vec<_> = self.children.iter().filter(|(_, c)| c.registered.is_some()).collect();
        panic!("left over: {left:?}\n{:?}\n{:?}", self.state.runners, self.state.classes);
    }
}

fn answer<T>(bad: bool, value: T) -> Answer<T> {
    if bad { Err(failure("502")) } else { Ok(value) }
}

fn about(request: &Request) -> Option<&RunnerName> {
    match request {
        Request::Dispatch(order) => Some(&order.runner),
        Request::FindChild { runner, .. }
        | Request::FindAtForge { runner, .. }
        | Request::LookAtPlacement { runner, .. }
        | Request::StopChild { runner, .. }
        | Request::DeleteRegistration { runner, .. } => Some(runner),
        _ => None,
    }
}

fn concerns(thing: &Way, name: &RunnerName) -> bool {
    match thing {
        Way::Request(request) => about(request) == Some(name),
        _ => false,
    }
}

#[test]
fn in_any_world_nothing_is_lost_doubled_stopped_at_work_or_left_over() {
    let one = std::env::var("WORLD_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in one.map_or(0..300, |seed: u64| seed..seed + 1) {
        World::new(seed).run();
    }
}
