//! Where the commands find the running daemon that they ask.

use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::SecretString;
use url::Url;

use super::Failed;
use crate::admin::{self, Client};
use crate::config::AdminAlone;

#[derive(clap::Args)]
pub struct Daemon {
    /// The private door, such as http://127.0.0.1:9090; else the config's [admin] listen.
    #[arg(long, env = "ROUSTABOUT_ADDR")]
    address: Option<String>,
    /// A file with the admin token; else the config's, else the one that the daemon made.
    #[arg(long, env = "ROUSTABOUT_ADMIN_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Daemon {
    /// Its private door: by address, else by the config.
    pub fn client(&self, config: Option<PathBuf>) -> Result<Client, Failed> {
        let environment = crate::config::Environment::of_process();
        let admin = crate::config::load_admin(config.as_deref(), &environment);
        let token = match &self.token_file {
            Some(file) => Some(read_token(file)?),
            None => admin.as_ref().ok().map(token_of).transpose()?.flatten(),
        };
        match &self.address {
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
                // With an address a config is not needed; where there is one it has the token.
                Ok(Client::new(url, token)?)
            }
            None => {
                let AdminAlone { admin, .. } = admin
                    .map_err(|errors| Failed::Wrong(errors.to_string().trim_end().to_owned()))?;
                let mut listen = admin.listen;
                if listen.ip().is_unspecified() {
                    listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                let url = Url::parse(&format!("http://{listen}"))
                    .context("[admin] listen makes no address")?;
                Ok(Client::new(url, token)?)
            }
        }
    }
}

fn read_token(file: &Path) -> Result<SecretString, Failed> {
    admin::token::read(file).map_err(|error| {
        Failed::Because(anyhow::anyhow!(
            "cannot read the admin token in {}: {error}",
            file.display()
        ))
    })
}

/// The config's token, else the one that the daemon made; none where it has not started yet.
fn token_of(alone: &AdminAlone) -> Result<Option<SecretString>, Failed> {
    if alone.admin.token.is_some() {
        return Ok(alone.admin.token.clone());
    }
    match made_token(alone) {
        None => Ok(None),
        Some((_, Ok(token))) => Ok(Some(token)),
        Some((file, Err(error))) => Err(Failed::Because(anyhow::anyhow!(
            "cannot read the admin token in {}: {error}; run this as root or as the user of the \
             daemon, or give --token-file",
            file.display()
        ))),
    }
}

/// The file that the daemon made, and what is in it; `None` where there is none yet.
pub(super) fn made_token(alone: &AdminAlone) -> Option<(PathBuf, std::io::Result<SecretString>)> {
    let files = alone.databases.iter().map(|database| admin::token::beside(database));
    let read = files.map(|file| (admin::token::read(&file), file));
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let mut found = read.filter(|(token, _)| !token.as_ref().is_err_and(missing));
    found.next().map(|(token, file)| (file, token))
}
