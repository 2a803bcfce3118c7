//! The units that we ship under a running systemd, installed as the documents say: they start, the
//! sandbox leaves the daemon all that it needs, and systemctl says the truth.

use crate::support;

use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use support::certificates::{Certificates, read};
use support::daemon::{GITHUB_TOKEN, SECRET, here};
use support::machine::Machine;
use support::parts::{self, Part};
use support::senders::Senders;
use support::until;
use support::world::{Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);
const SERVICE: &str = "roustabout.service";
const CONFIG: &str = "/etc/roustabout/roustabout.toml";

/// A world whose Nomad wants certificates and a token, and a machine for the daemon: with what the
/// README has one write and copy, but the ports, which are this machine's.
async fn installed() -> (World, Machine) {
    let certificates = Certificates::make();
    let parts = Parts::with(|options| {
        options.tls = Some(certificates.of_server(true));
        options.acl = true;
    })
    .await;
    let machine = tokio::task::spawn_blocking(Machine::boot).await.unwrap();
    machine.write("/etc/roustabout/ca.pem", 0o644, read(&certificates.ca()));
    machine.write("/etc/roustabout/client.pem", 0o644, read(&certificates.client_cert()));
    machine.write("/etc/roustabout/client-key.pem", 0o600, read(&certificates.client_key()));
    machine.write(
        "/etc/systemd/system/roustabout.service.d/client-key.conf",
        0o644,
        "[Service]\nLoadCredential=client-key:/etc/roustabout/client-key.pem\n",
    );
    let of_nomad = "tls_server_name = \"server.global.nomad\"\n\
        ca_cert_file = \"/etc/roustabout/ca.pem\"\n\
        client_cert_file = \"/etc/roustabout/client.pem\"\n\
        client_key_file = \"/run/credentials/roustabout.service/client-key\"\n";
    // Names, so that resolving them is tried.
    let named = |address: String| address.replace("127.0.0.1", "roustabout.test");
    machine.write("/etc/hosts", 0o644, "127.0.0.1 localhost roustabout.test\n");
    let plan = Plan {
        github: Some(named(parts.github.url().to_string())),
        nomad: Some(named(parts.agent.address().to_string())),
        before_pools: of_nomad.to_owned(),
        ..Plan::default()
    };
    let world = World::around(parts, plan).await;
    // The secrets and the place of the store are not in it.
    let config = std::fs::read_to_string(world.daemon.config()).unwrap();
    let ours = |line: &&str| !line.starts_with("secret = ") && !line.starts_with("url = ");
    let config: Vec<&str> = config.lines().filter(ours).collect();
    let config = config.join("\n");
    let credentials =
        format!("[[github.credentials]]\nowners = [\"*\"]\ntoken = \"{GITHUB_TOKEN}\"\n");
    assert!(config.contains(&credentials));
    machine.write(CONFIG, 0o644, config.replace(&credentials, ""));
    machine.write("/etc/roustabout/webhook-secret", 0o600, SECRET);
    machine.write("/etc/roustabout/github-token", 0o600, GITHUB_TOKEN);
    let token = world.agent.token().unwrap().expose_secret();
    machine.write("/etc/roustabout/nomad-token", 0o600, token);

    let built = read(env!("CARGO_BIN_EXE_roustabout").as_ref());
    machine.write("/usr/local/bin/roustabout", 0o755, built);
    for unit in ["roustabout.service", "roustabout.socket"] {
        let shipped = read(&here("deploy/systemd").join(unit));
        machine.write(&format!("/etc/systemd/system/{unit}"), 0o644, shipped);
    }
    let elsewhere =
        format!("[Socket]\nListenStream=\nListenStream=127.0.0.1:{}\n", world.daemon.door);
    machine.write("/etc/systemd/system/roustabout.socket.d/port.conf", 0o644, elsewhere);
    machine.run(&["systemctl", "enable", "--now", "roustabout.socket", SERVICE]);
    (world, machine)
}

fn has_started(machine: &Machine, door: u16) {
    assert_eq!(machine.show("ActiveState", SERVICE), "active");
    assert_eq!(machine.show("StatusText", SERVICE), "serving x64");
    let process = machine.show("MainPID", SERVICE);
    let user = machine.shell(&format!("stat -c %u /proc/{process}"));
    assert_ne!(user.trim(), "0");
    let state =
        machine.shell("stat -c '%a %u' /var/lib/roustabout/. /var/lib/roustabout/roustabout.db");
    assert_eq!(state, format!("700 {user}600 {user}"));
    let environment = machine.shell(&format!("tr '\\0' '\\n' < /proc/{process}/environ"));
    assert!(!environment.contains(GITHUB_TOKEN), "{environment}");
    let listening = format!("127.0.0.1:{door}");
    assert!(machine.show("Listen", "roustabout.socket").contains(&listening));
    // In tenths: fails above 1.5.
    machine.run(&["systemd-analyze", "security", "--threshold=15", "--no-pager", SERVICE]);
    // The token is the daemon's own: root may read it, and finds it without the service's variables.
    assert!(machine.shell("roustabout status").contains("\nx64 "));
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups roustabout status";
    let refused = machine.shell(&format!("{nobody} 2>&1 || true"));
    assert!(refused.contains("/var/lib/roustabout/admin-token"), "{refused}");
    assert!(refused.contains("run this as root"), "{refused}");
}

