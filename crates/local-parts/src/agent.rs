//! A Nomad agent as a child process, for the demo and for the tests that need one: a real one, or
//! the stand-in that is built into `roustabout-demo`, started by the same command line.
//!
//! It listens on loopback only, keeps everything in one folder, and takes its tasks with it when
//! it ends: `raw_exec` without cgroups would leave them behind.

mod config;
mod leftovers;
mod processes;
mod program;
mod ready;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use url::Url;

use crate::account::{Account, AccountError};
use crate::programs::DEFAULT_PATH;
use crate::tail;
use config::Ports;
use processes::Process;
pub use program::{COMMAND, Program};

/// How long an agent may take until it can run tasks; it needs about two seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to end by itself before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Somebody else may take a port between our look and the agent's bind.
const PORT_ATTEMPTS: u32 = 3;
/// How often a program that is still open for writing is tried, 50 ms apart.
const BUSY_TRIES: u32 = 40;

/// What can go wrong with an agent of ours.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file or folder that the agent needs could not be made.
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// It cannot run under the account that it needs.
    #[error("cannot start a Nomad agent: {0}")]
    Account(#[from] AccountError),
    /// No free port.
    #[error("cannot find a free port on 127.0.0.1: {0}")]
    Ports(io::Error),
    /// The program could not be started at all.
    #[error("cannot start {}: {source}; is it a Nomad for this machine?", binary.display())]
    Spawn { binary: PathBuf, source: io::Error },
    /// It ended before it was ready.
    #[error("the Nomad agent ended ({status}) before it was ready; its last words:\n{tail}")]
    Ended { status: ExitStatus, tail: String },
    /// It runs but cannot run tasks.
    #[error(
        "the Nomad agent was not ready within {} s: {missing}; its last words:\n{tail}",
        READY_WITHIN.as_secs()
    )]
    NotReady { missing: String, tail: String },
    /// The first ACL token could not be had.
    #[error("the Nomad agent refused to bootstrap its ACLs ({0}); is its data folder an old one?")]
    Bootstrap(String),
}

impl AgentError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }
}

/// How an agent is to be started. [`AgentOptions::new`] has defaults for everything but the program.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// What is started; [`find_binary`] looks for a real Nomad.
    pub program: Program,
    /// Where it keeps everything. None: a temporary folder, removed at the end.
    pub data_dir: Option<PathBuf>,
    /// Turns ACLs on; [`Agent::token`] is then the first management token.
    pub acl: bool,
    /// The MHz it claims to have. More than the machine has: only bookkeeping depends on it.
    pub total_cpu: u32,
    /// The MB of memory it claims to have, likewise.
    pub total_memory: u32,
    /// More of Nomad's own agent configuration, in its JSON form. It wins over ours.
    pub extra_config: Option<serde_json::Value>,
    /// TLS on its HTTP API; without it, plain HTTP.
    pub tls: Option<Tls>,
    /// Keeps its state on disk, so that it can be killed and restarted, instead of `-dev`.
    pub persistent: bool,
}

impl AgentOptions {
    /// Room for more than twenty small runners, no ACLs, nothing kept.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            data_dir: None,
            acl: false,
            total_cpu: 64_000,
            total_memory: 131_072,
            extra_config: None,
            tls: None,
            persistent: false,
        }
    }
}

/// PEM files, as `nomad tls ca create` and `nomad tls cert create -server` make them.
#[derive(Debug, Clone)]
pub struct Tls {
    pub ca_cert: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Takes only clients with a certificate of the same authority.
    pub verify_clients: bool,
}

/// A running agent. Dropping it ends it and its tasks; [`Agent::stop`] does so more gently.
#[derive(Debug)]
pub struct Agent {
    options: AgentOptions,
    folder: PathBuf,
    account: Account,
    /// The program as `account` can read it.
    program: Program,
    ports: Ports,
    child: Option<Child>,
    token: Option<SecretString>,
    /// Seen below an agent that is no more.
    orphans: BTreeSet<Process>,
}

