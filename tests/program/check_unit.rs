//! `check` where a systemd unit runs the daemon: what the service will have counts, and nothing of
//! the shell that `check` is called from. The unit is found as systemd finds it, by `SYSTEMD_UNIT_PATH`.

use std::path::{Path, PathBuf};
use std::process::Command;

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::checking::{self, Checked};
use crate::support::daemon::roustabout;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

/// A folder with a config, its secrets and the unit that loads them; a state folder that is not there.
struct Installed {
    folder: tempfile::TempDir,
    nomad: MockServer,
}

impl Installed {
    async fn new() -> Self {
        let nomad = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(403)).mount(&nomad).await;
        let installed = Self { folder: tempfile::tempdir().unwrap(), nomad };
        for (name, secret) in [("webhook-secret", "0123456789abcdef"), ("github-token", "ghp_1")] {
            installed.write(name, secret, 0o600);
        }
        let config = format!(
            "[github]\napi_url = \"{NOBODY}\"\n[nomad]\naddress = \"{}\"\n\
             [[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
             repositories = [\"octo/app\"]\ndelivery = \"payload\"\n",
            installed.nomad.uri()
        );
        installed.write("roustabout.toml", &config, 0o644);
        let load =
            |name: &str| format!("LoadCredential={name}:{}\n", installed.path(name).display());
        let unit = format!(
            "[Service]\nExecStart=/usr/local/bin/roustabout serve --config {}\n\
             StateDirectory=roustabout-of-a-test\nEnvironment=NO_PROXY=\n{}{}{}",
            installed.path("roustabout.toml").display(),
            load("webhook-secret"),
            load("github-token"),
            load("nomad-token"),
        );
        installed.write("roustabout.service", &unit, 0o644);
        installed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// From a shell that has what an operator's shell has.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = roustabout();
        command
            .args(["check", "--json"])
            .args(arguments)
            .current_dir("/")
            .env("SYSTEMD_UNIT_PATH", self.folder.path())
            .env("NOMAD_TOKEN", "of-the-shell")
            .env("NOMAD_ADDR", "http://127.0.0.1:1")
            .env("ROUSTABOUT_WEBHOOK_SECRET", "of-the-shell-0123456789");
        command
    }

