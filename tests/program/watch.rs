//! `status --watch` on a terminal: what stands there, and what its keys do.

use crate::support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;
use support::daemon::{Daemon, roustabout};
use support::until;
use support::webhook::{Request, door, queued};

const SOON: Duration = Duration::from_secs(30);

/// A terminal with the program on it.
struct Terminal {
    ours: File,
    screen: Arc<Mutex<vt100::Parser>>,
    child: Child,
}

impl Terminal {
    fn watch(daemon: &Daemon, columns: u16, rows: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        tcsetwinsize(&ours, size(columns, rows)).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = roustabout();
        command.args(["status", "--watch", "--config"]).arg(daemon.config());
        command.env("TERM", "xterm-256color").stdin(theirs.try_clone().unwrap());
        command.stdout(theirs.try_clone().unwrap()).stderr(Stdio::from(theirs));
        let child = command.spawn().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let (mut from, to) = (File::from(ours), screen.clone());
        let ours = from.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Linux says EIO where the other side is closed.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap().process(&buffer[..count]);
            }
        });
        Self { ours, screen, child }
    }

    fn shows(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    async fn until(&self, text: &str) {
        until(text, SOON, async || self.shows().contains(text)).await;
    }

    fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// As a terminal that is pulled larger or smaller.
    fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.ours, size(columns, rows)).unwrap();
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::WINCH).unwrap();
    }

    /// Whether a line is edited and shown while it is typed, as in a shell.
    fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.ours).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended, which the test has told already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[tokio::test]
async fn a_terminal_shows_jobs_and_its_keys_filter_explain_and_leave() {
    let mut daemon = door().await;
    let mut evil = queued(7);
    evil["workflow_job"]["name"] = json!("build \u{1b}[2J\u{1b}[1;1H\u{202e}evil");
    Request::job("one", &evil).send(daemon.door).await;
    let mut terminal = Terminal::watch(&daemon, 80, 24);
    terminal.until("1 waiting").await;
    let text = terminal.shows();
    assert!(
        text.contains("STATE") && text.contains("REPOSITORY") && !text.contains("STEPS"),
        "{text}"
    );
    assert!(text.contains("build  [2J [1;1H") && text.starts_with(" runners"), "{text}");
    assert!(text.contains("q quit"), "the keys are in the footer: {text}");
    assert!(!terminal.is_as_before());

    terminal.resize(120, 30);
    terminal.until("STEPS").await;
    let text = terminal.shows();
    assert_eq!(text.matches("build  [2J").count(), 1, "{text}");
    assert!(text.lines().count() == 30 && text.ends_with("by default"), "{text}");

    Request::job("two", &queued(8)).send(daemon.door).await;
    terminal.until("2 waiting").await;
    terminal.press("/evil");
    terminal.until("filter: evil").await;
    terminal.press("\r");
    terminal.until("1 of 2 with “evil”").await;
    // The row that is chosen.
    terminal.press("\r");
    terminal.until("job 7 (build  [2J [1;1H").await;
    terminal.press("\x1b");
    terminal.until("1 of 2 with “evil”").await;
    terminal.press("\x1b");
    terminal.until("by default").await;

    daemon.kill_hard();
    terminal.until("roustabout does not answer at").await;
    assert!(terminal.shows().contains("2 waiting"), "what was known last: {}", terminal.shows());
    daemon.start().await;
    Request::job("three", &queued(9)).send(daemon.door).await;
    terminal.until("3 waiting").await;
    assert!(!terminal.shows().contains("does not answer at"), "{}", terminal.shows());

    terminal.press("q");
    until("it has ended", SOON, async || {
        terminal.screen.lock().unwrap().screen().contents().is_empty()
    })
    .await;
    assert!(terminal.child.wait().unwrap().success());
    assert!(terminal.is_as_before(), "the terminal is given back");
    let screen = terminal.screen.lock().unwrap();
    assert!(!screen.screen().alternate_screen() && !screen.screen().hide_cursor());
}

#[tokio::test]
async fn ended_from_outside_it_gives_the_terminal_back() {
    let daemon = door().await;
    let mut terminal = Terminal::watch(&daemon, 80, 24);
    terminal.until("No job waits").await;
    kill_process(Pid::from_child(&terminal.child), Signal::TERM).unwrap();
    assert!(terminal.child.wait().unwrap().success());
    assert!(terminal.is_as_before());
}
