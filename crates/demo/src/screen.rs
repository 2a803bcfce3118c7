//! How steps and summary are shown: on a terminal a table that is drawn over itself (`table.rs`),
//! elsewhere aligned lines, or one JSON object a line. Whoever reads may go away; the demo ends in
//! order all the same.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::kept::{Kept, More};
use crate::left::Left;
use crate::live::Live;
use crate::log;
use crate::scene::{PLACES, PUBLIC, SERVED};
use crate::stage::Struck;
use crate::step::{Kind, Step};
use crate::story::Story;
use crate::summary::Summary;
use crate::table;
use crate::which_nomad::{HOW_TO_GET_ONE, ToldOf};

const DIM: &str = "2";
const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

pub struct Screen {
    json: bool,
    colour: bool,
    /// The table, while there is one.
    live: Mutex<Option<Live>>,
}

impl Screen {
    pub fn new(json: bool) -> Self {
        let said = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let terminal = !json && std::io::stdout().is_terminal();
        let dumb = said("TERM").is_none_or(|kind| kind == "dumb");
        // A log on the same terminal would tear a table.
        let table = terminal && !dumb && !log::is_on_terminal();
        Self {
            json,
            colour: terminal && !dumb && said("NO_COLOR").is_none(),
            live: Mutex::new(table.then(Live::default)),
        }
    }

    pub fn title(&self, jobs: usize) {
        if self.json {
            return;
        }
        let [first, second, third] = SERVED;
        self.line(&self.paint(
            BOLD,
            &format!("{jobs} jobs over {first}, {second} and {third}, {PLACES} at a time"),
        ));
        self.line(&self.paint(
            DIM,
            &format!("one more that no machine has room for, and one of {PUBLIC}, which is public"),
        ));
        self.line("");
    }

    /// What was built for the demo.
    pub fn built(&self, part: &str, text: &str) {
        if self.json {
            return self.object(&json!({"step": "setup", "part": part, "text": text}));
        }
        self.line(&format!("  {} {text}", self.paint(BOLD, &format!("{part:<7}"))));
    }

    /// Which Nomad it is.
    pub fn nomad(&self, told: &ToldOf, seconds: f64) {
        let text = told.in_words(seconds);
        if self.json {
            let mut object = json!({"step": "setup", "part": "Nomad", "text": text});
            object["nomad"] = serde_json::to_value(told).unwrap_or_default();
            self.object(&object);
        } else {
            self.built("Nomad", &text);
        }
        if told.real == Some(false) {
            self.built("", HOW_TO_GET_ONE);
        }
    }

    /// Before the first step.
    pub fn begins(&self) {
        if !self.json {
            self.line("");
            self.line(&self.paint(DIM, "  seconds since the jobs were queued"));
        }
        if self.table().is_some() {
            self.line("");
        }
    }

    /// Draws the table, where there is one.
    pub fn draw(&self, story: &Story) {
        if let Some(live) = self.table().as_mut() {
            let size = terminal::size();
            let lines = table::table(story, jiff::Timestamp::now().as_millisecond(), size);
            self.write(&live.frame(&lines, size, self.colour));
        }
    }

