//! The job-started hook of our jobspecs: whom it lets pass, in every shell and awk that are here, and
//! that it interrupts the runner for everybody else, whatever goes wrong.

use crate::support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::daemon::here;
use support::root::on_path;
use support::script_of;

/// A listener as far as the hook can tell. It says what becomes of it.
const LISTENER: &str = r#"
trap 'echo interrupted; kill $hook; exit' INT
"$@" &
hook=$!
wait $hook
echo "returned $?"
"#;

struct Hook {
    folder: tempfile::TempDir,
    repositories: &'static str,
    public: &'static str,
    forks: &'static str,
    events: &'static str,
    actors: &'static str,
    actor: &'static str,
}

impl Hook {
    /// The policy of a usual pool.
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            repositories: "octo/*,!octo/secret,Friends/lib-*",
            public: "false",
            forks: "false",
            events: "*",
            actors: "*",
            actor: "octocat",
        }
    }

    /// What the listener says; `event` is the whole text of the file.
    fn said(&self, repository: &str, name: &str, event: &str) -> String {
        let mut all: Vec<String> = Vec::new();
        for shell in shells() {
            all.push(self.said_in(&shell, repository, name, event));
        }
        assert!(all.windows(2).all(|two| two[0] == two[1]), "shells differ: {all:?}");
        all.swap_remove(0)
    }

    /// The hook as the task of the jobspec writes it.
    fn written(&self) -> String {
        let file = here("deploy/nomad/runner-raw-exec.nomad.hcl");
        let script = script_of(&std::fs::read_to_string(file).unwrap(), "hook");
        let folder = self.folder.path();
        let written = Command::new("sh")
            .args(["-c", &script.replace("/run/roustabout", folder.join("run").to_str().unwrap())])
            .env("NOMAD_ALLOC_ID", "a")
            .env("NOMAD_ALLOC_DIR", folder.join("run"))
            .env("NOMAD_META_allow_repositories", self.repositories)
            .env("NOMAD_META_allow_public", self.public)
            .env("NOMAD_META_allow_forks", self.forks)
            .env("NOMAD_META_allow_events", self.events)
            .env("NOMAD_META_allow_actors", self.actors)
            .status();
        assert!(written.unwrap().success());
        let below = if rustix::process::geteuid().is_root() { "run/a" } else { "run/hook" };
        let file = folder.join(below).join("job-started.sh");
        // Who runs the job can read it, and nobody else than who wrote it can replace it.
        for path in [&file, file.parent().unwrap()] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!((mode & 0o022, mode & 0o004), (0, 0o004), "{}", path.display());
        }
        std::fs::read_to_string(file).unwrap()
    }

    fn said_in(&self, shell: &[String], repository: &str, name: &str, event: &str) -> String {
        let at = |name: &str| self.folder.path().join(name);
        std::fs::write(at("hook.sh"), self.written()).unwrap();
        std::fs::write(at("event.json"), event).unwrap();
        let listener = at("Runner.Listener");
        if !listener.exists() {
            std::os::unix::fs::symlink("/bin/sh", &listener).unwrap();
        }
        let mut command = Command::new(listener);
        command
            .args(["-c", LISTENER, "listener"])
            .args(shell)
            .arg("-e")
            .arg(at("hook.sh"))
            .env("GITHUB_REPOSITORY", repository)
            .env("GITHUB_EVENT_NAME", name)
            .env("GITHUB_ACTOR", self.actor)
            .env("GITHUB_EVENT_PATH", at("event.json"));
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn passes(&self, repository: &str, name: &str, event: &Value) -> bool {
        // As the runner writes it, and all on one line.
        let texts = [serde_json::to_string_pretty(event).unwrap(), event.to_string()];
        let said = texts.map(|text| self.said(repository, name, &text));
        assert_eq!(said[0], said[1]);
        match said[0].as_str() {
            "returned 0" => true,
            "interrupted" => false,
            other => panic!("{other:?}"),
        }
    }
}

/// bash, which the runner takes where it finds it, and whatever else is called sh.
fn shells() -> Vec<Vec<String>> {
    let mut shells = vec![vec!["sh".to_owned()]];
    shells.extend(on_path("bash").map(|path| vec![path.display().to_string()]));
    shells.extend(on_path("busybox").map(|path| vec![path.display().to_string(), "sh".to_owned()]));
    shells
}

fn push(private: bool) -> Value {
    json!({ "ref": "refs/heads/main", "repository": { "private": private, "full_name": "octo/app" } })
}

fn pull(title: &str, head: Value) -> Value {
    let mut event = push(true);
    event["pull_request"] = json!({
        "title": title, "labels": [{ "name": "x" }, [], {}], "number": -1.5e3,
        "head": { "repo": head }, "base": { "repo": { "full_name": "octo/app" } },
    });
    event
}

