//! `[nomad]`: how to reach Nomad. What is not set here comes from the `NOMAD_*` variables (listed in
//! `keys.rs`), because Nomad sets some of them in every task.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::Origin;
use super::ca_cert;
use super::github::web_url;
use super::pool_rules::nomad_name;
use super::secrets::{self, Found};
use super::section::Section;

/// `[nomad]`.
#[derive(Debug, Clone)]
pub struct Nomad {
    pub address: NomadAddress,
    /// Where people reach Nomad's UI, if not at the address.
    pub ui_url: Option<Url>,
    /// For pools without their own.
    pub namespace: String,
    /// For pools without their own; if not set, the agent's region.
    pub region: Option<String>,
    /// Without it requests are anonymous.
    pub token: Option<SecretString>,
    /// The file that `token` was read from, if any (also a systemd credential).
    pub token_file: Option<PathBuf>,
    /// PEM files, each readable when the config was loaded.
    pub ca_cert_file: Option<PathBuf>,
    /// Set together with `client_key_file` or not at all.
    pub client_cert_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    /// The name that the agent's certificate must have, if it is not the host of the address.
    pub tls_server_name: Option<String>,
    pub tls_skip_verify: bool,
}

/// Where Nomad's API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NomadAddress {
    /// `http` or `https`.
    Http(Url),
    /// A socket, as a task finds it in `${NOMAD_SECRETS_DIR}/api.sock`. Absolute.
    Unix(PathBuf),
}

pub(super) fn read(section: &Section) -> Option<Nomad> {
    // `NOMAD_UNIX_ADDR` may be a bare path; an address in the file has a scheme.
    let bare_path = section.variable("address").as_deref() == Some("NOMAD_UNIX_ADDR");
    let address = section.parsed("address", |text| address(text, bare_path));
    let ui_url = section.parsed("ui_url", |text| web_url(text, &["http", "https"]));
    let namespace = section.parsed("namespace", nomad_name);
    let (token, token_file) = match secrets::find_token(section, "token", Some("nomad-token")) {
        Found::Secret(token, file) => (Some(token), file),
        Found::Absent | Found::Bad => (None, None),
    };
    let client_cert_file = readable(section, "client_cert_file");
    let client_key_file = readable(section, "client_key_file");
    if let Some(path) = &client_key_file {
        section.note_secret("client_key_file", Origin::File(path.clone()));
    }
    for (given, missing) in
        [("client_cert_file", "client_key_file"), ("client_key_file", "client_cert_file")]
    {
        if section.says(given) && !section.says(missing) {
            section.report(missing, format!("missing, but {given} is set"), "set both or neither");
        }
    }
    let region = section.parsed("region", nomad_name);
    let ca_cert_file = ca_cert::read(section).map(|(path, _)| path);
    let tls_server_name = section.text("tls_server_name");
    let tls_skip_verify = section.flag("tls_skip_verify");
    if tls_skip_verify == Some(true) {
        section.warn(
            "tls_skip_verify",
            "Nomad's certificate is not verified, so anyone on the network path can read its token",
            "remove it, and set ca_cert_file to Nomad's certificate authority",
        );
    }
    Some(Nomad {
        address: address?,
        ui_url,
        namespace: namespace?,
        region,
        token,
        token_file,
        ca_cert_file,
        client_cert_file,
        client_key_file,
        tls_server_name,
        tls_skip_verify: tls_skip_verify?,
    })
}

fn address(text: &str, bare_path: bool) -> Result<NomadAddress, String> {
    let socket = match text.strip_prefix("unix://") {
        None if bare_path => Some(text),
        path => path,
    };
    match socket {
        Some(path) if path.starts_with('/') => Ok(NomadAddress::Unix(path.into())),
        Some(_) => Err(format!("{text:?} is not the absolute path of a socket")),
        None => web_url(text, &["http", "https"]).map(NomadAddress::Http),
    }
}

