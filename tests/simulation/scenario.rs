//! What people do in a seed: push, cancel, approve, rerun, and meddle with the cluster.
//!
//! The plan is drawn before anything happens; whom it hits is drawn when it does.

use std::collections::BTreeSet;
use std::time::Duration;

use ledger::PoolName;
use rand::Rng;
use roustabout::engine::Operation;
use simulated::github::model::{HOUR, MINUTE, Millis, SECOND};
use simulated::github::tokens::Purpose;
use simulated::github::{
    Conclusion, DeliveryFaults, Head, JobSpec, RunSpec, Scope, Status, Visibility,
};
use simulated::nomad::{self, JobKey, Outage};
use simulated::protocol::Registration;

use crate::agenda::Act;
use crate::life::Errand;
use crate::luck::Away;
use crate::stage::{FAR, NAMESPACE, REFUSED_ACTOR, REFUSED_EVENT, ROBOT};
use crate::troubles::Trouble;
use crate::world::{BEGIN, World};

/// What the scenario knows of its world.
#[derive(Default)]
pub struct Setting {
    pub organization: u64,
    /// Those that are served.
    pub repositories: Vec<u64>,
    /// The one that is refused.
    pub public: u64,
    pub hooks: Vec<u64>,
    pub spec: nomad::JobSpec,
    /// Parameterized jobs that take no `runner_name`.
    pub nameless: BTreeSet<String>,
    /// Pools, in their order, whose runners have a credential of their own.
    pub jit: BTreeSet<usize>,
    /// … and those whose runners find it in a Nomad Variable.
    pub variables: BTreeSet<usize>,
    /// … and those of them whose runners find it in Vault instead.
    pub vault: BTreeSet<usize>,
    /// … and those whose tasks ask for it themselves.
    pub claim: BTreeSet<usize>,
    /// The seed of those in which the daemon is a GitHub App, and the App.
    pub plays_app: Option<u64>,
    pub app: Option<u64>,
    /// The seed of those in which pools keep warm runners.
    pub plays_warm: Option<u64>,
    pub away: Away,
    pub renamed: BTreeSet<u64>,
    /// Jobs that nobody is to serve: of forks, of public repositories, for other labels.
    pub hopeless: BTreeSet<u64>,
    /// What is killed next loses its database.
    pub database_is_lost: bool,
}

/// One thing that somebody does.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    Push {
        jobs: u32,
    },
    /// In every repository.
    Burst {
        jobs: usize,
    },
    CancelJob,
    CancelRun,
    Approve,
    Rerun,
    ForeignRunner,
    Pause,
    Resume,
    Retry,
    Rename,
    TurnPublic,
    LoseNode(Outage),
    RestoreNodes,
    DrainNode,
    TakeAllRoom,
    GiveRoom,
    StopAllocation,
    StopChild {
        purge: bool,
    },
    SystemGc,
    ChangeParent,
    DisableDispatch,
    MendParents,
    NomadAway,
    NomadBack,
    Crash,
    LoseDatabase,
    SetClock,
    ChangeConfig,
    MendConfig,
    SuspendApp,
    UnsuspendApp,
    ReinstallApp,
}

/// Draws the whole plan of a seed.
pub fn set(world: &mut World) {
    world.set_stage();
    let span = world.draw(2, 40) * MINUTE;
    let pushes = world.draw(1, 8);
    let storm = world.draw(0, 4) == 0;
    for _ in 0..pushes {
        let jobs = match storm {
            true => world.draw(1, 24),
            false => world.draw(1, 5),
        };
        world.plan(0, span, Plan::Push { jobs: u32::try_from(jobs).unwrap_or(1) });
    }
    plan_troubles(world, span);
    let mut span = span;
    if world.weather.has(Trouble::NoRoom) {
        // Often longer than a token lives.
        let (taken, given) = (world.draw(0, span), world.draw(10, 100) * MINUTE);
        world.plan(taken, taken, Plan::TakeAllRoom);
        world.plan(taken + given, taken + given, Plan::GiveRoom);
        span = span.max(taken + given);
    }
    if world.weather.has(Trouble::ClockWrong) {
        world.set_clock();
    }
    let now = world.now;
    world.agenda.enter(now, Act::Start);
    world.agenda.enter(now, Act::Clock);
    world.agenda.enter(now + span + MINUTE, Act::CalmDown);
    let words = world.weather.words();
    world.story.tell(now, "story", || format!("troubles: {words}"));
}

