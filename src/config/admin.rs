//! `[admin]`: the private door, for the operator alone.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use super::secrets;
use super::section::Section;
use super::webhook::address;

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: Listen,
    /// Required for everything except health and metrics. `None`: the daemon creates one.
    pub token: Option<SecretString>,
    /// Names under which browsers may reach the door, besides loopback and `listen`.
    pub hosts: Vec<String>,
}

/// Where a door is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    /// A Unix socket. Absolute.
    Socket(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Socket(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

fn listen(text: &str) -> Result<Listen, String> {
    match text.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(Listen::Socket(path.into())),
        Some(_) => Err(format!("{text:?} is not the absolute path of a socket")),
        None => address(text).map(Listen::Tcp),
    }
}

pub(super) fn read(section: &Section) -> Option<Admin> {
    let listen = section.parsed("listen", listen);
    let token = secrets::find_token(section, "token", Some("admin-token"));
    let hosts = section.list("hosts");
    Some(Admin { listen: listen?, token: token.secret(), hosts: hosts? })
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded};

    #[test]
    fn a_token_and_names_can_be_given_and_need_not_be() {
        assert!(loaded("").settings.admin.token.is_none());
        let admin =
            loaded("[admin]\ntoken = \"abc\"\nhosts = [\"ci.example.org\"]\n").settings.admin;
        assert!(admin.token.is_some());
        assert_eq!(admin.hosts, ["ci.example.org"]);
    }

    #[test]
    fn a_socket_has_an_absolute_path() {
        let admin = loaded("[admin]\nlisten = \"unix:///run/x/admin.sock\"\n").settings.admin;
        assert_eq!(admin.listen.to_string(), "unix:///run/x/admin.sock");
        let wrong = errors("[admin]\nlisten = \"unix://admin.sock\"\n");
        assert!(wrong.contains("is not the absolute path of a socket"), "{wrong}");
    }

    #[test]
    fn a_token_of_two_words_is_refused() {
        assert!(
            errors("[admin]\ntoken = \"a b\"\n")
                .starts_with("f.toml: admin.token: contains a space")
        );
    }
}