#[test]
fn repositories_are_matched_as_the_pool_does() {
    let hook = Hook::new();
    let event = push(true);
    for (repository, passes) in [
        ("octo/app", true),
        ("Octo/App", true),
        ("friends/lib-x", true),
        ("friends/app", false),
        ("octo/secret", false),
        ("octopus/app", false),
        ("", false),
    ] {
        assert_eq!(hook.passes(repository, "push", &event), passes, "{repository}");
    }
    let excludes_first = Hook { repositories: "!octo/secret,octo/*", ..Hook::new() };
    assert!(!excludes_first.passes("octo/secret", "push", &event));
    let unsaid = Hook { repositories: "", ..Hook::new() };
    assert!(!unsaid.passes("octo/app", "push", &event));
}

#[test]
fn public_repositories_and_forks_pass_only_where_the_pool_allows_them() {
    let fork = json!({ "full_name": "mallory/app" });
    let title = r#""head":{"repo":{"full_name":"octo/app"}} \" } ]"#;
    let here = json!({ "full_name": "octo/app" });
    for (event, name, needs) in [
        (push(true), "push", ""),
        (push(false), "push", "public"),
        (json!({ "schedule": "0 * * * *" }), "schedule", "public"),
        (Value::Null, "push", "public"),
        (pull(title, here), "pull_request", ""),
        (pull(title, fork.clone()), "pull_request", "forks"),
        (pull(title, fork), "pull_request_target", "forks"),
        (pull(title, Value::Null), "pull_request", "forks"),
        (push(true), "pull_request", "forks"),
    ] {
        let strict = Hook::new();
        let lax = match needs {
            "public" => Hook { public: "true", ..Hook::new() },
            "forks" => Hook { forks: "true", ..Hook::new() },
            _ => Hook::new(),
        };
        assert_eq!(strict.passes("octo/app", name, &event), needs.is_empty(), "{event}");
        assert!(lax.passes("octo/app", name, &event), "{event}");
    }
}

#[test]
fn events_and_actors_pass_only_where_the_pool_allows_them() {
    let event = push(true);
    let events = |events| Hook { events, ..Hook::new() };
    for (hook, name, passes) in [
        (events("push,schedule"), "push", true),
        (events("push,schedule"), "workflow_run", false),
        (events("!workflow_run,*"), "workflow_run", false),
        (events("*,!Workflow_*"), "workflow_dispatch", false),
        (events(""), "push", false),
        (events("push"), "", false),
    ] {
        assert_eq!(hook.passes("octo/app", name, &event), passes, "{} {name}", hook.events);
    }
    for (actors, actor, passes) in [
        ("*,!dependabot[bot]", "octocat", true),
        ("*,!dependabot[bot]", "dependabot[bot]", false),
        ("*,!dependabot[bot]", "Dependabot[Bot]", false),
        ("*,!dependabot[bot]", "dependabotb", true),
        ("octo*,*[bot]", "renovate[bot]", true),
        ("octocat", "mallory", false),
        ("octocat", "", false),
        ("", "octocat", false),
    ] {
        let hook = Hook { actors, actor, ..Hook::new() };
        assert_eq!(hook.passes("octo/app", "push", &event), passes, "{actors} {actor}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let all = || Hook { public: "true", forks: "true", ..Hook::new() };
    for event in ["{", "{\"a\": \u{1}}", "]", "{\"a\": \"b}"] {
        assert_eq!(all().said("octo/app", "push", event), "interrupted", "{event:?}");
    }
    let gone = all();
    for shell in shells() {
        assert_eq!(gone.said_in(&shell, "octo/app", "push", "{}"), "returned 0");
    }
}

/// Where nobody has the listener's name, the hook's own parent is ended: no step without it.
#[test]
fn without_a_listener_the_worker_is_ended() {
    let hook = Hook::new();
    // Once for its files.
    assert!(!hook.passes("octo/secret", "push", &push(true)));
    let script: &Path = &hook.folder.path().join("hook.sh");
    let mut worker = Command::new("sh");
    worker
        .args(["-c", "sh -e \"$0\"; echo a step is run"])
        .arg(script)
        .env("GITHUB_REPOSITORY", "octo/secret");
    let output = worker.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    assert!(!output.status.success());
}

/// A quote in the policy ends no text, and nothing in it is run.
#[test]
fn the_policy_is_text() {
    let hook = Hook { repositories: "octo/*'; touch x; '$(touch y)", ..Hook::new() };
    let written = hook.written();
    let first = written.lines().next().unwrap();
    assert_eq!(first, "allow_repositories='octo/*; touch x; $(touch y)'");
}
