//! `[admin]`: the private door, for the operator alone.

use std::net::SocketAddr;

use secrecy::SecretString;

use super::secrets::{self, Found};
use super::section::Section;
use super::webhook::address;

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Asked of everyone, for all but health and metrics. There wherever `listen` is not loopback.
    pub token: Option<SecretString>,
}

pub(super) fn read(section: &Section) -> Option<Admin> {
    let listen = section.parsed("listen", address);
    let token = secrets::find_token(section, "token", Some("admin-token"));
    if let (Found::Absent, Some(listen)) = (&token, listen)
        && !listen.ip().is_loopback()
    {
        section.report(
            "token",
            format!("missing, and others can reach {listen}"),
            "give token or token_file here, the systemd credential admin-token, or listen on 127.0.0.1",
        );
    }
    Some(Admin { listen: listen?, token: token.secret() })
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded};

    #[test]
    fn off_loopback_a_token_is_required() {
        assert_eq!(
            errors("[admin]\nlisten = \"0.0.0.0:9090\"\n"),
            "f.toml: admin.token: missing, and others can reach 0.0.0.0:9090; give token or token_file here, the systemd credential admin-token, or listen on 127.0.0.1"
        );
        for good in ["listen = \"0.0.0.0:9090\"\ntoken = \"abc\"", "listen = \"[::1]:9090\""] {
            loaded(&format!("[admin]\n{good}\n"));
        }
    }

    #[test]
    fn a_token_of_two_words_is_refused() {
        assert!(
            errors("[admin]\ntoken = \"a b\"\n").starts_with("f.toml: admin.token: has a space")
        );
    }
}
