//! The commands as a person or a script calls them: what is printed, and the exit code. 0 is
//! done, 1 it failed, 2 the command line or the config is wrong.

use crate::support;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::daemon::{Daemon, SECRET, roustabout, signal};
use support::until;
use support::webhook::{NOBODY_THERE, Request, assert_accepts, door, queued};

const SOON: Duration = Duration::from_secs(10);

/// What a command came to, as texts.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs it beside the daemon, whose answer it may wait for.
async fn run(mut command: Command) -> Said {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    said(output.await.unwrap())
}

fn call(arguments: &[&str]) -> Command {
    let mut command = roustabout();
    command.args(arguments).current_dir("/");
    command
}

fn call_for(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = call(arguments);
    command.arg("--config").arg(daemon.config());
    command
}

/// A file in the daemon's folder; its path.
fn file(daemon: &Daemon, name: &str, text: &str) -> String {
    let path = daemon.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

// --- the command line and the config ---------------------------------------------------------

#[tokio::test]
async fn version_and_help_are_told() {
    let version = run(call(&["--version"])).await;
    assert_eq!((version.code, version.out.as_str()), (0, "roustabout 0.1.0\n"));
    let help = run(call(&["--help"])).await;
    assert_eq!(help.code, 0);
    for command in ["serve", "check", "demo", "send", "status", "explain", "pause", "resume"] {
        assert!(help.out.contains(command), "{command}");
    }
    assert!(!help.out.contains('\x1b'), "no colour where no terminal is");
}

#[tokio::test]
async fn completions_name_every_command() {
    for (shell, begins) in
        [("bash", "_roustabout() {"), ("zsh", "#compdef roustabout"), ("fish", "#")]
    {
        let said = run(call(&["completions", shell])).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{shell}");
        assert!(said.out.starts_with(begins), "{shell}: {}", said.out);
        for command in ["serve", "completions", "admin-token", "--config-only"] {
            let word = command.trim_start_matches("--");
            assert!(said.out.contains(word), "{shell}: {command}");
        }
    }
    assert_eq!(run(call(&["completions", "tcsh"])).await.code, 2);
}

#[tokio::test]
async fn a_wrong_command_line_is_exit_2() {
    for arguments in [&["hire"][..], &[], &["status", "--jsn"], &["send"]] {
        let said = run(call(arguments)).await;
        assert_eq!(said.code, 2, "{arguments:?}");
        assert!(said.err.contains("Usage"), "{}", said.err);
    }
}

#[tokio::test]
async fn all_mistakes_of_a_config_are_told_at_once_with_file_key_and_mend() {
    let daemon = Daemon::prepare("");
    let broken = "[webhook]\nlistn = \"x\"\nmax_body = 5\n[[pools]]\nname = \"x64\"\n";
    let path = file(&daemon, "broken.toml", broken);
    for command in ["serve", "check"] {
        let said = run(call(&[command, "--config", &path])).await;
        assert_eq!(said.code, 2, "{command}");
        let lines: Vec<&str> = said.err.lines().collect();
        assert!(lines.iter().all(|line| line.starts_with(&path) && line.contains("; ")));
        for key in ["webhook.listn", "webhook.max_body", "webhook.secret", "pools[x64].nomad_job"] {
            assert!(lines.iter().any(|line| line.contains(key)), "{key}: {}", said.err);
        }
        assert_eq!(said.out, "");
    }
}

/// For programs they are findings as any other.
#[tokio::test]
async fn check_tells_the_mistakes_of_a_config_as_json_where_asked() {
    let daemon = Daemon::prepare("");
    let path = file(&daemon, "broken.toml", "[webhook]\nlistn = \"x\"\nmax_body = 5\n");
    for more in [&["--config-only"][..], &["--no-unit"]] {
        let said = run(call(&[&["check", "--json", "--config", &path], more].concat())).await;
        assert_eq!(said.code, 2, "{more:?}");
        assert!(said.err.contains("webhook.listn: "), "people read it too: {}", said.err);
        let report: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(report["failed"], true);
        let findings = report["findings"].as_array().unwrap();
        for key in ["webhook.listn", "webhook.max_body"] {
            let about = |finding: &&Value| finding["message"].as_str().unwrap().contains(key);
            let finding = findings.iter().find(about).unwrap_or_else(|| panic!("{key}"));
            assert_eq!(
                (&finding["level"], &finding["subject"]),
                (&json!("fail"), &json!("config"))
            );
            assert!(finding["message"].as_str().unwrap().starts_with(&path), "{finding}");
            assert!(finding["mend"].is_string(), "{finding}");
        }
    }
}

/// As before `| head`, which has what it wants and reads no more.
#[tokio::test]
async fn who_prints_for_nobody_ends_quietly() {
    let daemon = door().await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    let payload = file(&daemon, "payload.json", &queued(8).to_string());
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["status", "--json"], 0),
        (&["status", "--watch"], 0),
        (&["status", "--watch", "--json"], 0),
        (&["explain", "7"], 0),
        (&["explain", "7", "--json"], 0),
        (&["report"], 0),
        (&["report", "--json"], 0),
        (&["report", "--csv"], 0),
        (&["send", &payload], 0),
        (&["pause", "x64"], 0),
        (&["resume", "x64"], 0),
        (&["retry", "7"], 0),
        (&["admin-token"], 0),
        (&["admin-token", "--json"], 0),
        (&["check", "--config-only"], 0),
        // What it found is wrong all the same.
        (&["check", "--no-unit"], 1),
        (&["check", "--no-unit", "--json"], 1),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
    ] {
        let mut command = call_for(&daemon, arguments);
        let (nobody, pipe) = std::io::pipe().unwrap();
        drop(nobody);
        command.stdout(pipe);
        let ends = tokio::time::timeout(SOON * 3, run(command)).await;
        let said = ends.unwrap_or_else(|_| panic!("{arguments:?} does not end"));
        assert_eq!((said.code, said.err.as_str()), (code, ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_config_that_is_not_there_is_exit_2_and_named() {
    let said = run(call(&["serve", "--config", "/nowhere/r.toml"])).await;
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("/nowhere/r.toml: cannot read the config"), "{}", said.err);
    let mut by_variable = call(&["serve"]);
    by_variable.env("ROUSTABOUT_CONFIG", "/nowhere/else.toml");
    assert!(run(by_variable).await.err.starts_with("/nowhere/else.toml"));
}

// --- serve -----------------------------------------------------------------------------------

#[tokio::test]
async fn serve_says_which_port_is_taken_and_by_which_key() {
    for (key, port) in [("[webhook] listen", 0), ("[admin] listen", 1)] {
        let daemon = Daemon::prepare(NOBODY_THERE);
        let port = [daemon.door, daemon.admin][port];
        let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let said = run(call_for(&daemon, &["serve"])).await;
        assert_eq!(said.code, 1);
        let last = said.err.lines().last().unwrap();
        assert!(last.contains(&format!("127.0.0.1:{port}")) && last.contains(key), "{last}");
    }
}

#[tokio::test]
async fn serve_refuses_a_store_of_a_newer_version_and_leaves_it_alone() {
    let daemon = Daemon::prepare(NOBODY_THERE);
    let store = rusqlite::Connection::open(daemon.database()).unwrap();
    store.pragma_update(None, "user_version", 9999).unwrap();
    let said = run(call_for(&daemon, &["serve"])).await;
    assert_eq!(said.code, 1);
    let last = said.err.lines().last().unwrap();
    assert!(last.contains("newer roustabout (schema 9999"), "{last}");
    assert!(last.contains("roustabout.db"), "{last}");
}

#[tokio::test]
async fn serve_says_which_store_cannot_be_opened() {
    let daemon = Daemon::prepare(NOBODY_THERE);
    let mut command = call_for(&daemon, &["serve"]);
    command.env("ROUSTABOUT__STORE__URL", "sqlite:///nowhere/at/all.db");
    let said = run(command).await;
    assert_eq!(said.code, 1);
    assert!(said.err.lines().last().unwrap().contains("/nowhere/at/all.db"), "{}", said.err);
}

#[tokio::test]
async fn sighup_does_not_end_the_daemon_and_sigint_does() {
    let mut daemon = door().await;
    signal(daemon.process(), "HUP");
    until("it is told", SOON, async || daemon.log().contains("the new config is in effect")).await;
    assert_accepts(daemon.door).await;
    signal(daemon.process(), "INT");
    assert_eq!(daemon.ended().await, Some(0));
}

#[tokio::test]
async fn log_lines_as_json_have_a_message_and_the_ids() {
    let daemon = door().await;
    Request::job("delivery one", &queued(7)).send(daemon.door).await;
    let queued_line = || {
        let log = daemon.log();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.into_iter().find(|line| line["job"] == 7)
    };
    until("the job is told", SOON, async || queued_line().is_some()).await;
    let line = queued_line().unwrap();
    assert_eq!(line["message"], "job queued: build");
    assert_eq!(line["delivery"], "delivery one");
    assert_eq!(line["repository"], "octo/app");
    assert_eq!((&line["run"], &line["level"]), (&json!(9), &json!("INFO")));
    assert!(!daemon.log().contains(SECRET) && !daemon.log().contains("ghp_x"));
}

#[tokio::test]
async fn log_lines_as_text_are_for_people_and_without_colour_off_a_terminal() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon.start_by(&["env", "ROUSTABOUT__LOG__FORMAT=text", "RUST_LOG="]).await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    until("the job is told", SOON, async || {
        let log = daemon.log();
        log.lines().any(|line| line.contains("INFO job queued: build") && line.contains("job=7"))
    })
    .await;
    assert!(!daemon.log().contains('\x1b'));
}

#[tokio::test]
async fn rust_log_wins_over_the_config_and_nonsense_in_it_is_told() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon.start_by(&["env", "RUST_LOG=error"]).await;
    assert_accepts(daemon.door).await;
    assert!(!daemon.log().contains("INFO"));
    daemon.kill_hard();
    daemon.start_by(&["env", "RUST_LOG=a=b=c"]).await;
    assert!(daemon.log().contains("RUST_LOG is not understood"), "{}", daemon.log());
}

