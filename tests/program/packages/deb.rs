//! The Debian package in a root that has nothing but a minimal Debian, with its own dpkg: installed, upgraded,
//! removed, installed again, purged. In the end the root is as it was.

use super::clean_root::CleanRoot;
use super::package;
use crate::support;

use support::parts::{self, Part};

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

    // The demo is no part of it.
    let demo = root.output("roustabout demo");
    let told = String::from_utf8(demo.stderr).unwrap();
    assert!(demo.status.code() == Some(1) && told.contains("scripts/demo"), "{told}");

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