    /// What stands there stays; steps are lines from now on.
    pub fn table_is_over(&self) {
        self.table().take();
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn step(&self, step: &Step) {
        if self.json {
            return self.object(&serde_json::to_value(step).unwrap_or_default());
        }
        if self.table().is_some() {
            return;
        }
        let repository = step.repository.as_deref().unwrap_or_default();
        let colour = match step.step {
            Kind::Started => CYAN,
            Kind::Completed if step.text.starts_with("completed: success") => GREEN,
            Kind::Completed | Kind::Waits | Kind::Explained => YELLOW,
            Kind::Trouble | Kind::Refused => RED,
            Kind::Gone | Kind::Webhook => DIM,
            _ => "",
        };
        self.line(&format!(
            "{} {repository:<9}  {:<24}  {}",
            self.paint(DIM, &format!("{:>8.3} s ", step.seconds)),
            step.who,
            self.paint(colour, &step.text)
        ));
    }

    pub fn summary(&self, summary: &Summary) {
        if self.json {
            return;
        }
        self.line("");
        for (label, text) in figures(summary) {
            self.line(&format!("  {label:<20}  {text}"));
        }
        if let Some(left) = &summary.left {
            self.left(left);
        }
    }

    fn left(&self, left: &Left) {
        self.line("");
        self.line(&self.paint(BOLD, "  What is left, asked of each who knows:"));
        let processes = left.processes.map(|number| (number as u64, "processes of runners"));
        let all = [
            (left.dispatches_alive as u64, "dispatches alive in Nomad"),
            (left.runners_registered, "runners registered at the forge"),
            (left.runners_in_ledger, "runners in the daemon's ledger"),
        ];
        for (number, what) in all.into_iter().chain(processes) {
            let colour = if number == 0 { GREEN } else { RED };
            self.line(&format!("  {}  {what}", self.paint(colour, &format!("{number:>4}"))));
        }
    }

    /// What runs on, and how to look at it and to use it.
    pub fn kept(&self, kept: &Kept) {
        if self.json {
            let mut object = serde_json::to_value(kept).unwrap_or_default();
            object["step"] = json!("kept");
            return self.object(&object);
        }
        self.line("");
        self.line(&self.paint(BOLD, "  Everything runs on, until Ctrl-C:"));
        for (what, text) in kept.addresses() {
            self.line(&format!("  {what:<14}  {text}"));
        }
        self.line("");
        let (why, command, then) = match &kept.more {
            More::Send(send) => (
                "  A job is queued of which no webhook has told. Deliver it from another terminal:",
                send,
                "  Then ask about that job (before, the daemon does not know it), or about the whole:",
            ),
            More::Push(push) => (
                "  Push from another terminal, and a workflow runs:",
                push,
                "  Ask about a job, or about the whole:",
            ),
        };
        self.line(why);
        self.line("");
        self.line(&format!("    {}", self.paint(CYAN, command)));
        self.line("");
        self.line(then);
        self.line("");
        for command in &kept.ask {
            self.line(&format!("    {}", self.paint(CYAN, command)));
        }
        if !kept.has_program {
            self.line("");
            self.line(
                "  roustabout, the daemon's program, is neither beside this one nor on PATH;",
            );
            self.line("  cargo build --release --locked builds it.");
        }
        self.line("");
    }

    /// The end, whatever came before; with everything in JSON.
    pub fn ended(&self, summary: Option<&Summary>, struck: &Struck, whole: f64) {
        if self.json {
            let Some(summary) = summary else { return };
            let mut object = serde_json::to_value(summary).unwrap_or_default();
            object["step"] = json!("summary");
            object["purged"] = json!(struck.purged);
            object["seconds"] = json!(whole);
            if let Some(kept) = &struck.kept {
                object["log"] = json!(kept);
            }
            return self.object(&object);
        }
        self.line("");
        self.line(&format!("  {} {whole:.1} s in all.", ended(struck)));
    }

    /// What is left after something ran on.
    pub fn left_at_last(&self, left: &Left) {
        if !self.json {
            self.left(left);
        }
    }

    /// Ending takes a moment, and whoever pressed Ctrl-C wants to know that it was heard.
    pub fn interrupted(&self) {
        self.table_is_over();
        if !self.json {
            self.line("");
            self.line("  Interrupted: ending what was started …");
        }
    }

    /// What is waited for while everything is taken down.
    pub fn waits_for(&self, what: &str) {
        if !self.json {
            self.line(&format!("  Waiting for {what} …"));
        }
    }

    /// The demo ended before its time, and there is no summary.
    pub fn cut_short(&self, problems: &[String], struck: &Struck, whole: f64) {
        if self.json {
            return self.object(&json!({
                "step": "summary", "ok": false, "problems": problems, "purged": struck.purged,
                "seconds": whole, "log": struck.kept,
            }));
        }
        self.line("");
        self.line(&format!("  {}", ended(struck)));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.colour && !code.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn object(&self, object: &Value) {
        self.line(&object.to_string());
    }

    fn line(&self, line: &str) {
        self.write(&format!("{}\n", line.trim_end()));
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // An error means that nobody reads any more.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn figures(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut ran = format!("{} of {}, each exactly once", summary.ran_once, summary.jobs);
    if summary.cancelled_in_queue > 0 {
        ran = format!("{ran}; {} cancelled while it waited", summary.cancelled_in_queue);
    }
    if summary.refused > 0 {
        ran = format!("{ran}; {} refused", summary.refused);
    }
    let mut figures = vec![("jobs run", ran)];
    if let (Some(median), Some(max)) = (summary.median_to_running, summary.max_to_running) {
        let mut text = format!("median {median:.1} s, at most {max:.1} s");
        if summary.ran_once > PLACES {
            text = format!("{text}, the wait for one of {PLACES} places included");
        }
        figures.push(("webhook → running", text));
    }
    let runners = summary.runners_registered;
    figures.push(match summary.tokens_minted {
        Some(tokens) => ("registration tokens", format!("{tokens} minted for {runners} runners")),
        None => ("registered", format!("{runners} runners")),
    });
    figures.push(("dispatches", summary.dispatches.to_string()));
    figures
}

fn ended(struck: &Struck) -> String {
    let mut done = Vec::new();
    if struck.purged > 0 {
        done.push(format!("{} dispatches and their jobs purged", struck.purged));
    }
    if struck.nomad_ended {
        done.push("Nomad ended".to_owned());
    }
    done.push(match &struck.kept {
        None => "folders removed".to_owned(),
        Some(log) => format!("the daemon's log kept in {}", log.display()),
    });
    let mut text = done.join(", ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{text}.")
}
