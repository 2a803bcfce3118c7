//! Runs the recorder: which scenarios it has, and some of them on a Nomad or a stand-in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::not_run::not_run;

/// Scenarios that need no agent of their own are shared out among so many agents.
const SHARES: usize = 4;

/// Scenarios that share an agent.
pub struct Group {
    pub name: String,
    pub scenarios: Vec<String>,
}

fn recorder() -> Command {
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/record.py");
    let mut command = Command::new("python3");
    command.arg(script);
    command
}

/// Whether what plays the scenarios is there; where it is not, that is said.
pub fn is_possible() -> bool {
    if Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
    {
        return true;
    }
    not_run("the stand-in by the record of a real Nomad", "needs python3");
    false
}

/// The chosen scenarios, in the recorder's order.
pub fn groups(chosen: impl Fn(&str) -> bool) -> Vec<Group> {
    let output = recorder().arg("--list").output().expect("python3, which plays the scenarios");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut groups: Vec<Group> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (group, name) = (words.next().unwrap(), words.next().unwrap());
        if !chosen(name) {
            continue;
        }
        match groups.iter_mut().find(|one| one.name == group) {
            Some(known) => known.scenarios.push(name.to_owned()),
            None => {
                groups.push(Group { name: group.to_owned(), scenarios: vec![name.to_owned()] });
            }
        }
    }
    groups
}

/// What a record holds, by the scenario's name.
pub fn scenarios(file: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    let all = whole["scenarios"].as_array().unwrap().iter();
    all.map(|one| (one["name"].as_str().unwrap().to_owned(), one.clone())).collect()
}

/// Plays the groups on agents of this program. Mostly they wait, so all play at the same time.
pub fn all(binary: &Path, groups: &[Group]) -> BTreeMap<String, Value> {
    let folder = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        let shares = groups.iter().flat_map(|group| shares(group, SHARES));
        let players: Vec<_> = shares
            .enumerate()
            .map(|(number, names)| {
                let output = folder.path().join(format!("{number}.json"));
                scope.spawn(move || {
                    play(binary, &names, &output);
                    scenarios(&output)
                })
            })
            .collect();
        players.into_iter().flat_map(|player| player.join().unwrap()).collect()
    })
}

/// Of the groups what is needed to play the chosen scenarios again: where scenarios build on each
/// other, the whole group.
pub fn narrowed(groups: &[Group], chosen: impl Fn(&str) -> bool) -> Vec<Group> {
    let some = groups.iter().filter(|group| group.scenarios.iter().any(|name| chosen(name)));
    some.map(|group| {
        let keep = |name: &&String| group.name != "plain" || chosen(name);
        let scenarios = group.scenarios.iter().filter(keep).cloned().collect();
        Group { name: group.name.clone(), scenarios }
    })
    .collect()
}

/// Lists of scenarios, each to be played on agents of its own.
fn shares(group: &Group, count: usize) -> Vec<Vec<String>> {
    // The others build on each other, as one makes the token of the next.
    if group.name != "plain" {
        return vec![group.scenarios.clone()];
    }
    let mut shares = vec![Vec::new(); count];
    for (number, name) in group.scenarios.iter().enumerate() {
        shares[number % count].push(name.clone());
    }
    shares.retain(|share| !share.is_empty());
    shares
}

/// Plays them, and leaves what was answered in `output`.
fn play(binary: &Path, scenarios: &[String], output: &Path) {
    let played = recorder()
        .args(["--only", &scenarios.join(",")])
        .arg("--output")
        .arg(output)
        .env("NOMAD_BIN", binary)
        .stdin(Stdio::null())
        .status()
        .expect("python3, which plays the scenarios");
    assert!(played.success(), "the recorder failed with {scenarios:?}; it says why above");
}
