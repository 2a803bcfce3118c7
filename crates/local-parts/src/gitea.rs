//! A real Gitea as a child process, for the demo and for the tests that need one.
//!
//! It listens on loopback only, keeps everything in one temporary folder, and has one
//! administrator, whose name, password and token are of this run alone. What people do at it
//! (repositories, pushes, a cancel) is in `person.rs`.

mod parts;
mod person;
mod settings;

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use url::Url;

use crate::account::{Account, AccountError};
use crate::programs::DEFAULT_PATH;
pub use parts::{Parts, find_parts};
pub use person::{Person, PersonError, Trouble};

/// How long it may take until it answers; it needs three to five seconds.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long it may take to end by itself before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(15);
/// Somebody else may take the port between our look and Gitea's bind.
const PORT_ATTEMPTS: u32 = 3;
/// Its administrator.
pub const OWNER: &str = "owner";

/// What can go wrong with a Gitea of ours.
#[derive(Debug, thiserror::Error)]
pub enum GiteaError {
    /// It cannot run under the account that it needs.
    #[error("cannot start a Gitea: {0}")]
    Account(#[from] AccountError),
    /// A file that it needs could not be made.
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// No free port.
    #[error("cannot find a free port on 127.0.0.1: {0}")]
    Port(io::Error),
    /// The program could not be started at all.
    #[error("cannot start {}: {source}; is it a Gitea for this machine?", binary.display())]
    Spawn { binary: PathBuf, source: io::Error },
    /// One of its own commands failed.
    #[error("gitea {command} failed ({status}); its last words:\n{tail}")]
    Command { command: String, status: ExitStatus, tail: String },
    /// It ended before it was ready.
    #[error("the Gitea ended ({status}) before it was ready; its last words:\n{tail}")]
    Ended { status: ExitStatus, tail: String },
    /// It runs but does not answer.
    #[error("the Gitea did not answer within {} s; its last words:\n{tail}", READY_WITHIN.as_secs())]
    NotReady { tail: String },
}

impl GiteaError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }
}

/// A running Gitea. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct Gitea {
    folder: PathBuf,
    account: Account,
    /// The binary as `account` can read it.
    binary: PathBuf,
    runner: PathBuf,
    port: u16,
    child: Option<Child>,
    password: SecretString,
    token: SecretString,
}

impl Gitea {
    /// Starts a fresh one and waits until it answers. A job whose runner is not heard of for
    /// `zombie_timeout` is failed, up to 5 s later.
    ///
    /// # Errors
    /// With the end of what Gitea wrote, where it came that far.
    pub async fn start(parts: &Parts, zombie_timeout: Duration) -> Result<Self, GiteaError> {
        let account = Account::never_root()?;
        let folder = account.make_folder(None)?;
        let mut gitea = Self {
            binary: PathBuf::new(),
            runner: PathBuf::new(),
            folder,
            account,
            port: free_port()?,
            child: None,
            password: String::new().into(),
            token: String::new().into(),
        };
        gitea.binary = gitea.account.make_readable(&parts.gitea(), &gitea.folder)?;
        gitea.runner = gitea.account.make_readable(&parts.runner(), &gitea.folder)?;
        let static_files = gitea.account.make_readable_all(&parts.static_files(), &gitea.folder)?;
        let mut attempt = 1;
        loop {
            let file = gitea.config();
            let text = settings::text(&gitea.folder, &static_files, gitea.port, zombie_timeout);
            fs::write(&file, text).map_err(GiteaError::file("write", &file))?;
            gitea.account.give(&file)?;
            if attempt == 1 {
                gitea.run(&["migrate"])?;
                gitea.make_owner()?;
            }
            match gitea.launch().await {
                Err(GiteaError::Ended { tail, .. })
                    if attempt < PORT_ATTEMPTS && tail.contains("address already in use") =>
                {
                    attempt += 1;
                    gitea.port = free_port()?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(gitea),
            }
        }
    }

    /// Its root, which runners are given; without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its API is: `api_url` of the config.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api/v1", self.url())
    }

    /// Its runner, where every account that may run tasks here can read it.
    #[must_use]
    pub fn runner_program(&self) -> &Path {
        &self.runner
    }

