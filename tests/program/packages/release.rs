//! `scripts/release` as a whole, for arm64 with little optimization: the files that it makes, what is in them,
//! and the image in an engine.

use crate::support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{SECRET, here};
use support::parts::{self, Part};
use support::programs;
use support::root::Docker;
use support::webhook::{NOBODY_THERE, Request, queued};
use support::{daemon::Daemon, until};

fn released(out: &Path) {
    let made = Command::new(here("scripts/release"))
        .args(["--snapshot", "--profile", "quick-static", "--out"])
        .arg(out)
        .arg("arm64")
        // As the test of the static binary, which then has been built already.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("static"))
        .env("ROUSTABOUT_PACKAGE_TOOL", programs::package_tool())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success(), "scripts/release: {}", made.status);
    assert_eq!(String::from_utf8(made.stdout).unwrap().trim_end(), out.to_str().unwrap());
}

fn the_only(out: &Path, end: &str) -> PathBuf {
    let entries = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    let [one] = &found[..] else { panic!("{end}: {found:?}") };
    one.clone()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_whole_and_its_image_serves() {
    if parts::is_missing(Part::StaticArm64, "scripts/release") {
        return;
    }
    if !here(".git").exists() {
        return parts::not_run("scripts/release", "needs a git repository");
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    released(&out);
    let made: BTreeSet<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(made.len(), 6, "{made:?}");

    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let summed: Vec<&str> = sums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(summed.len(), 5, "all but itself: {sums}");

    let provenance = read_json(&the_only(&out, ".intoto.jsonl"));
    assert_eq!(provenance["predicateType"], "https://slsa.dev/provenance/v1");
    for subject in provenance["subject"].as_array().unwrap() {
        let line = format!(
            "{}  {}\n",
            subject["digest"]["sha256"].as_str().unwrap(),
            subject["name"].as_str().unwrap()
        );
        assert!(sums.contains(&line), "{line}");
    }
    assert_eq!(provenance["subject"].as_array().unwrap().len(), 4, "all but itself and the sums");

    let bill = read_json(&the_only(&out, ".cdx.json"));
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<&str> = components.iter().map(|it| it["name"].as_str().unwrap()).collect();
    for expected in ["tokio", "rustls", "aws-lc-rs", "ledger", "sqlite", "aws-lc", "dlmalloc"] {
        assert!(names.contains(expected), "{expected} is in the daemon");
    }
    for foreign in ["wiremock", "simulated-nomad", "packaging", "clap_mangen", "cc"] {
        assert!(!names.contains(foreign), "{foreign} is not in the daemon");
    }
    let hashed = components.iter().filter(|it| it["hashes"].is_array()).count();
    assert!(hashed > 100, "{hashed} have the checksum of Cargo.lock");

    let listed = Command::new("tar").arg("-tzf").arg(the_only(&out, ".tar.gz")).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let top = listed.split('/').next().unwrap();
    assert!(top.ends_with("-linux-arm64"), "{top}");
    for file in [
        "roustabout",
        "man/roustabout.1",
        "man/roustabout.toml.5",
        "completions/_roustabout",
        "deploy/systemd/roustabout.service",
    ] {
        assert!(listed.contains(&format!("\n{top}/{file}\n")), "{file}: {listed}");
    }

    let deb = the_only(&out, ".deb");
    if let Ok(told) = Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Architecture").output()
    {
        assert_eq!(told.stdout, b"arm64\n", "{told:?}");
    }

    if !parts::is_missing(Part::Docker, "the image in an engine") {
        serves(&the_only(&out, "-image-arm64.tar")).await;
    }
}

/// In a container of an engine of the test's own, by qemu on amd64: the image's user keeps a webhook in the
/// image's volume, and ends when it is told.
async fn serves(image: &Path) {
    let docker = Docker::engine();
    let mut load = docker.client();
    let loaded = load.arg("load").arg("--input").arg(image).output().unwrap();
    let said = String::from_utf8(loaded.stdout).unwrap();
    let tag = said.trim().strip_prefix("Loaded image: ").unwrap_or_else(|| panic!("{said}"));

    let plan = Daemon::prepare(NOBODY_THERE);
    let config = std::fs::read_to_string(plan.config()).unwrap();
    // A database of its own, where the image wants it.
    let config: Vec<&str> =
        config.lines().filter(|line| !line.starts_with("url = \"sqlite")).collect();
    let file = plan.folder.path().join("of-container.toml");
    std::fs::write(&file, config.join("\n")).unwrap();
    let mut run = docker.client();
    run.args([
        "run",
        "--detach",
        "--network",
        "host",
        "--name",
        "daemon",
        "--platform",
        "linux/arm64",
    ]);
    run.arg("--volume").arg(format!("{}:/etc/roustabout/roustabout.toml:ro", file.display()));
    if !cfg!(target_arch = "aarch64") {
        run.args(["--volume", "/usr/bin/qemu-aarch64-static:/qemu:ro", "--entrypoint", "/qemu"]);
        run.args([tag, "-cpu", "cortex-a72", "/usr/local/bin/roustabout", "serve"]);
    } else {
        run.arg(tag);
    }
    let started = run.output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let log = || {
        let said = docker.client().args(["logs", "daemon"]).output().unwrap();
        String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
    };
    let url = format!("http://127.0.0.1:{}/readyz", plan.admin);
    until("the container is ready", Duration::from_secs(60), async || {
        let running = docker
            .client()
            .args(["inspect", "--format", "{{.State.Running}}", "daemon"])
            .output()
            .unwrap();
        assert_eq!(running.stdout, b"true\n", "{}", log());
        reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    let kept = Request::job("first", &queued(5)).signed(SECRET).send(plan.door).await;
    assert_eq!(kept.outcome(), (202, "accepted".to_owned()), "{}", log());
    let stopped = docker.client().args(["stop", "--time", "60", "daemon"]).output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    let ended = docker.client().args(["inspect", "daemon"]).output().unwrap();
    let ended: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(ended[0]["State"]["ExitCode"], json!(0), "{}", log());
    assert_eq!(ended[0]["Config"]["User"], "65532:65532");
    let volume = ended[0]["Mounts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["Destination"] == "/var/lib/roustabout");
    let source = volume.unwrap()["Source"].as_str().unwrap();
    assert!(Path::new(source).join("roustabout.db").exists(), "the database is in the volume");
}
