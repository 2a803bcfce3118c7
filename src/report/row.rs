//! What the report reads of a job's row, borrowed from it. The whole `ledger::Job` has labels and steps too,
//! which are most of a row.

use std::borrow::Cow;

use memchr::memmem::{Finder, FinderRev};
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

/// Cuts the steps out of a row before it is parsed: they are half of it, and nothing here needs them. The two
/// marks are nowhere else, for within a text of JSON a quote has a backslash before it.
pub struct WithoutSteps {
    begin: Finder<'static>,
    end: FinderRev<'static>,
    rest: String,
}

impl Default for WithoutSteps {
    fn default() -> Self {
        Self {
            begin: Finder::new(",\"steps\":["),
            end: FinderRev::new("]}},\"repository\":"),
            rest: String::new(),
        }
    }
}

impl WithoutSteps {
    /// The row, whole if it has no steps or another layout.
    pub fn of<'b>(&'b mut self, body: &'b str) -> &'b str {
        let Some(begin) = self.begin.find(body.as_bytes()) else { return body };
        let Some(end) = self.end.rfind(body.as_bytes()).filter(|end| *end > begin) else {
            return body;
        };
        self.rest.clear();
        // The bracket goes with the steps.
        self.rest.extend([&body[..begin], &body[end + 1..]]);
        &self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::step::testing;
    use crate::ledger::{self, JobStatus, Step};

    #[test]
    fn steps_are_cut_out_of_a_row_as_the_ledger_writes_it() {
        let mut report = testing::report(7, JobStatus::Completed);
        let step = |name: &str| Step {
            name: name.to_owned(),
            conclusion: Some("success".to_owned()),
            started_at: Some(Time(1)),
            completed_at: None,
        };
        let steps = vec![step("one"), step("]}},\"repository\":,\"steps\":[")];
        let details = ledger::Details { started_at: Some(Time(5)), steps, ..Default::default() };
        report.details = details.kept();
        let row = serde_json::to_string(&testing::job(report)).unwrap();
        let mut cut = WithoutSteps::default();
        let rest = cut.of(&row);
        assert!(row.contains("steps") && !rest.contains("steps"), "{rest}");
        let (mut job, of_rest): (ledger::Job, ledger::Job) =
            (serde_json::from_str(&row).unwrap(), serde_json::from_str(rest).unwrap());
        job.report.details.as_mut().unwrap().steps.clear();
        assert_eq!(of_rest, job);
        assert_eq!(cut.of("{\"a\":1}"), "{\"a\":1}");
    }

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
