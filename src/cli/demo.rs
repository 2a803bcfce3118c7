//! The main job on one machine, every step shown.

use super::Failed;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    json: bool,
}

pub async fn run(options: Options) -> Result<(), Failed> {
    let _ = options.json;
    super::not_yet("demo")
}
