//! The processes that an agent started, found in `/proc` and ended by their ids.
//!
//! Tasks have sessions of their own, so the agent's process group does not hold them. They are its
//! descendants while it lives; afterwards they are known by its folder in their environment, or by
//! having been seen before. Where there is no `/proc` only the agent itself is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A process, with its start time: ids are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pid: u32,
    started: u64,
}

/// All that runs below `agent` or belongs to the agent of `folder`; the agent itself is left out.
pub(super) fn of(agent: Option<u32>, folder: &Path) -> BTreeSet<Process> {
    closure(BTreeSet::new(), agent, folder)
}

/// Kills `known` and whatever else belongs to the agent of `folder`, until none is left.
pub(super) fn end(mut known: BTreeSet<Process>, folder: &Path) {
    for _ in 0..50 {
        known = closure(known, None, folder);
        if known.is_empty() {
            return;
        }
        signal("KILL", known.iter().map(|process| process.pid));
        std::thread::sleep(Duration::from_millis(20));
    }
    tracing::warn!(left = known.len(), "some tasks of a Nomad agent could not be ended");
}

/// Sends a signal. The shell does it, for the standard library cannot.
pub(super) fn signal(name: &str, pids: impl IntoIterator<Item = u32>) {
    let _ = Command::new("/bin/sh")
        .args(["-c", "kill -\"$@\"", "sh", name])
        .args(pids.into_iter().map(|pid| pid.to_string()))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

fn closure(known: BTreeSet<Process>, agent: Option<u32>, folder: &Path) -> BTreeSet<Process> {
    let all = running();
    let mut found: BTreeSet<Process> = all
        .iter()
        .filter(|(process, _)| known.contains(process) || belongs(process.pid, folder))
        .map(|(process, _)| *process)
        .collect();
    let mut parents: BTreeSet<u32> = found.iter().map(|process| process.pid).collect();
    parents.extend(agent);
    loop {
        let before = parents.len();
        for (process, parent) in &all {
            if parents.contains(parent) {
                parents.insert(process.pid);
                found.insert(*process);
            }
        }
        if parents.len() == before {
            break;
        }
    }
    found.retain(|process| Some(process.pid) != agent && process.pid != std::process::id());
    found
}

/// Every process that is not dead already, with its parent's id.
fn running() -> BTreeMap<Process, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

fn parse_stat(pid: u32, stat: &str) -> Option<(Process, u32)> {
    // The name is in parentheses and may hold anything; what follows is plain. proc(5).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    let started = fields.get(19)?.parse().ok()?;
    Some((Process { pid, started }, fields.get(1)?.parse().ok()?))
}

/// Nomad's helpers have the agent's HOME or the folder in their arguments, tasks have it in theirs.
/// A shell in which somebody looks around in the folder has neither.
fn belongs(pid: u32, folder: &Path) -> bool {
    let folder = folder.as_os_str().as_bytes();
    let inside = |text: &[u8]| {
        text.strip_prefix(folder).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    };
    let lines = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let environment = lines("environ").split(|byte| *byte == 0).any(|line| {
        [&b"HOME="[..], b"NOMAD_ALLOC_DIR="]
            .iter()
            .any(|name| line.strip_prefix(*name).is_some_and(inside))
    });
    // Root without CAP_SYS_PTRACE cannot read another user's environment, but its arguments.
    let arguments = lines("cmdline");
    let mut arguments = arguments.split(|byte| *byte == 0).skip(1);
    environment
        || arguments.next() == Some(b"executor")
            && arguments.any(|json| json.windows(folder.len()).any(|part| part == folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_no_trouble() {
        let rest = (5..=22).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("7 (a) b (c) S 3 {rest} 0");
        assert_eq!(parse_stat(7, &stat), Some((Process { pid: 7, started: 22 }, 3)));
        assert_eq!(parse_stat(7, &stat.replace(" S ", " Z ")), None);
    }

    #[test]
    fn tasks_are_known_by_the_folder_and_ended_with_their_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = Command::new("/bin/sh")
            .args(["-c", "sleep 60 & wait"])
            .env("NOMAD_ALLOC_DIR", folder.path().join("alloc/1"))
            .spawn()
            .unwrap();
        let mut bystander =
            Command::new("sleep").arg("60").current_dir(folder.path()).spawn().unwrap();
        while of(None, folder.path()).len() < 2 {
            std::thread::yield_now();
        }
        end(BTreeSet::new(), folder.path());
        assert!(of(None, folder.path()).is_empty());
        assert!(!task.wait().unwrap().success());
        assert!(bystander.try_wait().unwrap().is_none(), "only the agent's own are ended");
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
