//! HashiCorp's own Go client reads the stand-in without an error: `scripts/parts/nomad-reader` is
//! the program. It is an independent judge of what the JSON means. Where there is no Go, the test
//! says NOT RUN.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "conformance/not_run.rs"]
mod not_run;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends the agent with the test, however that ends.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `None`, and that is said, where there is no Go or its modules cannot be had.
fn build(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/parts/nomad-reader");
    let fetched = Command::new("go").args(["mod", "download"]).current_dir(&source).output();
    let missing = match fetched {
        Err(_) => "needs Go (https://go.dev/dl)",
        Ok(fetched) if !fetched.status.success() => {
            "needs the module github.com/hashicorp/nomad/api"
        }
        Ok(_) => "",
    };
    if !missing.is_empty() {
        not_run::not_run("the stand-in by HashiCorp's Go client", missing);
        return None;
    }
    let program = folder.join("nomad-reader");
    let built = Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .status()
        .unwrap();
    assert!(built.success(), "go build of the reader failed; it says why above");
    Some(program)
}

#[test]
fn hashicorps_own_client_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(reader) = build(folder.path()) else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.path().join("agent.json");
    let settings = serde_json::json!({
        "ports": {"http": port, "rpc": 0, "serf": 0}, "data_dir": folder.path().join("data"),
    });
    std::fs::write(&config, settings.to_string()).unwrap();
    let agent = Command::new(env!("CARGO_BIN_EXE_simulated-nomad"))
        .args(["agent", "-dev", "-config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _agent = Agent(agent);
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "the stand-in does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let read = Command::new(reader).arg(format!("http://127.0.0.1:{port}")).output().unwrap();
    let said = String::from_utf8_lossy(&read.stdout) + String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{said}");
    for call in ["event of an allocation", "event of a job", "allocation", "evaluations of a job"] {
        assert!(said.lines().any(|line| line == format!("read {call}")), "{call}: {said}");
    }
}
