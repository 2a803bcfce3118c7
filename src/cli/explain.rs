//! Why a job is in its state; what would happen to a webhook (`--payload`); what was wrong with a delivery
//! (`--delivery`).

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::daemon::Daemon;
use super::output::print;
use super::{Failed, printable};
use crate::admin::DeliveryJson;
use crate::engine;
use crate::explain::{self, Asked, Explained};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Options {
    /// Id of the job, URL of the job or of its run, or OWNER/REPO#RUN.
    #[arg(group = "what", value_parser = job)]
    job: Option<String>,
    /// Show what would happen to this workflow_job payload (- for standard input); changes
    /// nothing and needs no daemon.
    #[arg(long, group = "what", value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Show what was wrong with a delivery that could not be parsed.
    #[arg(long, group = "what", value_name = "ID")]
    delivery: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Validated here, so that a typo is exit 2 and causes no request.
fn job(text: &str) -> Result<String, String> {
    Asked::read(text).map(|_| text.to_owned())
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let Options { job, payload, delivery, daemon, json } = options;
    if let Some(file) = payload {
        let settings = super::load(config).await?.settings;
        let rules = engine::rules(&settings);
        let foreseen = explain::foresee(&contents(&file)?, &rules, &settings.github);
        return show(json, &foreseen, || foreseen.text());
    }
    let client = daemon.client(config).await?;
    if let Some(id) = delivery {
        let found: DeliveryJson = client.get_about("/api/v1/deliveries", &id).await?;
        return show(json, &found, || found.text());
    }
    let job = job.unwrap_or_default();
    let explained: Explained = client.get_about("/api/v1/explain", &job).await?;
    show(json, &explained, || explained.text())
}

fn show<T: Serialize>(json: bool, it: &T, text: impl FnOnce() -> String) -> Result<(), Failed> {
    let text = match json {
        true => serde_json::to_string(it)? + "\n",
        false => printable(&text()),
    };
    print(&text)
}

fn contents(file: &Path) -> anyhow::Result<Vec<u8>> {
    match file.to_str() {
        Some("-") => {
            let text = std::io::read_to_string(std::io::stdin());
            Ok(text.context("cannot read standard input")?.into_bytes())
        }
        _ => std::fs::read(file)
            .with_context(|| format!("cannot read the payload {}", file.display())),
    }
}
