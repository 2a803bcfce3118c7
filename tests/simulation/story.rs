//! The readable log of what happened in a seed. Nothing is decided from it; a silent one costs
//! nothing.

use std::fmt;

use simulated::github::model::Millis;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Telling {
    Nothing,
    Events,
    /// Each request and its answer too: they are many.
    Requests,
}

pub struct Story {
    telling: Telling,
    began: Millis,
    lines: Vec<String>,
}

impl Story {
    pub fn new(telling: Telling, began: Millis) -> Self {
        Self { telling, began, lines: Vec::new() }
    }

    pub fn tells(&self) -> bool {
        self.telling > Telling::Nothing
    }

    pub fn tells_requests(&self) -> bool {
        self.telling == Telling::Requests
    }

    /// Adds a line: when, who, what.
    pub fn tell(&mut self, at: Millis, who: &str, what: impl FnOnce() -> String) {
        if self.tells() {
            let past = at - self.began;
            let (seconds, millis) = (past.div_euclid(1_000), past.rem_euclid(1_000));
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let what = what();
            self.lines.push(format!(
                "{hours:02}:{minutes:02}:{:02}.{millis:03}  {who:<8} {what}",
                seconds % 60
            ));
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
