//! Verified and durable webhooks a second, beside the bare handler: in turns, so that whatever
//! else the machine does meets both.

use crate::figures::{median, millis, percentile};
use crate::load::{self, Outcome};
use crate::process::{Bare, used};
use crate::support::webhook::door_with;

const ROUNDS: usize = 5;

pub async fn measure() {
    println!("\n## Webhooks a second\n");
    println!(
        "| connections | ours | bare | ratio | ours p50 | p99 | bare p50 | p99 | CPU each, ours | bare |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (connections, count) in [(1, 2000), (16, 10_000), (64, 20_000)] {
        compare(connections, count).await;
    }
}

#[derive(Default)]
struct Side {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Microseconds of processor time a webhook.
    cpu: Vec<f64>,
}

impl Side {
    async fn round(&mut self, port: u16, process: u32, connections: usize, count: usize) {
        let requests = load::queued_jobs(count);
        let before = used(process);
        let Outcome { took, mut latencies } = load::post(port, requests, connections).await;
        let cpu = used(process) - before;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let count = count as f64;
        self.rates.push(count / took.as_secs_f64());
        self.p50.push(percentile(&mut latencies, 0.5).as_secs_f64());
        self.p99.push(percentile(&mut latencies, 0.99).as_secs_f64());
        self.cpu.push(cpu.as_secs_f64() * 1e6 / count);
    }
}

async fn compare(connections: usize, count: usize) {
    let bare = Bare::start();
    let (mut ours, mut theirs) = (Side::default(), Side::default());
    // The first round is for warming up.
    for round in 0..=ROUNDS {
        // A ledger of its own each time: what it costs with many open jobs is another figure.
        let daemon = door_with("").await;
        if round == 0 {
            (ours, theirs) = (Side::default(), Side::default());
        }
        ours.round(daemon.door, daemon.process(), connections, count).await;
        theirs.round(bare.port, bare.process(), connections, count).await;
    }
    let ratios = ours.rates.iter().zip(&theirs.rates).map(|(ours, bare)| ours / bare).collect();
    let time = |values: Vec<f64>| millis(std::time::Duration::from_secs_f64(median(values)));
    println!(
        "| {connections} | {:.0}/s | {:.0}/s | {:.2} | {} | {} | {} | {} | {:.0} µs | {:.0} µs |",
        median(ours.rates),
        median(theirs.rates),
        median(ratios),
        time(ours.p50),
        time(ours.p99),
        time(theirs.p50),
        time(theirs.p99),
        median(ours.cpu),
        median(theirs.cpu),
    );
}
