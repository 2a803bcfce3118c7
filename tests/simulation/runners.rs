//! The runners' processes: what a task in Nomad does, and runners that are not ours.
//!
//! As actions/runner does: register, listen, take one job, end. How an exit looks to Nomad and a
//! missing sign of life to GitHub is the models' business.

use ledger::RunnerName;
use rand::Rng;
use simulated::github::model::{MINUTE, Millis, SECOND};
use simulated::github::runners::Runner;
use simulated::github::tokens::Purpose;
use simulated::github::{Conclusion, Scope};
use simulated::nomad::Started;
use simulated::protocol::{Beat, JobMessage, Poll, Registered, Registration};
use simulated::runner::jit;

use crate::agenda::Act;
use crate::claims::Claiming;
use crate::troubles::Trouble;
use crate::world::World;

/// How runners are called whose jobs take no name.
pub const OWN: &str = "own-";
/// How long such a one listens.
const OWN_PATIENCE: Millis = 15 * MINUTE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It asks the daemon for its credential.
    Claim,
    /// A thief does, as it.
    Theft,
    Register,
    Listen,
    /// It asks for a job between two of its listenings: Gitea's ask every two seconds.
    Fetch,
    Begin,
    Work,
    /// Its machine told it to end.
    Signal,
    Exit(i32),
}

pub struct Process {
    pub asked: Registration,
    /// `owner/name` or an organization's login: where its own script registers it.
    page: String,
    /// It is a task of ours.
    pub is_ours: bool,
    pub registered: Option<Registered>,
    /// What it was registered as before it started.
    pub jit: Option<Registered>,
    /// Its task asks for its credential by this.
    pub claims: Option<Claiming>,
    pub job: Option<JobMessage>,
    began: Millis,
    /// Until when it works.
    until: Millis,
    /// It is about to listen, or to end: nothing else wakes it.
    awake: bool,
}

impl World {
    /// Tasks that began, are told to end, or were killed.
    pub fn hear_from_nomad(&mut self) {
        let started = self.nomad.lock().take_started();
        for started in started {
            self.begin_process(started);
        }
        let signalled = self.nomad.lock().take_signalled();
        for id in signalled {
            let at = self.now + self.draw(0, 800);
            self.agenda.enter(at, Act::Runner { process: id, step: Step::Signal });
        }
        let killed = self.nomad.lock().take_killed();
        for id in killed {
            if let Some(Process { job: Some(job), .. }) = self.processes.remove(&id) {
                self.watching.excuse(job.id);
            }
        }
    }

    fn begin_process(&mut self, started: Started) {
        let meta = |key: &str| started.meta.get(key).cloned().unwrap_or_default();
        let token = self.credential_of(&started);
        let asked = Registration {
            url: meta("runner_url"),
            token: token.clone().unwrap_or_default(),
            name: match meta("runner_name").as_str() {
                "" => format!("{OWN}{}", &started.allocation[..8]),
                name => name.to_owned(),
            },
            labels: meta("runner_labels").split(',').map(str::to_owned).collect(),
            group: None,
            ephemeral: true,
            replace: false,
        };
        // Its payload is all that it needs, and says what it is called.
        let jit = jit::Config::decoded(&asked.token);
        let asked = match &jit {
            Some(config) => Registration { name: config.name.clone(), ..asked },
            None => asked,
        };
        let claims = match meta("claim_url").is_empty() {
            true => None,
            false => self.claiming(&started.child, &started.allocation),
        };
        let boot = match self.strikes(Trouble::RunnersSlow, 0.3) {
            true => self.draw(MINUTE, 9 * MINUTE),
            false => self.draw(500, 20 * SECOND),
        };
        let second = self.nomad.lock().allocations_of(&started.child).count() > 1;
        if second && !self.weather.has(Trouble::SecondAllocations) {
            self.enter_step(&started.allocation, 0, Step::Exit(1));
        } else if token.is_none() {
            // Its template waits for as long as it is let.
            self.story.tell(self.now, "runner", || format!("{} finds no credential", asked.name));
        } else if !asked.name.starts_with(OWN) && self.strikes(Trouble::RunnersHang, 0.2) {
            self.story.tell(self.now, "runner", || format!("{} hangs", asked.name));
        } else {
            let first = if self.strikes(Trouble::RunnersFail, 0.2) {
                Step::Exit(1)
            } else if claims.is_some() {
                Step::Claim
            } else {
                Step::Register
            };
            if claims.is_some() && self.strikes(Trouble::Forgers, 0.3) {
                let after = self.draw(0, 2 * MINUTE);
                self.enter_step(&started.allocation, after, Step::Theft);
            }
            self.enter_step(&started.allocation, boot, first);
        }
        let mut process = Process::new(asked, true, self.now);
        process.jit = jit.map(|config| config.registered);
        process.claims = claims;
        if self.is_gitea() {
            let token = self.nomad.lock().child(&started.child).and_then(|it| it.token.clone());
            let token = token.unwrap_or_default();
            let page = token.split_once('@').map_or("", |(_, page)| page);
            page.split('#').next().unwrap_or_default().clone_into(&mut process.page);
        }
        self.processes.insert(started.allocation, process);
    }

