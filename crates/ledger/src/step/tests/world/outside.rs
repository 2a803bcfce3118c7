//! GitHub and Nomad in the random world: what a request does when it arrives, and what people
//! and machines do by themselves. No kinder than the real ones: `busy` lags, a deletion
//! succeeds on a runner at work, a job may consume its runner's registration at once.

use super::*;
use crate::event::Answer;

const LAG: Duration = Duration::from_secs(10);

impl World {
    /// What a request does when it arrives, and its answer.
    pub(super) fn act(&mut self, request: Request) -> Option<Event> {
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
            Request::DeleteStray { runner, .. } => {
                if acts {
                    let _ = self.delete(&runner);
                }
                return None;
            }
            Request::AskFork { run, .. } => {
                Event::ForkKnown { run, answer: answer(bad, false.into()) }
            }
            Request::AskJobs { class, runs, names } => {
                let looked_at = runs.iter().map(|run| run.run).collect();
                let asked = runs.into_iter().flat_map(|run| run.jobs);
                let mut reports: Vec<_> = asked.map(|id| self.jobs[&id.0].report.clone()).collect();
                // A listing lags.
                reports.retain(|_| self.honest || self.rng.random_range(0..10) > 0);
                let answer = answer(bad, JobsOfRuns { reports, looked_at });
                Event::JobsSeen { class, names, answer }
            }
            Request::AskJob { job, .. } => {
                let report = self.jobs[&job.0].report.clone();
                Event::JobSeen { job, answer: answer(bad, Some(report)) }
            }
            // Nothing in this world asks for one.
            Request::Look { .. } => return None,
            Request::WatchParent { pool, .. } if self.chance(50) => Event::ParentChanged { pool },
            Request::WatchParent { .. } => return None,
        })
    }

    fn dispatch(&mut self, runner: &RunnerName) -> DispatchOutcome {
        // The token is Nomad's: the same one again is the same child.
        if !self.children.contains_key(runner) {
            let (deaf, mute) = (self.chance(4), self.chance(4));
            let unlucky = !self.honest;
            let child = Child { deaf: deaf && unlucky, mute: mute && unlucky, ..Child::default() };
            self.children.insert(runner.clone(), child);
        }
        let child = runner.0.clone();
        DispatchOutcome::Accepted { child, nameless: false, credential_ends: None }
    }

    pub(super) fn phase(&self, runner: &RunnerName) -> ChildPhase {
        match &self.children[runner] {
            child if child.ended.is_some() => ended(),
            child if child.placed.is_some() => ChildPhase::Placed,
            _ => ChildPhase::NotPlaced,
        }
    }

    /// A child as its token tells of it.
    pub(super) fn found(&self, runner: &RunnerName) -> Found {
        let number = self.orders[runner].1;
        Found {
            child: runner.0.clone(),
            token: format!("{runner}@octo/r{number}"),
            parent: "github-runner".into(),
            place: Self::place_of(&self.orders[runner].0),
            submitted_at: self.now,
            phase: self.phase(runner),
            asked_at: self.now,
            nameless: false,
            repository: Some(Box::new(repository_of(number))),
        }
    }

    pub(super) fn registered_in(&self, number: u64) -> Vec<Registered> {
        let here = self.children.iter().filter(|(name, _)| self.orders[*name].1 == number);
        let listed = here.filter_map(|(name, child)| {
            let busy = self.shows_busy(child);
            Some(Registered { id: child.registered?, name: name.0.clone(), busy, online: true })
        });
        listed.collect()
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
            return AtForge::Registered { id, busy: self.shows_busy(child), online: true };
        }
        let running = child.job.map(|id| &self.jobs[&id].report);
        // The listing of running jobs lags.
        let shown = self.started(child.job).is_some_and(|at| self.now.since(at) > LAG);
        match running.filter(|report| report.status == JobStatus::InProgress && shown) {
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
            // Whose registration was deleted got no job since, and the grace outlasts any lag.
            let lag = if child.deleted { Duration::ZERO } else { LAG };
            assert!(started + lag > looked, "{runner} is stopped at work");
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
        child.deleted = true;
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
        report.run = crate::RunId(repository * 100 + id % 3);
        report.labels = vec![label.into()];
        self.jobs.insert(id, GithubJob { repository, report, started: Time(0) });
        self.moves(id, JobStatus::Queued, None);
    }

    fn with_status(&self, status: JobStatus) -> Vec<u64> {
        let jobs = self.jobs.iter().filter(|(_, job)| job.report.status == status);
        jobs.map(|(id, _)| *id).collect()
    }

    /// What people and machines do by themselves.
    pub(super) fn lives(&mut self) {
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
            if !child.deaf
                && child.placed.is_some_and(|at| now.since(at).as_secs() > 8)
                && dice < 300
            {
                child.registered = Some(dice + 1);
                child.was_registered = true;
                self.tell(format!("   {name} registers"));
            }
        } else if child.registered.is_some()
            && child.job.is_none()
            && child.dies_at.is_none()
            && !child.mute
        {
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
}

fn answer<T>(bad: bool, value: T) -> Answer<T> {
    if bad { Err(failure("502")) } else { Ok(value) }
}
