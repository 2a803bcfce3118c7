//! What a running daemon is doing, as a small table; `--watch` refreshes it.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::daemon::Daemon;
use super::{Failed, printable};

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    daemon: Daemon,
    /// Refresh every two seconds until interrupted, also across restarts of the daemon.
    #[arg(long)]
    watch: bool,
    /// Print the daemon's answer as one JSON object.
    #[arg(long)]
    json: bool,
}

const WATCH: Duration = Duration::from_secs(2);

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let client = options.daemon.client(config).await?;
    let mut away = None;
    loop {
        match client.get("/api/v1/status").await {
            Ok(status) => {
                away = None;
                show(&options, &status)?;
            }
            // A restart of the daemon does not end the watch; the error is printed once.
            Err(error) if options.watch && error.may_pass() => {
                let why = error.to_string();
                if away.as_ref() != Some(&why) {
                    tell_away(&options, &why)?;
                }
                away = Some(why);
            }
            Err(error) => return Err(error.into()),
        }
        if !options.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH).await;
    }
}

fn show(options: &Options, status: &Value) -> anyhow::Result<()> {
    let text = if options.json { format!("{status}\n") } else { printable(&table(status)) };
    let mut out = std::io::stdout().lock();
    if options.watch && out.is_terminal() && !options.json {
        write!(out, "\x1b[H\x1b[2J").context("cannot write")?;
    }
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write")
}

/// Below the last table, which shows what was known last.
fn tell_away(options: &Options, why: &str) -> anyhow::Result<()> {
    let text = match options.json {
        true => serde_json::json!({ "error": why }).to_string(),
        false => printable(&format!("\n{why}\nretrying every {} s", WATCH.as_secs())),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write")
}

/// The column names are the keys of the JSON.
fn table(status: &Value) -> String {
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
    let mut text = format!(
        "{} of {} runners alive\n\n{:<16} {:>7} {:>6} {:>5} {:>6} {:>11}\n",
        number(&status["capacity"], "alive"),
        number(&status["capacity"], "max"),
        "POOL",
        "WAITING",
        "SUPPLY",
        "BUSY",
        "ALIVE",
        "MAX_RUNNERS",
    );
    for pool in status["pools"].as_array().into_iter().flatten() {
        text += &format!(
            "{:<16} {:>7} {:>6} {:>5} {:>6} {:>11}\n",
            pool["name"].as_str().unwrap_or_default(),
            number(pool, "waiting"),
            number(pool, "supply"),
            number(pool, "busy"),
            number(pool, "alive"),
            number(pool, "max_runners"),
        );
        if pool["paused"] == true {
            let until = pool["paused_until"].as_str();
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            text += &format!("  paused{until}: no runner is launched\n");
        }
        for reason in pool["waiting_for"].as_array().into_iter().flatten() {
            text += &format!("  {}\n", reason.as_str().unwrap_or_default());
        }
    }
    let oldest = &status["oldest_waiting"];
    if !oldest.is_null() {
        text += &format!(
            "\noldest waiting: job {} of {}, {} s{}\n",
            number(oldest, "job"),
            oldest["repository"].as_str().unwrap_or_default(),
            number(oldest, "waits"),
            oldest["reason"].as_str().map(|why| format!(": {why}")).unwrap_or_default(),
        );
    }
    text += &unserved(&status["unserved"]);
    text += &deliveries(&status["deliveries"]);
    for who in status["degraded"].as_array().into_iter().flatten() {
        text += &format!("\ndegraded: {}\n", who.as_str().unwrap_or_default());
    }
    text
}

fn unserved(unserved: &Value) -> String {
    let newest = &unserved["newest"];
    if newest.is_null() {
        return String::new();
    }
    format!(
        "\nunserved: {}{} that no pool serves, the newest job {} of {}: {}\n",
        if unserved["more"] == true { "at least " } else { "" },
        match unserved["jobs"].as_u64().unwrap_or_default() {
            1 => "1 job".to_owned(),
            jobs => format!("{jobs} jobs"),
        },
        newest["job"],
        newest["repository"].as_str().unwrap_or_default(),
        newest["reason"].as_str().unwrap_or_default(),
    )
}

fn deliveries(deliveries: &Value) -> String {
    let Some(since) = deliveries["since"].as_str() else { return String::new() };
    let outcomes = deliveries["outcomes"].as_object().into_iter().flatten();
    let outcomes: Vec<String> =
        outcomes.map(|(outcome, count)| format!("{count} {outcome}")).collect();
    format!(
        "\ndeliveries since {since}: {}; last_good: {}\n",
        if outcomes.is_empty() { "none".to_owned() } else { outcomes.join(", ") },
        deliveries["last_good"].as_str().unwrap_or("never"),
    )
}
