//! The spans of one job that has ended, by OpenTelemetry's conventions for CI/CD: the run, how long the job
//! waited and for what, and the job itself with its steps. Pure; nothing here knows an exporter.
//!
//! Names and attributes: semantic conventions 1.44, "CICD spans". What they have no name for begins with
//! `roustabout.`.

use std::time::Duration;

use opentelemetry::KeyValue;

use crate::ledger::{Details, Job, Runner, Time};

/// From one moment to another, with what happened inside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub name: String,
    pub kind: Kind,
    pub from: Time,
    pub until: Time,
    pub attributes: Vec<KeyValue>,
    /// How it went wrong, if it did.
    pub error: Option<String>,
    pub inside: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Internal,
}

/// `None` for a job that has not ended, or of which it is not known when it was queued.
pub(super) fn of(job: &Job, runner: Option<&Runner>) -> Option<Span> {
    let report = &job.report;
    let none = Details::default();
    let details = report.details.as_deref().unwrap_or(&none);
    let queued = report.created_at.unwrap_or(job.received_at);
    let heard = job.ended_at.into_iter();
    let ended = details.completed_at.map(|at| within(at, heard)).or(job.ended_at)?.max(queued);
    let (result, error) = outcome(report.conclusion.as_deref());
    let workflow = report.workflow.as_deref().unwrap_or("workflow");
    let (owner, repository) =
        job.repository_name.split_once('/').unwrap_or(("", &job.repository_name));
    let mut attributes = vec![
        text("cicd.pipeline.name", workflow),
        text("cicd.pipeline.action.name", "RUN"),
        text("cicd.pipeline.run.id", &report.run.0.to_string()),
        text("cicd.pipeline.result", result),
        text("vcs.owner.name", owner),
        text("vcs.repository.name", repository),
        KeyValue::new("roustabout.run.attempt", report.run_attempt.cast_signed()),
    ];
    // The address of a job is that of its run and more.
    let run_url = report.url.as_deref().and_then(|url| url.split_once("/job/"));
    attributes.extend(run_url.map(|(run, _)| text("cicd.pipeline.run.url.full", run)));
    attributes.extend(report.head_branch.as_deref().map(|it| text("vcs.ref.head.name", it)));
    attributes.extend(details.head_sha.as_deref().map(|it| text("vcs.ref.head.revision", it)));
    attributes.extend(job.pool.as_ref().map(|pool| text("roustabout.pool", pool.as_str())));
    attributes.extend(error.as_deref().map(|it| text("error.type", it)));
    let began = |at| within(at, runner.into_iter().flat_map(steps_of).flatten());
    let started = details.started_at.map(|at| began(at).clamp(queued, ended));
    let mut inside = vec![waiting(queued, started.unwrap_or(ended), runner)];
    inside.extend(started.map(|started| task(job, details, runner, started, ended)));
    let name = format!("RUN {workflow}");
    Some(Span { name, kind: Kind::Server, from: queued, until: ended, attributes, error, inside })
}

/// The forge's times are whole seconds. What we saw ourselves within that second, and it came after, was later.
fn within(second: Time, seen: impl Iterator<Item = Time>) -> Time {
    let within = seen.filter(|at| (second..second + Duration::from_secs(1)).contains(at));
    within.max().unwrap_or(second)
}

/// Before it could begin with a job.
fn steps_of(runner: &Runner) -> [Option<Time>; 3] {
    [runner.last_sent_at, runner.placed_at, runner.registered_at]
}

/// From the queue to the runner, and what was waited for. Each part ends where the next begins.
fn waiting(from: Time, until: Time, runner: Option<&Runner>) -> Span {
    let mut inside = Vec::new();
    if let Some(runner) = runner {
        // Before this the job waited for room, its turn, or an answer of the forge.
        let stages = [
            ("room", Some(runner.hired_at)),
            ("credential", runner.first_sent_at),
            ("dispatch", runner.last_sent_at),
            ("placement", runner.placed_at),
            ("registration", runner.registered_at),
            ("job start", Some(until)),
        ];
        let mut at = from;
        for (name, end) in stages {
            // A runner that was there before the job has gone through these without it.
            let Some(end) = end.map(|end| end.min(until)).filter(|end| *end > at) else { continue };
            inside.push(plain(name, at, end));
            at = end;
        }
    }
    let attributes = vec![KeyValue::new("cicd.pipeline.run.state", "pending")];
    Span { attributes, inside, ..plain("queue", from, until) }
}