    /// A runner of somebody else, with labels that cover our jobs.
    pub fn begin_foreign(&mut self, asked: Registration) {
        let id = format!("foreign {}", asked.name);
        self.processes.insert(id.clone(), Process::new(asked, false, self.now));
        self.enter_step(&id, 0, Step::Register);
    }

    pub fn enter_step(&mut self, process: &str, after: Millis, step: Step) {
        let act = Act::Runner { process: process.to_owned(), step };
        self.agenda.enter(self.now + after, act);
    }

    /// Listeners hear at once that there is a job for them.
    pub fn wake_runners(&mut self) {
        let given = self.processes.iter_mut().filter(|(_, process)| {
            !process.awake
                && process.registered.as_ref().is_some_and(|registered| {
                    let given = |one: &Runner| one.job.is_some();
                    self.github.runner(registered.id).is_some_and(given)
                        || self.github.would_give(registered.id, self.now)
                })
        });
        let given: Vec<String> = given
            .map(|(id, process)| {
                process.awake = true;
                id.clone()
            })
            .collect();
        for id in given {
            // Later than a minute, and GitHub gives the job to another.
            let after = match self.strikes(Trouble::RunnersSlow, 0.1) {
                true => self.draw(30 * SECOND, 90 * SECOND),
                false => self.draw(50, 2 * SECOND),
            };
            let step = if self.is_gitea() { Step::Fetch } else { Step::Listen };
            self.enter_step(&id, after, step);
        }
    }

    pub fn runner_step(&mut self, id: &str, step: Step) {
        if !self.processes.contains_key(id) {
            return;
        }
        match step {
            Step::Claim => self.claim(id),
            Step::Theft => self.steal(id),
            Step::Register => self.register(id),
            Step::Listen => self.listen(id, true),
            Step::Fetch => self.listen(id, false),
            Step::Begin => self.begin_job(id),
            Step::Work => self.work(id),
            Step::Signal => self.signal(id),
            Step::Exit(code) => self.exit(id, code),
        }
    }

    fn register(&mut self, id: &str) {
        let Some(process) = self.processes.get_mut(id) else { return };
        if let Some(registered) = process.jit.clone() {
            process.registered = Some(registered);
            return self.enter_step(id, 0, Step::Listen);
        }
        if process.asked.token.is_empty() {
            // Its own script has a way to get one.
            let page = &process.page;
            let found =
                self.github.repository(page).or_else(|| self.github.renamed_repository(page));
            let repository = found.map(|found| Scope::Repository(found.id));
            let scope = repository.unwrap_or(Scope::Organization(self.setting.organization));
            let (token, _) = self.github.mint_runner_token(scope, Purpose::Register, self.now);
            process.asked.token = token;
        }
        match self.github.register(&process.asked, self.now) {
            Ok(registered) => {
                process.registered = Some(registered);
                self.enter_step(id, 0, Step::Listen);
            }
            Err(refusal) => {
                let name = process.asked.name.clone();
                self.story.tell(self.now, "runner", || format!("{name}: {}", refusal.message));
                self.enter_step(id, 100, Step::Exit(1));
            }
        }
    }

    fn listen(&mut self, id: &str, again: bool) {
        let fails = self.strikes(Trouble::RunnersFail, 0.02);
        let pause = self.draw(25 * SECOND, 50 * SECOND);
        let stubborn = self.is_gitea() && self.rng.random_bool(0.5);
        let Some(process) = self.processes.get_mut(id) else { return };
        let Some(registered) = process.registered.clone().filter(|_| process.job.is_none()) else {
            return;
        };
        if fails && process.is_ours {
            process.awake = true;
            return self.enter_step(id, 0, Step::Exit(1));
        }
        if process.is_nameless() && self.now > process.began + OWN_PATIENCE {
            // Nobody else can tell it from others, so its own script bounds its life.
            let idle = self.github.runner(registered.id).is_some_and(|one| one.job.is_none());
            let scope = self.github.runner(registered.id).map(|one| one.scope);
            if let Some(scope) = scope.filter(|_| idle) {
                self.github.delete_runner(scope, registered.id, self.now);
            }
        }
        match self.github.poll(registered.id, &registered.secret, self.now) {
            Poll::Job { job } => {
                process.awake = true;
                process.until = job.duration_ms;
                process.job = Some(job);
                let after = self.draw(0, 2 * SECOND);
                self.enter_step(id, after, Step::Begin);
            }
            Poll::Wait => {
                process.awake = false;
                if again {
                    self.enter_step(id, pause, Step::Listen);
                }
            }
            // Gitea's may take long to see that it asks in vain.
            Poll::Gone if stubborn && !process.is_nameless() => {
                process.awake = true;
                if again {
                    self.enter_step(id, pause, Step::Listen);
                }
            }
            Poll::Gone | Poll::Deprecated => {
                process.awake = true;
                let after = self.draw(0, 10 * SECOND);
                self.enter_step(id, after, Step::Exit(0));
            }
        }
    }

