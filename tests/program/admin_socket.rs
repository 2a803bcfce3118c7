//! `[admin] listen = "unix://…"`: the private door on a socket that its mode guards, for the commands
//! and for whoever may open it.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::daemon::{Daemon, roustabout};
use crate::support::webhook::{NOBODY_THERE, Request, queued};

const PATIENCE: Duration = Duration::from_secs(20);

fn socket(daemon: &Daemon) -> PathBuf {
    daemon.folder.path().join("admin.sock")
}

async fn start() -> Daemon {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let listen = format!("listen = \"unix://{}\"", socket(&daemon).display());
    let before = format!("listen = \"127.0.0.1:{}\"", daemon.admin);
    daemon.configure(|text| text.replace(&before, &listen));
    daemon.start_at_socket(&socket(&daemon)).await;
    daemon
}

/// The answer to one request, head and body.
fn ask(daemon: &Daemon, head: &str) -> String {
    let mut stream = UnixStream::connect(socket(daemon)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

async fn call(arguments: &[&str], daemon: &Daemon) -> (i32, String) {
    let mut command = roustabout();
    command.args(arguments).arg("--config").arg(daemon.config()).current_dir("/");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn commands_find_it_by_the_config_and_by_its_address_without_a_token() {
    let mut daemon = start().await;
    let mode = std::fs::metadata(socket(&daemon)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    Request::job("one", &queued(7)).send(daemon.door).await;
    let (code, table) = call(&["status"], &daemon).await;
    assert_eq!(code, 0, "{table}");
    assert!(table.contains("x64"), "{table}");
    assert_eq!(call(&["pause", "x64", "--for", "2h"], &daemon).await.0, 0);
    let (code, story) = call(&["explain", "7"], &daemon).await;
    assert!(code == 0 && story.contains("paused"), "{story}");
    // No config, so no token: the socket's mode is what counts.
    let address = format!("unix://{}", socket(&daemon).display());
    let mut command = roustabout();
    command.args(["status", "--json", "--address", &address]).current_dir("/");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    daemon.kill_hard();
    assert!(socket(&daemon).exists(), "a killed daemon leaves it");
    let (code, text) = call(&["status"], &daemon).await;
    assert!(code == 1 && text.contains(&format!("does not answer at {address}")), "{text}");
    daemon.start_at_socket(&socket(&daemon)).await;
    assert_eq!(call(&["status"], &daemon).await.0, 0);
    assert_eq!(daemon.terminate().await, Some(0));
    assert!(!socket(&daemon).exists(), "one that ends takes it away");
    let (code, text) = call(&["status", "--address", "unix://admin.sock"], &daemon).await;
    assert!(code == 2 && text.contains("unix:///PATH"), "{text}");
}

/// Through a proxy before it, browsers come.
#[tokio::test]
async fn pages_are_there_and_foreign_pages_get_nothing() {
    let daemon = start().await;
    let page = ask(&daemon, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Waiting jobs"), "{page}");
    let evil = ask(&daemon, "GET / HTTP/1.1\r\nHost: evil.example.org");
    assert!(evil.starts_with("HTTP/1.1 421"), "{evil}");
    let (_, rest) = page.split_once("name=\"form_key\" value=\"").unwrap();
    let key = format!("form_key={}", rest.split('"').next().unwrap());
    let press = |origin: &str, form: &str| {
        let head = format!(
            "POST /pools/x64/pause HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        );
        let mut stream = UnixStream::connect(socket(&daemon)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!(press("http://evil.example.org", &key), "403");
    assert_eq!(press("http://localhost", "form_key=0"), "403");
    assert_eq!(press("http://localhost", &key), "303");
}

/// The listener is the one of all doors.
#[tokio::test]
async fn a_long_body_and_a_long_head_are_refused_as_at_every_door() {
    let daemon = start().await;
    let long = "x".repeat(20_000);
    let head = ask(&daemon, &format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}"));
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
    let body = "x".repeat(70_000);
    let mut stream = UnixStream::connect(socket(&daemon)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /api/v1/pools/x64/pause HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_second_daemon_on_the_same_socket_does_not_start() {
    let daemon = start().await;
    let other = Daemon::prepare(NOBODY_THERE);
    let listen = format!("listen = \"unix://{}\"", socket(&daemon).display());
    let before = format!("listen = \"127.0.0.1:{}\"", other.admin);
    other.configure(|text| text.replace(&before, &listen));
    let (code, text) = call(&["serve"], &other).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("another process listens on it"), "{text}");
    assert!(ask(&daemon, "GET /healthz HTTP/1.1\r\nHost: localhost").starts_with("HTTP/1.1 200"));
}
