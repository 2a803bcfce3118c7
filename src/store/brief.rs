//! What a report reads of each job that has ended: a tenth of its row, written beside it when it ends, in an
//! index in the order in which jobs ended. Rows that ended before there was one are read whole.
//!
//! Everything is borrowed from what SQLite has read.

use std::borrow::Cow;

use memchr::memmem::{Finder, FinderRev};
use serde::{Deserialize, Serialize};

use super::fields::Fields;
use crate::ledger::{Job, Time};

/// Written as an array, without names. Rows of earlier versions have fewer fields than later ones: a new field
/// comes last and has a default.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Brief<'a> {
    pub run: u64,
    /// Its id.
    pub repository: u64,
    #[serde(borrow)]
    pub repository_name: Cow<'a, str>,
    #[serde(borrow)]
    workflow: Option<Text<'a>>,
    #[serde(borrow)]
    branch: Option<Text<'a>>,
    #[serde(borrow)]
    actor: Option<Text<'a>>,
    #[serde(borrow)]
    event: Option<Text<'a>>,
    #[serde(borrow)]
    conclusion: Option<Text<'a>>,
    #[serde(borrow)]
    runner_name: Option<Text<'a>>,
    #[serde(borrow)]
    pool: Option<Text<'a>>,
    /// 1 or 0.
    robot: u8,
    pub created_at: Option<Time>,
    started_at: Option<Time>,
    completed_at: Option<Time>,
    ended_at: Option<Time>,
    /// The first digits of its commit, which tell commits apart.
    pub commit: Option<u64>,
}

/// Borrowed unless something in it is escaped. serde borrows a bare `Cow`, and not one in an `Option`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Text<'a> {
    fn of(text: Option<&'a str>) -> Option<Self> {
        text.map(|text| Self(Cow::Borrowed(text)))
    }

    fn in_it<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
        text.as_ref().map(|text| &*text.0)
    }
}

impl<'a> Brief<'a> {
    /// Of a job that has ended.
    pub fn of(job: &'a Job) -> Self {
        let report = &job.report;
        let details = report.details.as_ref();
        let cause = job.cause.as_ref();
        let actor = report.actor.as_deref().or(cause.and_then(|cause| cause.actor.as_deref()));
        // Listings of runs tell it, and whoever was asked for the run.
        let event = details.and_then(|details| details.run.event.as_deref());
        let event = event.or(cause.and_then(|cause| cause.event.as_deref()));
        Self {
            run: report.run.0,
            repository: job.repository.0,
            repository_name: Cow::Borrowed(&job.repository_name),
            workflow: Text::of(report.workflow.as_deref()),
            branch: Text::of(report.head_branch.as_deref()),
            actor: Text::of(actor),
            event: Text::of(event),
            conclusion: Text::of(report.conclusion.as_deref()),
            runner_name: Text::of(report.runner_name.as_deref()),
            pool: Text::of(job.pool.as_ref().map(|pool| pool.as_str())),
            robot: job.robot.into(),
            created_at: report.created_at,
            started_at: details.and_then(|details| details.started_at),
            completed_at: details.and_then(|details| details.completed_at),
            ended_at: job.ended_at,
            commit: details.and_then(|details| commit(details.head_sha.as_deref()?)),
        }
    }

    pub fn read(text: &'a str) -> serde_json::Result<Self> {
        Self::read_fast(text).map_or_else(|| serde_json::from_str(text), Ok)
    }

    /// `None`: perhaps by serde.
    fn read_fast(text: &'a str) -> Option<Self> {
        let mut fields = Fields::of(text)?;
        // In the order in which they are written.
        let brief = Self {
            run: fields.natural()??,
            repository: fields.natural()??,
            repository_name: Cow::Borrowed(fields.text()??),
            workflow: Text::of(fields.text()?),
            branch: Text::of(fields.text()?),
            actor: Text::of(fields.text()?),
            event: Text::of(fields.text()?),
            conclusion: Text::of(fields.text()?),
            runner_name: Text::of(fields.text()?),
            pool: Text::of(fields.text()?),
            robot: u8::try_from(fields.natural()??).ok()?,
            created_at: fields.integer()?.map(Time),
            started_at: fields.integer()?.map(Time),
            completed_at: fields.integer()?.map(Time),
            ended_at: fields.integer()?.map(Time),
            commit: fields.natural()?,
        };
        fields.is_over().then_some(brief)
    }

    /// Of a row without one.
    pub fn of_row(row: &'a str) -> serde_json::Result<Self> {
        let Row { report, repository, repository_name, pool, robot, cause, ended_at } =
            serde_json::from_str(row)?;
        let details = report.details.unwrap_or_default();
        let (of_run, caused_by) = cause.map_or((None, None), |cause| (cause.event, cause.actor));
        let sha = Text::in_it(&details.head_sha);
        Ok(Self {
            commit: sha.and_then(commit),
            run: report.run,
            repository,
            repository_name,
            workflow: report.workflow,
            branch: report.head_branch,
            actor: report.actor.or(caused_by),
            event: details.event.or(of_run),
            conclusion: report.conclusion,
            runner_name: report.runner_name,
            pool,
            robot: robot.into(),
            created_at: report.created_at,
            started_at: details.started_at,
            completed_at: details.completed_at,
            ended_at,
        })
    }

    pub fn written(&self) -> serde_json::Result<String> {
        let fields = (
            self.run,
            self.repository,
            &self.repository_name,
            &self.workflow,
            &self.branch,
            &self.actor,
            &self.event,
            &self.conclusion,
            &self.runner_name,
            &self.pool,
            self.robot,
            self.created_at,
            self.started_at,
            self.completed_at,
            self.ended_at,
            self.commit,
        );
        serde_json::to_string(&fields)
    }

