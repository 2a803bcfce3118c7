//! The doctor: one line a finding, each with its mend.

use std::path::PathBuf;

use super::Failed;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    json: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let _ = options.json;
    super::load(config)?;
    super::not_yet("check")
}
