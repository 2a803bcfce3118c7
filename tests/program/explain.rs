//! `explain`, as people call it and with GitHub simulated: the sentence on top for each way in
//! which a job can be where it is. What needs Nomad is in `explain_nomad`.

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use simulated::github::{FaultKind, FaultRule, JobSpec, RunSpec, Server, Visibility};
use support::daemon::{Daemon, GITHUB_TOKEN, roustabout};
use support::until;
use support::webhook::{NOBODY_THERE, Request, door, queued};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(10);

/// Exit code, standard output and standard error.
async fn call(daemon: &Daemon, arguments: &[&str]) -> (i32, String, String) {
    let mut command = roustabout();
    command.args(arguments).current_dir("/").arg("--config").arg(daemon.config());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The text, of a call that went well.
async fn explain(daemon: &Daemon, what: &str) -> String {
    let (code, out, err) = call(daemon, &["explain", what]).await;
    assert_eq!(code, 0, "{err}");
    out
}

fn sentence(text: &str) -> &str {
    text.lines().next().unwrap()
}

/// Sends it, and waits until the ledger has it as `status`.
async fn send(daemon: &Daemon, delivery: &str, payload: &Value, status: &str) {
    Request::job(delivery, payload).send(daemon.door).await;
    let id = payload["workflow_job"]["id"].as_u64().unwrap();
    until("the job is known", SOON, async || daemon.job(id).await["status"] == status).await;
}

/// Times differ from run to run.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.split_at_checked(20) {
        Some((at, rest)) if at.parse::<jiff::Timestamp>().is_ok() => {
            format!("{:<20}{rest}\n", "TIME")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn the_whole_story_of_a_job_that_another_runner_took() {
    let daemon = door().await;
    send(&daemon, "one", &queued(7), "queued").await;
    let waiting = explain(&daemon, "7").await;
    assert!(sentence(&waiting).starts_with("job 7 (build) of octo/app waits: "), "{waiting}");
    assert!(waiting.contains("Nomad") && waiting.contains("\nnow "), "{waiting}");
    let mut running = queued(7);
    running["action"] = json!("in_progress");
    running["workflow_job"]["status"] = json!("in_progress");
    running["workflow_job"]["runner_name"] = json!("basement");
    send(&daemon, "two", &running, "in_progress").await;
    assert_eq!(
        sentence(&explain(&daemon, "7").await),
        "job 7 (build) of octo/app is running on runner basement, which is not ours"
    );
    let mut done = running;
    done["action"] = json!("completed");
    done["workflow_job"]["status"] = json!("completed");
    done["workflow_job"]["conclusion"] = json!("success");
    send(&daemon, "three", &done, "completed").await;
    let page = "https://github.com/octo/app/actions/runs/9/job/7";
    let shown = daemon.api(&format!("/api/v1/explain/{page}")).await;
    assert_eq!(shown["jobs"][0]["status"], "completed", "an address needs no encoding: {shown}");
    let text = explain(&daemon, page).await;
    insta::assert_snapshot!(without_times(&text), @r"
    job 7 (build) of octo/app is done: success, on runner basement

    TIME                  created at GitHub
    TIME                  received by webhook (delivery one)
    TIME                  pool x64: the first that serves octo/app and has all of its labels (self-hosted, linux) among its own (self-hosted, linux, x64)
    TIME                  job queued: build
    TIME                  basement: job in_progress: build
    TIME                  basement: job completed: build (success)
    ");
}

#[tokio::test]
async fn a_job_that_gets_no_runner_says_by_which_rule() {
    let daemon = door().await;
    let mut public = queued(8);
    public["repository"]["private"] = json!(false);
    public["repository"]["id"] = json!(2);
    public["repository"]["full_name"] = json!("octo/open");
    let mut windows = queued(9);
    windows["workflow_job"]["labels"] = json!(["windows"]);
    send(&daemon, "one", &public, "queued").await;
    send(&daemon, "two", &windows, "queued").await;
    assert_eq!(
        sentence(&explain(&daemon, "8").await),
        "job 8 (build) of octo/open gets no runner: octo/open is public, and pool x64 does not \
         allow public repositories (public_repositories = true allows them)"
    );
    let text = explain(&daemon, "9").await;
    assert_eq!(
        sentence(&text),
        "job 9 (build) of octo/app gets no runner from roustabout: no pool that serves the repository \
         has all labels of the job (windows)"
    );
    send(&daemon, "three", &queued(10), "queued").await;
    let run = explain(&daemon, "octo/app#9").await;
    assert!(sentence(&run).ends_with("has 2 jobs: 2 queued"), "{run}");
    assert!(run.contains("job 10 (build)") && run.contains("(windows)"), "{run}");
    assert!(run.contains("\nit may have more jobs: GitHub does not answer: "), "{run}");
    let (_, out, _) = call(&daemon, &["explain", "9", "--json"]).await;
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["sentence"], sentence(&text));
    assert_eq!((&shown["jobs"][0]["id"], &shown["jobs"][0]["known"]), (&json!(9), &json!(true)));
    assert!(shown["jobs"][0]["timeline"][0]["at"].is_string());
}

/// `octocat/nosuch#1` once described the job of another repository.
#[tokio::test]
async fn repository_and_host_count() {
    let daemon = door().await;
    send(&daemon, "one", &queued(7), "queued").await;
    let page = |place: &str| format!("https://{place}/actions/runs/9/job/7");
    assert!(explain(&daemon, &page("github.com/OCTO/app")).await.starts_with("job 7 (build)"));
    assert!(explain(&daemon, "octo/app#9").await.starts_with("job 7 (build)"));
    for other in ["octocat/nosuch#9", &page("github.com/octocat/nosuch")] {
        let (code, out, err) = call(&daemon, &["explain", other]).await;
        assert_eq!((code, out.as_str()), (1, ""), "{other}");
        assert!(err.contains("of octocat/nosuch (the one of this id is of octo/app)"), "{err}");
    }
    let (code, out, err) = call(&daemon, &["explain", &page("git.example.org/octo/app")]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("git.example.org is not the forge of this daemon"), "{err}");
    assert!(err.contains("which works with github.com"), "{err}");
}

#[tokio::test]
async fn a_job_that_waits_for_an_approval_and_would_be_refused_is_promised_no_runner() {
    let daemon = door().await;
    let mut waiting = queued(7);
    waiting["action"] = json!("waiting");
    waiting["workflow_job"]["status"] = json!("waiting");
    waiting["repository"]["private"] = json!(false);
    send(&daemon, "one", &waiting, "waiting").await;
    let text = explain(&daemon, "7").await;
    assert!(sentence(&text).contains("no runner is launched for it: octo/app is public"), "{text}");
}

#[tokio::test]
async fn a_job_that_waits_for_an_approval() {
    let daemon = door().await;
    let mut waiting = queued(7);
    waiting["action"] = json!("waiting");
    waiting["workflow_job"]["status"] = json!("waiting");
    send(&daemon, "one", &waiting, "waiting").await;
    let text = explain(&daemon, "7").await;
    assert!(sentence(&text).contains("waits at GitHub for its environment's approval"), "{text}");
}

// --- jobs that nothing was heard of ----------------------------------------------------------

/// A GitHub with a job in either of two private repositories, no hook, and runs that cannot be
/// listed, so that sweeps find nothing.
async fn unheard() -> (Server, Daemon, [u64; 2]) {
    let github = Server::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), 7).unwrap();
    let jobs = github.with(|github, now| {
        let user = github.add_user("octocat");
        github.add_organization("octo", &[user]);
        github.add_full_token(GITHUB_TOKEN, user);
        github.fault(FaultRule {
            method: "GET".to_owned(),
            path_contains: "/actions/runs".to_owned(),
            times: 10_000,
            kind: FaultKind::Status(502, json!({})),
        });
        ["octo/app", "octocat/own"].map(|name| {
            let repository = github.add_repository(name, Visibility::Private, now);
            let job = JobSpec::new("build", &["self-hosted", "linux"]);
            let run = github.add_run(repository, RunSpec::default(), vec![job], now);
            github.run(run).unwrap().jobs[0]
        })
    });
    let config = NOBODY_THERE
        .replacen("http://127.0.0.1:1", &github.url(), 1)
        .replace("ghp_x", GITHUB_TOKEN);
    let mut daemon = Daemon::prepare(&config);
    daemon.start().await;
    (github, daemon, jobs)
}

