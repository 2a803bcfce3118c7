//! What the daemon is under a service manager: it says what it is doing, and restarts on sockets
//! that stay open refuse no webhook. The manager is played by the test: a socket of its own for
//! the messages, and a small holder of the doors' sockets.

use crate::support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use support::daemon::{Daemon, signal};
use support::senders::Senders;
use support::webhook::{NOBODY_THERE, assert_accepts};

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(30);

struct Messages(UnixDatagram);

impl Messages {
    /// The next message, by its lines.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_it_is_ready_reloading_and_stopping() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let path = daemon.folder.path().join("notify");
    let messages = Messages(UnixDatagram::bind(&path).unwrap());
    messages.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let notify = |command: &mut Command| {
        command.env("NOTIFY_SOCKET", &path);
    };
    daemon.start_with(&[], notify).await;
    assert_eq!(messages.next(), ["READY=1", "STATUS=serving x64"]);
    assert_accepts(daemon.door).await;

    daemon.configure(|config| config.replace("name = \"x64\"", "name = \"big\""));
    signal(daemon.process(), "HUP");
    let reloading = messages.next();
    assert_eq!(reloading[0], "RELOADING=1");
    let when: u64 = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(when > 0);
    assert_eq!(messages.next(), ["READY=1", "STATUS=serving big"]);

    daemon.configure(|config| config.replace("[nomad]", "[nomad]\nadress = \"typo\""));
    signal(daemon.process(), "HUP");
    assert_eq!(messages.next()[0], "RELOADING=1");
    let ready = messages.next();
    assert_eq!(ready[0], "READY=1", "it runs as before");
    assert!(ready[1].contains("the new config is invalid"), "{ready:?}");

    signal(daemon.process(), "TERM");
    assert_eq!(messages.next()[0], "STOPPING=1");
    assert_eq!(daemon.ended().await, Some(0));
}

/// Starts the daemon on sockets that the test holds, as `sd_listen_fds(3)` has it: they are
/// numbered from 3 on, and the process is named whom they are for.
async fn start_on(daemon: &mut Daemon, public: &TcpListener, private: Option<&TcpListener>) {
    let count = 1 + usize::from(private.is_some());
    let script = format!(
        "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS={count} \
         LISTEN_FDNAMES=roustabout.socket:admin exec \"$@\""
    );
    let descriptor = |socket: &TcpListener| OwnedFd::from(socket.try_clone().unwrap());
    daemon
        .start_with(&["sh", "-c", &script, "sh"], |command| {
            command.stdin(descriptor(public));
            if let Some(private) = private {
                command.stdout(descriptor(private));
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_door_gets_the_socket_of_its_name() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let in_config = daemon.door;
    let public = TcpListener::bind("127.0.0.1:0").unwrap();
    let private = TcpListener::bind("127.0.0.1:0").unwrap();
    daemon.admin = private.local_addr().unwrap().port();
    start_on(&mut daemon, &public, Some(&private)).await;
    assert_accepts(public.local_addr().unwrap().port()).await;
    let refused = std::net::TcpStream::connect(("127.0.0.1", in_config));
    assert!(refused.is_err(), "the address of the config is not listened at");
    // The sockets are the holder's: a restart finds them as they were.
    assert_eq!(daemon.terminate().await, Some(0));
    start_on(&mut daemon, &public, Some(&private)).await;
    assert_accepts(public.local_addr().unwrap().port()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_are_meant_for_another_process_are_left_alone() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon
        .start_with(&[], |command| {
            command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
        })
        .await;
    assert_accepts(daemon.door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_under_load_refuse_no_webhook_and_keep_every_one() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let public = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = public.local_addr().unwrap().port();
    start_on(&mut daemon, &public, None).await;
    let senders = Senders::start(port);
    for restart in 1..=5 {
        senders.until_accepted(20).await;
        assert_eq!(daemon.terminate().await, Some(0), "restart {restart}");
        start_on(&mut daemon, &public, None).await;
    }
    let (accepted, failed) = senders.end().await;
    assert_eq!(failed, [""; 0]);
    assert!(accepted.len() >= 100);
    println!("{} webhooks over 5 restarts", accepted.len());
    for job in accepted {
        let kept = daemon.job(job).await;
        assert_eq!(kept["id"].as_u64(), Some(job), "{kept}");
    }
}

/// The units that we ship, judged by systemd's own tool.
mod units {
    use std::process::{Command, Output};

    use crate::support::daemon::here;
    use crate::support::parts::{self, Part};

    fn analyze(arguments: &[&str]) -> Output {
        Command::new("systemd-analyze").args(arguments).output().unwrap()
    }

    #[track_caller]
    fn is_content(said: &Output) {
        let text = [&said.stdout[..], &said.stderr[..]].concat();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&text));
        assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn the_units_are_right() {
        if parts::is_missing(Part::SystemdAnalyze, "the systemd units by `systemd-analyze verify`")
        {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for name in ["roustabout.service", "roustabout.socket"] {
            let unit = std::fs::read_to_string(here("deploy/systemd").join(name)).unwrap();
            // It looks whether the program is there.
            let program = env!("CARGO_BIN_EXE_roustabout");
            let unit = unit.replace("/usr/local/bin/roustabout", program);
            files.push(folder.path().join(name));
            std::fs::write(files.last().unwrap(), unit).unwrap();
        }
        let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        is_content(&analyze(&[&["verify"], &files[..]].concat()));
    }

    #[test]
    fn the_service_is_exposed_to_little() {
        if parts::is_missing(
            Part::SystemdAnalyze,
            "the systemd units by `systemd-analyze security`",
        ) {
            return;
        }
        let unit = here("deploy/systemd/roustabout.service");
        let unit = unit.to_str().unwrap();
        // In tenths: fails above 1.5.
        is_content(&analyze(&["security", "--offline=true", "--threshold=15", "--no-pager", unit]));
    }
}
