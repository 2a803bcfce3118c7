//! The client's side of the stand-in: runs the tasks of an allocation as local processes, as
//! `raw_exec` does, and tells the model how they ended. The model decides when.
//!
//! Read next: `process.rs` (one process), `supervise.rs` (what no process outlives), `folder.rs`.

mod api_socket;
mod artifact;
mod environment;
mod folder;
mod identities;
mod process;
mod record;
pub mod supervise;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::http::Server;
use super::identity::Workload;
use super::jobspec::{Plan, Task};
use super::model::Started;
use super::template::render;
use api_socket::ApiSocket;
use environment::Environment;
use folder::Folder;
use identities::Identities;
use process::Process;
pub use record::{TaskRecord, TaskState};

/// What the model wants of an allocation's processes; it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    #[default]
    Run,
    /// End, with time to do so.
    End,
    /// Now. What comes after the tasks still runs.
    Kill,
    /// Now, and nothing comes after.
    Leave,
}

/// Where and with what an allocation's processes run.
#[derive(Clone, Debug)]
pub struct Workplace {
    /// Has one folder for each allocation.
    pub root: PathBuf,
    /// This program, which supervises each of them: see `supervise.rs`.
    pub program: PathBuf,
}

/// Runs an allocation to its end.
pub(super) async fn run(
    server: Server,
    workplace: Workplace,
    started: Started,
    plan: Arc<Plan>,
    orders: watch::Receiver<Order>,
) {
    let allocation = started.allocation.clone();
    let folder = Folder::new(&workplace.root, &allocation);
    for task in plan.tasks() {
        server.record(&allocation, &task.name, TaskRecord::received());
    }
    let over = CancellationToken::new();
    let _at_the_end = over.clone().drop_guard();
    let program = workplace.program;
    let run = Run { server: &server, program, started, plan, folder, orders, over };
    let exit_code = run.before_and_main().await;
    server.with(|nomad, now| nomad.task_exited(&allocation, exit_code, now));
    run.after().await;
    server.with(|nomad, now| nomad.poststop_ended(&allocation, now));
    server.is_over(&allocation);
}

struct Run<'a> {
    server: &'a Server,
    program: PathBuf,
    started: Started,
    plan: Arc<Plan>,
    folder: Folder,
    orders: watch::Receiver<Order>,
    /// Of the allocation.
    over: CancellationToken,
}

impl Run<'_> {
    async fn before_and_main(&self) -> i32 {
        for task in self.plan.prestart.iter().chain([&self.plan.main]) {
            if *self.orders.borrow() > Order::Run {
                return 130;
            }
            let exit_code = self.task(task, false).await;
            if exit_code != 0 {
                return exit_code;
            }
        }
        0
    }

    async fn after(&self) {
        if let Some(task) = &self.plan.poststop
            && *self.orders.borrow() < Order::Leave
        {
            self.task(task, true).await;
        }
    }

    /// One task to its end; its exit code, 1 where it could not be started.
    async fn task(&self, task: &Task, after: bool) -> i32 {
        let record = |what: TaskRecord| {
            self.server.record(&self.started.allocation, &task.name, what);
        };
        let mut environment = Environment::of(&self.started, &self.plan.group, task, &self.folder);
        let _socket = match self.introduce(task, &mut environment) {
            Ok(socket) => socket,
            Err(why) => {
                record(TaskRecord::failed("Setup Failure", why));
                return 1;
            }
        };
        if let Err(why) = self.prepare(task, &environment).await {
            record(TaskRecord::failed("Failed Artifact Download", why));
            return 1;
        }
        let process = Process::start(&self.program, task, &environment, &self.folder);
        let mut process = match process {
            Ok(process) => process,
            Err(error) => {
                let why = format!("failed to launch command with executor: {error}");
                record(TaskRecord::failed("Driver Failure", why));
                return 1;
            }
        };
        record(TaskRecord::started());
        let mut orders = self.orders.clone();
        // What comes after the others is not ended with them, only with everything.
        let heard = |order: Order| if after && order < Order::Leave { Order::Run } else { order };
        let mut done = Order::Run;
        let exit_code = loop {
            let order = heard(*orders.borrow_and_update());
            if order > done {
                done = order;
                if order == Order::End {
                    record(TaskRecord::killing());
                    process.signal(task.kill_signal.as_deref().unwrap_or_default());
                } else {
                    process.kill();
                }
            }
            tokio::select! {
                code = process.ended() => break code,
                changed = orders.changed() => if changed.is_err() {
                    process.kill();
                    break process.ended().await;
                },
            }
        };
        record(TaskRecord::terminated(exit_code, done > Order::Run));
        exit_code
    }

    /// Gives the task its identities, and the socket where it may use them.
    fn introduce(&self, task: &Task, environment: &mut Environment) -> Result<ApiSocket, String> {
        let folder = &self.folder;
        folder.make(&task.name).map_err(|error| format!("cannot make its folder: {error}"))?;
        let workload = Workload {
            region: "global".to_owned(),
            namespace: self.started.child.namespace.clone(),
            job: self.server.with(|nomad, _| nomad.claimed_job(&self.started.child)),
            group: self.plan.group.clone(),
            task: task.name.clone(),
            allocation: self.started.allocation.clone(),
        };
        let identities = Identities::new(self.server, folder, workload, task.identities())?;
        environment.add(identities.variables());
        // Whoever wants a signal or a restart at each new one is told so in time by its task.
        let renewing = self.over.clone().run_until_cancelled_owned(identities.renew(|_| ()));
        tokio::spawn(renewing);
        ApiSocket::open(self.server, &folder.secrets(&task.name), task.runs_as_the_agent())
            .map_err(|error| format!("cannot open its API socket: {error}"))
    }

    /// Everything that is there before the process is.
    async fn prepare(&self, task: &Task, environment: &Environment) -> Result<(), String> {
        let folder = &self.folder;
        if let Some(payload) = &task.dispatch_payload {
            let file = folder.inside(&folder.local(&task.name), &payload.file)?;
            let content = self.started.payload.clone().unwrap_or_default();
            folder::write(&file, &content).map_err(|error| error.to_string())?;
        }
        for one in task.artifacts.iter().flatten() {
            let source = &one.getter_source;
            let bytes = artifact::fetch(one)
                .await
                .map_err(|why| format!("failed to download artifact {source:?}: {why}"))?;
            let to = one.relative_dest.as_deref().unwrap_or("local/artifact");
            let file = folder.inside(&folder.task(&task.name), to)?;
            folder::write(&file, &bytes).map_err(|error| error.to_string())?;
        }
        for template in task.templates.iter().flatten() {
            let text = render(template.text(), environment.variables())?;
            let file = folder.inside(&folder.task(&task.name), &template.dest_path)?;
            folder::write_program(&file, text.as_bytes()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
