//! One task, from its turn to its end, with all its restarts.
//!
//! Whether others of its group end it is decided in `allocation.rs`. Read next: `prepare.rs`,
//! `process.rs`. (Nomad `client/allocrunner/taskrunner/task_runner.go`.)

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::Rng;
use tokio::sync::{mpsc, oneshot, watch};

use super::allocation::Shared;
use super::config::Command;
use super::environment::Environment;
use super::group::Task;
use super::prepare::{Ready, Stop, introduce, prepare};
use super::process::Process;
use super::rendering::{self, Change};
use super::supervise::Ended;
use crate::task_events::TaskEvent;
use crate::task_restarts::{Decision, Ending, Restarts};
use crate::task_states::Life as State;

/// Whether a task is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kill {
    #[default]
    No,
    Yes,
    /// Without its shutdown delay.
    WithoutDelay,
}

/// What somebody asks of a running task.
#[derive(Debug)]
pub(super) enum Request {
    Restart(oneshot::Sender<()>),
    Signal(String, oneshot::Sender<()>),
}

/// How one try went.
enum Outcome {
    /// It was ended; and whether it ran.
    Killed(bool),
    Ended(Ended),
    Failed(Ending),
    RestartAsked,
}

pub(super) struct Life {
    pub shared: Arc<Shared>,
    pub task: Task,
    pub kill: watch::Receiver<Kill>,
    pub requests: mpsc::UnboundedReceiver<Request>,
    restarts: Restarts,
    ready: Ready,
}

impl Life {
    pub fn new(
        shared: Arc<Shared>,
        task: Task,
        kill: watch::Receiver<Kill>,
        requests: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        let policy = shared.group.restarts(&task);
        let restarts = Restarts::new(policy, task.role().restarts_on_success(), now());
        Self { shared, task, kill, requests, restarts, ready: Ready::default() }
    }

    /// `found`: its process, which an earlier agent has started.
    pub async fn run(mut self, mut found: Option<Process>) {
        if found.is_some()
            && let Err(why) = introduce(&self.shared, &self.task, &mut self.ready).await
        {
            eprintln!("[WARN] client: task {} goes on without an identity: {why}", self.task.name);
        }
        if found.is_some() || self.its_turn_comes().await {
            while self.tries_again(found.take()).await {}
        }
        self.shared.becomes(&self.task.name, State::Dead);
    }

    /// False: it is ended before.
    async fn its_turn_comes(&mut self) -> bool {
        let (shared, role) = (self.shared.clone(), self.task.role());
        tokio::select! {
            biased;
            () = self.is_killed() => false,
            () = shared.until(move |shared| shared.may_start(role)) => true,
        }
    }

    async fn is_killed(&mut self) {
        is_killed(&mut self.kill, &self.shared).await;
    }

    /// One try; whether there is to be another one.
    async fn tries_again(&mut self, found: Option<Process>) -> bool {
        let outcome = self.once(found).await;
        let name = self.task.name.clone();
        let ending = match outcome {
            Outcome::Killed(ran) => {
                if ran {
                    self.shared.record(&name, TaskEvent::killed());
                }
                return false;
            }
            Outcome::RestartAsked => {
                let event = TaskEvent::restarting(0, "");
                self.shared.record_and(&name, event, State::Pending);
                return true;
            }
            Outcome::Ended(Ended { code: 0, signal: 0 }) => Ending::Success,
            Outcome::Ended(_) => Ending::Failure,
            Outcome::Failed(ending) => ending,
        };
        let jitter = rand::rng().random::<f64>();
        match self.restarts.decide(ending, now(), jitter) {
            Decision::Over => false,
            Decision::NotAgain(reason) => {
                let event = TaskEvent::not_restarting(&reason);
                self.shared.record_and(&name, event, State::Dead);
                false
            }
            Decision::Again(delay, reason) => {
                let event = TaskEvent::restarting(delay, reason);
                self.shared.record_and(&name, event, State::Pending);
                tokio::select! {
                    () = tokio::time::sleep(nanos(delay)) => true,
                    () = self.is_killed() => false,
                }
            }
        }
    }

    async fn once(&mut self, found: Option<Process>) -> Outcome {
        let mut process = match found {
            Some(process) => process,
            None => match self.start().await {
                Ok(process) => process,
                Err(outcome) => return outcome,
            },
        };
        let environment = self.ready.environment(&self.shared, &self.task);
        loop {
            let request = tokio::select! {
                ended = process.ended() => {
                    self.terminated(ended);
                    return Outcome::Ended(ended);
                }
                () = is_killed(&mut self.kill, &self.shared) => {
                    self.delay().await;
                    let ended = self.end(&mut process).await;
                    self.terminated(ended);
                    return Outcome::Killed(true);
                }
                request = self.requests.recv() => request,
                changed = changed(&self.shared, &self.task, &environment, &mut self.ready) => {
                    let (change, why) = changed;
                    match change {
                        Change::Nothing => {}
                        Change::Signal(signal) => {
                            self.shared.record(&self.task.name, TaskEvent::signaling(&signal));
                            process.signal(&signal);
                        }
                        Change::Restart => return self.restart(&mut process, &why).await,
                    }
                    continue;
                }
            };
            match request {
                Some(Request::Signal(signal, done)) => {
                    self.shared.record(&self.task.name, TaskEvent::signaling(&signal));
                    process.signal(&signal);
                    let _ = done.send(());
                }
                Some(Request::Restart(done)) => {
                    let why = "User requested task to restart";
                    let outcome = self.restart(&mut process, why).await;
                    let _ = done.send(());
                    return outcome;
                }
                // Whoever could ask is gone, and with it whoever could wait for this.
                None => return Outcome::Killed(false),
            }
        }
    }

