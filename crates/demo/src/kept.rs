//! What `--keep` leaves running: where to look at it, and how to send to it or push to its forge.

use std::path::{Path, PathBuf};

use anyhow::Context;
use local_parts::programs::{is_program, on_path};
use roustabout::admin;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::forge::Forge;
use crate::stage::Stage;

/// The daemon's, which has the commands that are shown.
const PROGRAM: &str = "roustabout";

#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    pub door: String,
    pub admin: String,
    pub forge: String,
    /// Of the forge's web page, where it has one: who, and the file with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<(String, String)>,
    pub nomad: String,
    /// The real Nomad has a web page.
    pub nomad_has_pages: bool,
    /// What the private door asks for.
    pub token_file: String,
    /// The daemon's program is there, for the commands below.
    pub has_program: bool,
    pub job: u64,
    pub secret_file: String,
    #[serde(flatten)]
    pub more: More,
    /// Commands, ready to be pasted.
    pub ask: Vec<String>,
}

/// How there is more to do for the daemon: a command, ready to be pasted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum More {
    /// Delivers the payload of a queued job of which no webhook has told.
    Send(String),
    /// Pushes, so that the repository's workflow runs once more.
    Push(String),
}

impl Kept {
    pub fn prepare(stage: &Stage, secret: &SecretString) -> anyhow::Result<Self> {
        let daemon = stage.daemon()?;
        let folder = stage.folder()?.path();
        let secret_file = folder.join("webhook-secret");
        write(&secret_file, secret.expose_secret())?;
        let told = &stage.nomad()?.told;
        let found = daemons_program();
        let has_program = found.is_some();
        let program = found.unwrap_or_else(|| PROGRAM.into());
        let program = quoted(&program.display().to_string());
        let secret_file = secret_file.display().to_string();
        let admin = format!("http://{}", daemon.admin);
        let mut login = None;
        let (job, more) = match stage.forge()? {
            Forge::Simulated(github) => {
                let payload = folder.join("job.json");
                let (job, text) = github.queue_unheard();
                write(&payload, &text)?;
                let send = format!(
                    "{program} send {} --url {} --secret-file {}",
                    quoted(&payload.display().to_string()),
                    daemon.door,
                    quoted(&secret_file)
                );
                (job, More::Send(send))
            }
            Forge::Gitea(gitea) => {
                let clone = folder.join("clone");
                gitea.check_out(&clone)?;
                let (name, password) = gitea.login();
                let file = folder.join("password");
                write(&file, password.expose_secret())?;
                login = Some((name.to_owned(), file.display().to_string()));
                let git = format!("git -C {}", quoted(&clone.display().to_string()));
                let push = format!("{git} commit -q --allow-empty -m Again && {git} push -q");
                (gitea.last_job().context("no job was queued")?, More::Push(push))
            }
        };
        let token_file = admin::token::beside(&folder.join("roustabout.db"));
        let token_file = token_file.display().to_string();
        let door = format!("--address {admin} --token-file {}", quoted(&token_file));
        let ask = vec![
            format!("{program} explain {job} {door}"),
            format!("{program} status --watch {door}"),
        ];
        Ok(Self {
            door: daemon.door.clone(),
            admin,
            forge: stage.forge()?.url(),
            login,
            nomad: told.address.clone(),
            nomad_has_pages: told.real != Some(false),
            token_file,
            has_program,
            job,
            secret_file,
            more,
            ask,
        })
    }

    pub fn addresses(&self) -> Vec<(&'static str, String)> {
        let pages = if self.nomad_has_pages { "/ui" } else { "/v1/jobs" };
        let login = self.login.as_ref();
        let login = login.map_or_else(String::new, |(name, file)| {
            format!(" (sign in as {name}, with the password in {file})")
        });
        vec![
            ("door", self.door.clone()),
            (
                "private door",
                format!("{} (it asks for the token in {})", self.admin, self.token_file),
            ),
            ("forge", self.forge.clone() + &login),
            ("Nomad", format!("{}{pages}", self.nomad)),
        ]
    }
}

/// Beside this program, or on `PATH`.
fn daemons_program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().map(|this| this.with_file_name(PROGRAM));
    beside.filter(|file| is_program(file)).or_else(|| on_path(PROGRAM, std::env::var_os("PATH")))
}

/// For the owner alone: one of them is the secret.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    let open = options.write(true).create_new(true).mode(0o600).open(file);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// For a shell, where it needs that.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=+,@".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("/tmp/a-1/job.json"), "/tmp/a-1/job.json");
        assert_eq!(quoted("/tmp/a b"), "'/tmp/a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
