//! A machine with a systemd of its own, made of this machine's files (`machine.sh` says how), on
//! this machine's network. What is written in it is gone when it is dropped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::daemon::here;

const UP: Duration = Duration::from_secs(60);

pub struct Machine {
    folder: tempfile::TempDir,
    /// Has made the namespaces; its end is the end of everything in them.
    maker: Child,
    /// The first process in there, as it is numbered out here.
    first: u32,
}

impl Machine {
    /// With what every system has, and nothing that is installed here beyond it.
    pub fn boot() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let systemd = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"];
        let systemd = systemd.into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new("sh");
        command.arg(here("tests/support/machine.sh")).arg(folder.path());
        command.args([systemd.expect("the part was asked for"), "--unit=basic.target"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut machine = Self { folder, maker: command.spawn().unwrap(), first: 0 };
        let deadline = Instant::now() + UP;
        while !machine.is_up() {
            let log = || fs::read_to_string(machine.folder.path().join("log")).unwrap();
            assert!(machine.maker.try_wait().unwrap().is_none(), "it ended:\n{}", log());
            assert!(Instant::now() < deadline, "it is not up:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        machine
    }

    fn is_up(&mut self) -> bool {
        let maker = self.maker.id();
        let children = fs::read_to_string(format!("/proc/{maker}/task/{maker}/children"));
        self.first = children.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        // What could not be started here, such as a module's loading, is not looked at.
        self.first > 0
            && fs::read_to_string(format!("/proc/{}/comm", self.first))
                .is_ok_and(|name| name == "systemd\n")
            && ["running\n", "degraded\n"]
                .contains(&text(&self.output(&["systemctl", "is-system-running"]).stdout))
    }

    /// A file in there.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first))
    }

    /// Writes a file, with the folders that lead to it.
    pub fn write(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first.to_string()]);
        command.args(["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--"]);
        command.args(["env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(["SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"]);
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs it in there, as root; what it says on both outputs, and whether it went well.
    pub fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.output(arguments);
        (output.status.success(), text(&[output.stdout, output.stderr].concat()).to_owned())
    }

    /// The same where it has to go well.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let (well, said) = self.try_run(arguments);
        assert!(well, "{arguments:?}: {said}\n{}", self.journal());
        said
    }

    /// A line of a shell.
    #[track_caller]
    pub fn shell(&self, line: &str) -> String {
        self.run(&["sh", "-euc", line])
    }

    /// A property of a unit.
    #[track_caller]
    pub fn show(&self, property: &str, unit: &str) -> String {
        let said = self.run(&["systemctl", "show", "--value", "--property", property, unit]);
        said.trim_end().to_owned()
    }

    /// Everything that was logged of our units.
    pub fn journal(&self) -> String {
        // What was said a moment ago may still be on its way.
        self.try_run(&["journalctl", "--sync"]);
        self.try_run(&["journalctl", "--output=cat", "--no-pager", "--unit=roustabout*"]).1
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the machine's journal ---\n{}", self.journal());
        }
        // It may have ended by itself. All that is in there ends with it.
        let _ = self.maker.kill();
        let _ = self.maker.wait();
        let Ok(cgroup) = fs::read_to_string(self.folder.path().join("cgroup")) else { return };
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline && !removed(Path::new(cgroup.trim_end())) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Removes a cgroup and those in it; not while a process is in one.
fn removed(cgroup: &Path) -> bool {
    let inner = fs::read_dir(cgroup).into_iter().flatten().flatten();
    for inner in inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        removed(&inner.path());
    }
    fs::remove_dir(cgroup).is_ok() || !cgroup.exists()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