    async fn restart(&self, process: &mut Process, why: &str) -> Outcome {
        self.shared.record(&self.task.name, TaskEvent::restart_signaled(why));
        let ended = self.end(process).await;
        self.terminated(ended);
        Outcome::RestartAsked
    }

    async fn start(&mut self) -> Result<Process, Outcome> {
        let name = self.task.name.clone();
        let prepared = tokio::select! {
            biased;
            () = is_killed(&mut self.kill, &self.shared) => None,
            prepared = prepare(&self.shared, &self.task, &mut self.ready) => Some(prepared),
        };
        match prepared {
            Some(Ok(())) => {}
            None => {
                self.leave_templates().await;
                return Err(Outcome::Killed(false));
            }
            Some(Err(Stop::Failed(event, ending))) => {
                self.shared.record(&name, event);
                return Err(Outcome::Failed(ending));
            }
            Some(Err(Stop::Killed(event))) => {
                self.shared.record(&name, event);
                return Err(Outcome::Killed(false));
            }
        }
        let failed = |event| {
            self.shared.record(&name, event);
            Outcome::Failed(Ending::Unrecoverable)
        };
        let environment = self.ready.environment(&self.shared, &self.task);
        let command = Command::read(&self.task.config, &environment)
            .map_err(|why| failed(TaskEvent::invalid(&why)))?;
        let program = self.shared.program();
        let user = self.task.user.as_deref().filter(|user| !user.is_empty());
        let folder = &self.shared.folder;
        let process = Process::start(program, &name, &command, user, &environment, folder)
            .await
            .map_err(|why| failed(TaskEvent::driver_failure(&why)))?;
        self.shared.record_and(&name, TaskEvent::started(), State::Running);
        Ok(process)
    }

    /// A task that is ended while its templates wait for something is over more than 4 s later
    /// ([V]), though nothing of it runs: taken for its kill timeout.
    async fn leave_templates(&self) {
        if self.ready.renders {
            tokio::select! {
                () = tokio::time::sleep(nanos(self.task.kill_timeout())) => {}
                () = self.shared.is_left() => {}
            }
        }
    }

    /// The wait before a task that is to end hears of it.
    async fn delay(&self) {
        let Some(delay) = self.task.shutdown_delay.filter(|delay| *delay > 0) else { return };
        let without = *self.kill.borrow() == Kill::WithoutDelay;
        if without {
            self.shared.record(&self.task.name, TaskEvent::skipping_delay(delay));
            return;
        }
        self.shared.record(&self.task.name, TaskEvent::waiting_for_delay(delay));
        tokio::select! {
            () = tokio::time::sleep(nanos(delay)) => {}
            () = self.shared.is_left() => {}
        }
    }

    /// First its signal, later SIGKILL for it and all that it has started.
    async fn end(&self, process: &mut Process) -> Ended {
        process.signal(self.task.kill_signal.as_deref().unwrap_or_default());
        let timeout = nanos(self.task.kill_timeout());
        tokio::select! {
            ended = process.ended() => return ended,
            () = tokio::time::sleep(timeout) => {}
            () = self.shared.is_left() => {}
        }
        process.kill();
        process.ended().await
    }

    fn terminated(&self, ended: Ended) {
        self.shared.record(&self.task.name, TaskEvent::terminated(ended.code, ended.signal));
    }
}

/// Until a template or an identity of a running task is another one; and what to say of it.
async fn changed(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    ready: &mut Ready,
) -> (Change, String) {
    let Ready { templates, renewed, identities, vault, .. } = ready;
    let rendered = async {
        match templates.as_mut().filter(|made| made.changes) {
            Some(made) => rendering::changed(shared, task, environment, vault.as_ref(), made).await,
            None => std::future::pending().await,
        }
    };
    let signed = async {
        match renewed.as_mut() {
            Some(renewed) => renewed.recv().await,
            None => None,
        }
    };
    tokio::select! {
        change = rendered => (change, "Template with change_mode restart re-rendered".to_owned()),
        Some(one) = signed => {
            identities.extend(one.variables);
            (one.mode.into(), format!("Identity[{}]: new token acquired", one.name))
        }
        else => std::future::pending().await,
    }
}

async fn is_killed(kill: &mut watch::Receiver<Kill>, shared: &Shared) {
    tokio::select! {
        _ = kill.wait_for(|kill| *kill != Kill::No) => {}
        () = shared.is_left() => {}
    }
}

fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}