// --- send ------------------------------------------------------------------------------------

#[tokio::test]
async fn send_signs_and_posts_a_payload_and_prints_the_answer() {
    let daemon = door().await;
    let payload = file(&daemon, "payload.json", &queued(7).to_string());
    let said = run(call_for(&daemon, &["send", &payload])).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with("202 Accepted\n{\"outcome\":\"accepted\""), "{}", said.out);
    assert!(
        said.out.ends_with("\nroustabout explain 7 shows the state of the job and the reason\n")
    );
    // What it points at is there: an accepted delivery is folded.
    assert_eq!(run(call_for(&daemon, &["explain", "7"])).await.code, 0);
    let mut public = queued(8);
    public["repository"]["private"] = json!(false);
    let public = file(&daemon, "public.json", &public.to_string());
    let ignored = run(call_for(&daemon, &["send", &public])).await;
    assert!(ignored.out.contains("no runner is launched for job 8"), "{}", ignored.out);
    let broken = file(&daemon, "broken.json", "{");
    let refused = run(call_for(&daemon, &["send", &broken, "--delivery", "odd one"])).await;
    assert!(refused.out.contains("roustabout explain --delivery 'odd one'"), "{}", refused.out);
}

#[tokio::test]
async fn send_prints_one_json_object_where_asked() {
    let daemon = door().await;
    let ping = file(&daemon, "ping.json", "{}");
    let arguments = ["send", &ping, "--json", "--event", "ping", "--delivery", "mine"];
    let said = run(call_for(&daemon, &arguments)).await;
    let shown: Value = serde_json::from_str(&said.out).unwrap();
    let answer = json!({"outcome": "pong", "delivery": "mine"});
    assert_eq!(shown, json!({"status": 200, "answer": answer}));
}

