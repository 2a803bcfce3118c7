//! 256 jobs queued at once, until the last is dispatched, beside a loop that only dispatches as
//! many, with as many connections as the daemon has for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::figures::median;
use crate::hiring::Hiring;
use crate::load;

const JOBS: usize = 256;
/// As in `src/engine/dispatching.rs`.
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 5;

pub async fn measure() {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        // A Nomad of its own each time: blocked children of earlier rounds would be looked at too,
        // as nobody's are who has ended.
        let hiring = Arc::new(Hiring::start().await);
        if round == 1 {
            (ours, bare) = (Vec::new(), Vec::new());
        }
        if round % 2 == 0 {
            ours.push(burst(&hiring).await);
            bare.push(dispatch_only(&hiring).await);
        } else {
            bare.push(dispatch_only(&hiring).await);
            ours.push(burst(&hiring).await);
        }
    }
    let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    println!("\n## A burst of {JOBS} jobs\n");
    println!("| ours | only dispatching | ratio |");
    println!("|---|---|---|");
    println!("| {:.0}/s | {:.0}/s | {:.2} |", median(ours), median(bare), median(ratios));
}

/// Dispatches a second, from the first webhook's first byte to the last answer of Nomad.
async fn burst(hiring: &Hiring) -> f64 {
    // A token is in hand, as it is for an hour after the first.
    let first = hiring.relay.dispatches() + 1;
    load::post(hiring.world.daemon.door, vec![hiring.queued()], 1).await;
    hiring.relay.answered(first).await;
    let requests: Vec<Vec<u8>> = (0..JOBS).map(|_| hiring.queued()).collect();
    let last = hiring.relay.dispatches() + JOBS;
    let started = Instant::now();
    load::post(hiring.world.daemon.door, requests, CONNECTIONS).await;
    rate(hiring.relay.answered(last).await - started)
}

async fn dispatch_only(hiring: &Arc<Hiring>) -> f64 {
    let last = hiring.relay.dispatches() + JOBS;
    let left = Arc::new(AtomicUsize::new(JOBS));
    let started = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (hiring, left) = (hiring.clone(), left.clone());
            tokio::spawn(async move {
                let take = || {
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                };
                while take().is_ok() {
                    hiring.bare_dispatch().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    rate(hiring.relay.answered(last).await - started)
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn rate(took: std::time::Duration) -> f64 {
    JOBS as f64 / took.as_secs_f64()
}
