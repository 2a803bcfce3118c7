//! What a killed agent leaves in the system, not in its folder: mounts, and with cgroups the empty
//! groups of its tasks. Only one that ran as root has made any.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Takes both away. Failures are passed over: there is nobody to mend them, and no harm in them.
pub(super) fn remove(folder: &Path) {
    unmount_below(folder);
    let entries = fs::read_dir(folder.join("alloc")).into_iter().flatten().flatten();
    let allocations: BTreeSet<OsString> = entries.map(|entry| entry.file_name()).collect();
    if !allocations.is_empty() {
        remove_groups(Path::new("/sys/fs/cgroup"), &allocations, 5);
    }
}

fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut points: Vec<&str> =
        points.filter(|point| Path::new(point).starts_with(folder)).collect();
    // The last mounted first.
    points.reverse();
    for point in points {
        let mut umount = Command::new("umount");
        let _ = umount.args(["-l", point]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Nomad's groups are `…/nomad*/…/<allocation>.<task>…`, for each controller or for all at once.
fn remove_groups(folder: &Path, allocations: &BTreeSet<OsString>, depth: u32) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = entry.file_name();
        let ours = name.to_str().and_then(|name| name.split_once('.'));
        if ours.is_some_and(|(allocation, _)| allocations.contains(&OsString::from(allocation))) {
            // Refused where a process is in it still.
            let _ = fs::remove_dir(entry.path());
        } else if depth > 0 {
            remove_groups(&entry.path(), allocations, depth - 1);
        }
    }
}