#[tokio::test]
async fn send_needs_no_config_where_address_and_secret_are_given_and_reads_standard_input() {
    let daemon = door().await;
    let secret = file(&daemon, "secret", &format!("{SECRET}\n"));
    let by_file = call(&["send", "-", "--url", &daemon.url(), "--secret-file", &secret]);
    let mut by_variable = call(&["send", "-", "--url", &daemon.url()]);
    by_variable.env("ROUSTABOUT_WEBHOOK_SECRET", SECRET);
    for mut command in [by_file, by_variable] {
        // A proxy of the environment has no part in what stays on this machine.
        command.env("http_proxy", "http://127.0.0.1:1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(queued(7).to_string().as_bytes()).unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let said = said(output.await.unwrap());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }
}

#[tokio::test]
async fn send_fails_where_the_door_refuses_or_is_not_there() {
    let mut daemon = door().await;
    let payload = file(&daemon, "payload.json", &queued(7).to_string());
    let wrong = file(&daemon, "wrong", "another secret");
    let said = run(call_for(&daemon, &["send", &payload, "--secret-file", &wrong])).await;
    assert_eq!(said.code, 1);
    assert!(said.out.starts_with("401 Unauthorized\n"), "{}", said.out);
    assert!(said.out.contains("was not signed with the daemon's [webhook] secret"), "{}", said.out);
    let said = run(call_for(&daemon, &["send", "/nowhere.json"])).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("cannot read the payload /nowhere.json"), "{}", said.err);
    let said = run(call_for(&daemon, &["send", &payload, "--delivery", "a\nb"])).await;
    assert_eq!(said.code, 2, "{}", said.err);
    daemon.terminate().await;
    let said = run(call_for(&daemon, &["send", &payload])).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&daemon.url()) && said.err.contains("refused"), "{}", said.err);
}

