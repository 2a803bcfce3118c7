//! A real OpenBao as a child process, for the tests that need a Vault. It listens on loopback only, keeps
//! everything in one temporary folder, encrypted on disk as in life, and is initialized and unsealed by us.
//! What people do at it (mounts, policies, roles, entries) is done with its root token by [`OpenBao::ask`].

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::programs::{DEFAULT_PATH, is_program, on_path};
use crate::random;

/// How long it may take until it answers; it needs less than a second.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Somebody else may take the port between our look and its bind.
const PORT_ATTEMPTS: u32 = 3;

/// What can go wrong with an OpenBao of ours.
#[derive(Debug, thiserror::Error)]
pub enum BaoError {
    /// A file that it needs could not be made.
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// No free port.
    #[error("cannot find a free port on 127.0.0.1: {0}")]
    Port(io::Error),
    /// The program could not be started at all.
    #[error("cannot start {}: {source}; is it an OpenBao for this machine?", binary.display())]
    Spawn { binary: PathBuf, source: io::Error },
    /// It ended before it was ready.
    #[error("the OpenBao ended ({status}) before it was ready; its last words:\n{tail}")]
    Ended { status: ExitStatus, tail: String },
    /// It runs but does not answer.
    #[error("the OpenBao did not answer within {} s; its last words:\n{tail}", READY_WITHIN.as_secs())]
    NotReady { tail: String },
    /// It refused something.
    #[error("{method} {path}: {status} {body}")]
    Refused { method: String, path: String, status: u16, body: String },
    /// It did not answer.
    #[error("{method} {path}: {source}")]
    Unanswered { method: String, path: String, source: reqwest::Error },
}

/// Looks for the program: `BAO_BIN`, then `PATH`, then the newest that `scripts/get-openbao` has unpacked.
/// `env` is the environment (`|name| std::env::var_os(name)`). A path that was said and is no program is not
/// replaced by another: the answer is then None.
pub fn find_bao(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(said) = env("BAO_BIN").map(PathBuf::from) {
        return is_program(&said).then_some(said);
    }
    if let Some(found) = on_path("bao", env("PATH")) {
        return Some(found);
    }
    let parts = env("ROUSTABOUT_PARTS").map(PathBuf::from).or_else(|| {
        let cache = env("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env("HOME")?).join(".cache")))?;
        Some(cache.join("roustabout"))
    })?;
    let unpacked = fs::read_dir(parts.join("openbao")).ok()?.flatten();
    let unpacked = unpacked.map(|entry| entry.path().join("bao")).filter(|file| is_program(file));
    unpacked.max_by_key(|file| {
        let made = fs::metadata(file).and_then(|meta| meta.modified());
        made.unwrap_or(SystemTime::UNIX_EPOCH)
    })
}

/// PEM files for TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    pub ca_cert: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A running OpenBao. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct OpenBao {
    folder: PathBuf,
    binary: PathBuf,
    port: u16,
    /// Of its only member of the raft cluster.
    cluster_port: u16,
    tls: Option<Tls>,
    child: Option<Child>,
    root_token: SecretString,
    unseal_key: SecretString,
    http: reqwest::Client,
}

