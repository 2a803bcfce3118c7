//! A root file system for tasks that have one of their own: busybox, the demo's program with its
//! libraries as `/opt/roustabout-demo`, and nothing else. And a Docker engine with an image of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::daemon::signal;
use super::programs;

/// Where the stand-in for the runner finds its program in there.
pub const BINARY: &str = "/opt/roustabout-demo";
pub const IMAGE: &str = "roustabout-test:1";

pub struct Root(tempfile::TempDir);

impl Root {
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        open(root);
        for name in ["bin", "etc", "home/runner", "opt", "proc", "sys", "dev", "tmp", "root"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:\n")
            .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").unwrap();
        let busybox = on_path("busybox").expect("the part was asked for");
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        for applet in run(Command::new(root.join("bin/busybox")).arg("--list")).lines() {
            if applet != "busybox" {
                std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
            }
        }
        // Without what debuggers want it is a fifth.
        let (built, stripped) = (programs::roustabout_demo(), root.join(&BINARY[1..]));
        run(Command::new("strip").args(["--strip-debug", "-o"]).arg(&stripped).arg(built));
        for word in run(Command::new("ldd").arg(&stripped)).split_whitespace() {
            if let Some(inside) = word.strip_prefix('/') {
                let copy = root.join(inside);
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::copy(word, copy).unwrap();
            }
        }
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// As Nomad's `chroot_env` wants it.
    pub fn chroot(&self) -> serde_json::Value {
        let folders = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap());
        let kept = folders.filter(|entry| {
            !["proc", "sys", "dev", "tmp"].contains(&entry.file_name().to_str().unwrap())
        });
        kept.map(|entry| {
            let place = format!("/{}", entry.file_name().to_str().unwrap());
            (entry.path().to_str().unwrap().to_owned(), place.into())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
    }
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// An engine of the test's own, which touches neither networks nor firewall nor another engine.
pub struct Docker {
    folder: tempfile::TempDir,
    engine: Child,
}

impl Docker {
    /// With [`IMAGE`]: the root, and the stand-in for the runner in `/home/runner`.
    pub fn start(root: &Root) -> Self {
        let docker = Self::engine();
        simulated::runner::archive::write_to(&root.path().join("home/runner"), Path::new(BINARY))
            .unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped());
        let mut tar = tar.spawn().unwrap();
        let mut import = docker.client();
        run(import.args(["import", "-", IMAGE]).stdin(tar.stdout.take().unwrap()));
        assert!(tar.wait().unwrap().success());
        docker
    }

    /// Without any image.
    pub fn engine() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let log = fs::File::create(at("log")).unwrap();
        let mut command = Command::new("dockerd");
        command
            .args(["--bridge=none", "--iptables=false", "--data-root"])
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--host")
            .arg(format!("unix://{}", at("s").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let engine = command.spawn().expect("the part was asked for");
        let mut docker = Self { folder, engine };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !docker.client().arg("version").output().unwrap().status.success() {
            let log = || fs::read_to_string(docker.folder.path().join("log")).unwrap();
            assert!(docker.engine.try_wait().unwrap().is_none(), "dockerd ended:\n{}", log());
            assert!(Instant::now() < deadline, "dockerd does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        docker
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    pub fn client(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(self.address());
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        signal(self.engine.id(), "TERM");
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline && matches!(self.engine.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(100));
        }
        // It has ended, or is stuck.
        let _ = self.engine.kill();
        let _ = self.engine.wait();
        // It leaves the network namespace that containers on the host's network had.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for place in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if Path::new(place).starts_with(self.folder.path()) {
                let _ = Command::new("umount").arg(place).status();
            }
        }
    }
}

/// Where a program is.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}