/// A file that can be opened: Nomad's client would report it only later, and less clearly.
pub(super) fn readable(section: &Section, key: &str) -> Option<PathBuf> {
    let path = section.path(key)?;
    if section.context.env.takes_as_given(&path) {
        return Some(path);
    }
    match std::fs::File::open(&path) {
        Ok(_) => Some(path),
        Err(error) => {
            section.report(
                key,
                format!("cannot read {}: {error}", path.display()),
                "it must be a file that the user roustabout runs as can read",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::testing::{errors, errors_with, loaded, loaded_with};

    #[test]
    fn addresses() {
        assert!(matches!(address("https://nomad:4646", false), Ok(NomadAddress::Http(_))));
        let socket = NomadAddress::Unix("/s/api.sock".into());
        assert_eq!(address("unix:///s/api.sock", false), Ok(socket.clone()));
        assert_eq!(address("/s/api.sock", true), Ok(socket));
        for wrong in ["/s/api.sock", "unix://s", "nomad:4646", "http://u:p@nomad"] {
            assert!(address(wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variables_of_nomad_fill_and_never_override() {
        let env = [
            ("NOMAD_ADDR", ""),
            ("NOMAD_UNIX_ADDR", "/secrets/api.sock"),
            ("NOMAD_NAMESPACE", "from-env"),
            ("NOMAD_REGION", "eu"),
            ("NOMAD_TOKEN", "0123456"),
            ("NOMAD_TLS_SERVER_NAME", "server.eu.nomad"),
            ("NOMAD_SKIP_VERIFY", "1"),
            ("VAULT_ADDR", "ignored"),
        ];
        let nomad = loaded_with("[nomad]\nnamespace = \"ci\"\n", &env).settings.nomad;
        assert_eq!(nomad.address, NomadAddress::Unix("/secrets/api.sock".into()));
        assert_eq!(nomad.namespace, "ci");
        assert_eq!(nomad.region.as_deref(), Some("eu"));
        assert_eq!(nomad.token.as_ref().map(|token| token.expose_secret()), Some("0123456"));
        assert_eq!(nomad.tls_server_name.as_deref(), Some("server.eu.nomad"));
        assert!(nomad.tls_skip_verify);
    }

    #[test]
    fn a_bad_variable_of_nomad_is_named() {
        let text =
            errors_with("", &[("NOMAD_ADDR", "nomad:4646"), ("NOMAD_CACERT", "/nowhere/ca.pem")]);
        assert!(
            text.contains("NOMAD_ADDR: nomad.address: is not an http or https URL; "),
            "{text}"
        );
        assert!(
            text.contains("NOMAD_CACERT: nomad.ca_cert_file: cannot read /nowhere/ca.pem: "),
            "{text}"
        );
    }

    #[test]
    fn a_token_file_wins_over_the_variable_and_systemd_comes_last() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("nomad-token");
        std::fs::write(&file, "from file\n".replace(' ', "-")).expect("it is writable");
        let said = format!("[nomad]\ntoken_file = {file:?}\n");
        let systemd = ("CREDENTIALS_DIRECTORY", folder.path().to_str().expect("UTF-8"));
        let token = |text: &str, env: &[(&str, &str)]| {
            let nomad = loaded_with(text, env).settings.nomad;
            (nomad.token.map(|token| token.expose_secret().to_owned()), nomad.token_file)
        };
        let from_file = (Some("from-file".to_owned()), Some(file.clone()));
        let from_env = (Some("from-env".to_owned()), None);
        assert_eq!(token(&said, &[("NOMAD_TOKEN", "from-env")]), from_file);
        assert_eq!(token("", &[("NOMAD_TOKEN", "from-env"), systemd]), from_env);
        assert_eq!(token("", &[systemd]), from_file);
        assert_eq!(token("", &[]), (None, None));
        // The environment overrides the file, whichever way each says it.
        assert_eq!(token(&said, &[("ROUSTABOUT__NOMAD__TOKEN", "from-env")]), from_env);
        // The package's unit loads a credential that nobody has filled in.
        std::fs::write(&file, "").expect("it is writable");
        assert_eq!(token("", &[systemd]), (None, None));
    }

    #[test]
    fn certificate_and_key_go_together() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let path = file.path();
        assert_eq!(
            errors(&format!("[nomad]\nclient_cert_file = {path:?}\n")),
            "f.toml: nomad.client_key_file: missing, but client_cert_file is set; set both or neither"
        );
        let both = format!("[nomad]\nclient_cert_file = {path:?}\nclient_key_file = {path:?}\n");
        assert_eq!(loaded(&both).settings.nomad.client_key_file.as_deref(), Some(Path::new(path)));
    }
}
