//! How steps and summary are shown: aligned lines, in colour on a terminal, or one JSON object a
//! line. Whoever reads may go away; the demo ends in order all the same.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use super::stage::{MAX_RUNNERS, REPOSITORIES, Struck};
use super::step::{Kind, Step};
use super::summary::Summary;

const DIM: &str = "2";
const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

pub struct Screen {
    json: bool,
    colour: bool,
}

impl Screen {
    pub fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, colour: !json && !plain && std::io::stdout().is_terminal() }
    }

    pub fn title(&self, jobs: usize) {
        if self.json {
            return;
        }
        let [app, lib] = REPOSITORIES;
        self.line(&self.paint(
            BOLD,
            &format!("{jobs} jobs over {app} and {lib}, at most {MAX_RUNNERS} runners at once"),
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

    /// Before the first step.
    pub fn begins(&self) {
        if !self.json {
            self.line("");
            self.line(&self.paint(DIM, "  seconds since the jobs were queued"));
        }
    }

    pub fn step(&self, step: &Step) {
        if self.json {
            return self.object(&serde_json::to_value(step).unwrap_or_default());
        }
        let repository = step.repository.as_deref().unwrap_or_default();
        let colour = match step.step {
            Kind::Started => CYAN,
            Kind::Completed if step.text.starts_with("completed: success") => GREEN,
            Kind::Completed | Kind::Waits => YELLOW,
            Kind::Trouble => RED,
            Kind::Gone | Kind::Webhook => DIM,
            _ => "",
        };
        self.line(&format!(
            "{} {repository:<8}  {:<9}  {}",
            self.paint(DIM, &format!("{:>8.3} s ", step.seconds)),
            step.who,
            self.paint(colour, &step.text)
        ));
    }

    pub fn summary(&self, summary: &Summary, struck: &Struck, whole: f64) {
        if self.json {
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
        for (label, text) in figures(summary) {
            self.line(&format!("  {label:<20}  {text}"));
        }
        self.line("");
        if let Some(left) = summary.left {
            self.line(&self.paint(BOLD, "  What is left, asked of each who knows:"));
            for (number, what) in [
                (left.dispatches_alive as u64, "dispatches alive in Nomad"),
                (left.runners_registered, "runners registered at GitHub"),
                (left.runners_in_ledger, "runners in the daemon's ledger"),
            ] {
                let colour = if number == 0 { GREEN } else { RED };
                self.line(&format!("  {}  {what}", self.paint(colour, &format!("{number:>4}"))));
            }
            self.line("");
        }
        self.line(&format!("  {} {whole:.1} s in all.", ended(struck)));
    }

    /// Ending takes a moment, and whoever pressed Ctrl-C wants to know that it was heard.
    pub fn interrupted(&self) {
        if !self.json {
            self.line("");
            self.line("  Interrupted: ending what was started …");
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
        let mut out = std::io::stdout().lock();
        // An error means that nobody reads any more.
        let _ = writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush());
    }
}

fn figures(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut ran = format!("{} of {}, each exactly once", summary.ran_once, summary.jobs);
    if summary.cancelled_in_queue > 0 {
        ran = format!("{ran}; {} cancelled in the queue", summary.cancelled_in_queue);
    }
    let mut figures = vec![("jobs run", ran)];
    if let (Some(median), Some(max)) = (summary.median_to_running, summary.max_to_running) {
        let mut text = format!("median {median:.1} s, at most {max:.1} s");
        if summary.jobs > MAX_RUNNERS {
            text = format!("{text}, the wait for one of {MAX_RUNNERS} places included");
        }
        figures.push(("webhook → running", text));
    }
    figures.push((
        "registration tokens",
        format!("{} minted for {} runners", summary.tokens_minted, summary.runners_registered),
    ));
    figures.push(("dispatches", summary.dispatches.to_string()));
    figures
}

fn ended(struck: &Struck) -> String {
    let mut done = Vec::new();
    if struck.purged > 0 {
        done.push(format!("{} dispatches and their job purged", struck.purged));
    }
    if struck.agent_ended {
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