fn plan_troubles(world: &mut World, span: Millis) {
    // Each trouble, how often at most, what begins it, and what ends it some minutes later.
    let table: [(Trouble, Millis, Plan, Option<Plan>); 24] = [
        (Trouble::Cancels, 12, Plan::CancelJob, None),
        (Trouble::Cancels, 2, Plan::CancelRun, None),
        (Trouble::Environments, 6, Plan::Approve, None),
        (Trouble::Reruns, 3, Plan::Rerun, None),
        (Trouble::ForeignRunners, 4, Plan::ForeignRunner, None),
        (Trouble::Operators, 3, Plan::Pause, Some(Plan::Resume)),
        (Trouble::Operators, 4, Plan::Retry, None),
        (Trouble::RepositoryRenamed, 2, Plan::Rename, None),
        (Trouble::TurnsPublic, 1, Plan::TurnPublic, None),
        (Trouble::NodesDie, 3, Plan::LoseNode(Outage::PowerLoss), Some(Plan::RestoreNodes)),
        (Trouble::NodesCutOff, 3, Plan::LoseNode(Outage::CutOff), Some(Plan::RestoreNodes)),
        (Trouble::NodesDrain, 2, Plan::DrainNode, Some(Plan::GiveRoom)),
        (Trouble::AllocationsStopped, 3, Plan::StopAllocation, None),
        (Trouble::ChildrenStopped, 3, Plan::StopChild { purge: false }, None),
        (Trouble::ChildrenPurged, 3, Plan::StopChild { purge: true }, None),
        (Trouble::SystemGc, 4, Plan::SystemGc, None),
        (Trouble::ParentsChange, 3, Plan::ChangeParent, Some(Plan::MendParents)),
        (Trouble::NomadAway, 3, Plan::NomadAway, Some(Plan::NomadBack)),
        (Trouble::Crashes, 4, Plan::Crash, None),
        (Trouble::ConfigChanges, 2, Plan::Crash, None),
        (Trouble::ParentsChange, 1, Plan::DisableDispatch, Some(Plan::MendParents)),
        (Trouble::OffForHours, 2, Plan::Crash, None),
        (Trouble::ClockWrong, 4, Plan::SetClock, None),
        (Trouble::Reloads, 3, Plan::ChangeConfig, Some(Plan::MendConfig)),
    ];
    for (trouble, most, begins, ends) in table {
        if !world.weather.has(trouble) {
            continue;
        }
        for _ in 0..world.draw(1, most) {
            let at = world.draw(0, span);
            world.plan(at, at, begins);
            if let Some(ends) = ends {
                let after = world.draw(5 * SECOND, 10 * MINUTE);
                world.plan(at + after, at + after, ends);
            }
        }
    }
    if world.weather.has(Trouble::DatabaseLost) {
        world.plan(0, span, Plan::LoseDatabase);
    }
}

impl World {
    fn plan(&mut self, least: Millis, most: Millis, plan: Plan) {
        let at = self.now + self.draw(least, most);
        self.agenda.enter(at, Act::Plan(plan));
    }

