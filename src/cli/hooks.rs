//! `hooks`: shows, makes and removes the webhooks of the repositories that the pools serve. The plan comes
//! first; nothing is changed before somebody agrees, on a terminal or by `--yes`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use url::Url;

use super::Failed;
use super::output::{print, print_to};
use crate::check::View;
use crate::config::{Environment, Settings, webhook_url};
use crate::forge::Forges;
use crate::forge::hooks::WantedHook;
use crate::hooks::{self, Aim, Entry, Selection, State, Visibility};

#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show the webhooks that are there, and what `sync` would do. Changes nothing.
    List(Common),
    /// Create what is missing and correct what differs: event workflow_job alone, JSON, active, our secret.
    Sync {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        agreed: Agreed,
        /// Send our secret to webhooks that are right otherwise, too.
        #[arg(long)]
        set_secret: bool,
    },
    /// Remove the webhooks with our URL.
    Remove {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        agreed: Agreed,
    },
}

#[derive(clap::Args)]
struct Common {
    /// Only repositories of this owner; can be repeated.
    #[arg(long = "owner", value_name = "OWNER")]
    owners: Vec<String>,
    /// Only repositories that match, as in octocat/*; can be repeated.
    #[arg(long = "repository", value_name = "GLOB", value_parser = glob)]
    repositories: Vec<String>,
    /// Only repositories with this topic; can be repeated.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only public or only private repositories; internal ones are private.
    #[arg(long = "visibility", value_name = "VISIBILITY")]
    visibilities: Vec<Visibility>,
    /// URL that GitHub posts to; default: [webhook] public_url. Webhooks with another URL are left alone.
    #[arg(long, value_name = "URL", value_parser = webhook_url)]
    url: Option<Url>,
    /// Print one JSON list: {scope, kind, hook_id, state, differs, error}.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Agreed {
    /// Change what the plan says without asking.
    #[arg(long, short)]
    yes: bool,
    /// Stop after the plan.
    #[arg(long)]
    dry_run: bool,
}

/// A name without an owner is one of any owner.
fn glob(text: &str) -> Result<String, String> {
    match text.matches('/').count() {
        0 => Ok(format!("*/{text}")),
        1 => Ok(text.to_owned()),
        _ => Err("use a pattern owner/name, such as octocat/*".to_owned()),
    }
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    // The secrets of the installed service, which a shell does not have.
    let view = View::find(config.as_deref(), None, &Environment::of_process());
    let view = view.map_err(Failed::Wrong)?;
    let config = config.or_else(|| view.unit().map(|unit| unit.config.clone()));
    let settings = Arc::new(super::load_by(config, &view.environment()).await?.settings);
    let (common, agreed, aim) = match options.action {
        Action::List(common) => (common, None, Aim::Sync { set_secret: false }),
        Action::Sync { common, agreed, set_secret } => {
            (common, Some(agreed), Aim::Sync { set_secret })
        }
        Action::Remove { common, agreed } => (common, Some(agreed), Aim::Remove),
    };
    let Common { owners, repositories, topics, visibilities, url, json } = common;
    let selection = Selection { owners, repositories, topics, visibilities };
    let url = url.or_else(|| settings.webhook.public_url.clone()).ok_or_else(no_url)?;
    let forges = Forges::new(settings.clone()).context("cannot set up a connection")?;
    let progress = Progress::new();
    let looking = |done, all| progress.tell("looking at", done, all);
    let mut entries = hooks::plan(&settings, &forges, &url, &selection, aim, looking).await;
    progress.end();
    if entries.is_empty() {
        super::complain(
            "no repository that a pool serves, or none with such a webhook, is selected",
        );
    }
    let Some(agreed) = agreed else { return show(json, &entries) };
    let changes = entries.iter().any(|entry| entry.target().is_some());
    if agreed.dry_run || !changes {
        return show(json, &entries);
    }
    let wanted = match aim {
        Aim::Sync { .. } => Some(wanted(&settings, &url)?),
        Aim::Remove => None,
    };
    match json {
        // The one list on standard output is what came of it.
        true if agreed.yes => {}
        true if std::io::stdin().is_terminal() => {
            print_to(std::io::stderr(), &hooks::text(&entries))?;
        }
        true => print(&format!("{}\n", hooks::json(&entries)))?,
        false => print(&hooks::text(&entries))?,
    }
    if !agreed.yes {
        ask(&entries)?;
    }
    let failed_before = entries.iter().filter(|entry| entry.state == State::Failed).count();
    let changing = |done, all| progress.tell("changing", done, all);
    hooks::carry_out(&forges, &mut entries, wanted.as_ref(), changing).await;
    progress.end();
    if json {
        return show(true, &entries);
    }
    let failed: Vec<Entry> =
        entries.iter().filter(|entry| entry.state == State::Failed).cloned().collect();
    // The plan has told of those that could not be looked at.
    if failed.len() > failed_before {
        print(&hooks::text(&failed))?;
    }
    super::tell(tracing::Level::INFO, &format!("done: {}", hooks::summary(&entries)));
    outcome(&entries)
}

fn no_url() -> Failed {
    let what = "roustabout: webhook.public_url: missing; set it to the URL at which GitHub reaches the \
                webhook listener, for example public_url = \"https://hooks.example.org/webhook\", or use --url";
    Failed::Wrong(what.to_owned())
}

fn wanted(settings: &Settings, url: &Url) -> Result<WantedHook, Failed> {
    let secret = settings.webhook.secret.clone().ok_or_else(|| {
        let what = "roustabout: webhook.secret: missing; set secret or secret_file in [webhook]";
        Failed::Wrong(what.to_owned())
    })?;
    Ok(WantedHook { url: url.to_string(), secret })
}

fn show(json: bool, entries: &[Entry]) -> Result<(), Failed> {
    let text = match json {
        true => format!("{}\n", hooks::json(entries)),
        false => hooks::text(entries),
    };
    print(&text)?;
    outcome(entries)
}

fn outcome(entries: &[Entry]) -> Result<(), Failed> {
    match entries.iter().any(|entry| entry.state == State::Failed) {
        true => Err(Failed::Said),
        false => Ok(()),
    }
}

/// Whether somebody at a terminal agrees.
fn ask(entries: &[Entry]) -> Result<(), Failed> {
    if !std::io::stdin().is_terminal() {
        let what = "roustabout: nothing was changed: use --yes to change this without asking";
        return Err(Failed::Wrong(what.to_owned()));
    }
    print_to(std::io::stderr(), &format!("{}. Go on? [y/N] ", hooks::summary(entries)))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => {
            super::complain("roustabout: nothing was changed");
            Err(Failed::Said)
        }
    }
}

/// One line on a terminal that is written over, where there is much to do.
struct Progress {
    shown: bool,
}

/// Fewer are done before anybody wonders.
const MANY: usize = 10;

impl Progress {
    fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    fn tell(&self, what: &str, done: usize, all: usize) {
        if self.shown && all > MANY {
            // Whoever closed standard error does not want it.
            let _ = write!(std::io::stderr(), "\r{what} {done} of {all} ");
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
