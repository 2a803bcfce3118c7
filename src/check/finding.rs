//! What the doctor found: a level, what it is about, what is so, and how to mend it.

use serde::Serialize;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It works, and is probably not meant, or will not work for long.
    Warn,
    /// Jobs that should get a runner will get none.
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

/// One line of the doctor's. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// `config`, `store`, `github octo`, `pool x64`, …
    pub subject: String,
    pub message: String,
    /// What to do about it; none where all is well.
    pub mend: Option<String>,
}

impl Finding {
    pub fn ok(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), message: message.into(), mend: None }
    }

    pub fn warn(
        subject: impl Into<String>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warn, mend: Some(mend.into()), ..Self::ok(subject, message) }
    }

    pub fn fail(
        subject: impl Into<String>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, mend: Some(mend.into()), ..Self::ok(subject, message) }
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
