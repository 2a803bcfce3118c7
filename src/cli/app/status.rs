//! `app status`: one line per finding about each configured App, as `check` has them; with
//! `--rotate-secret` its webhook gets another secret.

use std::path::PathBuf;

use super::super::Failed;
use super::super::check::print;
use super::rotate;
use crate::check;

#[derive(clap::Args)]
pub struct Options {
    /// Only the Apps for this user or organization.
    #[arg(long, value_name = "LOGIN")]
    owner: Option<String>,
    /// Give the App's webhook another secret, at GitHub and in its file, without a refused delivery.
    #[arg(long)]
    rotate_secret: bool,
    /// Print one JSON object: {"findings": [{level, subject, message, mend}], "failed"}.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let loaded = super::super::load(config).await?;
    let settings = &loaded.settings;
    let credentials = &settings.github.credentials;
    let wanted = |owners: &[String]| {
        options
            .owner
            .as_ref()
            .is_none_or(|owner| owners.iter().any(|it| it.eq_ignore_ascii_case(owner)))
    };
    let apps: Vec<usize> = credentials
        .iter()
        .enumerate()
        .filter(|(_, credential)| credential.app().is_some() && wanted(&credential.owners))
        .map(|(index, _)| index)
        .collect();
    if apps.is_empty() {
        return Err(Failed::Wrong(
            "roustabout app status: no GitHub App is configured for that; add [github.credentials.app], or create one with roustabout app create"
                .to_owned(),
        ));
    }
    if options.rotate_secret {
        let [app] = apps[..] else {
            return Err(Failed::Wrong(
                "roustabout app status: several Apps are configured; name one with --owner"
                    .to_owned(),
            ));
        };
        rotate::rotate(settings, &credentials[app]).await?;
    }
    print(&check::apps(settings, &apps).await, options.json)
}
