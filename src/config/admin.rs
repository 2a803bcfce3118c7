//! `[admin]`: the private door, for the operator alone.

use std::net::SocketAddr;

use secrecy::SecretString;

use super::secrets;
use super::section::Section;
use super::webhook::address;

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Required for everything except health and metrics. `None`: the daemon creates one.
    pub token: Option<SecretString>,
    /// Names under which browsers may reach the door, besides loopback and `listen`.
    pub hosts: Vec<String>,
}

pub(super) fn read(section: &Section) -> Option<Admin> {
    let listen = section.parsed("listen", address);
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
    fn a_token_of_two_words_is_refused() {
        assert!(
            errors("[admin]\ntoken = \"a b\"\n")
                .starts_with("f.toml: admin.token: contains a space")
        );
    }
}
