//! How the commands find the running daemon and its token.

use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::SecretString;
use url::Url;

use super::{Failed, warn};
use crate::admin::{self, Client};
use crate::config::{AdminAlone, Environment, Listen, Source};
use crate::own_secrets;
use transport::is_loopback;

#[derive(clap::Args)]
pub struct Daemon {
    /// The daemon's admin address, such as http://127.0.0.1:9090 or unix:///run/roustabout/admin.sock;
    /// default: [admin] listen of the config.
    #[arg(long, env = "ROUSTABOUT_ADDR")]
    address: Option<String>,
    /// File with the admin token; default: the config's token, else the one that the daemon created.
    #[arg(long, env = "ROUSTABOUT_ADMIN_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Daemon {
    /// A client of its private door: by `--address`, else by the config.
    pub async fn client(&self, config: Option<PathBuf>) -> Result<Client, Failed> {
        let environment = Environment::of_process();
        let admin = match Source::read(config.as_deref(), &environment) {
            // Given by --token-file, it is not asked for elsewhere.
            Ok(source) if self.token_file.is_some() => source.load_admin(&environment),
            Ok(source) => own_secrets::load_admin(&source, &environment).await,
            Err(errors) => Err(errors),
        };
        match &self.address {
            Some(address) if address.starts_with("unix:") => {
                match address.strip_prefix("unix://") {
                    Some(path) if path.starts_with('/') => Ok(Client::through(Path::new(path))?),
                    _ => Err(Failed::Wrong(format!(
                        "--address {address}: not the absolute path of a socket; write it as unix:///PATH"
                    ))),
                }
            }
            Some(address) => {
                let url = if address.contains("://") {
                    address.to_owned()
                } else {
                    format!("http://{address}")
                };
                let url = Url::parse(&url).map_err(|error| {
                    Failed::Wrong(format!(
                        "--address {address}: {error}; write it as http://HOST:PORT"
                    ))
                })?;
                // With an address no config is needed; if there is one, it may have the token.
                let token = self.token(admin.as_ref().ok(), &url)?;
                if token.is_some() && url.scheme() == "http" && !is_loopback(&url) {
                    warn(&format!(
                        "the admin token is sent to {url} unencrypted; put a TLS proxy in front of the admin address (--address https://HOST), or use an SSH tunnel"
                    ));
                }
                Ok(Client::new(url, token)?)
            }
            None => {
                let alone = admin
                    .map_err(|errors| Failed::Wrong(errors.to_string().trim_end().to_owned()))?;
                let mut listen = match &alone.admin.listen {
                    Listen::Socket(path) => return Ok(Client::through(path)?),
                    Listen::Tcp(address) => *address,
                };
                if listen.ip().is_unspecified() {
                    listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                let url = Url::parse(&format!("http://{listen}"))
                    .context("[admin] listen is not a usable address")?;
                let token = self.token(Some(&alone), &url)?;
                Ok(Client::new(url, token)?)
            }
        }
    }
}

impl Daemon {
    /// For the door at `url`. The token of the daemon on this machine is not sent to another machine because
    /// of a wrong address.
    fn token(&self, alone: Option<&AdminAlone>, url: &Url) -> Result<Option<SecretString>, Failed> {
        if let Some(file) = &self.token_file {
            return Ok(Some(read_token(file)?));
        }
        let Some(alone) = alone else { return Ok(None) };
        let ours = is_loopback(url)
            || match &alone.admin.listen {
                Listen::Socket(_) => false,
                Listen::Tcp(listen) => {
                    let host = url.host_str().map(|host| host.trim_matches(['[', ']']).parse());
                    url.port_or_known_default() == Some(listen.port())
                        && host == Some(Ok(listen.ip()))
                }
            };
        match (&alone.admin.token, ours) {
            // Set explicitly, for whatever address.
            (Some(token), _) => Ok(Some(token.clone())),
            (None, true) => token_of(alone),
            (None, false) => Ok(None),
        }
    }
}

fn read_token(file: &Path) -> Result<SecretString, Failed> {
    admin::token::read(file).map_err(|error| unreadable(file, &error))
}

/// The token that the daemon created; none if it has never started.
fn token_of(alone: &AdminAlone) -> Result<Option<SecretString>, Failed> {
    match made_token(alone) {
        None => Ok(None),
        Some((_, Ok(token))) => Ok(Some(token)),
        Some((file, Err(error))) => Err(unreadable(&file, &error)),
    }
}

pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Failed {
    Failed::Because(anyhow::anyhow!(
        "cannot read the admin token in {}: {error}; run this as root or as the user of the daemon, \
         or give --token-file",
        file.display()
    ))
}

/// The file that the daemon created, and the token in it; `None` if there is none yet.
pub(super) fn made_token(alone: &AdminAlone) -> Option<(PathBuf, std::io::Result<SecretString>)> {
    let files = alone.databases.iter().map(|database| admin::token::beside(database));
    let read = files.map(|file| (admin::token::read(&file), file));
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let mut found = read.filter(|(token, _)| !token.as_ref().is_err_and(missing));
    found.next().map(|(token, file)| (file, token))
}