fn task(job: &Job, details: &Details, runner: Option<&Runner>, from: Time, until: Time) -> Span {
    let report = &job.report;
    let (result, error) = outcome(report.conclusion.as_deref());
    let mut attributes = vec![
        text("cicd.pipeline.task.name", &report.name),
        text("cicd.pipeline.task.run.id", &report.id.0.to_string()),
        text("cicd.pipeline.task.run.result", result),
        text("cicd.pipeline.run.state", "executing"),
    ];
    attributes.extend(report.url.as_deref().map(|it| text("cicd.pipeline.task.run.url.full", it)));
    attributes.extend(report.runner_name.as_deref().map(|it| text("cicd.worker.name", it)));
    attributes.extend(details.runner_id.map(|id| text("cicd.worker.id", &id.to_string())));
    let child = runner.and_then(|runner| runner.child.as_deref());
    attributes.extend(child.map(|child| text("roustabout.nomad.job", child)));
    attributes.extend(error.as_deref().map(|it| text("error.type", it)));
    let inside = details.steps.iter().filter_map(|step| {
        let (began, ended) = (step.started_at?, step.completed_at?);
        let (result, error) = outcome(step.conclusion.as_deref());
        let attributes = vec![
            text("cicd.pipeline.task.name", &step.name),
            text("cicd.pipeline.task.run.result", result),
        ];
        Some(Span { attributes, error, ..plain(&step.name, began, ended.max(began)) })
    });
    let inside = inside.collect();
    Span { attributes, error, inside, ..plain(&report.name, from, until) }
}

fn plain(name: &str, from: Time, until: Time) -> Span {
    Span {
        name: name.to_owned(),
        kind: Kind::Internal,
        from,
        until,
        attributes: Vec::new(),
        error: None,
        inside: Vec::new(),
    }
}

fn text(key: &'static str, value: &str) -> KeyValue {
    KeyValue::new(key, value.to_owned())
}

