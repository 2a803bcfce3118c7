//! What a running daemon is doing. `--watch` on a terminal is a table to look around in (`watch`), elsewhere
//! text that is printed again and again; with `--json` a line for each change (`follow`).

mod follow;
mod text;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::output::print;
use super::{Failed, printable};
use crate::admin::Client;
use follow::{Follower, News};

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    daemon: Daemon,
    /// Keep watching until interrupted, also across restarts of the daemon: on a terminal a table of jobs,
    /// runners and pools with keys to sort and to filter.
    #[arg(long)]
    watch: bool,
    /// Print the daemon's answer as one JSON object; with --watch one line for each change.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let Options { daemon, watch, json } = options;
    let client = daemon.client(config).await?;
    match (watch, json) {
        (true, true) => stream(client).await,
        (true, false) if watch::is_possible() => watch::run(client).await,
        (true, false) => repeat(&client).await,
        (false, json) => {
            let status: Value = client.get("/api/v1/status").await?;
            print(&match json {
                true => format!("{status}\n"),
                false => printable(&text::table(&status)),
            })
        }
    }
}

/// One line for each change.
async fn stream(client: Client) -> Result<(), Failed> {
    let mut follower = Follower::new(client.into(), &[]);
    let mut last = Value::Null;
    loop {
        let news = match follower.next().await? {
            News::Status(status) => status,
            News::Away(why) => json!({ "error": why }),
        };
        let timeless = without_ages(news.clone());
        if timeless != last {
            last = timeless;
            print(&format!("{news}\n"))?;
        }
    }
}

/// That time goes by is no change.
fn without_ages(mut status: Value) -> Value {
    if let Some(status) = status.as_object_mut() {
        status.remove("at");
    }
    if let Some(oldest) = status["oldest_waiting"].as_object_mut() {
        oldest.remove("waits");
    }
    for pool in status["pools"].as_array_mut().into_iter().flatten() {
        if let Some(pool) = pool.as_object_mut() {
            pool.remove("oldest_waiting");
        }
    }
    status
}

const AGAIN: Duration = Duration::from_secs(2);

/// Where nobody can press a key.
async fn repeat(client: &Client) -> Result<(), Failed> {
    let mut away = None;
    loop {
        match client.get("/api/v1/status").await {
            Ok(status) => {
                away = None;
                // A terminal that is too simple for the table.
                let clear = if std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
                print(&format!("{clear}{}", printable(&text::table(&status))))?;
            }
            // A restart of the daemon does not end the watch; the error is printed once.
            Err(error) if error.may_pass() => {
                let why = error.to_string();
                if away.as_ref() != Some(&why) {
                    let text = format!("\n{why}\nretrying every {} s\n", AGAIN.as_secs());
                    print(&printable(&text))?;
                }
                away = Some(why);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_time_goes_by_is_no_change() {
        let status = |at: &str, waits: u64, waiting: u64| {
            json!({
                "at": at, "oldest_waiting": {"job": 7, "waits": waits},
                "pools": [{"name": "x64", "waiting": waiting, "oldest_waiting": waits}],
            })
        };
        let first = without_ages(status("2026-11-30T04:12:09Z", 1, 1));
        assert_eq!(first, without_ages(status("2026-11-30T04:12:19Z", 11, 1)));
        assert_ne!(first, without_ages(status("2026-11-30T04:12:19Z", 11, 2)));
        assert_eq!(
            without_ages(json!({"error": "away"})),
            json!({"error": "away", "oldest_waiting": null, "pools": null})
        );
    }
}
