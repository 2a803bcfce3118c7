//! The static arm64 binary, as scripts/build-static makes it for a Raspberry Pi, under qemu: it is
//! static, starts, keeps a signed webhook and stops when told. It is built here with little
//! optimization; what is released is built with the release profile.

use crate::support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::daemon::{Daemon, here};
use support::parts::{self, Part};
use support::until;
use support::webhook::{NOBODY_THERE, Request, queued};

/// Builds it, in a target folder of its own; the first time takes some minutes.
fn build() -> PathBuf {
    let built = Command::new(here("scripts/build-static"))
        .args(["--profile", "quick-static", "arm64"])
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("static"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(built.status.success(), "scripts/build-static: {}", built.status);
    let line = String::from_utf8(built.stdout).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [architecture, bytes, path] = words[..] else { panic!("{line:?}") };
    assert_eq!(architecture, "arm64");
    assert_eq!(bytes.parse::<u64>().unwrap(), std::fs::metadata(path).unwrap().len());
    path.into()
}

/// What runs it: nothing on arm64, else qemu's user mode.
fn emulator() -> Vec<&'static str> {
    match cfg!(target_arch = "aarch64") {
        true => Vec::new(),
        // Of the Raspberry Pi 4 and Compute Module 4: older than what qemu gives by itself.
        false => vec!["qemu-aarch64-static", "-cpu", "cortex-a72"],
    }
}

/// Little-endian ELF for arm64, without an interpreter and so without shared libraries.
fn assert_is_static_arm64(binary: &Path) {
    let bytes = std::fs::read(binary).unwrap();
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "64 bits, little-endian");
    assert_eq!(number(18, 2), 183, "EM_AARCH64");
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let kinds: Vec<usize> = (0..count).map(|n| number(headers + n * size, 4)).collect();
    assert!(kinds.contains(&1), "PT_LOAD is among {kinds:?}");
    assert!(!kinds.contains(&3), "no PT_INTERP among {kinds:?}");
    // The kernel of a Raspberry Pi 5 has pages of 16 kB; a smaller alignment would not load there.
    for (n, _) in kinds.iter().enumerate().filter(|(_, kind)| **kind == 1) {
        assert!(number(headers + n * size + 48, 8) >= 16 << 10, "alignment of segment {n}");
    }
}

#[tokio::test]
async fn the_static_arm64_binary_starts_and_keeps_a_signed_webhook() {
    if parts::is_missing(Part::StaticArm64, "the static arm64 binary") {
        return;
    }
    let (binary, emulator) = (build(), emulator());
    assert_is_static_arm64(&binary);
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon.start_as(&emulator, &binary).await;

    let kept = Request::job("first", &queued(5)).send(daemon.door).await;
    assert_eq!(kept.outcome(), (202, "accepted".to_owned()));
    let forged = Request::job("second", &queued(6)).signed("guess").send(daemon.door).await;
    assert_eq!(forged.status, 401);
    until("the job is in the ledger", Duration::from_secs(60), async || {
        daemon.job(5).await["status"] == "queued"
    })
    .await;
    assert_eq!(daemon.terminate().await, Some(0));

    // On the disk, in the file that this machine's own binary would go on with.
    let store = rusqlite::Connection::open(daemon.database()).unwrap();
    let count = |table| -> i64 {
        store.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("deliveries"), count("jobs")), (1, 1));
}
