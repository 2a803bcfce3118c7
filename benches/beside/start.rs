//! The binary's size, and how long from its start until `/readyz` says yes.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::figures::{median, millis};
use crate::support::daemon::{Daemon, roustabout};
use crate::support::webhook::NOBODY_THERE;

const TIMES: usize = 11;

pub async fn measure() {
    let size = std::fs::metadata(roustabout().get_program()).unwrap().len();
    let mut times = Vec::new();
    for _ in 0..TIMES {
        times.push(start().await.as_secs_f64());
    }
    println!("\n## Size and start\n");
    println!("| binary | start to ready, median of {TIMES} |\n|---|---|");
    println!("| {size} bytes | {} |", millis(Duration::from_secs_f64(median(times))));
}

async fn start() -> Duration {
    let daemon = Daemon::prepare(NOBODY_THERE);
    let mut command = roustabout();
    command.arg("serve").arg("--config").arg(daemon.config()).current_dir(daemon.folder.path());
    let started = Instant::now();
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    while !is_ready(daemon.admin).await {
        assert!(started.elapsed() < Duration::from_secs(20), "not ready within 20 s");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let took = started.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

async fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let request = b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut answer = Vec::new();
    stream.write_all(request).await.is_ok()
        && stream.read_to_end(&mut answer).await.is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}
