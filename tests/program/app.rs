//! `app create` and `app status` against the simulated GitHub, whose person at the browser is the test.

use crate::support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use simulated::github::model::HOUR;
use simulated::github::{
    AppSpec, FaultKind, FaultRule, JobSpec, Level, RunSpec, Server, Visibility,
};
use support::daemon::{Daemon, SECRET, roustabout};
use support::until;
use tokio::net::TcpListener;

async fn github() -> Server {
    Server::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), 3).unwrap()
}

/// `app create`, up to where it waits for the browser.
struct Creating {
    child: Child,
    page: String,
    errors: BufReader<std::process::ChildStderr>,
    folder: tempfile::TempDir,
}

impl Creating {
    fn start(github: &Server, owner: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = roustabout();
        command.args(["app", "create", "--owner", owner, "--json"]);
        command.args(["--webhook-url", "https://hooks.test/webhook", "--api-url", &github.url()]);
        command.arg("--output").arg(folder.path()).current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        errors.read_line(&mut first).unwrap();
        let page = first.split(' ').find(|word| word.starts_with("http://"));
        let page = page.unwrap_or_else(|| panic!("{first}")).to_owned();
        Self { child, page, errors, folder }
    }

    /// What the page's form would send to GitHub: where to, and the manifest.
    async fn form(&self) -> (String, serde_json::Value) {
        let page = reqwest::get(&self.page).await.unwrap().text().await.unwrap();
        let plain = |text: &str| text.replace("&quot;", "\"").replace("&amp;", "&");
        let between = |before: &str| {
            let (_, rest) = page.split_once(before).unwrap();
            plain(rest.split_once("\">").unwrap().0)
        };
        let manifest = between("name=manifest value=\"");
        (between("action=\""), serde_json::from_str(&manifest).unwrap())
    }

    fn paste(&mut self, text: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    fn until_told(&mut self, what: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert!(self.errors.read_line(&mut line).unwrap() > 0, "{what} was not told: {all}");
            all += &line;
            if line.contains(what) {
                return all;
            }
        }
    }

    fn end(mut self) -> (Output, tempfile::TempDir) {
        drop(self.child.stdin.take());
        let mut output = self.child.wait_with_output().unwrap();
        std::io::Read::read_to_end(&mut self.errors, &mut output.stderr).unwrap();
        (output, self.folder)
    }
}

fn read(path: &serde_json::Value) -> String {
    let path = Path::new(path.as_str().unwrap());
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_created_in_the_browser_and_works() {
    let github = github().await;
    let user = github.with(|github, now| {
        let user = github.add_user("octocat");
        github.add_repository("octocat/app", Visibility::Private, now);
        user
    });
    let creating = Creating::start(&github, "OCTOCAT");
    let (action, manifest) = creating.form().await;
    let (to, state) = action.split_once("?state=").unwrap();
    assert_eq!(to, format!("{}/settings/apps/new", github.url()));
    assert_eq!(manifest["hook_attributes"]["url"], "https://hooks.test/webhook");
    assert_eq!(manifest["public"], false);
    assert_eq!(manifest["default_permissions"]["actions"], "read");
    let code = github
        .with(|github, now| github.confirm_manifest(&manifest.to_string(), "octocat", now))
        .unwrap();
    let back = manifest["redirect_url"].as_str().unwrap();
    // Somebody else's page cannot give it a code.
    let forged = reqwest::get(format!("{back}?code={code}&state=forged")).await.unwrap();
    assert_eq!(forged.status(), 400);
    let made_up = reqwest::get(format!("{back}?code=abc123&state={state}")).await.unwrap();
    assert_ne!(made_up.status(), 200);
    let page = made_up.text().await.unwrap();
    assert!(page.contains("GitHub does not accept this code") && !page.contains("Done"), "{page}");
    // The code is not lost while GitHub is down.
    github.with(|github, _| {
        for kind in [FaultKind::Status(502, serde_json::Value::Null), FaultKind::DropBefore] {
            let path_contains = "/conversions".to_owned();
            github.fault(FaultRule { method: "POST".to_owned(), path_contains, times: 1, kind });
        }
    });
    let good = reqwest::get(format!("{back}?code={code}&state={state}")).await.unwrap();
    assert_eq!(good.status(), 200);
    assert!(good.text().await.unwrap().contains("Done here"));
    let tries = github.with(|github, _| github.count_requests("POST", &code));
    assert_eq!(tries, 3);
    let (output, folder) = creating.end();
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}{errors}");
    let facts: serde_json::Value = serde_json::from_str(&told).unwrap();
    let (key, secret) = (read(&facts["private_key_file"]), read(&facts["webhook_secret_file"]));
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    assert!(!told.contains(secret.trim()) && !errors.contains(secret.trim()));
    assert!(!told.contains("PRIVATE KEY") && !errors.contains("PRIVATE KEY"));

    // With the printed lines in a config the App is what it should be.
    let app = facts["id"].as_u64().unwrap();
    github.with(|github, now| github.install(app, user, None, now));
    let config = config(
        &github,
        &format!(
            "client_id = {}\nprivate_key_file = {}\nwebhook_secret_file = {}\n",
            facts["client_id"], facts["private_key_file"], facts["webhook_secret_file"]
        ),
    );
    let file = folder.path().join("roustabout.toml");
    std::fs::write(&file, config).unwrap();
    let (code, told) = status(&file, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("is installed on octocat for all repositories"), "{told}");
    assert!(told.contains("its webhook goes to https://hooks.test/webhook"), "{told}");
}