    /// The administrator's token, with every scope.
    #[must_use]
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// The administrator, at work.
    #[must_use]
    pub fn owner(&self) -> Person {
        let root = Url::parse(&self.url()).expect("a loopback address is a URL");
        Person::new(root, OWNER, self.password.clone(), self.token.clone())
    }

    /// Its process's id, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn last_words(&self) -> String {
        crate::tail(&self.folder.join("gitea.log"))
    }

    /// Kills it, as a power cut would. [`Gitea::restart`] follows.
    pub fn kill_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end, and waits until it has.
    pub async fn shut_down(&mut self) {
        let Some(pid) = self.process().and_then(|pid| i32::try_from(pid).ok()) else { return };
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + STOP_GRACE;
        while Instant::now() < deadline {
            if self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.kill_hard();
    }

    /// Starts it again on the same port and with what it knew, and waits until it answers.
    ///
    /// # Errors
    /// As [`Gitea::start`].
    pub async fn restart(&mut self) -> Result<(), GiteaError> {
        self.kill_hard();
        self.launch().await
    }

    fn config(&self) -> PathBuf {
        self.folder.join("app.ini")
    }

    /// Gitea makes up the password and the token, so they are nobody's arguments.
    fn make_owner(&mut self) -> Result<(), GiteaError> {
        let said = self.run(&[
            "admin",
            "user",
            "create",
            "--admin",
            "--username",
            OWNER,
            "--email",
            "owner@example.com",
            "--random-password",
            "--random-password-length",
            "24",
            "--must-change-password=false",
            "--access-token",
            "--access-token-name",
            "roustabout",
            "--access-token-scopes",
            "all",
        ])?;
        let after = |mark: &str| {
            let rest = said.split_once(mark).map_or("", |(_, rest)| rest);
            rest.lines().next().unwrap_or_default().trim_end_matches('\'').to_owned()
        };
        self.password = after("generated random password is '").into();
        self.token = after("Access token was successfully created... ").into();
        Ok(())
    }

    /// One of its commands to its end; what it wrote on stdout.
    fn run(&self, arguments: &[&str]) -> Result<String, GiteaError> {
        let mut command = self.command(arguments);
        let output = command.output().map_err(self.not_started())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let tail = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        Err(GiteaError::Command { command: arguments.join(" "), status: output.status, tail })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.account.command(&self.binary);
        command
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
            .env("HOME", &self.folder)
            .env("TMPDIR", self.folder.join("tmp"))
            .env("GITEA_WORK_DIR", &self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }

    fn not_started(&self) -> impl FnOnce(io::Error) -> GiteaError {
        |source| GiteaError::Spawn { binary: self.binary.clone(), source }
    }

    async fn launch(&mut self) -> Result<(), GiteaError> {
        let log = self.folder.join("gitea.log");
        let output = File::create(&log).map_err(GiteaError::file("write", &log))?;
        let errors = output.try_clone().map_err(GiteaError::file("write", &log))?;
        let mut command = self.command(&["web"]);
        // Out of the terminal's process group: Ctrl-C is for us, who then end it in order.
        command.stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().map_err(self.not_started())?;
        tracing::debug!(pid = child.id(), url = self.url(), "started a Gitea");
        self.child = Some(child);
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> Result<(), GiteaError> {
        // It is on loopback: a proxy would not find it.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5));
        let http = http.build().expect("a client without certificates and proxies of its own");
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                self.child = None;
                return Err(GiteaError::Ended { status, tail: self.last_words() });
            }
            let answer = http.get(format!("{}/version", self.api_url())).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(GiteaError::NotReady { tail: self.last_words() });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Gitea {
    fn drop(&mut self) {
        self.kill_hard();
        // A git that it had started may still write for a moment.
        let removed = (0..20).any(|attempt| {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            fs::remove_dir_all(&self.folder).is_ok()
        });
        if !removed {
            tracing::warn!(folder = %self.folder.display(), "cannot remove the folder of a Gitea");
        }
    }
}

fn free_port() -> Result<u16, GiteaError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(GiteaError::Port)?;
    Ok(listener.local_addr().map_err(GiteaError::Port)?.port())
}