    pub fn workflow(&self) -> Option<&str> {
        Text::in_it(&self.workflow)
    }

    pub fn branch(&self) -> Option<&str> {
        Text::in_it(&self.branch)
    }

    pub fn actor(&self) -> Option<&str> {
        Text::in_it(&self.actor)
    }

    pub fn event(&self) -> Option<&str> {
        Text::in_it(&self.event)
    }

    pub fn conclusion(&self) -> Option<&str> {
        Text::in_it(&self.conclusion)
    }

    pub fn runner_name(&self) -> Option<&str> {
        Text::in_it(&self.runner_name)
    }

    pub fn pool(&self) -> Option<&str> {
        Text::in_it(&self.pool)
    }

    pub fn is_of_robot(&self) -> bool {
        self.robot != 0
    }

    /// When a runner began with it and when that was over, if both were told.
    pub fn worked(&self) -> Option<(Time, Time)> {
        self.started_at.zip(self.completed_at)
    }

    pub fn over_at(&self) -> Option<Time> {
        self.completed_at.or(self.ended_at)
    }
}

fn commit(sha: &str) -> Option<u64> {
    u64::from_str_radix(sha.get(..16)?, 16).ok()
}

/// The row of a job, as far as it is read. The whole `ledger::Job` has labels and steps too, which are most
/// of it.
#[derive(Debug, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    report: Said<'a>,
    repository: u64,
    #[serde(borrow)]
    repository_name: Cow<'a, str>,
    #[serde(borrow)]
    pool: Option<Text<'a>>,
    #[serde(default)]
    robot: bool,
    #[serde(borrow, default)]
    cause: Option<Cause<'a>>,
    ended_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
struct Said<'a> {
    run: u64,
    #[serde(borrow)]
    workflow: Option<Text<'a>>,
    #[serde(borrow)]
    head_branch: Option<Text<'a>>,
    #[serde(borrow)]
    conclusion: Option<Text<'a>>,
    #[serde(borrow)]
    runner_name: Option<Text<'a>>,
    created_at: Option<Time>,
    #[serde(borrow, default)]
    actor: Option<Text<'a>>,
    #[serde(borrow, default)]
    details: Option<Details<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Details<'a> {
    started_at: Option<Time>,
    completed_at: Option<Time>,
    #[serde(borrow, default)]
    head_sha: Option<Text<'a>>,
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

/// Cuts the steps out of a row before it is parsed: they are half of it, and nothing here needs them. The two
/// marks are nowhere else, for within a text of JSON a quote has a backslash before it.
pub(super) struct WithoutSteps {
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
    use proptest::prelude::*;

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
    fn a_job_is_read_back_as_it_was_written_and_as_its_row_says() {
        let mut report = testing::report(7, JobStatus::Completed);
        report.head_branch = Some("a\"b".to_owned());
        report.workflow = Some("CI".to_owned());
        let details = ledger::Details {
            started_at: Some(Time(5)),
            completed_at: Some(Time(9)),
            head_sha: Some("00000000000000ff00".to_owned()),
            ..Default::default()
        };
        report.details = details.kept();
        let mut job = testing::job(report);
        job.robot = true;
        job.ended_at = Some(Time(10));
        let written = Brief::of(&job).written().unwrap();
        let brief = Brief::read(&written).unwrap();
        assert_eq!(brief, Brief::of(&job));
        let row = serde_json::to_string(&job).unwrap();
        assert_eq!(brief, Brief::of_row(&row).unwrap());
        assert!(matches!(brief.workflow, Some(Text(Cow::Borrowed("CI")))));
        assert_eq!((brief.branch(), brief.commit), (Some("a\"b"), Some(0xff)));
        assert_eq!((brief.worked(), brief.over_at()), (Some((Time(5), Time(9))), Some(Time(9))));
        assert!(brief.is_of_robot() && brief.actor().is_none());
    }

    fn brief(texts: &[Option<String>; 8], numbers: [u64; 3], times: [Option<i64>; 4]) -> String {
        let text = |at: usize| Text::of(texts[at].as_deref());
        let [created_at, started_at, completed_at, ended_at] = times.map(|at| at.map(Time));
        let brief = Brief {
            run: numbers[0],
            repository: numbers[1],
            repository_name: Cow::Borrowed(texts[0].as_deref().unwrap_or_default()),
            workflow: text(1),
            branch: text(2),
            actor: text(3),
            event: text(4),
            conclusion: text(5),
            runner_name: text(6),
            pool: text(7),
            robot: 1,
            created_at,
            started_at,
            completed_at,
            ended_at,
            commit: Some(numbers[2]).filter(|commit| commit % 2 == 0),
        };
        brief.written().unwrap()
    }

    proptest! {
        /// Whatever is in it, and wherever it is cut off or damaged.
        #[test]
        fn what_is_read_fast_is_what_serde_reads(
            texts: [Option<String>; 8], numbers: [u64; 3], times: [Option<i64>; 4], at: usize,
            other in "[0-9\"\\\\,\\]n -]{0,3}",
        ) {
            let whole = brief(&texts, numbers, times);
            let escaped = whole.contains('\\');
            prop_assert_eq!(Brief::read_fast(&whole).is_some(), !escaped, "{}", whole);
            let at = (0..=at % (whole.len() + 1)).rev().find(|at| whole.is_char_boundary(*at)).unwrap();
            let damaged = format!("{}{other}{}", &whole[..at], &whole[at..]);
            for text in [&whole, &whole[..at], &damaged] {
                let fast = Brief::read_fast(text);
                if fast.is_some() {
                    prop_assert_eq!(fast, serde_json::from_str(text).ok(), "{}", text);
                }
            }
        }
    }
}