fn config(github: &Server, app: &str) -> String {
    format!(
        "[webhook]\npublic_url = \"https://hooks.test/webhook\"\n[github]\napi_url = \"{}\"\n\
         [[github.credentials]]\nowners = [\"octocat\"]\n[github.credentials.app]\n{app}\n\
         [[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
         repositories = [\"octocat/*\"]\ndelivery = \"payload\"\n",
        github.url()
    )
}

fn status(config: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = roustabout();
    command.args(["app", "status", "--config"]).arg(config).args(more);
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_used_or_is_too_old_is_refused_and_another_may_be_pasted() {
    let github = github().await;
    github.with(|github, _| github.add_organization("octo", &[]));
    let mut creating = Creating::start(&github, "octo");
    let (action, manifest) = creating.form().await;
    assert!(action.starts_with(&format!("{}/organizations/octo/settings/apps/new", github.url())));
    let confirm = |name: &str, ago: i64| {
        let mut manifest = manifest.clone();
        manifest["name"] = name.into();
        github.with(|github, now| {
            github.confirm_manifest(&manifest.to_string(), "octo", now - ago).unwrap()
        })
    };
    let used = confirm("used", 0);
    github.with(|github, now| github.convert_manifest(&used, now).unwrap());
    let late = confirm("late", HOUR);
    for code in [used, late] {
        creating.paste(&code);
        creating.until_told("GitHub does not accept this code");
    }
    creating.paste("not a code");
    creating.until_told("neither a code nor an address");
    let (_, state) = action.split_once("?state=").unwrap();
    let good = confirm("good", 0);
    creating.paste(&format!("http://127.0.0.1:1/created?code={good}&state={state}"));
    let (output, _folder) = creating.end();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_app_is_told() {
    let github = github().await;
    let folder = tempfile::tempdir().unwrap();
    let (app, installation) = github.with(|github, now| {
        let user = github.add_user("octocat");
        let spec = AppSpec::new("runners", user).hook("https://old.test/webhook", "a secret of it");
        let app = github.add_app(spec, now);
        (app, github.install(app, user, None, now))
    });
    let key = folder.path().join("app.pem");
    std::fs::write(&key, simulated::app_key()).unwrap();
    let file = folder.path().join("roustabout.toml");
    let lines =
        format!("id = {app}\nprivate_key_file = {key:?}\nwebhook_secret = \"0123456789abcdef\"\n");
    std::fs::write(&file, config(&github, &lines)).unwrap();
    github.with(|github, _| {
        let app = github.app_mut(app).unwrap();
        app.permissions.insert("checks".to_owned(), Level::Write);
        app.events = vec!["workflow_job".to_owned()];
    });
    let (code, told) = status(&file, &[]);
    assert_eq!(code, Some(1), "{told}");
    for wanted in [
        "octocat has not accepted the permission checks: write yet",
        "not subscribed to the event repository",
        "goes to https://old.test/webhook, not to https://hooks.test/webhook",
    ] {
        assert!(told.contains(wanted), "{wanted}\n{told}");
    }
    // GitHub lists it, and gives no token.
    let kind = FaultKind::Status(
        403,
        serde_json::json!({"message": "This installation has been suspended"}),
    );
    let path_contains = "/access_tokens".to_owned();
    let rule = FaultRule { method: "POST".to_owned(), path_contains, times: 9, kind };
    github.with(|github, _| github.fault(rule));
    let (_, told) = status(&file, &[]);
    assert!(told.contains("is installed on octocat, but a token cannot be used"), "{told}");
    github.with(|github, now| {
        github.clear_faults();
        github.suspend(installation, true, now);
    });
    let (_, told) = status(&file, &[]);
    assert!(told.contains("on octocat is suspended"), "{told}");
    github.with(|github, now| github.uninstall(installation, now));
    let (_, told) = status(&file, &[]);
    assert!(told.contains("not installed on octocat"), "{told}");
    let (code, told) = status(&file, &["--rotate-secret"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("requires webhook_secret_file"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_without_a_refused_delivery() {
    let github = github().await;
    let (app, repository) = github.with(|github, now| {
        let user = github.add_user("octocat");
        let app = github.add_app(AppSpec::new("runners", user), now);
        let repository = github.add_repository("octocat/app", Visibility::Private, now);
        github.install(app, user, None, now);
        (app, repository)
    });
    let lines = format!(
        "id = {app}\nprivate_key_file = \"app.pem\"\nwebhook_secret_file = \"secret\"\n\
         previous_webhook_secret_file = \"secret-before\"\n"
    );
    let rest = config(&github, &lines);
    let mut daemon = Daemon::prepare(&rest[rest.find("[github]").unwrap()..]);
    daemon.configure(|text| text.replace(&format!("secret = \"{SECRET}\"\n"), ""));
    let folder = daemon.folder.path().to_owned();
    let file = |name: &str| folder.join(name);
    std::fs::write(file("app.pem"), simulated::app_key()).unwrap();
    std::fs::write(file("secret"), "the secret of before\n").unwrap();
    std::fs::write(file("secret-before"), "the secret of before\n").unwrap();
    let url = daemon.url();
    github.with(|github, now| github.lead_app_hook(app, &url, "the secret of before", now));
    daemon.start().await;
    let queue = || {
        github.with(|github, now| {
            let jobs = vec![JobSpec::new("job", &["linux"])];
            github.add_run(repository, RunSpec::default(), jobs, now);
        });
    };
    let delivered = || {
        github.with(|github, _| {
            let hook = github.app(app).unwrap().hook.unwrap();
            let all: Vec<_> = github.deliveries(hook).iter().map(|one| one.status()).collect();
            all
        })
    };
    queue();
    until("the first is delivered", Duration::from_secs(20), async || delivered().len() == 1).await;
    let mut command = roustabout();
    command.args(["app", "status", "--rotate-secret", "--config"]).arg(daemon.config());
    command.current_dir(daemon.folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("reload it") {
        assert!(errors.read_line(&mut told).unwrap() > 0, "{told}");
    }
    // GitHub signs with the old one all the while.
    queue();
    daemon.reload().await;
    std::io::Read::read_to_string(&mut errors, &mut told).unwrap();
    child.wait().unwrap();
    assert!(told.contains("has arrived; the previous secret is replaced"), "{told}");
    queue();
    until("all are delivered", Duration::from_secs(20), async || delivered().len() == 4).await;
    assert!(delivered().iter().all(|status| status == "OK"), "{:?}", delivered());
    let (new, before) =
        (std::fs::read(file("secret")).unwrap(), std::fs::read(file("secret-before")).unwrap());
    assert_eq!(new, before);
    assert_ne!(new, b"the secret of before\n");
    assert!(!told.contains(std::str::from_utf8(&new).unwrap().trim()));
}
