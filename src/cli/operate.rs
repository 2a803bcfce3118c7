//! `pause`, `resume` and `retry`: sent to a running daemon, which answers when the change is on disk.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::output::print;
use super::{Failed, printable};
use crate::admin::pause_time;

#[derive(clap::Args)]
pub struct Pause {
    /// Name of the pool, as in the config.
    pool: String,
    /// How long, such as 30m, 2h or 1d; default: until `resume`.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub struct Resume {
    /// Name of the pool, as in the config.
    pool: String,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub struct Retry {
    /// Id of the job: the last number of its URL.
    #[arg(value_parser = id)]
    job: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const POOLS: &str = "/api/v1/pools";

pub async fn pause(config: Option<PathBuf>, options: Pause) -> Result<(), Failed> {
    let Pause { pool, time, common } = options;
    let body = time.map_or_else(|| json!({}), |time| json!({ "for": time }));
    let done: Value =
        common.daemon.client(config).await?.post(POOLS, &pool, "pause", &body).await?;
    let until = match done["paused_until"].as_str() {
        Some(until) => format!("until {until}"),
        None => "until you resume it".to_owned(),
    };
    common.tell(&done, &format!("pool {pool} is paused {until}: no runner is launched for it"))
}

pub async fn resume(config: Option<PathBuf>, options: Resume) -> Result<(), Failed> {
    let Resume { pool, common } = options;
    let client = common.daemon.client(config).await?;
    let done: Value = client.post(POOLS, &pool, "resume", &json!({})).await?;
    common.tell(&done, &format!("pool {pool} launches runners again"))
}

pub async fn retry(config: Option<PathBuf>, options: Retry) -> Result<(), Failed> {
    let Retry { job, common } = options;
    let client = common.daemon.client(config).await?;
    let done: Value = client.post("/api/v1/jobs", &job.to_string(), "retry", &json!({})).await?;
    common.tell(&done, &format!("job {job} is retried; roustabout explain {job} shows the result"))
}

impl Common {
    fn tell(&self, done: &Value, words: &str) -> Result<(), Failed> {
        let text = if self.json { done.to_string() } else { printable(words) };
        print(&format!("{text}\n"))
    }
}

fn id(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "give the job's id, the last number of its URL".to_owned())
}

/// Validated here, so that a typo is exit 2 and causes no request.
fn time(text: &str) -> Result<String, String> {
    pause_time(text).map(|_| text.to_owned())
}
