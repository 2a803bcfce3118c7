//! A daemon that is killed by a signal leaves no core dump: it would contain every secret.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::parts::not_run;
use crate::support::webhook::NOBODY_THERE;

const UNLIMITED: &str = "ulimit -c unlimited && exec \"$@\"";

/// Whether this system dumps a shell that aborts in that folder.
fn dumps_others(folder: &Path) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", UNLIMITED, "sh", "sh", "-c", "kill -ABRT $$"]).current_dir(folder);
    shell.status().unwrap().core_dumped()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_aborts_leaves_no_core_dump() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    if !dumps_others(daemon.folder.path()) {
        not_run("core dumps of the daemon", "needs a system that makes core dumps");
        return;
    }
    daemon.start_by(&["sh", "-c", UNLIMITED, "sh"]).await;
    let status = daemon.abort();
    assert_eq!(status.signal(), Some(6), "it aborted");
    assert!(!status.core_dumped());
}
