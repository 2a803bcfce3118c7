//! `roustabout demo` as a process: started in a folder of its own, its steps read, and the proof
//! that nothing is left of it.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use super::daemon::{roustabout, signal};
use super::programs;

/// A folder for temporary files that every account may enter, so that all that the demo makes is
/// in it.
pub fn temporary() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

pub fn demo(folder: &Path, arguments: &[&str]) -> Command {
    // Beside the daemon's, where that one looks for it.
    programs::roustabout_demo();
    let mut command = roustabout();
    command.arg("demo").args(arguments).env("TMPDIR", folder).stdin(Stdio::null());
    command
}

pub fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Neither files nor processes.
pub fn assert_nothing_left(folder: &Path) {
    let files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, Vec::<PathBuf>::new());
    assert_eq!(processes_of(folder), Vec::<String>::new());
}

/// The command lines of whatever has the folder in its arguments or its environment, as all
/// processes of a demo have.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let mark = folder.to_str().unwrap();
    // Processes come and go; one that is gone cannot be read.
    let text = |process: &Path, file: &str| {
        let bytes = fs::read(process.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    all.filter(|process| {
        text(process, "cmdline").contains(mark) || text(process, "environ").contains(mark)
    })
    .map(|process| text(&process, "cmdline"))
    .collect()
}

/// The steps of one job and its runner are there and in order.
pub fn assert_whole_way(steps: &[Value], job: &Value) {
    let at = |kind: &str, key: &str, whose: &Value| {
        let found = steps.iter().position(|step| step["step"] == kind && step[key] == *whose);
        found.unwrap_or_else(|| panic!("no step {kind} of {whose}"))
    };
    let started = at("started", "job", job);
    let runner = &steps[started]["runner"];
    let way = [
        at("webhook", "job", job),
        at("hired", "runner", runner),
        at("dispatched", "runner", runner),
        at("registered", "runner", runner),
        started,
        at("completed", "job", job),
        at("gone", "runner", runner),
    ];
    // Of this job only the start must be after its webhook: the runner may be hired for another.
    assert!(way[0] < started, "{way:?}");
    assert!(way[1..].is_sorted(), "{way:?}");
}

/// The whole burst of so many jobs, whatever Nomad it ran on: each ran once, one waited for a
/// place that there is nowhere and was told why, one was refused, and nothing is left.
pub fn assert_burst(steps: &[Value], jobs: usize) {
    assert_figures(steps, jobs);
    let started = steps.iter().filter(|step| step["step"] == "started");
    for job in started.map(|step| &step["job"]) {
        assert_whole_way(steps, job);
    }
}

/// The same without the order of the steps, which a forge that has to be asked tells late.
pub fn assert_figures(steps: &[Value], jobs: usize) {
    let summary = steps.last().unwrap();
    assert_eq!(summary["step"], "summary");
    assert_eq!(summary["ok"], true, "{summary}");
    assert_eq!(summary["jobs"], jobs + 2);
    assert_eq!(summary["ran_once"], jobs);
    assert_eq!((&summary["cancelled_in_queue"], &summary["refused"]), (&1.into(), &1.into()));
    for left in ["dispatches_alive", "runners_registered", "runners_in_ledger"] {
        assert_eq!(summary["left"][left], 0, "{summary}");
    }
    // At least one for each job that ran, and one for the one that waited.
    assert!(summary["dispatches"].as_u64().unwrap() > jobs as u64, "{summary}");
    assert!(summary["median_to_running"].as_f64().unwrap() > 0.0);

    let of = |kind: &'static str| steps.iter().filter(move |step| step["step"] == kind);
    assert_eq!(of("completed").count(), jobs + 1);
    assert_eq!(of("started").count(), jobs);
    let why = of("explained").next().unwrap()["text"].as_str().unwrap();
    assert!(why.contains("1 node: 1 lacks memory"), "{why}");
    let why = of("refused").next().unwrap();
    assert_eq!(why["repository"], "octo/site");
    assert!(why["text"].as_str().unwrap().contains("is public"), "{why}");
}

/// A demo that runs, its steps read as they come. It is killed when it is dropped, and after
/// [`LONGEST`], so that nobody waits for ever for a step that does not come.
pub struct Running {
    child: Option<Child>,
    steps: Lines<BufReader<ChildStdout>>,
    /// Closed when it is over.
    _over: Sender<()>,
}

const LONGEST: Duration = Duration::from_secs(240);

impl Running {
    pub fn start(mut command: Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let steps = BufReader::new(child.stdout.take().unwrap()).lines();
        let (over, waits) = channel::<()>();
        let process = child.id();
        std::thread::spawn(move || {
            if waits.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
                signal(process, "KILL");
            }
        });
        Self { child: Some(child), steps, _over: over }
    }

    /// Reads on until there is one of this kind, and gives it.
    pub fn until(&mut self, kind: &str) -> Value {
        self.all_until(kind).pop().unwrap()
    }

    /// All up to the first of this kind, that one too.
    pub fn all_until(&mut self, kind: &str) -> Vec<Value> {
        let mut steps: Vec<Value> = Vec::new();
        while steps.last().is_none_or(|step| step["step"] != kind) {
            let line = self.steps.next().unwrap_or_else(|| panic!("it ended before {kind}"));
            steps.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        steps
    }

    /// Ends it by a signal; its last step, and how it ended.
    pub fn end(mut self, by: &str) -> (Option<Value>, Output) {
        let child = self.child.take().unwrap();
        signal(child.id(), by);
        let last = self.steps.by_ref().map_while(Result::ok).last();
        let last = last.map(|line| serde_json::from_str(&line).unwrap());
        (last, child.wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What `--keep` promises: a job that nobody has heard of runs when its payload is sent by the
/// command that is shown, and with Ctrl-C everything ends well.
pub fn assert_keeps(command: Command) {
    let mut running = Running::start(command);
    let kept = running.until("kept");
    let send = kept["send"].as_str().unwrap();
    let sent = Command::new("/bin/sh").args(["-c", send]).env_clear().output().unwrap();
    let answer = String::from_utf8_lossy(&sent.stdout);
    assert!(answer.starts_with("202 "), "{answer} {}", errors(&sent));
    let ended = running.until("completed");
    assert_eq!(ended["job"], kept["job"], "{ended}");
    assert!(ended["text"].as_str().unwrap().starts_with("completed: success"), "{ended}");
    // What is shown to be asked with is answered.
    let explain = kept["ask"][0].as_str().unwrap();
    let explained = Command::new("/bin/sh").args(["-c", explain]).env_clear().output().unwrap();
    assert!(explained.status.success(), "{explain}: {}", errors(&explained));
    assert!(Path::new(kept["token_file"].as_str().unwrap()).exists(), "{kept}");
    let (last, output) = running.end("INT");
    assert!(output.status.success(), "{}", errors(&output));
    let summary = last.unwrap();
    assert_eq!((&summary["step"], &summary["ok"]), (&"summary".into(), &true.into()));
    for left in ["dispatches_alive", "runners_registered", "runners_in_ledger"] {
        assert_eq!(summary["left"][left], 0, "{summary}");
    }
}