    pub fn carry_out_plan(&mut self, plan: Plan) {
        if self.weather.calm && !matches!(plan, Plan::Push { .. } | Plan::UnsuspendApp) {
            return;
        }
        let now = self.now;
        self.story.tell(now, "people", || format!("{plan:?}"));
        match plan {
            Plan::Push { jobs } => self.push(jobs),
            Plan::Burst { jobs } => self.push_burst(jobs),
            Plan::CancelJob => self.cancel(false),
            Plan::CancelRun => self.cancel(true),
            Plan::Approve => self.approve(false),
            Plan::Rerun => self.rerun(),
            Plan::ForeignRunner => self.foreign_runner(),
            Plan::Pause | Plan::Resume | Plan::Retry => self.operate(plan),
            Plan::Rename => self.rename(),
            Plan::TurnPublic => self.turn_public(),
            Plan::LoseNode(outage) => {
                if let Some(node) = self.a_node() {
                    self.nomad.lock().silence(&node, outage, now);
                }
            }
            Plan::RestoreNodes => self.restore_nodes(),
            Plan::DrainNode => {
                let deadline = self.draw(0, 10 * MINUTE);
                if let Some(node) = self.a_node() {
                    self.nomad.lock().drain(&node, deadline, now);
                }
            }
            Plan::TakeAllRoom => {
                for node in self.all_nodes() {
                    self.nomad.lock().drain(&node, 90 * MINUTE, now);
                }
            }
            Plan::GiveRoom => {
                for node in self.all_nodes() {
                    self.nomad.lock().enable(&node, now);
                }
            }
            Plan::StopAllocation => self.stop_allocation(),
            Plan::StopChild { purge } => self.stop_child_by_hand(purge),
            Plan::SystemGc => self.nomad.lock().system_gc(now),
            Plan::SetClock => self.set_clock(),
            Plan::ChangeConfig => {
                self.config = self.another_config();
                self.errands.push(Errand::Reload);
            }
            Plan::MendConfig => self.mend_config(),
            Plan::SuspendApp => self.suspend_app(true),
            Plan::UnsuspendApp => self.suspend_app(false),
            Plan::ReinstallApp => self.reinstall_app(),
            Plan::ChangeParent => self.change_parent(),
            Plan::DisableDispatch => self.nomad.lock().knobs.dispatch_disabled = true,
            Plan::MendParents => self.register_parents(),
            Plan::NomadAway => {
                let which = [Away::All, Away::Namespace(NAMESPACE), Away::Namespace(FAR)];
                self.setting.away = self.pick(&which).unwrap_or_default();
            }
            Plan::NomadBack => {
                self.setting.away = Away::Nobody;
                self.nomad_back_at = now;
            }
            Plan::Crash if self.rng.random_bool(0.3) => self.errands.push(Errand::Stop),
            Plan::Crash => self.dies("is killed"),
            Plan::LoseDatabase if self.daemon.is_some() => {
                self.setting.database_is_lost = true;
                self.dies("is killed, and its database is lost");
            }
            Plan::LoseDatabase => {}
        }
    }

    fn push(&mut self, jobs: u32) {
        let repository = match self.draw(0, 9) {
            0 => self.setting.public,
            _ => self.pick(&self.setting.repositories.clone()).unwrap_or(self.setting.public),
        };
        let forkable = self.setting.repositories.get(1) == Some(&repository);
        let head = match forkable && self.draw(0, 2) == 0 {
            true => Head::Fork { id: 77, full_name: "stranger/lib".to_owned() },
            false => Head::Same,
        };
        let event = if head == Head::Same { "push" } else { "pull_request" };
        let is_public = self
            .github
            .repository_mut(repository)
            .is_some_and(|one| one.visibility == Visibility::Public);
        let choosy = self.weather.has(Trouble::ChoosyPools);
        let event_refused = choosy && head == Head::Same && self.draw(0, 4) == 0;
        let actor_refused = choosy && self.draw(0, 4) == 0;
        let refused = is_public || head != Head::Same || event_refused || actor_refused;
        let specs: Vec<JobSpec> = (0..jobs).map(|number| self.job_spec(number)).collect();
        let unserved: Vec<bool> = specs
            .iter()
            .map(|spec| refused || spec.labels.contains(&"windows".to_owned()))
            .collect();
        let mut run = RunSpec { head, ..RunSpec::default() };
        if self.is_gitea() {
            event.clone_into(&mut run.event);
        }
        if event_refused {
            REFUSED_EVENT.clone_into(&mut run.event);
        }
        if self.weather.has(Trouble::Robots) && self.draw(0, 1) == 0 {
            ROBOT.clone_into(&mut run.actor);
        }
        if !refused {
            self.storm(&mut run);
        }
        if actor_refused {
            REFUSED_ACTOR.clone_into(&mut run.actor);
        }
        let run = self.github.add_run(repository, run, specs, self.now);
        let ids = self.github.run(run).map(|run| run.jobs.clone()).unwrap_or_default();
        let hopeless = ids.into_iter().zip(unserved).filter(|(_, unserved)| *unserved);
        self.setting.hopeless.extend(hopeless.map(|(id, _)| id));
    }

