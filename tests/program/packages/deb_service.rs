//! The Debian package under a running systemd: its service starts with what its installation made, an upgrade
//! restarts it and refuses no webhook, removing it stops it.

use super::package;
use crate::support;

use std::time::Duration;

use support::daemon::Daemon;
use support::machine::Machine;
use support::parts::{self, Part};
use support::senders::Senders;
use support::webhook::NOBODY_THERE;

const SERVICE: &str = "roustabout.service";

#[tokio::test(flavor = "multi_thread")]
async fn the_package_starts_restarts_and_stops_its_service() {
    if parts::is_missing(Part::Systemd, "the Debian package under a running systemd") {
        return;
    }
    let machine = tokio::task::spawn_blocking(Machine::boot).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, version) in [("one", "0.1.0"), ("two", "0.1.1~next")] {
        let package = std::fs::read(package(folder.path(), version)).unwrap();
        machine.write(&format!("/run/{name}.deb"), 0o644, package);
    }
    machine.run(&["dpkg", "-i", "/run/one.deb"]);
    assert_eq!(machine.show("ActiveState", SERVICE), "inactive", "it is not started by itself");

    // A daemon that is only written down: its ports and its config, without what the package has.
    let plan = Daemon::prepare(NOBODY_THERE);
    let config = std::fs::read_to_string(plan.config()).unwrap();
    let ours = |line: &&str| !line.starts_with("secret = ") && !line.starts_with("url = ");
    let config: Vec<&str> = config.lines().filter(ours).collect();
    machine.write("/etc/roustabout/roustabout.toml", 0o644, config.join("\n"));
    machine.write("/etc/roustabout/github-token", 0o600, "ghp_token\n");
    machine.write("/etc/roustabout/webhook-secret", 0o600, support::daemon::SECRET);
    let elsewhere = format!("[Socket]\nListenStream=\nListenStream=127.0.0.1:{}\n", plan.door);
    machine.write("/etc/systemd/system/roustabout.socket.d/port.conf", 0o644, elsewhere);
    machine.run(&["systemctl", "daemon-reload"]);
    // The Nomad token is a file that nobody filled in.
    machine.run(&["systemctl", "enable", "--now", "roustabout.socket", SERVICE]);
    assert_eq!(machine.show("ActiveState", SERVICE), "active");
    let process = machine.show("MainPID", SERVICE);
    assert_eq!(machine.shell(&format!("stat -c %U /proc/{process}")), "roustabout\n");
    assert_eq!(machine.shell("stat -c '%U %a' /var/lib/roustabout/"), "roustabout 700\n");
    assert!(machine.shell("roustabout status").contains("\nx64 "));
    let (_, checked) = machine.try_run(&["roustabout", "check"]);
    assert!(checked.contains("/usr/lib/systemd/system/roustabout.service"), "{checked}");

    let senders = Senders::start(plan.door);
    senders.until_accepted(20).await;
    machine.run(&["dpkg", "-i", "/run/two.deb"]);
    senders.until_accepted(20).await;
    let (_, failed) = senders.end().await;
    assert_eq!(failed, [""; 0], "nothing is refused during an upgrade");
    let after = machine.show("MainPID", SERVICE);
    assert_ne!(after, process, "the new program serves");
    assert_eq!(machine.show("ActiveState", SERVICE), "active");

    // A config that the new version would refuse leaves the old one at work.
    let good = std::fs::read_to_string(machine.path("/etc/roustabout/roustabout.toml")).unwrap();
    machine.write("/etc/roustabout/roustabout.toml", 0o644, format!("typo = 1\n{good}"));
    let said = machine.run(&["dpkg", "-i", "/run/two.deb"]);
    assert!(said.contains("not restarted, because this version refuses the config"), "{said}");
    assert_eq!(machine.show("MainPID", SERVICE), after);

    machine.run(&["dpkg", "-r", "roustabout"]);
    assert_eq!(machine.show("ActiveState", SERVICE), "inactive");
    let refused = std::net::TcpStream::connect_timeout(
        &([127, 0, 0, 1], plan.door).into(),
        Duration::from_secs(1),
    );
    assert!(refused.is_err(), "the socket is closed too");
    let wants = machine.shell("ls /etc/systemd/system/*.wants 2>&1 | grep roustabout.s || true");
    assert_eq!(wants, "", "nothing starts it any more");
    machine.run(&["dpkg", "-P", "roustabout"]);
    for gone in ["/var/lib/roustabout", "/etc/roustabout/webhook-secret"] {
        assert!(!machine.path(gone).exists(), "{gone}");
    }
    tokio::task::spawn_blocking(move || drop(machine)).await.unwrap();
}
