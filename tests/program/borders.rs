//! The borders between the packages, as cargo sees them: the daemon is shipped without the simulated world
//! and the demo, the ledger has no runtime, no HTTP and no clock, and the clients know no word of ours.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a package is built with, for the machine that it runs on: names, and which of them are ours.
struct Tree {
    all: BTreeSet<String>,
    ours: BTreeSet<String>,
}

impl Tree {
    fn of(package: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["tree", "--edges", "normal", "--prefix", "none", "--locked", "--offline"]);
        command.args(["--package", package]).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (mut all, mut ours) = (BTreeSet::new(), BTreeSet::new());
        for line in std::str::from_utf8(&output.stdout).unwrap().lines() {
            let Some(name) = line.split(' ').next().filter(|name| !name.is_empty()) else {
                continue;
            };
            all.insert(name.to_owned());
            // What is in this workspace is shown with its folder.
            if line.contains("(/") {
                ours.insert(name.to_owned());
            }
        }
        assert!(ours.remove(package), "{package} is in its own tree");
        Self { all, ours }
    }

    fn ours(&self) -> Vec<&str> {
        self.ours.iter().map(String::as_str).collect()
    }

    fn lacks(&self, names: &[&str]) {
        for name in names {
            assert!(!self.all.contains(*name), "{name}");
        }
    }
}

#[test]
fn the_daemon_is_built_without_the_simulated_world_and_the_demo() {
    let tree = Tree::of("roustabout");
    let ours = [
        "clock",
        "gitea",
        "github",
        "ledger",
        "nomad",
        "strangers-text",
        "terminal",
        "transport",
        "vault",
    ];
    assert_eq!(tree.ours(), ours);
    // What only the stand-in for Nomad wants.
    tree.lacks(&["hcl-rs", "tar", "zip", "rcgen", "packaging"]);
}

#[test]
fn the_ledger_has_no_runtime_no_http_and_no_clock() {
    let tree = Tree::of("ledger");
    assert_eq!(tree.ours(), <[&str; 0]>::default());
    tree.lacks(&["tokio", "hyper", "http", "reqwest", "axum", "rusqlite", "tracing"]);
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/ledger/src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for clock in
            ["Timestamp::now", "Zoned::now", "SystemTime", "Instant", "std::env", "std::fs"]
        {
            assert!(!text.contains(clock), "{}: {clock}", file.display());
        }
    }
}

/// The folders of the daemon from the ground up: each uses those before it and none after.
const FLOORS: [&str; 22] = [
    "quantity",
    "log_lines",
    "config",
    "metrics",
    "own_secrets",
    "credential",
    "store",
    "webhook",
    "forge",
    "deposit",
    "engine",
    "traces",
    "claims",
    "check",
    "explain",
    "report",
    "reconcile",
    "hooks",
    "admin",
    "daemon",
    "cli",
    "main",
];

#[test]
fn data_flows_one_way_between_the_folders_of_the_daemon() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&src) {
        let place = file.strip_prefix(&src).unwrap();
        let folder = place.components().next().unwrap().as_os_str().to_str().unwrap();
        let folder = folder.trim_end_matches(".rs");
        if folder == "lib" {
            continue;
        }
        let floor = FLOORS.iter().position(|it| *it == folder);
        let floor = floor.unwrap_or_else(|| panic!("say on which floor {folder} is"));
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for above in &FLOORS[floor + 1..] {
            // As a path, and in a list of them.
            let used = code.contains(&format!("crate::{above}"))
                || code.split("use crate::{").skip(1).any(|list| {
                    let list = list.split('}').next().unwrap();
                    list.split(',').any(|name| name.trim().split("::").next() == Some(above))
                });
            assert!(!used, "{} uses {above}, which is above it", place.display());
        }
    }
}

#[test]
fn the_clients_know_no_word_of_ours() {
    for client in ["github", "gitea", "nomad", "vault"] {
        let mut ours = Tree::of(client).ours;
        ours.retain(|name| !["clock", "strangers-text", "transport"].contains(&name.as_str()));
        assert_eq!(ours, BTreeSet::new(), "{client}");
    }
    assert_eq!(Tree::of("transport").ours(), ["strangers-text"]);
    for alone in ["clock", "strangers-text", "terminal"] {
        assert_eq!(Tree::of(alone).ours(), <[&str; 0]>::default(), "{alone}");
    }
}

/// Without the tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("tests") => {}
            true => found.extend(sources(&path)),
            false => found.push(path),
        }
    }
    found
}