    fn job_spec(&mut self, number: u32) -> JobSpec {
        let labels: &[&str] = match self.draw(0, 19) {
            0 => &["windows"],
            1..=4 => &["linux"],
            5..=9 => &["linux", "big"],
            _ => &["linux", "x64"],
        };
        let long = self.draw(0, 9) == 0;
        let lasts =
            if long { self.draw(MINUTE, 20 * MINUTE) } else { self.draw(SECOND, 90 * SECOND) };
        let mut spec = JobSpec::new(format!("job {number}"), labels).lasting(lasts);
        if self.draw(0, 5) == 0 {
            spec = spec.concluding(Conclusion::Failure);
        }
        if self.draw(0, 30) == 0 {
            spec = spec.concluding(Conclusion::Skipped);
        }
        if self.strikes(Trouble::Environments, 0.3) {
            spec = spec.waiting();
        }
        if self.is_gitea() && self.draw(0, 5) == 0 {
            spec = spec.needing_others();
        }
        spec
    }

    fn unfinished(&self) -> Vec<u64> {
        let open = self.github.jobs().filter(|job| job.status != Status::Completed);
        open.map(|job| job.id).collect()
    }

    fn cancel(&mut self, whole_run: bool) {
        // Gitea has no button for a single job.
        let whole_run = whole_run || self.is_gitea();
        let Some(id) = self.pick(&self.unfinished()) else { return };
        let Some(run) = self.github.job(id).map(|job| job.run) else { return };
        let jobs = self.github.run(run).map(|run| run.jobs.clone()).unwrap_or_default();
        for job in jobs.into_iter().filter(|job| whole_run || *job == id) {
            self.watching.excuse(job);
            self.github.cancel_job(job, self.now);
        }
    }

    fn approve(&mut self, all: bool) {
        let waiting = self.github.jobs().filter(|job| job.status == Status::Waiting);
        for id in waiting.map(|job| job.id).collect::<Vec<_>>() {
            if all || self.rng.random_bool(0.5) {
                self.github.approve_job(id, self.now);
            }
        }
    }

    fn rerun(&mut self) {
        let runs: BTreeSet<u64> = self.github.jobs().map(|job| job.run).collect();
        let done: Vec<u64> = runs
            .into_iter()
            .filter(|run| {
                let mut jobs = self.github.jobs().filter(|job| job.run == *run);
                jobs.all(|job| job.status == Status::Completed)
            })
            .collect();
        let Some(run) = self.pick(&done) else { return };
        let old: BTreeSet<u64> = self.github.jobs().map(|job| job.id).collect();
        let hopeless =
            self.github.jobs().any(|job| job.run == run && self.setting.hopeless.contains(&job.id));
        let failed_only = self.rng.random_bool(0.5);
        self.github.rerun(run, failed_only, self.now);
        let again = self.github.jobs().filter(|job| job.status != Status::Completed);
        for job in again.filter(|job| job.run == run) {
            // Where it has the id that it had, this attempt is to be judged anew.
            self.watching.expect(job.id);
        }
        let new = self.github.jobs().map(|job| job.id).filter(|id| !old.contains(id));
        let new: Vec<u64> = new.collect();
        if hopeless {
            self.setting.hopeless.extend(new);
        }
    }

