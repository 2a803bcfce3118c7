//! What a running daemon is doing, as a small table; `--watch` shows it again and again.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::Failed;
use super::daemon::Daemon;

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    daemon: Daemon,
    /// Again every two seconds, until interrupted.
    #[arg(long)]
    watch: bool,
    /// Print what the daemon says as one JSON object.
    #[arg(long)]
    json: bool,
}

const WATCH: Duration = Duration::from_secs(2);

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let client = options.daemon.client(config)?;
    loop {
        let status: Value = client.get("/api/v1/status").await?;
        let text = if options.json { format!("{status}\n") } else { table(&status) };
        let mut out = std::io::stdout().lock();
        if options.watch && out.is_terminal() && !options.json {
            write!(out, "\x1b[H\x1b[2J").context("cannot write")?;
        }
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write")?;
        drop(out);
        if !options.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH).await;
    }
}

fn table(status: &Value) -> String {
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
    let mut text = format!(
        "{} of {} runners in use\n\n{:<16} {:>7} {:>6} {:>5} {:>6} {:>5}\n",
        number(&status["capacity"], "alive"),
        number(&status["capacity"], "max"),
        "POOL",
        "WAITING",
        "HIRED",
        "BUSY",
        "ALIVE",
        "MAX",
    );
    for pool in status["pools"].as_array().into_iter().flatten() {
        text += &format!(
            "{:<16} {:>7} {:>6} {:>5} {:>6} {:>5}\n",
            pool["name"].as_str().unwrap_or_default(),
            number(pool, "demand"),
            number(pool, "supply"),
            number(pool, "busy"),
            number(pool, "alive"),
            number(pool, "max_runners"),
        );
        if pool["paused"] == true {
            let until = pool["paused_until"].as_str();
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            text += &format!("  paused{until}: nobody new is hired\n");
        }
        for reason in pool["waiting_for"].as_array().into_iter().flatten() {
            text += &format!("  {}\n", reason.as_str().unwrap_or_default());
        }
    }
    let oldest = &status["oldest_waiting"];
    if !oldest.is_null() {
        text += &format!(
            "\nlongest waiting: job {} of {}, {} s{}\n",
            number(oldest, "job"),
            oldest["repository"].as_str().unwrap_or_default(),
            number(oldest, "waits"),
            oldest["reason"].as_str().map(|why| format!(": {why}")).unwrap_or_default(),
        );
    }
    for who in status["degraded"].as_array().into_iter().flatten() {
        text += &format!("\ndegraded: {}\n", who.as_str().unwrap_or_default());
    }
    text
}