// --- status ----------------------------------------------------------------------------------

#[tokio::test]
async fn status_shows_pools_and_who_waits_longest_as_a_table_and_as_json() {
    let daemon = door().await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    until("the job waits", SOON, async || {
        daemon.api("/api/v1/status").await["pools"][0]["demand"] == 1
    })
    .await;
    let table = run(call_for(&daemon, &["status"])).await;
    assert_eq!(table.code, 0);
    assert!(table.out.contains("of 20 runners alive"), "{}", table.out);
    assert!(table.out.lines().any(|line| line.starts_with("x64 ") && line.contains(" 1 ")));
    assert!(table.out.contains("oldest waiting: job 7 of octo/app"), "{}", table.out);
    assert!(!table.out.contains('\x1b'));
    let shown = run(call_for(&daemon, &["status", "--json"])).await;
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["pools"][0]["name"], "x64");
    assert_eq!(shown["oldest_waiting"]["job"], 7);
}

#[tokio::test]
async fn status_finds_the_daemon_by_address_variable_or_config() {
    let daemon = door().await;
    let address = format!("http://127.0.0.1:{}", daemon.admin);
    let bare = format!("127.0.0.1:{}", daemon.admin);
    let token = daemon.folder.path().join("admin-token");
    for address in [&address, &bare] {
        let mut by_option = call(&["status", "--address", address]);
        by_option.env("ROUSTABOUT_ADMIN_TOKEN_FILE", &token);
        assert_eq!(run(by_option).await.code, 0);
        let mut by_variable = call(&["status"]);
        by_variable.env("ROUSTABOUT_ADDR", address).env("ROUSTABOUT_ADMIN_TOKEN_FILE", &token);
        assert_eq!(run(by_variable).await.code, 0);
    }
    let nonsense = run(call(&["status", "--address", "http://:x"])).await;
    assert_eq!(nonsense.code, 2);
    assert!(nonsense.err.contains("http://HOST:PORT"), "{}", nonsense.err);
}

#[tokio::test]
async fn who_asks_the_daemon_needs_none_of_its_secrets() {
    let daemon = door().await;
    let listen = format!(
        "[store]\nurl = \"sqlite://{}\"\n[admin]\nlisten = \"127.0.0.1:{}\"\n",
        daemon.database().display(),
        daemon.admin
    );
    // As under systemd: the secrets are the service's credentials.
    let others = "[github]\nsweep_interval = 5\n";
    let path = file(&daemon, "bare.toml", &format!("{listen}{others}"));
    assert_eq!(run(call(&["status", "--config", &path])).await.code, 0);
    let path = file(&daemon, "wrong.toml", &format!("{listen}tokn = \"x\"\n{others}"));
    let said = run(call(&["status", "--config", &path])).await;
    assert_eq!(said.code, 2);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    assert!(said.err.contains("admin.tokn: unknown key"), "{}", said.err);
}

#[tokio::test]
async fn status_says_clearly_that_no_daemon_is_there() {
    let daemon = Daemon::prepare(NOBODY_THERE);
    let said = run(call_for(&daemon, &["status"])).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&format!("127.0.0.1:{}", daemon.admin)), "{}", said.err);
    assert!(said.err.contains("refused") && said.err.contains("--address"), "{}", said.err);
}

// --- the private door ------------------------------------------------------------------------

struct Asked {
    status: u16,
    body: Value,
}