    fn begin_job(&mut self, id: &str) {
        let Some(process) = self.processes.get_mut(id) else { return };
        let (Some(registered), Some(job)) = (process.registered.clone(), process.job.clone())
        else {
            return;
        };
        if self.github.started(registered.id, &registered.secret, job.id, self.now) {
            process.until = self.now + job.duration_ms;
            self.work(id);
        } else {
            process.job = None;
            self.enter_step(id, 0, Step::Listen);
        }
    }

    /// A sign of life now and then, and the end of the job.
    fn work(&mut self, id: &str) {
        let Some(process) = self.processes.get(id) else { return };
        let (Some(registered), Some(job)) = (process.registered.clone(), process.job.clone())
        else {
            return;
        };
        let beat = self.github.beat(registered.id, &registered.secret, job.id, self.now);
        // At Gitea nobody tells it that its job is over.
        let told = beat != Beat::GoOn && !self.is_gitea();
        let done = self.now >= process.until || told;
        if !done && self.strikes(Trouble::RunnersFail, 0.03) {
            self.watching.excuse(job.id);
            return self.exit(id, 1);
        }
        let Some(process) = self.processes.get(id) else { return };
        if !done {
            let after = (process.until - self.now).min(MINUTE);
            return self.enter_step(id, after, Step::Work);
        }
        let conclusion = Conclusion::from_word(&job.conclusion);
        self.github.finished(registered.id, &registered.secret, job.id, conclusion, self.now);
        let after = self.draw(0, 5 * SECOND);
        self.enter_step(id, after, Step::Exit(0));
    }

    /// An idle runner ends at once, and leaves its registration; one at work gives its job up.
    fn signal(&mut self, id: &str) {
        let tells = self.rng.random_bool(0.5);
        let Some(process) = self.processes.get(id) else { return };
        if let (Some(registered), Some(job)) = (&process.registered, &process.job) {
            self.watching.excuse(job.id);
            if tells {
                let failed = Conclusion::Failure;
                self.github.finished(registered.id, &registered.secret, job.id, failed, self.now);
            }
        }
        self.exit(id, 0);
    }

    fn exit(&mut self, id: &str, code: i32) {
        if self.processes.remove(id).is_some_and(|process| process.is_ours) {
            self.nomad.lock().task_exited(id, code, self.now);
        }
    }
}

impl World {
    /// Somebody deletes registrations of ours that no process and no row knows: the daemon cannot
    /// yet.
    pub fn clear_strays(&mut self) {
        if !self.weather.calm || self.weather.has(Trouble::StraysStay) {
            return;
        }
        let Some(daemon) = &self.daemon else { return };
        let lives = |id: u64| {
            let mut processes = self.processes.values();
            processes.any(|one| one.registered.as_ref().is_some_and(|known| known.id == id))
        };
        let mut scopes = vec![Scope::Organization(self.setting.organization)];
        scopes.extend(self.setting.repositories.iter().map(|id| Scope::Repository(*id)));
        let mut strays = Vec::new();
        for scope in scopes {
            let listed = self.github.runners_of(scope).filter(|one| {
                let name = RunnerName(one.name.clone());
                !daemon.seen.runners.iter().any(|(known, ..)| *known == name) && !lives(one.id)
            });
            strays.extend(listed.map(|one| (scope, one.id)));
        }
        for (scope, id) in strays {
            self.github.delete_runner(scope, id, self.now);
        }
    }
}

impl Process {
    fn new(asked: Registration, is_ours: bool, began: Millis) -> Self {
        let page = asked.url.trim_start_matches("http://github.test/").to_owned();
        Self {
            asked,
            page,
            is_ours,
            registered: None,
            jit: None,
            claims: None,
            job: None,
            began,
            until: 0,
            awake: false,
        }
    }

    pub fn began(&self) -> Millis {
        self.began
    }

    fn is_nameless(&self) -> bool {
        self.asked.name.starts_with(OWN)
    }
}
