//! A finding of `check`: a level, what it is about, what was found, and a suggested fix.

use serde::Serialize;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It works, but is probably not what is meant, or will not work for long.
    Warn,
    /// Some jobs that should get a runner will get none.
    Fail,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// One line of `check`. Contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// `config`, `store`, `github octo`, `pool x64`, …
    pub subject: String,
    pub message: String,
    /// What to do about it; none for [`Level::Ok`]. The name in JSON is a contract.
    #[serde(rename = "mend")]
    pub fix: Option<String>,
}

impl Finding {
    pub fn ok(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), message: message.into(), fix: None }
    }

    pub fn warn(
        subject: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warn, fix: Some(fix.into()), ..Self::ok(subject, message) }
    }

    pub fn fail(
        subject: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, fix: Some(fix.into()), ..Self::ok(subject, message) }
    }
}

/// All findings, in the order in which they are shown.
#[derive(Clone, Debug, Default)]
pub struct Report(pub Vec<Finding>);

impl Report {
    pub fn failed(&self) -> bool {
        self.count(Level::Fail) > 0
    }

    pub fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }
}