/// `None`: with the token that the daemon made.
async fn ask(daemon: &Daemon, method: &str, path: &str, token: Option<&str>) -> Asked {
    let url = format!("http://127.0.0.1:{}{path}", daemon.admin);
    let mut request = match token {
        None => daemon.at_private_door(method, path),
        Some(token) => reqwest::Client::new()
            .request(method.parse().unwrap(), url)
            .header("authorization", token),
    };
    if method == "POST" {
        request = request.json(&json!({}));
    }
    let answer = request.send().await.unwrap();
    Asked { status: answer.status().as_u16(), body: answer.json().await.unwrap_or_default() }
}

#[tokio::test]
async fn the_token_is_asked_for_by_all_but_health_and_readiness() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let any = format!("ROUSTABOUT__ADMIN__LISTEN=0.0.0.0:{}", daemon.admin);
    let token = format!("ROUSTABOUT__ADMIN__TOKEN_FILE={}", file(&daemon, "token", "abc-123\n"));
    daemon.start_by(&["env", &any, &token]).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&daemon, "GET", path, None).await.status, 200, "{path}");
    }
    for path in ["/api/v1/status", "/api/v1/jobs", "/api/v1/jobs/7", "/api/v1/runners", "/events"] {
        for wrong in ["Bearer abc", "Bearer abc-1234", "abc-123", ""] {
            let asked = ask(&daemon, "GET", path, Some(wrong)).await;
            assert_eq!(asked.status, 401, "{path} {wrong:?}");
        }
    }
    for right in ["Bearer abc-123", "bearer abc-123"] {
        assert_eq!(ask(&daemon, "GET", "/api/v1/status", Some(right)).await.status, 200);
    }
    let mut command = call_for(&daemon, &["status"]);
    assert_eq!(run(call_for(&daemon, &["status"])).await.code, 1, "it has another token");
    for pair in [&any, &token] {
        let (name, value) = pair.split_once('=').unwrap();
        command.env(name, value);
    }
    assert_eq!(run(command).await.code, 0);
}

/// Loopback is no exception: jobs on raw_exec and every page in the operator's browser reach it.
#[tokio::test]
async fn on_loopback_the_daemon_makes_a_token_that_its_commands_find() {
    let daemon = door().await;
    let file = daemon.folder.path().join("admin-token");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(ask(&daemon, "GET", "/api/v1/status", Some("")).await.status, 401);
    let paused = ask(&daemon, "POST", "/api/v1/pools/x64/pause", Some("")).await;
    assert_eq!(paused.status, 401);
    let pools = daemon.api("/api/v1/pools").await;
    assert_eq!(pools[0]["paused"], false);
    assert_eq!(run(call_for(&daemon, &["status"])).await.code, 0);
    let place = run(call_for(&daemon, &["admin-token"])).await;
    assert_eq!(place.out.trim(), file.display().to_string());
    let token = std::fs::read_to_string(&file).unwrap();
    assert!(!place.out.contains(token.trim()));
    assert_eq!(run(call_for(&daemon, &["admin-token", "--show"])).await.out, token);
    let asked = run(call_for(&daemon, &["admin-token", "--json"])).await;
    assert_eq!(serde_json::from_str::<Value>(&asked.out).unwrap(), json!({"place": file}));
    let address = format!("http://127.0.0.1:{}", daemon.admin);
    let file = file.display().to_string();
    let mut without_config = call(&["status", "--address", &address, "--token-file", &file]);
    without_config.current_dir("/");
    assert_eq!(run(without_config).await.code, 0);
}