    async fn output(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    async fn check(&self, arguments: &[&str]) -> Checked {
        checking::read(&self.output(arguments).await)
    }

    /// The tokens that Nomad got.
    async fn shown(&self) -> Vec<String> {
        let requests = self.nomad.received_requests().await.unwrap();
        let tokens = requests.iter().filter_map(|request| request.headers.get("x-nomad-token"));
        let mut tokens: Vec<String> =
            tokens.map(|token| token.to_str().unwrap().to_owned()).collect();
        tokens.dedup();
        tokens
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credentials_of_the_service_count_and_not_the_variables_of_the_shell() {
    let installed = Installed::new().await;
    installed.write("nomad-token", "of-the-service\n", 0o600);
    let config = installed.path("roustabout.toml");
    let checked = installed.check(&["--config", text(&config)]).await;
    assert_eq!(installed.shown().await, ["of-the-service"]);
    checked.found("ok", "service", "the environment of roustabout.service (", "");
    for (key, name) in [
        ("webhook.secret", "webhook-secret"),
        ("the token for all owners", "github-token"),
        ("nomad.token", "nomad-token"),
    ] {
        let from = installed.path(name);
        let told = format!("{key} comes from the credential {name}, {}", from.display());
        checked.found("ok", "secret", &told, "");
    }
    // Its state is where systemd has it, and not in the folder that the shell is in.
    let state = "/var/lib/roustabout-of-a-test/roustabout.db does not exist yet: systemd creates";
    checked.found("ok", "store", state, "");
    assert!(!checked.said.contains("of-the-shell"), "{}", checked.said);
    // The unit is all that it takes.
    let by_unit = installed.check(&["--unit", "roustabout"]).await;
    by_unit.found("ok", "config", &format!("{} loads", config.display()), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_only_the_shell_has_does_not_pass_for_the_services() {
    let installed = Installed::new().await;
    let config = installed.path("roustabout.toml");
    let output = installed.output(&["--config", text(&config)]).await;
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("nomad.token: the unit loads the credential nomad-token from "),
        "{told}"
    );
    assert!(
        told.contains(
            "the service will not start (243/CREDENTIALS); write the secret to that file, or remove"
        ),
        "{told}"
    );
    // Who wants to know what the shell sees says so.
    let mut command = installed.command(&["--no-unit", "--config", text(&config)]);
    command.env("CREDENTIALS_DIRECTORY", installed.folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let here = checking::read(&output);
    here.found(
        "warn",
        "service",
        "nomad.token comes from the variable NOMAD_TOKEN, and no credential in /",
        "unset",
    );
    here.found("ok", "secret", "nomad.token comes from the variable NOMAD_TOKEN", "");
    here.found("ok", "service", "with the environment of this command", "");
    assert_eq!(installed.shown().await, ["of-the-shell"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_everybody_can_read_is_told() {
    let installed = Installed::new().await;
    installed.write("nomad-token", "of-the-service", 0o644);
    let checked = installed.check(&["--unit", "roustabout.service"]).await;
    checked.found("warn", "secret", "nomad.token is in /", "chmod 600 /");
    assert!(!checked.said.contains("no file with a secret is readable"), "{}", checked.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_credentials_are_named_by_hand_they_come_first() {
    let installed = Installed::new().await;
    installed.write("nomad-token", "of-the-service", 0o600);
    let config = installed.path("roustabout.toml");
    let mut command = installed.command(&["--config", text(&config)]);
    command
        .env("SYSTEMD_UNIT_PATH", "/nowhere")
        .env("CREDENTIALS_DIRECTORY", installed.folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let checked = checking::read(&output);
    checked.found("ok", "secret", "webhook.secret comes from the credential webhook-secret, /", "");
    assert_eq!(installed.shown().await, ["of-the-service"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_named_for_each_that_is_asked() {
    let installed = Installed::new().await;
    let file = installed.path("roustabout.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let proxy = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).mount(&proxy).await;
    let uri = proxy.uri();
    let check = async |config: String, no_proxy: &str| {
        std::fs::write(&file, config).unwrap();
        let mut command = installed.command(&["--no-unit", "--config", text(&file)]);
        command.env("CREDENTIALS_DIRECTORY", installed.folder.path());
        for name in ["HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, uri.replace("http://", "http://user:hunter2@"));
        }
        command.env("NO_PROXY", no_proxy);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let checked = checking::read(&output);
        assert!(!checked.said.contains("hunter2"), "{}", checked.said);
        checked
    };
    // This machine is asked directly, whatever is said.
    let checked = check(config.clone(), "").await;
    checked.found("ok", "proxy", "Nomad is reached on this machine (127.0.0.1:", "");
    checked.found("ok", "proxy", "GitHub is reached on this machine (127.0.0.1:", "");
    assert!(proxy.received_requests().await.unwrap().is_empty());
    let socket = config.replace(&installed.nomad.uri(), "unix:///nowhere/api.sock");
    check(socket, "").await.found(
        "ok",
        "proxy",
        "Nomad is reached through a socket, without a proxy",
        "",
    );
    // Others through the proxy, and a token for one of them is told.
    let away = config.replace(NOBODY, "http://ghes.test/api/v3");
    let checked = check(away.clone(), "").await;
    let told = format!("GitHub is reached at ghes.test through the proxy {uri} (HTTP_PROXY)");
    checked.found("ok", "proxy", &told, "");
    checked.found(
        "warn",
        "github",
        "is unencrypted: anyone on the network path can read the tokens",
        "https://",
    );
    assert!(!proxy.received_requests().await.unwrap().is_empty());
    let told = "GitHub is reached at ghes.test directly, without a proxy";
    check(away, "ghes.test").await.found("ok", "proxy", told, "");
}

/// The service has no proxy, so `check` asks without one too.
#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_of_the_shell_is_not_the_services() {
    let installed = Installed::new().await;
    installed.write("nomad-token", "of-the-service", 0o600);
    let mut command = installed.command(&["--unit", "roustabout"]);
    command.env("HTTP_PROXY", "http://127.0.0.1:9");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let checked = checking::read(&output);
    assert!(checked.findings.iter().all(|one| one.subject != "proxy"), "{:?}", checked.findings);
}
