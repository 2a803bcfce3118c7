//! What is shown, and what a key does to it.

use std::time::Instant;

use serde_json::Value;
use terminal::Key;

use super::draw::all_troubles;
use super::rows;
use super::table::{Millis, Table};
use crate::admin::{ClientError, ListsJson};
use crate::cli::printable;
use crate::cli::status::follow::News;
use crate::explain::Explained;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Jobs,
    Runners,
    Pools,
}

impl Shown {
    pub const ALL: [Shown; 3] = [Shown::Jobs, Shown::Runners, Shown::Pools];

    pub fn name(self) -> &'static str {
        match self {
            Shown::Jobs => "jobs",
            Shown::Runners => "runners",
            Shown::Pools => "pools",
        }
    }
}

/// What the terminal's loop is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Leave,
    Suspend,
    Explain(u64),
}

/// A text in place of the table.
#[derive(Debug)]
pub struct Page {
    /// It is the answer of `explain` about this job.
    pub job: Option<u64>,
    /// `None` until there is an answer.
    pub text: Option<String>,
    pub top: usize,
}

impl Page {
    fn of(text: String) -> Self {
        Self { job: None, text: Some(text), top: 0 }
    }
}

#[derive(Debug)]
pub struct View {
    pub status: Value,
    pub lists: ListsJson,
    /// Why the daemon does not answer.
    pub away: Option<String>,
    pub shown: Shown,
    tables: [Table; 3],
    pub filter: String,
    /// Keys are letters of the filter.
    pub typing: bool,
    pub page: Option<Page>,
    /// The daemon's time, and when it was told.
    clock: Option<(Millis, Option<Instant>)>,
    /// Of the last drawing.
    pub width: usize,
    pub room: usize,
}

impl Default for View {
    fn default() -> Self {
        Self {
            status: Value::Null,
            lists: ListsJson::default(),
            away: None,
            shown: Shown::Jobs,
            tables: [Table::new(rows::JOBS), Table::new(rows::RUNNERS), Table::new(rows::POOLS)],
            filter: String::new(),
            typing: false,
            page: None,
            clock: None,
            width: 80,
            room: 10,
        }
    }
}

impl View {
    pub fn hear(&mut self, news: News) {
        match news {
            News::Away(why) => self.away = Some(printable(&why)),
            News::Status(mut status) => {
                self.away = None;
                harmless(&mut status);
                self.lists = serde_json::from_value(status["lists"].take()).unwrap_or_default();
                let at = status["at"].as_str().and_then(rows::at);
                self.clock = at.map(|at| (at, Some(Instant::now())));
                self.status = status;
                let all = [
                    rows::jobs(&self.lists),
                    rows::runners(&self.lists),
                    rows::pools(&self.status),
                ];
                let now = self.now();
                for (table, rows) in self.tables.iter_mut().zip(all) {
                    table.fill(rows, &self.filter, now);
                }
            }
        }
    }

    pub fn explained(&mut self, job: u64, answer: Result<Explained, ClientError>) {
        let text = answer.map_or_else(|error| error.to_string(), |answer| answer.text());
        if let Some(page) = self.page.as_mut().filter(|page| page.job == Some(job)) {
            page.text = Some(printable(&text));
        }
    }

    #[cfg(test)]
    pub fn stop_clock(&mut self) {
        self.clock = self.clock.map(|(at, _)| (at, None));
    }

    /// By the daemon's clock.
    pub fn now(&self) -> Millis {
        self.clock.map_or(0, |(at, told)| {
            let since = told.map(|told| told.elapsed().as_millis()).unwrap_or_default();
            at.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
        })
    }

    pub fn table(&mut self) -> &mut Table {
        &mut self.tables[self.shown as usize]
    }

    pub fn press(&mut self, key: Key) -> Wish {
        match key {
            Key::Ctrl('c') => return Wish::Leave,
            Key::Ctrl('z') => return Wish::Suspend,
            _ => {}
        }
        if self.typing {
            self.letter(key);
            return Wish::Nothing;
        }
        if let Some(rows) = self.movement(key) {
            match &mut self.page {
                Some(page) => page.top = page.top.saturating_add_signed(rows),
                None => self.table().move_by(rows),
            }
            return Wish::Nothing;
        }
        if self.page.is_some() {
            return match key {
                Key::Char('q') | Key::Escape | Key::Enter | Key::Left | Key::Backspace => {
                    self.page = None;
                    Wish::Nothing
                }
                _ => Wish::Nothing,
            };
        }
        match key {
            Key::Char('q') => return Wish::Leave,
            Key::Char('s') => {
                let width = self.width;
                self.table().sort_next(width);
                self.arrange();
            }
            Key::Char('r') => {
                self.table().reverse();
                self.arrange();
            }
            Key::Char('/') => self.typing = true,
            Key::Char('d') => {
                let all = all_troubles(self).into_iter().map(|(_, text)| text);
                let all = all.collect::<Vec<_>>().join("\n\n");
                let nothing = || "Nothing is degraded.".to_owned();
                self.page = Some(Page::of(if all.is_empty() { nothing() } else { all }));
            }
            Key::Escape => {
                self.filter.clear();
                self.arrange();
            }
            Key::Tab | Key::Right => self.turn(1),
            Key::BackTab | Key::Left => self.turn(2),
            Key::Char(digit @ '1'..='3') => self.shown = Shown::ALL[digit as usize - '1' as usize],
            Key::Enter => {
                let Some(row) = self.table().chosen() else { return Wish::Nothing };
                let Some(job) = row.job else {
                    self.page = Some(Page::of(row.note.clone()));
                    return Wish::Nothing;
                };
                self.page = Some(Page { job: Some(job), text: None, top: 0 });
                return Wish::Explain(job);
            }
            _ => {}
        }
        Wish::Nothing
    }

    fn turn(&mut self, by: usize) {
        self.shown = Shown::ALL[(self.shown as usize + by) % Shown::ALL.len()];
        self.arrange();
    }

    fn movement(&self, key: Key) -> Option<isize> {
        let page = isize::try_from(self.room.max(2) - 1).unwrap_or(1);
        Some(match key {
            Key::Up | Key::Char('k') => -1,
            Key::Down | Key::Char('j') => 1,
            Key::PageUp => -page,
            Key::PageDown | Key::Char(' ') => page,
            Key::Home | Key::Char('g') => isize::MIN,
            Key::End | Key::Char('G') => isize::MAX,
            _ => return None,
        })
    }

    fn letter(&mut self, key: Key) {
        match key {
            Key::Char(letter) if self.filter.len() < 60 => self.filter.push(letter),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            Key::Up | Key::Down => {
                let rows = if key == Key::Up { -1 } else { 1 };
                self.table().move_by(rows);
            }
            _ => {}
        }
        self.arrange();
    }

    fn arrange(&mut self) {
        let (filter, now) = (self.filter.clone(), self.now());
        self.table().arrange(&filter, now);
    }
}

/// Whatever answers need not be a daemon, and a daemon shows what strangers wrote.
fn harmless(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(text).replace('\n', " "),
        Value::Array(all) => all.iter_mut().for_each(harmless),
        Value::Object(all) => all.values_mut().for_each(harmless),
        _ => {}
    }
}
