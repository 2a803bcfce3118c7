//! What ran: asks the running daemon, and shows the answer as a table, JSON or CSV.

use std::path::PathBuf;

use clock::Clock;
use serde_json::Value;

use super::daemon::Daemon;
use super::output::print;
use super::{Failed, printable};
use crate::report::{self, By, Period};

#[derive(clap::Args)]
pub struct Options {
    /// A month in UTC, as YYYY-MM; repeatable. Default: the current one.
    #[arg(long, value_name = "YYYY-MM", conflicts_with = "since")]
    month: Vec<String>,
    /// Everything since this day in UTC, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// What a row is: repository, owner, workflow, actor, branch, pool or month.
    #[arg(long, default_value = "repository", value_parser = By::named)]
    by: By,
    /// Print the daemon's answer as one JSON object.
    #[arg(long)]
    json: bool,
    /// Print the rows as CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    daemon: Daemon,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let Options { month, since, by, json, csv, daemon } = options;
    // Here too, so that a typo is exit 2 and causes no request.
    Period::read(&month, since.as_deref(), Clock::system().now().into())
        .map_err(|why| Failed::Wrong(format!("roustabout report: {why}")))?;
    let mut query: Vec<(&str, &str)> =
        month.iter().map(|month| ("month", month.as_str())).collect();
    query.extend(since.as_deref().map(|since| ("since", since)));
    query.push(("by", by.as_str()));
    let client = daemon.client(config).await?;
    let report: Value = client.get_slowly_with("/api/v1/report", &query).await?;
    let text = match (json, csv) {
        (true, _) => format!("{report}\n"),
        (_, true) => printable(&report::csv(&report)),
        _ => printable(&report::text(&report)),
    };
    print(&text)
}
