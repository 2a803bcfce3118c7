//! How late the answers are under a fixed 500 webhooks a second, beside the bare handler under
//! the same. Each is counted from when it was due, not from when it could be sent.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::figures::{millis, percentile};
use crate::load::{self, Connection};
use crate::process::Bare;
use crate::support::webhook::door_with;

const A_SECOND: u32 = 500;
const SECONDS: u32 = 10;
const CONNECTIONS: usize = 16;

pub async fn measure() {
    println!("\n## Fixed {A_SECOND} webhooks a second, for {SECONDS} s\n");
    println!("| | p50 | p99 | longest |");
    println!("|---|---|---|---|");
    let daemon = door_with("").await;
    let bare = Bare::start();
    for (name, port) in [("ours", daemon.door), ("bare", bare.port)] {
        let mut late = run(port, A_SECOND, SECONDS).await;
        let longest = late.iter().max().copied().unwrap();
        let (p50, p99) = (percentile(&mut late, 0.5), percentile(&mut late, 0.99));
        println!("| {name} | {} | {} | {} |", millis(p50), millis(p99), millis(longest));
    }
}

/// So many a second for so many seconds; how late each answer was.
pub async fn run(port: u16, a_second: u32, seconds: u32) -> Vec<Duration> {
    let requests = load::queued_jobs((a_second * seconds) as usize);
    let (due, waiting) = async_queue();
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(port).await;
        let waiting = waiting.clone();
        tasks.push(tokio::spawn(async move {
            let mut late = Vec::new();
            loop {
                let next = waiting.lock().await.recv().await;
                let Some((due, request)): Option<(Instant, Vec<u8>)> = next else { return late };
                connection.post(&request).await;
                late.push(due.elapsed());
            }
        }));
    }
    let started = Instant::now();
    for (number, request) in (0..).zip(requests) {
        let at = started + Duration::from_secs(1) * number / a_second;
        tokio::time::sleep_until(at.into()).await;
        // The timer wakes up to a millisecond late, which is not the door's doing.
        due.send((Instant::now().max(at), request)).unwrap();
    }
    drop(due);
    let mut late = Vec::new();
    for task in tasks {
        late.extend(task.await.unwrap());
    }
    late
}

type Due = (Instant, Vec<u8>);
type Waiting = std::sync::Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Due>>>;

fn async_queue() -> (mpsc::UnboundedSender<Due>, Waiting) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, std::sync::Arc::new(tokio::sync::Mutex::new(receiver)))
}