/// GitHub's word in that of the conventions, and again as the error where it is one.
fn outcome(conclusion: Option<&str>) -> (&'static str, Option<String>) {
    let (result, failed) = match conclusion {
        Some("success" | "neutral") => ("success", false),
        Some("failure" | "action_required") => ("failure", true),
        Some("cancelled") => ("cancellation", false),
        Some("skipped") => ("skip", false),
        Some("timed_out") => ("timeout", true),
        _ => ("error", true),
    };
    (result, failed.then(|| conclusion.unwrap_or("unknown").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::step::testing;
    use crate::ledger::{JobStatus, Step};

    /// Queued at second 1, begun at 9, ended at 20.
    fn ended(conclusion: &str) -> Job {
        let mut report = testing::report(7, JobStatus::Completed);
        report.conclusion = Some(conclusion.to_owned());
        report.created_at = Some(Time(1_000));
        report.runner_name = Some("roustabout-x64-1".to_owned());
        report.url = Some("https://github.com/octo/app/actions/runs/1/job/7".to_owned());
        let step = |name: &str, from, until| Step {
            name: name.to_owned(),
            conclusion: Some("success".to_owned()),
            started_at: Some(Time(from)),
            completed_at: until,
        };
        report.details = Some(Box::new(Details {
            started_at: Some(Time(9_000)),
            completed_at: Some(Time(20_000)),
            steps: vec![step("Set up job", 9_000, Some(Time(10_000))), step("Cut", 10_000, None)],
            ..Details::default()
        }));
        testing::job(report)
    }

    fn runner() -> Runner {
        Runner {
            first_sent_at: Some(Time(2_500)),
            last_sent_at: Some(Time(2_500)),
            placed_at: Some(Time(4_000)),
            registered_at: Some(Time(8_000)),
            ..testing::runner(Time(2_000))
        }
    }

    fn shown(span: &Span) -> String {
        let mut text = format!("{} {}..{}", span.name, span.from.0, span.until.0);
        text.extend(span.error.as_ref().map(|error| format!(" !{error}")));
        match span.inside.as_slice() {
            [] => text,
            inside => {
                let inside: Vec<String> = inside.iter().map(shown).collect();
                format!("{text} [{}]", inside.join(", "))
            }
        }
    }

    fn value(span: &Span, key: &str) -> Option<String> {
        let found = span.attributes.iter().find(|it| it.key.as_str() == key);
        found.map(|it| it.value.to_string())
    }

    #[test]
    fn the_stages_follow_each_other_and_end_with_the_jobs_start() {
        let life = of(&ended("success"), Some(&runner())).unwrap();
        assert_eq!(
            shown(&life),
            "RUN ci 1000..20000 [queue 1000..9000 [room 1000..2000, credential 2000..2500, \
             placement 2500..4000, registration 4000..8000, job start 8000..9000], \
             job 7 9000..20000 [Set up job 9000..10000]]"
        );
        assert_eq!(
            value(&life, "cicd.pipeline.run.url.full").as_deref(),
            Some("https://github.com/octo/app/actions/runs/1")
        );
        assert_eq!(value(&life, "error.type"), None);
    }

    #[test]
    fn a_runner_that_was_there_before_the_job_has_not_kept_it_waiting() {
        let early = Runner {
            registered_at: Some(Time(500)),
            placed_at: Some(Time(400)),
            first_sent_at: Some(Time(300)),
            last_sent_at: Some(Time(300)),
            ..testing::runner(Time(200))
        };
        let life = of(&ended("success"), Some(&early)).unwrap();
        assert_eq!(shown(&life.inside[0]), "queue 1000..9000 [job start 1000..9000]");
    }

    #[test]
    fn a_job_that_never_began_has_only_waited() {
        let mut job = ended("cancelled");
        job.report.details.as_mut().unwrap().started_at = None;
        let life = of(&job, None).unwrap();
        assert_eq!(shown(&life), "RUN ci 1000..20000 [queue 1000..20000]");
        assert_eq!(value(&life, "cicd.pipeline.result").as_deref(), Some("cancellation"));
        job.report.details = None;
        assert_eq!(of(&job, None), None, "nobody knows when it ended");
    }

    #[test]
    fn what_went_wrong_is_told_in_the_conventions_words() {
        for (conclusion, result, error) in [
            ("failure", "failure", Some("failure")),
            ("timed_out", "timeout", Some("timed_out")),
            ("skipped", "skip", None),
            ("neutral", "success", None),
            ("of next year", "error", Some("of next year")),
        ] {
            let life = of(&ended(conclusion), None).unwrap();
            assert_eq!(value(&life, "cicd.pipeline.result").as_deref(), Some(result));
            assert_eq!(value(&life, "error.type").as_deref(), error, "{conclusion}");
            assert_eq!(life.error.as_deref(), error, "{conclusion}");
            let task = &life.inside[1];
            assert_eq!(value(task, "cicd.pipeline.task.run.result").as_deref(), Some(result));
        }
    }

    #[test]
    fn a_job_of_less_than_a_second_has_its_stages_too() {
        let mut job = ended("success");
        let details = job.report.details.as_mut().unwrap();
        (details.started_at, details.completed_at) = (Some(Time(1_000)), Some(Time(1_000)));
        details.steps.clear();
        job.ended_at = Some(Time(1_900));
        let runner = Runner {
            first_sent_at: Some(Time(1_200)),
            last_sent_at: Some(Time(1_200)),
            placed_at: Some(Time(1_300)),
            // Seen late.
            registered_at: Some(Time(2_500)),
            ..testing::runner(Time(1_100))
        };
        let life = of(&job, Some(&runner)).unwrap();
        assert_eq!(
            shown(&life),
            "RUN ci 1000..1900 [queue 1000..1300 [room 1000..1100, credential 1100..1200, \
             placement 1200..1300], job 7 1300..1900]"
        );
    }

    /// A clock that is wrong somewhere makes no span that ends before it begins.
    #[test]
    fn no_span_ends_before_it_begins() {
        let mut job = ended("success");
        job.report.created_at = Some(Time(30_000));
        fn whole(span: &Span) -> bool {
            span.from <= span.until && span.inside.iter().all(whole)
        }
        assert!(whole(&of(&job, Some(&runner())).unwrap()));
    }
}
