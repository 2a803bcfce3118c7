//! `check` where nothing answers, and where there is nothing to ask: no outside part is needed.

use crate::support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use support::checking::{self, Checked, check};
use support::daemon::roustabout;
use support::free_port;

/// A config whose GitHub and Nomad nobody is.
fn config(store: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roustabout.toml");
    let store = store.replace("FOLDER", folder.path().to_str().unwrap());
    let text = format!(
        "[webhook]\nsecret = \"hunter2\"\n[store]\nurl = \"sqlite://{store}\"\n\
         [github]\napi_url = \"http://127.0.0.1:{}\"\n\
         [[github.credentials]]\nowners = [\"octo\"]\ntoken = \"ghp_s3cr3t\"\n\
         [nomad]\naddress = \"http://127.0.0.1:{}\"\ntoken = \"s3cr3t\"\n\
         [[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
         repositories = [\"octo/app\", \"octo/*\"]\ndelivery = \"payload\"\n",
        free_port(),
        free_port(),
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    (folder, file)
}

/// As a user who may not do everything: root may read and write anywhere.
fn as_nobody(file: &std::path::Path, elsewhere: &std::path::Path) -> std::process::Command {
    let command = checking::command(file);
    if !rustix::process::geteuid().is_root() {
        return command;
    }
    // Nobody may not reach every target folder.
    let copy = elsewhere.join("roustabout");
    // By a process of its own: a program that a thread of this one is starting just now would inherit
    // the file open for writing, and what is open for writing cannot be run.
    let copied = std::process::Command::new("cp").arg(command.get_program()).arg(&copy).status();
    assert!(copied.unwrap().success());
    std::fs::set_permissions(elsewhere, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut as_nobody = std::process::Command::new(copy);
    as_nobody.env_clear().args(command.get_args()).uid(65534).gid(65534);
    as_nobody
}

fn nobody_answers(checked: &Checked) {
    checked.found("fail", "github octo", "GET /user: cannot connect", "check github.api_url");
    checked.found("fail", "github octo", "not checked because of this: octo/app, octo/*", "");
    checked.found("fail", "nomad", "cannot connect", "correct nomad.address or start Nomad");
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let (folder, file) = config("FOLDER/not/here/r.db");
    let checked = check(&file).await;
    checked.fails_only(&["store", "github octo", "nomad"]);
    nobody_answers(&checked);
    checked.found("ok", "config", "1 pool, 1 credential", "");
    checked.found("warn", "config", "webhook.secret: is shorter than", "openssl rand");
    checked.found("warn", "secret", "(mode 644)", "chmod 600 /");
    checked.found("fail", "store", "the folder /", "mkdir -p /");
    for secret in ["hunter2", "s3cr3t"] {
        assert!(!checked.said.contains(secret), "{}", checked.said);
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is made: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitea_that_is_taken_for_github_says_so() {
    let gitea = wiremock::MockServer::start().await;
    let version = serde_json::json!({ "version": "1.26.1" });
    wiremock::Mock::given(wiremock::matchers::path("/api/v1/version"))
        .respond_with(wiremock::ResponseTemplate::new(200).set_body_json(version))
        .mount(&gitea)
        .await;
    let (_folder, file) = config("FOLDER/r.db");
    let text = std::fs::read_to_string(&file).unwrap();
    let url = text.lines().find(|line| line.starts_with("api_url")).unwrap().to_owned();
    let there = format!("api_url = {:?}", gitea.uri());
    std::fs::write(&file, text.replace(&url, &there)).unwrap();
    let checked = check(&file).await;
    checked.found(
        "fail",
        "github octo",
        "is a Gitea (1.26.1), but kind is \"github\"",
        &format!("set kind = \"gitea\" and api_url = \"{}/api/v1\"", gitea.uri()),
    );
    let asked = gitea.received_requests().await.unwrap();
    let version = asked.iter().find(|request| request.url.path() == "/api/v1/version").unwrap();
    let shown = version.headers.get("authorization").map(|value| value.to_str().unwrap());
    assert_ne!(shown, Some("Bearer ghp_s3cr3t"));
}

/// By what GitHub's answers, whatever they say, are dated.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_told() {
    for (minutes, level, message) in [
        (-1, "warn", "this machine's clock is 6"),
        (10, "fail", "behind GitHub"),
        (-60, "fail", "ahead of GitHub"),
    ] {
        let date = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let github = wiremock::MockServer::start().await;
        let answer = wiremock::ResponseTemplate::new(401).insert_header("date", date.as_str());
        wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&github).await;
        let (_folder, file) = config("FOLDER/r.db");
        let text = std::fs::read_to_string(&file).unwrap();
        let url = text.lines().find(|line| line.starts_with("api_url")).unwrap().to_owned();
        std::fs::write(&file, text.replace(&url, &format!("api_url = {:?}", github.uri())))
            .unwrap();
        let checked = check(&file).await;
        checked.found(level, "clock", message, "timedatectl set-ntp true");
        checked.fails_only(match level {
            "fail" => &["github octo", "clock", "nomad"],
            _ => &["github octo", "nomad"],
        });
    }
}

#[test]
fn a_folder_that_is_not_writable_is_told() {
    let (folder, file) = config("FOLDER/r.db");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = as_nobody(&file, elsewhere.path());
    let checked = checking::read(&command.output().unwrap());
    checked.fails_only(&["store", "github octo", "nomad"]);
    checked.found(
        "fail",
        "store",
        "is not writable for this user",
        "make the user that roustabout runs as its owner",
    );
}

#[tokio::test]
async fn a_newer_database_is_told() {
    let (folder, file) = config("FOLDER/r.db");
    rusqlite::Connection::open(folder.path().join("r.db"))
        .unwrap()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    check(&file).await.found("fail", "store", "newer roustabout (schema 99", "run that version");
}

/// What `check` says of the file, which does not load.
fn does_not_load(file: &std::path::Path) -> String {
    let output = roustabout().arg("check").arg("--config").arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_secret_file_that_is_not_there_or_empty_is_told() {
    let (folder, file) = config("FOLDER/r.db");
    let secret = folder.path().join("secret");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("secret = \"hunter2\"", &format!("secret_file = {secret:?}"));
    std::fs::write(&file, text).unwrap();
    let told = does_not_load(&file);
    assert!(told.contains("webhook.secret_file: cannot read /"), "{told}");
    assert!(told.contains("it must be a text file that the user roustabout runs as"), "{told}");
    // A line break alone is no secret.
    std::fs::write(&secret, "\n").unwrap();
    let told = does_not_load(&file);
    assert!(
        told.contains("secret is empty; it must be a text file that contains only the secret"),
        "{told}"
    );
}

#[test]
fn a_secret_file_that_only_others_can_read_is_told() {
    let (folder, file) = config("FOLDER/r.db");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("secret = \"hunter2\"", &format!("secret_file = {secret:?}"));
    std::fs::write(&file, text).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let output = as_nobody(&file, elsewhere.path()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("secret: Permission denied"), "{told}");
}

#[tokio::test]
async fn a_secret_with_a_space_at_its_end_is_told() {
    let (folder, file) = config("FOLDER/r.db");
    let secret = folder.path().join("secret");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("secret = \"hunter2\"", &format!("secret_file = {secret:?}"));
    std::fs::write(&file, text).unwrap();
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    let fine = check(&file).await;
    assert!(!fine.said.contains("line break"), "{}", fine.said);
    std::fs::write(&secret, "0123456789abcdef\n\n").unwrap();
    let message = "webhook.secret: begins or ends with a space or a line break";
    check(&file).await.found("warn", "config", message, "remove it");
}

/// What `check --config-only` says where the secrets are systemd's, and only the daemon sees them.
fn config_only(file: &std::path::Path) -> (Option<i32>, String) {
    let mut command = roustabout();
    command.args(["check", "--config-only", "--config"]).arg(file);
    let output = command.env("CREDENTIALS_DIRECTORY", "/nowhere").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_config_alone_is_looked_at_without_the_secrets_that_systemd_has() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roustabout.toml");
    let text = "[admin]\nlisten = \"0.0.0.0:9090\"\n\
         [[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
         repositories = [\"octo/app\"]\ndelivery = \"payload\"\n";
    std::fs::write(&file, text).unwrap();
    assert!(does_not_load(&file).contains("webhook.secret: missing"));
    let loads = format!("ok    config  {} loads: 1 pool\n1 ok, 0 warn, 0 fail\n", file.display());
    assert_eq!(config_only(&file), (Some(0), loads));
    // So are those whose files it names.
    let named = format!(
        "[webhook]\nsecret_file = \"/run/credentials/x.service/a\"\n[nomad]\n\
         client_cert_file = \"/dev/null\"\nclient_key_file = \"/run/credentials/x.service/b\"\n{text}"
    );
    std::fs::write(&file, named).unwrap();
    assert_eq!(config_only(&file).0, Some(0), "{}", config_only(&file).1);
    assert!(does_not_load(&file).contains("nomad.client_key_file: cannot read /run/credentials/x"));
    // What the config says of secrets itself is looked at.
    std::fs::write(&file, format!("[webhook]\nsecret_file = \"/nowhere\"\n{text}\nx = 1\n"))
        .unwrap();
    let (code, said) = config_only(&file);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("webhook.secret_file: cannot read /nowhere"), "{said}");
    assert!(said.contains("pools[x64].x: unknown key"), "{said}");
}

#[test]
fn people_get_lines() {
    let (_folder, file) = config("FOLDER/r.db");
    let output = roustabout().arg("check").arg("--config").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ok    service      checked with"), "{text}");
    assert!(text.ends_with(" fail\n") && !text.contains('\x1b'), "{text}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_config_that_does_not_load_is_exit_2_with_every_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roustabout.toml");
    std::fs::write(&file, "[webhook]\nlistn = \"x\"\n[store]\nretention = 90\n").unwrap();
    let output = roustabout().arg("check").arg("--config").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let text = String::from_utf8(output.stderr).unwrap();
    for told in [
        "webhook.listn: unknown key; did you mean \"listen\"?",
        "store.retention: 90 has no unit",
        "pools: missing",
    ] {
        assert!(text.contains(told), "{told} in {text}");
    }
}
