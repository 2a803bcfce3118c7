//! What the report reads of a job's row, borrowed from it. The whole `ledger::Job` has labels and steps too,
//! which are most of a row.

use std::borrow::Cow;

use serde::Deserialize;

use crate::ledger::Time;

#[derive(Debug, Deserialize)]
pub struct Row<'a> {
    #[serde(borrow)]
    pub report: Said<'a>,
    /// Its id.
    pub repository: u64,
    #[serde(borrow)]
    pub repository_name: Cow<'a, str>,
    #[serde(borrow)]
    pub pool: Option<Text<'a>>,
    #[serde(default)]
    pub robot: bool,
    #[serde(borrow, default)]
    cause: Option<Cause<'a>>,
    pub ended_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
pub struct Said<'a> {
    pub run: u64,
    #[serde(borrow)]
    pub workflow: Option<Text<'a>>,
    #[serde(borrow)]
    pub head_branch: Option<Text<'a>>,
    #[serde(borrow)]
    pub conclusion: Option<Text<'a>>,
    #[serde(borrow)]
    pub runner_name: Option<Text<'a>>,
    pub created_at: Option<Time>,
    #[serde(borrow, default)]
    actor: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub details: Option<Details<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Details<'a> {
    pub started_at: Option<Time>,
    pub completed_at: Option<Time>,
    #[serde(borrow, default)]
    pub head_sha: Option<Text<'a>>,
    #[serde(borrow, default)]
    event: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Cause<'a> {
    #[serde(borrow, default)]
    event: Option<Text<'a>>,
    #[serde(borrow, default)]
    actor: Option<Text<'a>>,
}

/// Borrowed unless something in it is escaped. serde borrows a bare `Cow`, and not one in an `Option`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub fn of<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
        text.as_ref().map(|text| &*text.0)
    }
}

impl Row<'_> {
    pub fn actor(&self) -> Option<&str> {
        let of_run = self.cause.as_ref().and_then(|cause| Text::of(&cause.actor));
        Text::of(&self.report.actor).or(of_run)
    }

    /// Listings of runs tell it, and whoever was asked for the run.
    pub fn event(&self) -> Option<&str> {
        let of_run = self.cause.as_ref().and_then(|cause| Text::of(&cause.event));
        let told = self.report.details.as_ref().and_then(|details| Text::of(&details.event));
        told.or(of_run)
    }

    /// When a runner began with it and when that was over, if both were told.
    pub fn worked(&self) -> Option<(Time, Time)> {
        let details = self.report.details.as_ref()?;
        details.started_at.zip(details.completed_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_borrowed_where_they_can_be() {
        let body = r#"{"report": {"run": 7, "workflow": "CI", "head_branch": "a\"b", "conclusion": null,
            "runner_name": "r", "created_at": 5, "labels": ["x"], "details": {"started_at": 6, "event": "push",
            "steps": [["build", "success", 1, 2]]}},
            "repository": 1, "repository_name": "octo/app", "pool": null, "ended_at": null}"#;
        let row: Row<'_> = serde_json::from_str(body).unwrap();
        assert!(matches!(row.repository_name, Cow::Borrowed("octo/app")));
        assert!(matches!(row.report.workflow, Some(Text(Cow::Borrowed("CI")))));
        assert_eq!(Text::of(&row.report.head_branch), Some("a\"b"));
        assert_eq!((row.event(), row.actor(), row.worked()), (Some("push"), None, None));
    }
}
