//! What `--keep` leaves running: where to look at it, and how to send to it.

use std::path::Path;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::stage::Stage;

#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    pub door: String,
    pub admin: String,
    pub forge: String,
    pub nomad: String,
    /// The real Nomad has a web page.
    pub nomad_has_pages: bool,
    pub job: u64,
    /// A payload of a queued job, and the door's secret.
    pub payload: String,
    pub secret_file: String,
    /// Commands, ready to be pasted.
    pub send: String,
    pub ask: Vec<String>,
}

impl Kept {
    /// Queues the job that is to be sent, and writes its payload and the secret into the folder.
    pub fn prepare(stage: &Stage, secret: &SecretString) -> anyhow::Result<Self> {
        let daemon = stage.daemon()?;
        let folder = stage.folder()?.path();
        let payload = folder.join("job.json");
        let secret_file = folder.join("webhook-secret");
        let (job, text) = stage.forge()?.queue_unheard()?;
        write(&payload, &text)?;
        write(&secret_file, secret.expose_secret())?;
        let nomad = stage.nomad()?.address.as_str().trim_end_matches('/').to_owned();
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let program = quoted(&program.display().to_string());
        let (payload, secret_file) =
            (payload.display().to_string(), secret_file.display().to_string());
        let admin = format!("http://{}", daemon.admin);
        let send = format!(
            "{program} send {} --url {} --secret-file {}",
            quoted(&payload),
            daemon.door,
            quoted(&secret_file)
        );
        let ask = vec![
            format!("{program} explain {job} --address {admin}"),
            format!("{program} status --watch --address {admin}"),
        ];
        Ok(Self {
            door: daemon.door.clone(),
            admin,
            forge: stage.forge()?.url(),
            nomad,
            nomad_has_pages: stage.stand_in.is_none(),
            job,
            payload,
            secret_file,
            send,
            ask,
        })
    }

    pub fn addresses(&self) -> Vec<(&'static str, String)> {
        let pages = if self.nomad_has_pages { "/ui" } else { "/v1/jobs" };
        vec![
            ("door", self.door.clone()),
            ("private door", format!("{}/api/v1/status", self.admin)),
            ("forge", self.forge.clone()),
            ("Nomad", format!("{}{pages}", self.nomad)),
        ]
    }
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