#[tokio::test]
async fn another_page_in_the_operators_browser_gets_nothing() {
    let daemon = door().await;
    let pause = || daemon.at_private_door("POST", "/api/v1/pools/x64/pause");
    for (name, value, status) in [
        ("host", "evil.example.org", 421),
        ("origin", "http://evil.example.org", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("content-type", "text/plain", 415),
    ] {
        let request = pause().header(name, value);
        let request =
            if name == "content-type" { request.body("{}") } else { request.json(&json!({})) };
        assert_eq!(request.send().await.unwrap().status(), status, "{name}");
    }
    let read = daemon.at_private_door("GET", "/api/v1/jobs").header("host", "evil.example.org");
    assert_eq!(read.send().await.unwrap().status(), 421, "a name that was pointed here");
    assert_eq!(daemon.api("/api/v1/pools").await[0]["paused"], false);
    assert!(pause().json(&json!({})).send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn paths_that_are_none_answer_404_or_405() {
    let daemon = door().await;
    assert_eq!(ask(&daemon, "GET", "/nothing", None).await.status, 404);
    assert_eq!(ask(&daemon, "POST", "/api/v1/status", None).await.status, 405);
    assert_eq!(ask(&daemon, "GET", "/api/v1/jobs/7", None).await.status, 404);
    assert_eq!(ask(&daemon, "GET", "/api/v1/jobs/seven", None).await.status, 400);
}

/// `HTTP_PROXY` of the environment would get Nomad's token in clear.
#[tokio::test]
async fn nothing_for_this_machine_goes_through_a_proxy_of_the_environment() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon
        .start_with(&[], |command| {
            for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
                command.env(name, &address);
            }
        })
        .await;
    let nobody_came = async {
        until("Nomad and GitHub were asked for", SOON, async || {
            let ready = ask(&daemon, "GET", "/readyz", None).await;
            ready.body["degraded"].as_array().is_some_and(|degraded| degraded.len() == 2)
        })
        .await;
    };
    tokio::select! {
        _ = proxy.accept() => panic!("the proxy was asked"),
        () = nobody_came => {}
    }
}

#[tokio::test]
async fn a_second_daemon_on_one_database_changes_and_binds_nothing() {
    let daemon = door().await;
    let other = Daemon::prepare(NOBODY_THERE);
    other.configure(|config| {
        config.replace(
            &other.database().display().to_string(),
            &daemon.database().display().to_string(),
        )
    });
    let said = run(call(&["serve", "--config", &other.config().display().to_string()])).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("another roustabout uses the store"), "{}", said.err);
    assert_accepts(daemon.door).await;
}

#[tokio::test]
async fn it_is_ready_while_github_and_nomad_are_away_and_says_that_they_are() {
    let daemon = door().await;
    let names = |body: &Value| -> Vec<String> {
        let all = body["degraded"].as_array().unwrap().iter();
        all.map(|text| text.as_str().unwrap().split(": ").next().unwrap().to_owned()).collect()
    };
    until("both are told", SOON, async || {
        let ready = ask(&daemon, "GET", "/readyz", None).await;
        assert_eq!(ready.status, 200);
        names(&ready.body) == ["github", "nomad"]
    })
    .await;
}

#[tokio::test]
async fn it_is_not_ready_while_the_store_cannot_be_written_and_never_hangs() {
    let daemon = door().await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    let lock = rusqlite::Connection::open(daemon.database()).unwrap();
    lock.busy_timeout(SOON).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ready = ask(&daemon, "GET", "/readyz", None).await;
    assert_eq!(ready.status, 503);
    assert!(ready.body["reason"].as_str().unwrap().contains("locked"), "{}", ready.body);
    assert_eq!(ask(&daemon, "GET", "/healthz", None).await.status, 200);
    let started = Instant::now();
    assert!([200, 503].contains(&ask(&daemon, "GET", "/api/v1/status", None).await.status));
    assert!(started.elapsed() < SOON, "a client waits no longer than 10 s");
    lock.execute_batch("ROLLBACK").unwrap();
    until("it is ready again", SOON, async || {
        ask(&daemon, "GET", "/readyz", None).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn every_job_tells_why_it_waits_or_gets_no_runner() {
    let daemon = door().await;
    let mut public = queued(8);
    public["repository"]["private"] = json!(false);
    public["repository"]["id"] = json!(2);
    public["repository"]["full_name"] = json!("octo/open");
    let mut windows = queued(9);
    windows["workflow_job"]["labels"] = json!(["windows"]);
    for (delivery, payload) in [("one", queued(7)), ("two", public), ("three", windows)] {
        assert_eq!(Request::job(delivery, &payload).send(daemon.door).await.status, 202);
    }
    for (job, words) in [(7, ""), (8, "octo/open is public"), (9, "windows")] {
        until("the job has a reason", SOON, async || {
            let reason = daemon.job(job).await["reason"].clone();
            reason.as_str().is_some_and(|reason| !reason.is_empty() && reason.contains(words))
        })
        .await;
    }
    let jobs = daemon.api("/api/v1/jobs").await;
    assert!(jobs.as_array().unwrap().iter().all(|job| job["reason"].is_string()), "{jobs}");
    let known = daemon.job(7).await;
    assert_eq!((&known["pool"], &known["delivery"]), (&json!("x64"), &json!("one")));
    assert_eq!(known["labels"], json!(["self-hosted", "linux"]));
}
