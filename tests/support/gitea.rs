//! A real Gitea for a test, and runners of it that no daemon hired.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local_parts::gitea::{Gitea, Parts, Person, find_parts};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::until;

/// A job is failed when its runner was not heard of for so long; a living one reports every 5 s.
pub const ZOMBIE_TIMEOUT: Duration = Duration::from_secs(30);

/// What `scripts/get-gitea` built.
pub fn folder() -> std::path::PathBuf {
    parts().gitea().parent().unwrap().to_owned()
}

pub fn parts() -> Parts {
    find_parts(None, |name| std::env::var_os(name))
        .expect("whoever calls it has asked for the part")
}

pub async fn start() -> Gitea {
    // Only the first test of a process finds none installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Gitea::start(&parts(), ZOMBIE_TIMEOUT).await.unwrap()
}

/// A runner registered by hand. Dropping it kills its process, not its registration.
pub struct Runner {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Runner {
    /// Registers one at `place` (`repos/OWNER/NAME`, `orgs/NAME`), for one job. It takes none
    /// until [`Runner::work`].
    pub async fn register(
        gitea: &Gitea,
        person: &Person,
        place: &str,
        name: &str,
        labels: &[&str],
    ) -> Self {
        let token = person.registration_token(place).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let labels: Vec<String> = labels.iter().map(|label| format!("{label}:host")).collect();
        let mut register = command(folder.path());
        register.args(["register", "--no-interactive", "--ephemeral", "--instance", &gitea.url()]);
        register.args(["--token", token.expose_secret(), "--name", name]);
        register.args(["--labels", &labels.join(",")]);
        let output = register.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self { folder, child: None }
    }

    /// Takes a job, or waits for one.
    pub fn work(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut daemon = command(self.folder.path());
        daemon.arg("daemon").stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        self.child = Some(daemon.spawn().unwrap());
    }

    /// Waits until it has had its job; whether it ended well.
    pub async fn ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("it works");
        let mut status = None;
        until("the runner ends", Duration::from_secs(60), async || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().success()
    }

    pub fn kill_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.kill_hard();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(parts().runner());
    command.current_dir(folder).env_clear().env("HOME", folder);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A workflow of one job for each of `jobs` (`name`, the rest of the job in YAML), on a push.
pub fn workflow(jobs: &[(&str, &str)]) -> String {
    let mut text = "on: push\njobs:\n".to_owned();
    for (name, rest) in jobs {
        text += &format!("  {name}:\n    runs-on: [self-hosted, linux, x64]\n");
        for line in rest.lines() {
            text += &format!("    {line}\n");
        }
    }
    text
}

/// The steps of a job that runs one command.
pub fn runs(command: &str) -> String {
    format!("steps:\n  - run: {command}")
}

/// Waits until the repository has `count` jobs in `status`; all its jobs then.
pub async fn until_jobs(
    person: &Person,
    repository: &str,
    count: usize,
    status: &str,
    limit: Duration,
) -> Vec<Value> {
    let mut jobs = Vec::new();
    until(&format!("{count} jobs of {repository} are {status}"), limit, async || {
        jobs = person.jobs(repository).await.unwrap();
        jobs.iter().filter(|job| job["status"] == status).count() >= count
    })
    .await;
    jobs
}