impl Agent {
    /// Starts an agent and waits until it can run `raw_exec` tasks.
    pub async fn start(options: AgentOptions) -> Result<Self, AgentError> {
        let account = match options.program {
            Program::Nomad(_) => Account::for_nomad()?,
            // It mounts nothing and makes no cgroups.
            Program::StandIn(_) => Account::Own,
        };
        let folder = account.make_folder(options.data_dir.as_deref())?;
        let mut agent = Self {
            program: options.program.clone(),
            options,
            folder,
            account,
            ports: Ports::free().map_err(AgentError::Ports)?,
            child: None,
            token: None,
            orphans: BTreeSet::new(),
        };
        let readable = agent.account.make_readable(agent.program.file(), &agent.folder)?;
        agent.program = agent.program.at(readable);
        let mut attempt = 1;
        loop {
            match agent.launch().await {
                Err(AgentError::Ended { tail, .. })
                    if attempt < PORT_ATTEMPTS && tail.contains("address already in use") =>
                {
                    attempt += 1;
                    agent.ports = Ports::free().map_err(AgentError::Ports)?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(agent),
            }
        }
    }

    /// Where its HTTP API is.
    #[must_use]
    pub fn address(&self) -> Url {
        self.ports.address(if self.options.tls.is_some() { "https" } else { "http" })
    }

    /// As it was started.
    #[must_use]
    pub fn options(&self) -> &AgentOptions {
        &self.options
    }

    /// The management token, where ACLs are on.
    #[must_use]
    pub fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// Its folder: Nomad's data, `agent.log` and the configuration it runs with.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many processes run below it: those of its tasks, and what it runs them with.
    #[must_use]
    pub fn processes(&self) -> usize {
        processes::of(self.child.as_ref().map(Child::id), &self.folder).len()
    }

    /// Ends it and every task that it left, and removes its folder if that was a temporary one.
    pub async fn stop(mut self) {
        // Interrupted, an agent in dev mode ends its tasks itself, their poststop tasks included.
        if let Some(pid) = self.child.as_ref().map(Child::id) {
            self.orphans.extend(processes::of(Some(pid), &self.folder));
            processes::signal("INT", [pid]);
            let deadline = Instant::now() + STOP_GRACE;
            while Instant::now() < deadline && !self.reap() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        // The rest, what must happen in any case, is in Drop; it may block for a moment.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Kills the agent alone, as a power cut would; its tasks live on. [`Agent::restart`] follows.
    pub fn kill_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            self.orphans.extend(processes::of(Some(child.id()), &self.folder));
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same ports and the same folder, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<(), AgentError> {
        self.kill_hard();
        self.launch().await
    }

    async fn launch(&mut self) -> Result<(), AgentError> {
        let configs = config::write(&self.folder, &self.options, &self.account, &self.ports)?;
        let log = self.folder.join("agent.log");
        let output = File::create(&log).map_err(AgentError::file("write", &log))?;
        let errors = output.try_clone().map_err(AgentError::file("write", &log))?;
        let mut command = self.account.command(self.program.file());
        command.args(self.program.leading_arguments()).arg("agent");
        if !self.options.persistent {
            command.arg("-dev");
            // Its tokens are gone with the agent before it.
            self.token = None;
        }
        for config in &configs {
            command.arg("-config").arg(config);
        }
        // A clean environment: raw_exec tasks inherit it, and some variables (AWS_CA_BUNDLE) keep
        // Nomad from starting. The folder as HOME is also how its processes are told from others.
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
            .env("HOME", &self.folder)
            .env("TMPDIR", self.folder.join("tmp"))
            .current_dir(&self.folder)
            // Open as long as we live: the stand-in ends when it is closed.
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            // Out of the terminal's process group: Ctrl-C is for us, who then end it in order.
            .process_group(0);
        let mut tries = BUSY_TRIES;
        let child = loop {
            match command.spawn() {
                Ok(child) => break child,
                // A copy of the program is open for writing for a moment in whatever this process was
                // starting elsewhere while it was copied.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries > 0 => {
                    tries -= 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(source) => {
                    let binary = self.program.file().to_owned();
                    return Err(AgentError::Spawn { binary, source });
                }
            }
        };
        tracing::debug!(pid = child.id(), address = %self.address(), "started a Nomad agent");
        self.child = Some(child);
        self.wait_until_ready(&log).await
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<(), AgentError> {
        let probe = ready::Probe::new(self.address(), self.options.tls.as_ref())?;
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let child = self.child.as_mut().map(Child::try_wait);
            if let Some(Ok(Some(status))) = child {
                self.child = None;
                return Err(AgentError::Ended { status, tail: tail(log) });
            }
            let missing = match probe.leader().await {
                Err(missing) => missing,
                Ok(()) => {
                    if self.options.acl && self.token.is_none() {
                        let token = probe.bootstrap().await.map_err(AgentError::Bootstrap)?;
                        self.token = Some(token);
                    }
                    match probe.node(self.token.as_ref()).await {
                        Err(missing) => missing,
                        Ok(()) => return Ok(()),
                    }
                }
            };
            if Instant::now() > deadline {
                return Err(AgentError::NotReady { missing, tail: tail(log) });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// True once the agent has ended.
    fn reap(&mut self) -> bool {
        if self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
            self.child = None;
        }
        self.child.is_none()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill_hard();
        processes::end(std::mem::take(&mut self.orphans), &self.folder);
        leftovers::remove(&self.folder);
        if self.options.data_dir.is_none()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot remove the folder of a Nomad agent");
        }
    }
}
