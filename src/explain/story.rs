//! The story of a job that is known, from rows and what Nomad said. Pure.

use super::at_nomad::{Look, events};
use super::{JobStory, Line, sentence};
use crate::ledger::matching::{covers, labels_in_words};
use crate::ledger::{Job, JobStatus, Pool, Rules, Runner, Time, Verdict};
use crate::store::{Entry, TimelineRow};

/// Everything that is known of a job.
pub struct Known {
    pub job: Job,
    /// Hired for it, or took it; where nobody was, the others of its class that are on the way.
    pub runners: Vec<(Runner, Option<Look>)>,
    pub happened: Vec<TimelineRow>,
    /// Why its class waits.
    pub waits: Option<String>,
    /// Whose turn it is before it, where it waits for room.
    pub turn: Option<String>,
}

pub fn tell(known: &Known, rules: &Rules) -> JobStory {
    let job = &known.job;
    JobStory {
        id: job.id().0,
        run_id: job.report.run.0,
        repository: job.repository_name.clone(),
        name: job.report.name.clone(),
        url: job.report.url.clone(),
        status: job.report.status.as_str().to_owned(),
        known: true,
        pool: job.pool.as_ref().map(|pool| pool.0.clone()),
        sentence: sentence::of(known, rules),
        timeline: timeline(known, rules),
        now: if job.ended_at.is_some() { Vec::new() } else { now(known) },
    }
}