    fn foreign_runner(&mut self) {
        let Some(repository) = self.pick(&self.setting.repositories.clone()) else { return };
        let scope = Scope::Repository(repository);
        let (token, _) = self.github.mint_runner_token(scope, Purpose::Register, self.now);
        let number: u32 = self.rng.random();
        self.begin_foreign(Registration {
            url: match self.is_gitea() {
                true => "http://github.test".to_owned(),
                false => format!("http://github.test/{}", self.github.scope_name(scope)),
            },
            token,
            name: format!("elsewhere-{number:08x}"),
            labels: ["linux", "x64", "big"].map(str::to_owned).to_vec(),
            group: None,
            ephemeral: true,
            replace: false,
        });
    }

    /// To 1970, two days back, a day ahead, or right.
    fn set_clock(&mut self) {
        // Never by less than a minute, which moves no row.
        let skews = [-BEGIN, -48 * HOUR, 24 * HOUR, 0, 0];
        self.skew = self.pick(&skews).unwrap_or(0);
    }

    /// Somebody at the daemon's own command line.
    fn operate(&mut self, plan: Plan) {
        let pools: Vec<PoolName> = self.rules.pools.iter().map(|pool| pool.name.clone()).collect();
        let Some(pool) = self.pick(&pools) else { return };
        let time = (self.draw(0, 1) == 0).then(|| self.draw(MINUTE, 20 * MINUTE).unsigned_abs());
        let Some(daemon) = &self.daemon else { return };
        let jobs = daemon.seen.jobs.clone();
        let operation = match plan {
            Plan::Pause => Some(Operation::Pause(pool, time.map(Duration::from_millis))),
            Plan::Resume => Some(Operation::Resume(pool)),
            _ => self.pick(&jobs).map(Operation::Retry),
        };
        self.errands.extend(operation.map(Errand::Operate));
    }

    /// The config says what its operator means, and a running daemon is told.
    fn mend_config(&mut self) {
        self.config = self.rules.clone();
        self.errands.push(Errand::Reload);
    }

    /// No pool stays paused.
    pub fn resume_all(&mut self) {
        let pools = self.rules.pools.iter().map(|pool| Operation::Resume(pool.name.clone()));
        self.errands.extend(pools.map(Errand::Operate));
    }

    fn rename(&mut self) {
        let Some(repository) = self.pick(&self.setting.repositories.clone()) else { return };
        let number: u16 = self.rng.random();
        self.setting.renamed.insert(repository);
        self.github.rename_repository(repository, &format!("renamed-{number:04x}"));
    }

    fn turn_public(&mut self) {
        let Some(repository) = self.pick(&self.setting.repositories.clone()) else { return };
        if let Some(found) = self.github.repository_mut(repository) {
            found.visibility = Visibility::Public;
        }
    }

    /// Whatever waits in a public repository is not served, whenever it came.
    fn give_up_public(&mut self) {
        for id in self.unfinished() {
            let run = self.github.job(id).and_then(|job| self.github.run(job.run));
            let repository = run.map(|run| run.repository).unwrap_or_default();
            let found = self.github.repository_mut(repository);
            if found.is_some_and(|one| one.visibility == Visibility::Public) {
                self.setting.hopeless.insert(id);
            }
        }
    }

    fn all_nodes(&self) -> Vec<String> {
        self.nomad.lock().nodes().map(|node| node.id.clone()).collect()
    }

    fn a_node(&mut self) -> Option<String> {
        self.pick(&self.all_nodes())
    }

    fn restore_nodes(&mut self) {
        for node in self.all_nodes() {
            self.nomad.lock().restore(&node, self.now);
        }
    }