/// When systemctl is back it is as it says, also where the daemon is slow to hear of it.
fn reloads(machine: &Machine) {
    let before = std::fs::read_to_string(machine.path(CONFIG)).unwrap();
    let process = machine.show("MainPID", SERVICE);
    machine.write(CONFIG, 0o644, before.replace("name = \"x64\"", "name = \"big\""));
    machine.run(&["kill", "-STOP", &process]);
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| {
            machine.run(&["systemctl", "reload", SERVICE]);
            machine.show("StatusText", SERVICE)
        });
        let deadline = Instant::now() + LIMIT;
        let told = || machine.shell(&format!("grep ShdPnd /proc/{process}/status"));
        while !told().ends_with("1\n") {
            assert!(Instant::now() < deadline, "it is never told");
        }
        // It must still wait, which shows only after a moment.
        std::thread::sleep(Duration::from_millis(200));
        machine.run(&["kill", "-CONT", &process]);
        assert_eq!(reload.join().unwrap(), "serving big");
    });

    machine.write(CONFIG, 0o644, before.replace("name = \"x64\"", "name = \"other\"\ntypo = 1"));
    let (well, said) = machine.try_run(&["systemctl", "reload", SERVICE]);
    assert!(!well && said.contains("Job for roustabout.service failed"), "{said}");
    assert!(machine.journal().contains("pools[other].typo: unknown key"));
    assert_eq!(machine.show("ActiveState", SERVICE), "active");
    assert_eq!(machine.show("StatusText", SERVICE), "serving big");
    assert_eq!(machine.show("MainPID", SERVICE), process);

    machine.write(CONFIG, 0o644, before);
    machine.run(&["systemctl", "reload", SERVICE]);
    assert_eq!(machine.show("StatusText", SERVICE), "serving x64");
}

/// Errors can be asked for alone, and lines are as they were written.
fn the_journal_knows_what_is_an_error(machine: &Machine) {
    machine.run(&["journalctl", "--sync"]);
    let lines = |priority: &str| {
        let said = machine.run(&[
            "journalctl",
            "--output=cat",
            "--identifier=roustabout",
            &format!("--priority={priority}"),
        ]);
        said.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let errors = lines("err");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(CONFIG), "{errors:?}");
    let all = lines("info");
    assert!(all.iter().any(|line| line.starts_with("{\"timestamp\"")), "{all:?}");
    assert!(all.iter().all(|line| !line.starts_with('<')), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_work_under_a_running_systemd() {
    if parts::is_missing(Part::Systemd, "the units under a running systemd") {
        return;
    }
    let (world, machine) = installed().await;
    let door = world.daemon.door;
    has_started(&machine, door);
    // Where the world looks for it when it asks the private door.
    let token = std::fs::read(machine.path("/var/lib/roustabout/admin-token")).unwrap();
    std::fs::write(world.daemon.folder.path().join("admin-token"), token).unwrap();

    // Names, TLS with a certificate of ours, the token, the database, all in the sandbox.
    world.queue(world.app, 3, 200);
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(world.children().await.len(), 3);

    reloads(&machine);
    the_journal_knows_what_is_an_error(&machine);

    // Nothing is refused while it restarts, and what was taken is there. Nobody is to be hired.
    machine.run(&["roustabout", "pause", "x64"]);
    let senders = Senders::start(door);
    for _ in 0..3 {
        senders.until_accepted(20).await;
        machine.run(&["systemctl", "restart", SERVICE]);
    }
    senders.until_accepted(20).await;
    let (accepted, failed) = senders.end().await;
    assert_eq!(failed, [""; 0]);
    let are_kept = async || {
        for &job in &accepted {
            assert_eq!(world.daemon.job(job).await["id"].as_u64(), Some(job));
        }
    };
    are_kept().await;

    let process = machine.show("MainPID", SERVICE);
    machine.run(&["kill", "-KILL", &process]);
    until("it is started again", LIMIT, async || {
        let now = machine.show("MainPID", SERVICE);
        now != process && now != "0" && machine.show("ActiveState", SERVICE) == "active"
    })
    .await;
    are_kept().await;

    machine.run(&["systemctl", "stop", "roustabout.socket", SERVICE]);
    assert_eq!(machine.show("Result", SERVICE), "success");
    assert_eq!(machine.show("ExecMainStatus", SERVICE), "0");
    assert!(machine.journal().contains("\"message\":\"ended\""), "{}", machine.journal());
    assert!(std::net::TcpStream::connect(("127.0.0.1", door)).is_err());
    world.agent.stop().await;
    tokio::task::spawn_blocking(move || drop(machine)).await.unwrap();
}