fn timeline(known: &Known, rules: &Rules) -> Vec<Line> {
    let (job, forge) = (&known.job, rules.forge.name);
    let mut lines: Vec<(Time, Line)> = Vec::new();
    let mut add = |at: Time, warn: bool, what: String, runner: Option<&str>| {
        let runner = runner.map(str::to_owned);
        lines.push((at, Line { at: at.to_string(), what, runner, warn }));
    };
    if let Some(at) = job.report.created_at {
        add(at, false, format!("created at {forge}"), None);
    }
    let received = match &job.delivery {
        Some(delivery) => format!("received by webhook (delivery {delivery})"),
        None => format!("found by a sweep of {forge}; no webhook reported it"),
    };
    add(job.received_at, false, received, None);
    add(job.received_at, false, matched(job, rules), None);
    for happening in &known.happened {
        let what = match &happening.what {
            Entry::Happened(happening) => happening.to_string(),
            Entry::Words(words) => words.clone(),
        };
        add(happening.at, happening.warn, what, happening.runner.as_deref());
    }
    for (runner, look) in &known.runners {
        if let Some(Look::Placed(allocations)) = look {
            for (at, warn, what) in events(allocations) {
                add(at, warn, what, Some(runner.name.as_str()));
            }
        }
    }
    // Stable: what came in one moment stays in the order in which it was told.
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// By which rule a pool has it, or none.
fn matched(job: &Job, rules: &Rules) -> String {
    match &job.pool {
        None => match job.verdict.reason() {
            Some(why) => format!("no pool serves it: {why}"),
            None => "no pool serves it".to_owned(),
        },
        Some(name) => match rules.pool(name) {
            None => format!("pool {name}, which was removed from the config"),
            // The rules of today need not be those that it was matched by.
            Some(_) if !matches_today(job, rules) => {
                format!("pool {name}, by the config of that time")
            }
            Some(pool) => format!(
                "pool {name}: the first that serves {} and has all of its labels ({}) among its own ({})",
                job.repository_name,
                labels_in_words(&job.report.labels),
                pool.labels.join(", ")
            ),
        },
    }
}

fn matches_today(job: &Job, rules: &Rules) -> bool {
    let report = &job.report;
    let its = |pool: &Pool| Some(&pool.name) == job.pool.as_ref();
    // Its topics have picked its pool and no other.
    let first = rules.pools.iter().find(|pool| {
        (pool.topics.is_empty() || its(pool))
            && pool.repositories.matches(&job.repository_name)
            && covers(pool, &report.labels, report.run)
    });
    first.is_some_and(its)
}

fn now(known: &Known) -> Vec<String> {
    let mut now = Vec::new();
    if known.job.report.status == JobStatus::Queued {
        match (&known.job.verdict, known.job.verdict.reason().or_else(|| known.waits.clone())) {
            (Verdict::Refused(_) | Verdict::Unserved(_), Some(why)) => {
                now.push(format!("no runner is launched for it: {why}"));
            }
            (_, Some(why)) => now.push(format!("waits: {why}")),
            (_, None) => {}
        }
        now.extend(known.turn.clone());
    }
    for (runner, look) in &known.runners {
        if runner.ended_at.is_some() {
            continue;
        }
        let child = runner.child.as_ref().map(|child| format!(", Nomad job {child}"));
        let reason = runner.reason.as_ref().map(|reason| format!(" ({reason})"));
        now.push(format!(
            "{}: {}{}{}",
            runner.name,
            match runner.offline.is_some() {
                true => format!("{}, offline", runner.phase()),
                false => runner.phase().to_owned(),
            },
            child.unwrap_or_default(),
            reason.unwrap_or_default()
        ));
        if let Some(look) = look {
            now.push(format!("{}: {}", runner.name, in_words(look)));
        }
    }
    now
}

fn in_words(look: &Look) -> String {
    match look {
        Look::Away(why) => format!("Nomad does not answer about it: {why}"),
        Look::Nothing => {
            "Nomad no longer has it: its job was purged or garbage-collected".to_owned()
        }
        Look::Unplaced { why: Some(why) } => format!("Nomad has not placed it: {why}"),
        Look::Unplaced { why: None } => "Nomad has not placed it yet".to_owned(),
        Look::Placed(allocations) => match allocations.last() {
            Some(last) => {
                format!(
                    "Nomad: its allocation on node {} is {}",
                    last.node_name, last.client_status
                )
            }
            None => "Nomad has not placed it yet".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::explain::Explained;
    use crate::ledger::step::testing;
    use crate::ledger::{
        About, DeliveryId, Happened, JobId, JobReport, PoolName, RunId, RunnerName, RunnerState,
    };
    use crate::nomad::{Allocation, ClientStatus, TaskEvent, TaskState};

    fn job() -> Job {
        let report = JobReport {
            id: JobId(7),
            run: RunId(9),
            run_attempt: 1,
            name: "build".to_owned(),
            workflow: None,
            head_branch: None,
            labels: vec!["linux".to_owned()],
            status: JobStatus::Queued,
            conclusion: None,
            runner_name: None,
            url: None,
            created_at: Some(Time(0)),
            actor: None,
            details: None,
        };
        Job {
            delivery: Some(DeliveryId::from("one")),
            received_at: Time(1_000),
            pool: Some(PoolName::from("x64")),
            cause_of: Some(RunnerName::from("roustabout-x64-1")),
            ..testing::job(report)
        }
    }

    fn runner() -> Runner {
        let mut runner = testing::runner(Time(2_000));
        runner.cause = Some(JobId(7));
        runner.child = Some("x64/dispatch-1".to_owned());
        runner.state = RunnerState::Dispatched;
        runner
    }

    fn allocation() -> Allocation {
        let event = TaskEvent {
            kind: "Driver Failure".to_owned(),
            message: "no such image".to_owned(),
            exit_code: None,
            time: Timestamp::from_millisecond(5_000).unwrap_or_default(),
        };
        let state = TaskState { state: "pending".to_owned(), failed: false, events: vec![event] };
        Allocation {
            id: "0123456789".to_owned(),
            client_status: ClientStatus::Pending,
            client_description: String::new(),
            desired_status: "run".to_owned(),
            node_id: String::new(),
            node_name: "n1".to_owned(),
            create_time: Timestamp::from_millisecond(4_000).unwrap_or_default(),
            modify_time: Timestamp::UNIX_EPOCH,
            task_states: BTreeMap::from([("runner".to_owned(), state)]),
        }
    }

    fn known(runner: Runner, look: Look) -> Known {
        let happened = |at, what: Happened, of: Option<&str>| TimelineRow {
            at: Time(at),
            warn: false,
            what: Entry::Happened(Box::new(what.about(About::default()))),
            runner: of.map(str::to_owned),
        };
        let name = Some("roustabout-x64-1");
        let child = "x64/dispatch-1".to_owned();
        // As a version before this one wrote it.
        let queued = happened(1_000, Happened::JobRetried, None);
        Known {
            job: job(),
            runners: vec![(runner, Some(look))],
            happened: vec![
                TimelineRow { what: Entry::Words("job queued: build".to_owned()), ..queued },
                happened(2_000, Happened::RunnerLaunched { waiting: 1, supply: 0 }, name),
                happened(3_000, Happened::RunnerDispatched { child: child.clone() }, name),
            ],
            waits: Some("a runner is on the way".to_owned()),
            turn: None,
        }
    }

    fn rules() -> Rules {
        testing::rules(20, Vec::new())
    }

    #[test]
    fn a_story_that_is_not_over() {
        let story = tell(&known(runner(), Look::Placed(vec![allocation()])), &rules());
        insta::assert_snapshot!(Explained::of(vec![story], None).text(), @r"
        job 7 (build) of octo/app waits for its runner: roustabout-x64-1 is on node n1 (pending) and has not registered yet

        1970-01-01T00:00:00Z  created at GitHub
        1970-01-01T00:00:01Z  received by webhook (delivery one)
        1970-01-01T00:00:01Z  pool x64, which was removed from the config
        1970-01-01T00:00:01Z  job queued: build
        1970-01-01T00:00:02Z  roustabout-x64-1: runner launched (1 waiting, 0 launched for them)
        1970-01-01T00:00:03Z  roustabout-x64-1: runner dispatched as x64/dispatch-1
        1970-01-01T00:00:04Z  roustabout-x64-1: Nomad: allocation 01234567 on node n1
        1970-01-01T00:00:05Z  ! roustabout-x64-1: Nomad: task runner Driver Failure: no such image
        now                   waits: a runner is on the way
        now                   roustabout-x64-1: dispatched, Nomad job x64/dispatch-1
        now                   roustabout-x64-1: Nomad: its allocation on node n1 is pending
        ");
    }

    #[test]
    fn a_runner_that_is_listed_offline_is_told_as_that_wherever_it_is_told() {
        let mut offline = runner();
        offline.state = RunnerState::Registered;
        offline.offline = Some(Time(6_000));
        let told = tell(&known(offline.clone(), Look::Placed(vec![allocation()])), &rules());
        let sentence = "roustabout-x64-1 is registered, but GitHub listed it offline at \
                        1970-01-01T00:00:06Z: its program was not connected; look at its allocation";
        assert!(told.sentence.ends_with(sentence), "{}", told.sentence);
        let line = "roustabout-x64-1: registered, offline, Nomad job x64/dispatch-1";
        assert!(told.now.contains(&line.to_owned()), "{:?}", told.now);
    }

    #[test]
    fn a_sentence_for_each_step_of_a_runner() {
        let sentence = |runner: Runner, look: Look| tell(&known(runner, look), &rules()).sentence;
        let why = Some("3 nodes: 3 lack memory".to_owned());
        let of_its_own = sentence(runner(), Look::Unplaced { why });
        assert!(
            of_its_own.ends_with("Nomad has no room for roustabout-x64-1; 3 nodes: 3 lack memory")
        );
        let away = sentence(runner(), Look::Away("refused".to_owned()));
        assert!(away.ends_with("Nomad does not answer about it: refused"), "{away}");
        let mut registered = runner();
        registered.state = RunnerState::Registered;
        let registered = sentence(registered, Look::Placed(vec![allocation()]));
        assert!(registered.ends_with("is registered, and GitHub has not given it a job yet"));
        let purged = sentence(runner(), Look::Nothing);
        assert!(
            purged.ends_with("Nomad no longer has it: its job was purged or garbage-collected")
        );
        let mut another = runner();
        another.cause = Some(JobId(8));
        assert_eq!(
            sentence(another, Look::Nothing),
            "job 7 (build) of octo/app waits: a runner is on the way"
        );
    }
}