impl OpenBao {
    /// Starts a fresh one, unsealed, with nothing mounted.
    ///
    /// # Errors
    /// With the end of what it wrote, where it came that far.
    pub async fn start(binary: &Path, tls: Option<Tls>) -> Result<Self, BaoError> {
        let name = format!("roustabout-openbao-{}", hex::encode(random::<8>()));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).map_err(file("make", &folder))?;
        let mut bao = Self {
            binary: binary.to_owned(),
            port: 0,
            cluster_port: 0,
            http: client(tls.as_ref())?,
            tls,
            child: None,
            root_token: String::new().into(),
            unseal_key: String::new().into(),
            folder,
        };
        let mut attempt = 1;
        loop {
            (bao.port, bao.cluster_port) = free_ports()?;
            match bao.launch().await {
                Err(BaoError::Ended { tail, .. })
                    if attempt < PORT_ATTEMPTS && tail.contains("address already in use") =>
                {
                    attempt += 1;
                }
                started => break started?,
            }
        }
        let keys = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = bao.ask("PUT", "sys/init", Some(&keys)).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        bao.root_token = text(&made["root_token"]).into();
        bao.unseal_key = text(&made["keys"][0]).into();
        bao.unseal().await?;
        Ok(bao)
    }

    /// Where its API is, without `/v1`.
    #[must_use]
    pub fn address(&self) -> Url {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", self.port);
        url.parse().expect("a loopback address is a URL")
    }

    /// It may do everything.
    #[must_use]
    pub fn root_token(&self) -> &SecretString {
        &self.root_token
    }

    /// A request with the root token, to a path below `/v1`; the JSON of the answer, if it has one.
    ///
    /// # Errors
    /// Where the answer is no success.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, BaoError> {
        let url = format!("{}v1/{path}", self.address());
        let told = || (method.to_owned(), path.to_owned());
        let unanswered = |source| {
            let (method, path) = told();
            BaoError::Unanswered { method, path, source }
        };
        let kind = method.parse().unwrap_or(reqwest::Method::GET);
        let mut request = self.http.request(kind, url);
        if !self.root_token.expose_secret().is_empty() {
            request = request.header("X-Vault-Token", self.root_token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(unanswered)?;
        let status = answer.status();
        let body = answer.text().await.map_err(unanswered)?;
        if !status.is_success() {
            let (method, path) = told();
            return Err(BaoError::Refused { method, path, status: status.as_u16(), body });
        }
        Ok(serde_json::from_str(&body).unwrap_or_default())
    }

    /// As after a restart by somebody else: it answers 503 until it is unsealed.
    ///
    /// # Errors
    /// Where it refuses.
    pub async fn seal(&self) -> Result<(), BaoError> {
        self.ask("PUT", "sys/seal", None).await.map(drop)
    }

    /// # Errors
    /// Where it refuses.
    pub async fn unseal(&self) -> Result<(), BaoError> {
        let key = json!({ "key": self.unseal_key.expose_secret() });
        self.ask("PUT", "sys/unseal", Some(&key)).await?;
        let deadline = Instant::now() + READY_WITHIN;
        // Unsealed, it becomes active after a moment.
        while self.ask("GET", "sys/health", None).await.is_err() {
            if Instant::now() > deadline {
                return Err(BaoError::NotReady { tail: self.last_words() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Kills it, as a power cut would. [`OpenBao::restart`] follows.
    pub fn kill_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port and with what it knew, unsealed.
    ///
    /// # Errors
    /// As [`OpenBao::start`].
    pub async fn restart(&mut self) -> Result<(), BaoError> {
        self.kill_hard();
        self.launch().await?;
        self.unseal().await
    }

    /// All that it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("bao.log")).unwrap_or_default()
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn last_words(&self) -> String {
        crate::tail(&self.folder.join("bao.log"))
    }

    /// What it notes of every request and answer.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    fn config(&self) -> Value {
        let mut listener = json!({
            "address": format!("127.0.0.1:{}", self.port),
            "cluster_address": format!("127.0.0.1:{}", self.cluster_port),
        });
        match &self.tls {
            Some(tls) => {
                listener["tls_cert_file"] = json!(tls.cert);
                listener["tls_key_file"] = json!(tls.key);
            }
            None => listener["tls_disable"] = json!(true),
        }
        json!({
            "storage": { "raft": { "path": self.folder.join("data"), "node_id": "one" } },
            "cluster_addr": format!("http://127.0.0.1:{}", self.cluster_port),
            "listener": [{ "tcp": listener }],
            "api_addr": self.address().as_str(),
            "audit": [{
                "type": "file", "path": "file", "options": { "file_path": self.audit_log() },
            }],
        })
    }

    async fn launch(&mut self) -> Result<(), BaoError> {
        let data = self.folder.join("data");
        fs::create_dir_all(&data).map_err(file("create", &data))?;
        let config = self.folder.join("bao.json");
        fs::write(&config, self.config().to_string()).map_err(file("write", &config))?;
        let log = self.folder.join("bao.log");
        let output = File::create(&log).map_err(file("write", &log))?;
        let errors = output.try_clone().map_err(file("write", &log))?;
        let mut command = Command::new(&self.binary);
        command
            .arg("server")
            .arg("-config")
            .arg(&config)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
            .env("HOME", &self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Out of the terminal's process group: Ctrl-C is for us, who then end it.
            .process_group(0);
        let binary = self.binary.clone();
        let child = command.spawn().map_err(|source| BaoError::Spawn { binary, source })?;
        tracing::debug!(pid = child.id(), address = %self.address(), "started an OpenBao");
        self.child = Some(child);
        self.wait_until_it_answers().await
    }

    async fn wait_until_it_answers(&mut self) -> Result<(), BaoError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                self.child = None;
                return Err(BaoError::Ended { status, tail: self.last_words() });
            }
            if self.ask("GET", "sys/seal-status", None).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(BaoError::NotReady { tail: self.last_words() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.kill_hard();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot remove the folder of an OpenBao");
        }
    }
}

fn client(tls: Option<&Tls>) -> Result<reqwest::Client, BaoError> {
    // It is on loopback: a proxy would not find it.
    let mut builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    if let Some(tls) = tls {
        let pem = fs::read(&tls.ca_cert).map_err(file("read", &tls.ca_cert))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        builder = builder.tls_certs_only(certificates);
    }
    Ok(builder.build().expect("a client without proxies of its own"))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BaoError {
    move |source| BaoError::File { action, path: path.to_owned(), source }
}

/// Held together, so that they differ.
fn free_ports() -> Result<(u16, u16), BaoError> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(BaoError::Port);
    let port = |listener: &TcpListener| Ok(listener.local_addr().map_err(BaoError::Port)?.port());
    let (one, other) = (bind()?, bind()?);
    Ok((port(&one)?, port(&other)?))
}
