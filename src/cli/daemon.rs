//! Where the commands find the running daemon that they ask.

use std::path::PathBuf;

use anyhow::Context;
use url::Url;

use super::Failed;
use crate::admin::Client;

#[derive(clap::Args)]
pub struct Daemon {
    /// The private door, such as http://127.0.0.1:9090; else the config's [admin] listen.
    #[arg(long, env = "ROUSTABOUT_ADDR")]
    address: Option<String>,
}

impl Daemon {
    /// Its private door: by address, else by the config.
    pub fn client(&self, config: Option<PathBuf>) -> Result<Client, Failed> {
        let environment = crate::config::Environment::of_process();
        let admin = crate::config::load_admin(config.as_deref(), &environment);
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
                Ok(Client::new(url, admin.ok().and_then(|admin| admin.token))?)
            }
            None => {
                let admin = admin
                    .map_err(|errors| Failed::Wrong(errors.to_string().trim_end().to_owned()))?;
                let mut listen = admin.listen;
                if listen.ip().is_unspecified() {
                    listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                let url = Url::parse(&format!("http://{listen}"))
                    .context("[admin] listen makes no address")?;
                Ok(Client::new(url, admin.token)?)
            }
        }
    }
}
