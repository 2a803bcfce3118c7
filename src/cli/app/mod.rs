//! `app`: makes a GitHub App for roustabout, and shows how the configured ones stand.
//!
//! `create` is the flow, `page` what it serves to the browser, `exchange` what it does with the code from
//! there, `kept` the files that it writes; `rotate` changes the secret of an App's webhook.

mod create;
mod exchange;
mod kept;
mod page;
mod rotate;
mod status;

use std::path::PathBuf;

use clap::Subcommand;

use super::Failed;

#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a GitHub App in the browser; its key and webhook secret are written to files.
    Create(Box<create::Options>),
    /// Show installations, permissions, events and webhook of each configured App; exit 1 on any `fail`.
    Status(status::Options),
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    match options.command {
        Command::Create(options) => create::run(config, *options).await,
        Command::Status(options) => status::run(config, options).await,
    }
}
