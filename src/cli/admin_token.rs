//! `admin-token`: where the token of the private door is, for use by other programs.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::Failed;
use super::daemon::{made_token, unreadable};
use super::output::print;
use crate::admin::token;
use crate::config::{Environment, Source};
use crate::own_secrets;

#[derive(clap::Args)]
pub struct Options {
    /// Print the token itself.
    #[arg(long)]
    show: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let env = Environment::of_process();
    let source = Source::read(config.as_deref(), &env).map_err(super::wrong)?;
    let alone = own_secrets::load_admin(&source, &env).await.map_err(super::wrong)?;
    let (place, token) = match (&alone.admin.token, made_token(&alone)) {
        (Some(token), _) => {
            ("the config ([admin] token, token_file or token_vault)".to_owned(), token.clone())
        }
        (None, Some((file, Ok(token)))) => (file.display().to_string(), token),
        (None, Some((file, Err(error)))) => {
            return Err(unreadable(&file, &error));
        }
        (None, None) => {
            let files: Vec<String> = alone
                .databases
                .iter()
                .map(|database| token::beside(database).display().to_string())
                .collect();
            return Err(anyhow::anyhow!(
                "no admin token found: looked for {}. The daemon creates it at its first start, beside its database; if it runs with another STATE_DIRECTORY or working directory, set STATE_DIRECTORY",
                files.join(" and ")
            )
            .into());
        }
    };
    let shown = options.show.then(|| token.expose_secret().to_owned());
    if options.json {
        let mut facts = serde_json::json!({ "place": place });
        if let Some(token) = shown {
            facts["token"] = token.into();
        }
        return print(&format!("{facts}\n"));
    }
    print(&format!("{}\n", shown.unwrap_or(place)))
}
