//! A crude random world in one thread: jobs, doubled and late webhooks, every request answered
//! some time later by success, failure or doubt, pools that go and come back, and crashes
//! anywhere. A failing seed tells its story; `WORLD_SEEDS=7..8` runs that one alone.

mod outside;

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;

use super::*;
use crate::pool::Delivery;
use crate::state::NomadState;
use crate::why;

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
    /// Never registers, or is never given a job.
    deaf: bool,
    mute: bool,
    /// We deleted its registration, so from then on it gets no job.
    deleted: bool,
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
    /// The database was lost, and there may be children that nobody could count since: of a place
    /// that had not shown them while others hired already.
    strangers: bool,
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
    pools[1].delivery = Delivery::None;
    pools[1].region = Some("eu".into());
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
            strangers: false,
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
                let ends = children.phases.iter().filter(|(_, phase)| *phase == ended());
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
        launches_only_what_is_let_in(&self.state, &effects);
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
        let listed = self.state.nomad.values().filter(|it| !matches!(it, NomadState::Unlisted(_)));
        if listed.count() == 2 && self.state.runners.alive() <= MAX {
            let known = |name| self.state.runners.contains_key(name);
            let mut alive = self.children.iter().filter(|(_, child)| child.ended.is_none());
            self.strangers &= !alive.all(|(name, _)| known(name));
        }
    }

    fn crash(&mut self) {
        self.tell("CRASH".into());
        if !self.honest && self.chance(20) {
            self.tell("THE DATABASE IS LOST".into());
            self.rows = Rows::default();
            self.strangers = true;
        }
        self.state = self.rows.load(self.state.rules.clone());
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

    /// The operator takes pools out of the config, or puts all back.
    fn reload(&mut self) {
        let mut rules = laws();
        if !self.honest {
            rules.pools.retain(|_| self.rng.random_range(0..10) < 6);
        }
        self.step(Event::Rules(Box::new(rules)));
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

    /// Where the pool's children are.
    fn place_of(pool: &str) -> NomadPlace {
        let region = (pool == "arm").then(|| "eu".to_owned());
        NomadPlace { region, ..NomadPlace::default() }
    }

    /// Nomad's children in one place: those that nobody follows, then those that the ledger follows.
    fn listing(&mut self, pool: &str) {
        let place = Self::place_of(pool);
        if !self.honest && self.chance(20) {
            let trouble = NomadTrouble::Unreachable("no path to region".into());
            return self.step(Event::NomadAway { place, trouble });
        }
        let lost = self.children.iter().filter(|(name, child)| {
            child.ended.is_none()
                && self.orders[*name].0 == pool
                && !self.state.runners.contains_key(*name)
        });
        let lost: Vec<Found> = lost.map(|(name, _)| self.found(name)).collect();
        if !lost.is_empty() {
            let first = RunnerName::from(lost[0].child.as_str());
            self.step(Event::Observed(Box::new(Observation::Children(lost))));
            if !self.state.runners.contains_key(&first) {
                return; // A crash: the new life begins with a listing of its own.
            }
        }
        let followed = self.state.runners.values().filter(|runner| {
            runner.child.is_some() && self.state.rules.place_of_runner(runner) == place
        });
        let names: Vec<RunnerName> = followed.map(|runner| runner.name.clone()).collect();
        let phases = names.into_iter().map(|name| (name.clone(), self.phase(&name))).collect();
        self.step(Event::ChildrenSeen(Children { place, phases }));
    }

    /// Every job of an unfinished run, but for those that a lagging listing leaves out; and who
    /// is registered.
    fn sweep(&mut self) {
        for number in [1, 2] {
            let jobs = || self.jobs.values().filter(move |job| job.repository == number);
            let open = jobs().filter(|job| job.report.status != JobStatus::Completed);
            let runs: BTreeSet<_> = open.map(|job| job.report.run).collect();
            let listed = jobs().filter(|job| runs.contains(&job.report.run));
            let mut reports: Vec<JobReport> = listed.map(|job| job.report.clone()).collect();
            reports.retain(|_| self.honest || self.rng.random_range(0..10) > 0);
            let repository = Box::new(repository_of(number));
            let swept = Observation::Swept {
                repository,
                reports,
                began: self.now,
                unseen: BTreeSet::new(),
                cut: false,
            };
            self.step(Event::Observed(Box::new(swept)));
            let target = Target::Repository(repository_of(number).full_name);
            let runners = self.registered_in(number);
            self.step(Event::Observed(Box::new(Observation::Runners { target, runners })));
        }
    }

    fn turn(&mut self) {
        self.lives();
        self.arrives();
        if self.state.next_timer().is_some_and(|at| at <= self.now) {
            self.step(Event::Tick);
        }
        for pool in ["x64", "arm"] {
            if self.honest || self.chance(40) {
                self.listing(pool);
            }
        }
        // From the first whole sweep on runners may be let go.
        if self.chance(if self.honest { 10 } else { 5 }) {
            self.sweep();
            self.step(Event::Observed(Box::new(Observation::SweptAll)));
        }
    }

    fn check(&self) {
        let alive = |wanted: &dyn Fn(&(String, u64)) -> bool| {
            let children = self.children.iter().filter(|(_, child)| child.ended.is_none());
            children.filter(|(name, _)| wanted(&self.orders[*name])).count()
        };
        let over = alive(&|_| true) > MAX || self.state.runners.alive() > MAX;
        assert!(self.strangers || !over);
        self.state.runners.assert_counts();
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
            let reason = reason.unwrap_or_default();
            // Unless it waits for a time that is over, and for the tick that says so.
            let is_due = self.state.next_timer().is_some_and(|at| at <= self.now);
            let is_launched = reason.contains("about to be launched");
            assert!(is_due || !is_launched, "job {id}: whoever could be launched, was");
            for at in reason.split([' ', ';', ',']).filter_map(|word| word.parse().ok()) {
                let at: jiff::Timestamp = at;
                // It is printed without its fraction of a second.
                let ahead = Time::from(at) + Duration::from_secs(1) > self.now;
                assert!(ahead, "job {id} waits for what is over: {reason}");
            }
        }
        for (key, class) in &self.state.classes {
            assert!(class.held.is_subset(&class.waiting), "{key:?}");
            let jobs = class.waiting.difference(&class.held).map(|id| &self.state.jobs[id]);
            let free = jobs.filter(|job| job.cause_of.is_none());
            let unnamed = free.map(|job| (job.ends_in_vain(), job.id())).collect();
            assert_eq!(class.unnamed, unnamed, "{key:?}");
            for job in class.held.iter().map(|id| &self.state.jobs[id]) {
                let until = job.in_vain.as_ref().unwrap().until;
                let timer = (until, crate::state::Timer::Held(job.id()));
                assert!(self.state.timers.contains(&timer), "{} is held for ever", job.id());
            }
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
            if self.chance(4) {
                self.reload();
            }
        }
        self.tell("FROM HERE ON THE WORLD IS HONEST".into());
        self.honest = true;
        self.reload();
        for _ in 0..2000 {
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

/// `WORLD_SEEDS=from..to` runs others than the first 300, one or many.
fn seeds() -> std::ops::Range<u64> {
    let said = std::env::var("WORLD_SEEDS").ok();
    let said = said.as_deref().and_then(|text| text.split_once(".."));
    said.map_or(0..300, |(from, to)| from.parse().unwrap()..to.parse().unwrap())
}

#[test]
fn in_any_world_nothing_is_lost_doubled_stopped_at_work_or_left_over() {
    for seed in seeds() {
        World::new(seed).run();
    }
}
