//! From a webhook's first byte to Nomad's answer, with a token in hand, beside one bare dispatch
//! and two fsyncs: what is kept before the 202, and that it is being dispatched.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::figures::{median, millis};
use crate::hiring::Hiring;
use crate::load::Connection;

const TIMES: usize = 100;

pub async fn measure() {
    let hiring = Hiring::start().await;
    let mut connection = Connection::open(hiring.world.daemon.door).await;
    let mut journal = File::create(hiring.world.daemon.folder.path().join("journal")).unwrap();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    // The first mints the token, and a few more warm both ways up.
    for round in 0..TIMES + 10 {
        let number = hiring.relay.dispatches() + 1;
        let request = hiring.queued();
        let started = Instant::now();
        connection.post(&request).await;
        let our_time = hiring.relay.answered(number).await - started;
        // What comes after the answer must not weigh on the other side.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let started = Instant::now();
        for _ in 0..2 {
            journal.write_all(&[7; 512]).unwrap();
            journal.sync_data().unwrap();
        }
        hiring.bare_dispatch().await;
        let bare_time = hiring.relay.answered(number + 1).await - started;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if round >= 10 {
            ours.push(our_time.as_secs_f64());
            bare.push(bare_time.as_secs_f64());
        }
    }
    let ratio = median(ours.clone()) / median(bare.clone());
    let time = |values| millis(Duration::from_secs_f64(median(values)));
    println!("\n## Webhook to Nomad's answer\n");
    println!("| ours | a bare dispatch and two fsyncs | ratio of the medians |");
    println!("|---|---|---|");
    println!("| {} | {} | {ratio:.2} |", time(ours), time(bare));
}
