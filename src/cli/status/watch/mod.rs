//! `status --watch` on a terminal: jobs, runners and pools as tables to look around in.
//!
//! `rows` makes rows of what the daemon answered, `table` sorts, filters and scrolls them, `view` is what is
//! shown and what a key does to it, `draw` makes lines of that. Drawing is pure; this file alone waits.

mod draw;
mod rows;
mod table;
mod view;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use terminal::{Key, Screen};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::follow::{Follower, News};
use crate::admin::{Client, ClientError};
use crate::cli::Failed;
use crate::explain::Explained;
use view::{View, Wish};

/// As many as the daemon lists.
const LISTS: &[(&str, &str)] = &[("lists", "1000")];

/// What comes from the daemon.
enum Answer {
    News(Result<News, ClientError>),
    Explained(u64, Result<Explained, ClientError>),
}

/// Whether there is a terminal that can be drawn on, and keys.
pub fn is_possible() -> bool {
    let dumb = said("TERM").is_none_or(|kind| kind == "dumb");
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal() && !dumb
}

fn said(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

pub async fn run(client: Client) -> Result<(), Failed> {
    let client = Arc::new(client);
    let (to, mut answers) = mpsc::channel(8);
    let (mut follower, news) = (Follower::new(client.clone(), LISTS), to.clone());
    // Before the terminal is taken: what is wrong with address or token is a line as ever.
    let first = follower.next().await?;
    let mut view = View::default();
    view.hear(first);
    tokio::spawn(async move {
        loop {
            let next = follower.next().await;
            let over = next.is_err();
            if news.send(Answer::News(next)).await.is_err() || over {
                return;
            }
        }
    });
    let mut keys = keys();
    let cannot = "cannot listen for signals";
    let mut resized = signal(SignalKind::window_change()).context(cannot)?;
    let mut ended = signal(SignalKind::terminate()).context(cannot)?;
    let mut hung_up = signal(SignalKind::hangup()).context(cannot)?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let colour = said("NO_COLOR").is_none();
    let mut screen = Screen::open().context("cannot set the terminal up")?;
    loop {
        let size = terminal::size();
        let lines = draw::lines(&mut view, size);
        screen.draw(&lines, size, colour).context("cannot write")?;
        tokio::select! {
            answer = answers.recv() => match answer {
                Some(Answer::News(news)) => view.hear(news?),
                Some(Answer::Explained(job, answer)) => view.explained(job, answer),
                None => return Ok(()),
            },
            key = keys.recv() => {
                let Some(key) = key else { return Ok(()) };
                match view.press(key) {
                    Wish::Nothing => {}
                    Wish::Leave => return Ok(()),
                    Wish::Suspend => screen.suspend().context("cannot give the terminal back")?,
                    Wish::Explain(job) => explain(client.clone(), job, to.clone()),
                }
            }
            _ = second.tick() => {}
            _ = resized.recv() => {}
            _ = ended.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
        }
    }
}

fn keys() -> mpsc::UnboundedReceiver<Key> {
    let (to, keys) = mpsc::unbounded_channel();
    // It ends with the process: nothing else ends a read.
    std::thread::spawn(move || terminal::keys::read(|key| to.send(key).is_ok()));
    keys
}

fn explain(client: Arc<Client>, job: u64, to: mpsc::Sender<Answer>) {
    tokio::spawn(async move {
        let answer = client.get_about("/api/v1/explain", &job.to_string()).await;
        // Nobody watches any more.
        let _ = to.send(Answer::Explained(job, answer)).await;
    });
}