#[tokio::test]
async fn a_job_never_seen_is_asked_for_at_github() {
    let (github, daemon, [served, other]) = unheard().await;
    let page = |repository: &str, job: u64| {
        format!("{}/{repository}/actions/runs/1/job/{job}", github.url())
    };
    let text = explain(&daemon, &page("octo/app", served)).await;
    assert_eq!(
        sentence(&text),
        format!(
            "no webhook has reported job {served} (build) of octo/app: neither octo/app nor \
             octo has an active webhook for jobs; at GitHub it is queued; pool x64 would serve it"
        )
    );
    let text = explain(&daemon, &page("octocat/own", other)).await;
    assert!(
        sentence(&text).ends_with(
            "octocat/own has no active webhook for jobs; at GitHub it is queued; no pool serves \
             the repository octocat/own"
        ),
        "{text}"
    );
    let (code, _, err) = call(&daemon, &["explain", &page("octo/app", 999_999)]).await;
    assert_eq!(code, 1);
    assert!(
        err.contains("sweep reported job 999999") && err.contains("does not exist at GitHub"),
        "{err}"
    );
    // It judges by the rules of today.
    let before = std::fs::read_to_string(daemon.config()).unwrap();
    daemon.configure(|config| config.replace("[\"octo/*\"]", "[\"octo/*\", \"octocat/*\"]"));
    daemon.reload().await;
    let text = explain(&daemon, &page("octocat/own", other)).await;
    assert!(sentence(&text).ends_with("pool x64 would serve it"), "{text}");
    daemon.configure(|_| before);
    daemon.reload().await;
    let run = github.with(|github, _| {
        github.clear_faults();
        github.job(other).unwrap().run
    });
    let text = explain(&daemon, &format!("octocat/own#{run}")).await;
    assert!(sentence(&text).contains(&format!("job {other}")), "{text}");
    // The number that people see, too.
    let number = github.with(|github, _| github.run(run).unwrap().number);
    let text = explain(&daemon, &format!("OCTOCAT/own#{number}")).await;
    assert!(sentence(&text).contains(&format!("job {other}")), "{text}");
    let (code, _, err) = call(&daemon, &["explain", "octocat/own#4711"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("no unfinished run with this number"), "{err}");
    github.shutdown().await;
}

/// A script that explains a thousand jobs must leave the rate limit to runners and sweeps.
#[tokio::test]
async fn a_loop_of_questions_asks_the_forge_little_and_says_so() {
    let (github, daemon, [served, _]) = unheard().await;
    let asked = |job: u64| {
        let page = format!("{}/octo/app/actions/runs/1/job/{job}", github.url());
        daemon.at_private_door("GET", &format!("/api/v1/explain/{page}"))
    };
    let requests = || {
        let seen = |github: &mut simulated::github::GitHub, _| {
            let of_job = |path: &str| path.contains("/actions/jobs/");
            github.requests().iter().filter(|it| of_job(&it.path)).count()
        };
        github.with(seen)
    };
    for job in [served, served, served] {
        assert_eq!(asked(job).send().await.unwrap().status(), 200);
    }
    assert_eq!(requests(), 1, "an answer is used again");
    let mut statuses = Vec::new();
    let mut last = Value::Null;
    for job in 1_000..1_030 {
        let answer = asked(job).send().await.unwrap();
        let wait = answer.headers().get("retry-after").cloned();
        statuses.push((answer.status().as_u16(), wait.is_some()));
        last = answer.json().await.unwrap();
    }
    assert_eq!(statuses[0], (404, false), "GitHub has no such job");
    assert_eq!(statuses[29], (429, true), "nobody has asked");
    let why = last["error"].as_str().unwrap();
    assert!(why.contains("GitHub was not asked: explain asks it 15 questions a minute"), "{why}");
    assert!(requests() <= 15, "{} requests", requests());
    // One that is known is explained all the same.
    send(&daemon, "one", &queued(7), "queued").await;
    let text = explain(&daemon, "7").await;
    assert!(sentence(&text).starts_with("job 7 (build) of octo/app waits: "), "{text}");
    assert!(text.contains("GitHub was not asked"), "{text}");
    github.shutdown().await;
}

#[tokio::test]
async fn a_bare_id_never_seen_says_that_only_a_page_tells_where_to_ask() {
    let daemon = door().await;
    let (code, out, err) = call(&daemon, &["explain", "4242"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("roustabout: no webhook and no sweep reported job 4242"), "{err}");
    assert!(err.contains("give the address of the job's page"), "{err}");
    let (code, _, err) = call(&daemon, &["explain", "https://github.com/o/r/actions/runs/1"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("run 1 of o/r, and GitHub does not answer"), "{err}");
    for (asked, status) in [("4242", 404), ("o/r%23100", 503)] {
        let answer = daemon.at_private_door("GET", &format!("/api/v1/explain/{asked}"));
        assert_eq!(answer.send().await.unwrap().status(), status, "{asked}");
    }
    let (code, _, err) = call(&daemon, &["explain", "seven"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("OWNER/REPO#RUN"), "{err}");
    assert_eq!(call(&daemon, &["explain"]).await.0, 2);
    assert_eq!(call(&daemon, &["explain", "7", "--delivery", "x"]).await.0, 2);
}

#[tokio::test]
async fn without_a_daemon_it_says_so() {
    let daemon = Daemon::prepare(NOBODY_THERE);
    for arguments in [&["explain", "7"][..], &["explain", "--delivery", "x"]] {
        let (code, _, err) = call(&daemon, arguments).await;
        assert_eq!(code, 1);
        assert!(err.contains("roustabout does not answer at"), "{err}");
    }
}

// --- webhooks --------------------------------------------------------------------------------

/// What would become of this payload, as text and as JSON; no daemon runs.
async fn foreseen(daemon: &Daemon, payload: &str) -> (String, Value) {
    let path = daemon.folder.path().join("payload.json");
    std::fs::write(&path, payload).unwrap();
    let path = path.to_str().unwrap();
    let (code, text, err) = call(daemon, &["explain", "--payload", path]).await;
    assert_eq!(code, 0, "{err}");
    let (_, shown, _) = call(daemon, &["explain", "--payload", path, "--json"]).await;
    (text, serde_json::from_str(&shown).unwrap())
}

#[tokio::test]
async fn a_payload_is_foreseen_without_a_daemon() {
    let daemon = Daemon::prepare(NOBODY_THERE);
    let (text, shown) = foreseen(&daemon, &queued(7).to_string()).await;
    assert_eq!(
        sentence(&text),
        "the webhook would be accepted; pool x64 would launch a runner for job 7 (build) of octo/app as \
         soon as there is room (Nomad job github-runner-x64)"
    );
    assert_eq!((&shown["outcome"], &shown["pool"]), (&json!("accepted"), &json!("x64")));
    let mut forkable = queued(7);
    forkable["repository"]["forks_count"] = json!(3);
    let (text, _) = foreseen(&daemon, &forkable.to_string()).await;
    assert!(sentence(&text).ends_with("if GitHub shows that its policy allows the run"), "{text}");
    let mut public = queued(7);
    public["repository"]["private"] = json!(false);
    let (text, shown) = foreseen(&daemon, &public.to_string()).await;
    assert!(
        sentence(&text)
            .contains("would be ignored for job 7 (build) of octo/app: octo/app is public")
    );
    assert_eq!(shown["outcome"], "ignored");
    let (text, shown) = foreseen(&daemon, "{").await;
    assert!(sentence(&text).starts_with("the webhook would be answered with 400"), "{text}");
    assert_eq!(shown["outcome"], "unreadable");
    let (code, _, err) = call(&daemon, &["explain", "--payload", "/nowhere.json"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("cannot read the payload /nowhere.json"), "{err}");
    assert!(!daemon.database().exists(), "nothing was opened");
}

#[tokio::test]
async fn a_delivery_that_could_not_be_read_is_shown() {
    let daemon = door().await;
    let answer =
        Request::hook("workflow_job", "odd one", r#"{"action": 5}"#).send(daemon.door).await;
    assert_eq!(answer.status, 400);
    let (code, out, err) = call(&daemon, &["explain", "--delivery", "odd one"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("delivery odd one (workflow_job) arrived at "), "{out}");
    assert!(out.contains("not a workflow_job event") && out.contains(r#"{"action": 5}"#), "{out}");
    let (_, out, _) = call(&daemon, &["explain", "--delivery", "odd one", "--json"]).await;
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["event"], &shown["body_bytes"]), (&json!("workflow_job"), &json!(13)));
    let (code, _, err) = call(&daemon, &["explain", "--delivery", "other"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("delivery other is not kept"), "{err}");
}
