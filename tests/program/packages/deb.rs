//! The Debian package in a root that has nothing but a minimal Debian, with its own dpkg: installed, upgraded,
//! removed, installed again, purged. In the end the root is as it was.

use super::package;
use crate::support;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::parts::{self, Part};

/// A clean root, gone when it is dropped.
struct CleanRoot(tempfile::TempDir);

impl CleanRoot {
    fn unpack() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tar = std::env::var_os("ROUSTABOUT_TEST_DEBIAN_ROOT").expect("the part was asked for");
        let mut unpack = Command::new("tar");
        unpack.arg("-x").arg("-f").arg(tar).arg("-C").arg(folder.path());
        assert!(unpack.status().unwrap().success());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn output(&self, line: &str) -> Output {
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
    fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{line}: {said}");
        said
    }

    /// What is in it besides dpkg's own records and logs: kind, mode, owner and size by path.
    fn listing(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        add(self.0.path(), self.0.path(), &mut found);
        found
    }

    fn mode_of(&self, path: &str) -> (u32, u64) {
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

#[test]
fn a_clean_root_is_as_before_once_the_package_is_purged() {
    if parts::is_missing(Part::DebianRoot, "the Debian package in a clean root") {
        return;
    }
    let root = CleanRoot::unpack();
    let folder = tempfile::tempdir().unwrap();
    for (name, version) in [("one.deb", "0.1.0"), ("two.deb", "0.1.1~next")] {
        std::fs::rename(package(folder.path(), version), root.path(&format!("run/{name}")))
            .unwrap();
    }
    let (before, users) = (root.listing(), root.run("cat /etc/passwd /etc/group /etc/shadow"));

    let said = root.run("dpkg -i /run/one.deb");
    assert!(said.contains("not started yet") && said.contains("roustabout check"), "{said}");
    assert_eq!(root.run("roustabout --version"), "roustabout 0.1.0\n");
    assert_eq!(root.run("dpkg --verify roustabout"), "");
    let user = root.run("getent passwd roustabout");
    assert!(user.ends_with(":/var/lib/roustabout:/usr/sbin/nologin\n"), "{user}");
    // The daemon made no secret but its own; what nobody has filled in is there and empty.
    assert_eq!(root.mode_of("/etc/roustabout/webhook-secret"), (0o600, 64));
    for empty in ["github-token", "nomad-token"] {
        assert_eq!(root.mode_of(&format!("/etc/roustabout/{empty}")), (0o600, 0));
    }
    assert_eq!(root.mode_of("/etc/roustabout/roustabout.toml").0, 0o644);
    let unit = root.run("cat /usr/lib/systemd/system/roustabout.service");
    assert!(
        unit.contains("ExecStart=/usr/bin/roustabout serve") && unit.contains("User=roustabout")
    );
    assert!(!unit.contains("DynamicUser"), "{unit}");
    // What the config lacks is said as of any other.
    let refused = root.output("roustabout check --config-only");
    let refused = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.contains("pools"), "{refused}");

    let secret = root.run("cat /etc/roustabout/webhook-secret");
    let pool = "[[pools]]\nname = \"x64\"\nnomad_job = \"r\"\nlabels = [\"self-hosted\"]\n\
                repositories = [\"octocat/app\"]\ndelivery = \"payload\"\n";
    std::fs::write(root.path("/etc/roustabout/roustabout.toml"), pool).unwrap();
    std::fs::write(root.path("/etc/roustabout/github-token"), "ghp_token\n").unwrap();
    root.run("install -d -o roustabout -m 700 /var/lib/roustabout; echo x > /var/lib/roustabout/roustabout.db");
    let with_credentials = "CREDENTIALS_DIRECTORY=/etc/roustabout roustabout check --config-only";
    root.run(with_credentials);

    let is_kept = || {
        assert_eq!(root.run("cat /etc/roustabout/roustabout.toml"), pool);
        assert_eq!(root.run("cat /etc/roustabout/webhook-secret"), secret);
        assert_eq!(
            root.run("cat /etc/roustabout/github-token /var/lib/roustabout/*.db"),
            "ghp_token\nx\n"
        );
    };
    let said = root.run("dpkg -i /run/two.deb");
    assert!(!said.contains("not started yet"), "{said}");
    assert_eq!(root.run("dpkg-query -W -f '${Version}' roustabout"), "0.1.1~next");
    is_kept();

    root.run("dpkg -r roustabout");
    assert!(!root.path("/usr/bin/roustabout").exists());
    assert!(!root.path("/usr/share/doc/roustabout").exists());
    is_kept();
    root.run("dpkg -i /run/two.deb");
    is_kept();
    root.run(with_credentials);

    root.run("dpkg -P roustabout");
    assert_eq!(root.run("cat /etc/passwd /etc/group /etc/shadow"), users);
    let after = root.listing();
    let left: Vec<_> = after.iter().filter(|(path, _)| !before.contains_key(*path)).collect();
    assert!(left.is_empty(), "{left:?}");
    let lost: Vec<_> = before.iter().filter(|(path, _)| !after.contains_key(*path)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
