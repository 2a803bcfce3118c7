//! The built binary, running `serve` with a config of its own in a folder of its own. It can
//! be killed and started again on the same ports and store; dropping it kills it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{free_port, until};

pub const SECRET: &str = "It's a Secret to Everybody";
/// What the log says of each reload that worked.
pub const IN_EFFECT: &str = "the new config is in effect";
pub const GITHUB_TOKEN: &str = "ghp_daemon";

/// Starts the binary with nothing of this process's environment that it would read.
pub fn roustabout() -> Command {
    without_environment(env!("CARGO_BIN_EXE_roustabout"))
}

fn without_environment(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

pub struct Daemon {
    pub folder: tempfile::TempDir,
    pub door: u16,
    pub admin: u16,
    child: Option<Child>,
    starts: u32,
}

impl Daemon {
    /// Writes the config: doors, store and secrets are made here; `rest` is everything from
    /// `[github]` on, and may hold `[runners]` and more.
    pub fn prepare(rest: &str) -> Self {
        Self::prepare_with("", "", rest)
    }

    /// `webhook` is more keys of `[webhook]`, `top` keys before the first table.
    pub fn prepare_with(top: &str, webhook: &str, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (door, admin) = (free_port(), free_port());
        let config = format!(
            "{top}\n[log]\nformat = \"json\"\n\
             [webhook]\nlisten = \"127.0.0.1:{door}\"\nsecret = \"{SECRET}\"\n{webhook}\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n\
             [store]\nurl = \"sqlite://{}\"\n{rest}",
            folder.path().join("roustabout.db").display()
        );
        std::fs::write(folder.path().join("roustabout.toml"), config).unwrap();
        Self { folder, door, admin, child: None, starts: 0 }
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("roustabout.toml")
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("roustabout.db")
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhook", self.door)
    }

    /// Starts it and waits until its doors are open.
    pub async fn start(&mut self) {
        self.start_by(&[]).await;
    }

    /// The same, called by `wrapper`: a command that gets the daemon's as its last arguments
    /// and becomes it.
    pub async fn start_by(&mut self, wrapper: &[&str]) {
        self.start_with(wrapper, |_| {}).await;
    }

    /// The same, with whatever `change` gives it more: variables, other files to read from.
    pub async fn start_with(&mut self, wrapper: &[&str], change: impl FnOnce(&mut Command)) {
        self.start_wholly(wrapper, Path::new(env!("CARGO_BIN_EXE_roustabout")), change).await;
    }

    /// Another binary.
    pub async fn start_as(&mut self, wrapper: &[&str], binary: &Path) {
        self.start_wholly(wrapper, binary, |_| {}).await;
    }

    async fn start_wholly(
        &mut self,
        wrapper: &[&str],
        binary: &Path,
        change: impl FnOnce(&mut Command),
    ) {
        self.spawn(wrapper, binary, change);
        let url = format!("http://127.0.0.1:{}/healthz", self.admin);
        let answers = async || reqwest::get(&url).await.is_ok_and(|it| it.status().is_success());
        self.until_up(answers).await;
    }

    /// The same with its private door on this socket, as its config says.
    pub async fn start_at_socket(&mut self, socket: &Path) {
        self.spawn(&[], Path::new(env!("CARGO_BIN_EXE_roustabout")), |_| {});
        let client = reqwest::Client::builder().unix_socket(socket).build().unwrap();
        let answers = async || client.get("http://localhost/healthz").send().await.is_ok();
        self.until_up(answers).await;
    }

    fn spawn(&mut self, wrapper: &[&str], binary: &Path, change: impl FnOnce(&mut Command)) {
        assert!(self.child.is_none(), "it runs already");
        self.starts += 1;
        let log = File::create(self.log_file(self.starts)).unwrap();
        let mut command = match wrapper {
            [program, arguments @ ..] => {
                let mut command = without_environment(program);
                command.args(arguments).arg(binary);
                command
            }
            [] => without_environment(binary),
        };
        command.arg("serve").arg("--config").arg(self.config()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        change(&mut command);
        self.child = Some(command.spawn().unwrap());
    }

    async fn until_up(&mut self, answers: impl AsyncFn() -> bool) {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            if answers().await {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "not up:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`.
    pub fn kill_hard(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGABRT, which dumps the core of a program that lets it.
    pub fn abort(&mut self) -> std::process::ExitStatus {
        signal(self.process(), "ABRT");
        self.child.take().expect("it runs").wait().unwrap()
    }

    /// SIGTERM, and waits for its end; the exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        signal(self.process(), "TERM");
        self.ended().await
    }

    /// Waits for its end; the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let mut status = None;
        until("the daemon ends", Duration::from_secs(40), async || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code()
    }

    /// SIGHUP, and waits until the new config is in effect; panics where it does not.
    pub async fn reload(&self) {
        let before = self.count_of(IN_EFFECT);
        signal(self.process(), "HUP");
        until(IN_EFFECT, Duration::from_secs(30), async || self.count_of(IN_EFFECT) > before).await;
    }

    /// How often the log says so.
    pub fn count_of(&self, line: &str) -> usize {
        self.log().matches(line).count()
    }

    /// Writes another config.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let before = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), change(before)).unwrap();
    }

    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    fn log_file(&self, start: u32) -> PathBuf {
        self.folder.path().join(format!("log.{start}"))
    }

    /// Everything it has logged, over all starts.
    pub fn log(&self) -> String {
        (1..=self.starts)
            .map(|start| std::fs::read_to_string(self.log_file(start)).unwrap_or_default())
            .collect()
    }

    /// `GET` at the private door.
    pub async fn api(&self, path: &str) -> Value {
        self.at_private_door("GET", path).send().await.unwrap().json().await.unwrap()
    }

    /// A request to the private door, with the token that the daemon made.
    pub fn at_private_door(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://127.0.0.1:{}{path}", self.admin);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        match self.token() {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The one that the daemon made, if it did.
    pub fn token(&self) -> Option<String> {
        let token = std::fs::read_to_string(self.folder.path().join("admin-token")).ok()?;
        Some(token.trim().to_owned())
    }

    /// The job as the API shows it.
    pub async fn job(&self, id: u64) -> Value {
        self.api(&format!("/api/v1/jobs/{id}")).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
    }
}

pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status();
    assert!(sent.unwrap().success());
}

/// A file of this checkout.
pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