    fn stop_allocation(&mut self) {
        let nomad = self.nomad.lock();
        let children: Vec<JobKey> = nomad.children().map(|(key, _)| key.clone()).collect();
        let allocations = children.iter().flat_map(|key| nomad.allocations_of(key));
        let open: Vec<String> = allocations.map(|one| one.id.clone()).collect();
        drop(nomad);
        if let Some(id) = self.pick(&open) {
            self.nomad.lock().stop_allocation(&id, self.now);
        }
    }

    fn stop_child_by_hand(&mut self, purge: bool) {
        let children: Vec<JobKey> =
            self.nomad.lock().children().map(|(key, _)| key.clone()).collect();
        if let Some(key) = self.pick(&children) {
            self.nomad.lock().stop(&key, purge, self.now);
        }
    }

    fn change_parent(&mut self) {
        let pools: Vec<String> =
            self.rules.pools.iter().map(|pool| pool.nomad_job.clone()).collect();
        let Some(parent) = self.pick(&pools) else { return };
        let key = JobKey::new(self.namespace_of(&parent), &parent);
        match self.draw(0, 2) {
            0 => {
                self.nomad.lock().stop(&key, false, self.now);
            }
            1 => {
                self.nomad.lock().stop(&key, true, self.now);
            }
            _ => {
                let mut spec = self.setting.spec.clone();
                spec.meta_required.push("unheard_of".to_owned());
                self.nomad.lock().register(key, spec, self.now);
            }
        }
    }

    /// From here on nothing goes wrong: everybody is back, and what cannot be served is given up.
    pub fn calm_down(&mut self) {
        let now = self.now;
        if self.daemon.is_none() && self.starts_at > now {
            return self.agenda.enter(self.starts_at + MINUTE, Act::CalmDown);
        }
        self.story.tell(now, "story", || "from here on nothing goes wrong".to_owned());
        self.weather.calm = true;
        self.skew = 0;
        self.calm_since = Some(now);
        self.setting.away = Away::Nobody;
        self.suspend_app(false);
        self.github.delivery_faults =
            DeliveryFaults { delay: (50, 2 * SECOND), ..DeliveryFaults::default() };
        self.nomad.lock().knobs.start_failure = 0.0;
        self.restore_nodes();
        for node in self.all_nodes() {
            self.nomad.lock().enable(&node, now);
        }
        self.register_parents();
        self.github.knobs.core_limit = 1_000_000;
        self.github.knobs.points_a_minute = 1_000_000;
        self.nomad_back_at = now;
        if self.weather.has(Trouble::ConfigChanges) {
            // The operator mends the config.
            self.dies("is started again");
        }
        // Only what waits for nothing comes to an end.
        self.rules.pools.iter_mut().for_each(|pool| pool.warm.clear());
        self.mend_config();
        self.resume_all();
        self.agenda.enter(now, Act::Start);
        self.redeliver_failed();
        self.approve(true);
        self.give_up_public();
        for job in self.setting.hopeless.clone() {
            self.watching.excuse(job);
            self.github.cancel_job(job, now);
        }
        if !self.weather.has(Trouble::RenamedInSilence) {
            for repository in self.setting.renamed.clone() {
                let news = JobSpec::new("news", &["windows"]).concluding(Conclusion::Skipped);
                self.github.add_run(repository, RunSpec::default(), vec![news], now);
            }
        }
        let foreign = |(id, process): (&String, &crate::runners::Process)| {
            let idle = !process.is_ours && process.job.is_none();
            idle.then(|| (id.clone(), process.registered.clone()))
        };
        let foreign: Vec<_> = self.processes.iter().filter_map(foreign).collect();
        for (id, registered) in foreign {
            let scopes = self.setting.repositories.clone();
            for repository in scopes {
                if let Some(one) = &registered {
                    self.github.delete_runner(Scope::Repository(repository), one.id, now);
                }
            }
            self.processes.remove(&id);
        }
    }

    /// Whoever started the daemon has failed webhooks sent again.
    pub fn after_start(&mut self) {
        self.redeliver_failed();
        if self.weather.calm {
            self.resume_all();
        }
    }
}
