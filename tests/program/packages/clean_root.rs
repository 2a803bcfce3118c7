//! A root that has nothing but a minimal Debian, for what an installation leaves in one.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A clean root, gone when it is dropped.
pub struct CleanRoot(tempfile::TempDir);

impl CleanRoot {
    pub fn unpack() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tar = std::env::var_os("ROUSTABOUT_TEST_DEBIAN_ROOT").expect("the part was asked for");
        let mut unpack = Command::new("tar");
        unpack.arg("-x").arg("-f").arg(tar).arg("-C").arg(folder.path());
        assert!(unpack.status().unwrap().success());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    pub fn output(&self, line: &str) -> Output {
        let enter = "mount --bind /dev \"$1/dev\" && mount -t proc proc \"$1/proc\" && exec chroot \"$1\" \
                     /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
                     sh -euc \"$2\"";
        Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "sh",
                "-euc",
                enter,
                "sh",
            ])
            .arg(self.0.path())
            .arg(line)
            .output()
            .unwrap()
    }

    /// A line of a shell in there; what it says on both outputs.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{line}: {said}");
        said
    }

    /// What is in it besides dpkg's own records and logs: kind, mode, owner and size by path.
    pub fn listing(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        add(self.0.path(), self.0.path(), &mut found);
        found
    }

    pub fn mode_of(&self, path: &str) -> (u32, u64) {
        let found = std::fs::metadata(self.path(path)).unwrap();
        (found.mode() & 0o7777, found.len())
    }
}

fn add(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    const OWN: [&str; 4] = ["var/lib/dpkg", "var/log", "var/cache", "run"];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let inside = path.strip_prefix(root).unwrap().to_owned();
        // What tools that edit users keep of before, and their lock.
        let name = inside.to_str().unwrap_or_default();
        let kept = name.starts_with("etc/") && (name.ends_with('-') || name.ends_with(".lock"));
        if kept || OWN.iter().any(|own| inside.starts_with(own)) {
            continue;
        }
        let data = path.symlink_metadata().unwrap();
        let size = if data.is_dir() { 0 } else { data.len() };
        found.insert(inside, format!("{:o} {} {} {size}", data.mode(), data.uid(), data.gid()));
        if data.is_dir() {
            add(root, &path, found);
        }
    }
}
