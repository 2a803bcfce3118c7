//! Jobs, runners and pools of the daemon's answer as rows of tables.

use terminal::Tone;

use super::table::{Cell, Column, Millis, Row, Value};
use crate::admin::{JobJson, ListsJson, OpenJobJson, RunnerJson};

const fn column(head: &'static str, narrow: usize, wide: usize) -> Column {
    Column { head, most: [narrow, wide], right: false }
}

const fn number(head: &'static str, narrow: usize, wide: usize) -> Column {
    Column { head, most: [narrow, wide], right: true }
}

pub const JOBS: &[Column] = &[
    column("STATE", 9, 9),
    number("TIME", 6, 6),
    column("POOL", 0, 12),
    column("REPOSITORY", 16, 28),
    column("JOB", 18, 30),
    column("STEPS", 0, 6),
    column("WHY", 1, 1),
];

pub const RUNNERS: &[Column] = &[
    column("STATE", 11, 11),
    number("TIME", 6, 6),
    column("POOL", 0, 14),
    column("SCOPE", 18, 28),
    column("RUNNER", 26, 44),
    number("JOB", 0, 12),
    column("WHY", 1, 1),
];

pub const POOLS: &[Column] = &[
    column("POOL", 16, 24),
    number("WAITING", 7, 7),
    number("SUPPLY", 6, 6),
    number("BUSY", 6, 6),
    number("ALIVE", 6, 6),
    number("MAX", 6, 6),
    column("WHY", 1, 1),
];

/// Those that wait, run, are held back, have ended.
pub fn jobs(lists: &ListsJson) -> Vec<Row> {
    let open = |jobs: &[OpenJobJson], state: &'static str, tone| -> Vec<Row> {
        jobs.iter().map(|job| open_job(job, state, tone)).collect()
    };
    let mut rows = open(&lists.waiting.jobs, "waiting", Tone::Wait);
    rows.extend(open(&lists.running.jobs, "running", Tone::Busy));
    rows.extend(open(&lists.held.jobs, "held", Tone::Dim));
    rows.extend(lists.ended.iter().map(ended_job));
    rows
}

fn open_job(job: &OpenJobJson, state: &'static str, tone: Tone) -> Row {
    let running = state == "running";
    let reason = job.reason.as_deref().unwrap_or_default();
    let on = match (&job.runner_name, &job.runner_state) {
        (Some(name), _) if running => format!("on {name}"),
        (Some(name), Some(state)) => {
            let state = if job.runner_placed && state == "dispatched" { "placed" } else { state };
            format!("runner {state}: {name}")
        }
        _ => String::new(),
    };
    let why = match (on.as_str(), reason) {
        ("", why) | (why, "") => why.to_owned(),
        (on, reason) => format!("{on}; {reason}"),
    };
    let since = job.started_at.as_ref().filter(|_| running).unwrap_or(&job.received_at);
    Row {
        key: job.id.to_string(),
        job: Some(job.id),
        note: note(job.id, job.head_branch.as_deref(), &why),
        cells: vec![
            cell(state, tone),
            Cell { value: at(since).map_or(Value::Nothing, Value::Since), tone: Tone::Plain },
            cell(job.pool.as_deref().unwrap_or_default(), Tone::Dim),
            cell(&job.repository, Tone::Dim),
            cell(&job.name, Tone::Plain),
            cell(&steps(job, running), tone),
            cell(&why, if running { Tone::Dim } else { Tone::Plain }),
        ],
    }
}

/// One for each: webhook, launched, dispatched, placed, registered, running.
fn steps(job: &OpenJobJson, running: bool) -> String {
    let come = match job.runner_state.as_deref() {
        _ if running => 6,
        None => 1,
        Some("registered") => 5,
        Some("dispatched") if job.runner_placed => 4,
        Some("dispatched") => 3,
        Some(_) => 2,
    };
    "●".repeat(come) + &"○".repeat(6 - come)
}

fn ended_job(job: &JobJson) -> Row {
    let conclusion = job.conclusion.as_deref().unwrap_or("completed");
    let tone = match conclusion {
        "success" => Tone::Good,
        "failure" | "timed_out" | "startup_failure" => Tone::Bad,
        _ => Tone::Dim,
    };
    let times = job.created_at.as_deref().and_then(at).zip(job.ended_at.as_deref().and_then(at));
    let why = job.runner_name.as_ref().map(|name| format!("ran on {name}")).unwrap_or_default();
    Row {
        key: job.id.to_string(),
        job: Some(job.id),
        note: note(job.id, job.head_branch.as_deref(), &why),
        cells: vec![
            cell(conclusion, tone),
            Cell {
                value: times.map_or(Value::Nothing, |(from, to)| Value::Took(to - from)),
                tone: Tone::Dim,
            },
            cell(job.pool.as_deref().unwrap_or_default(), Tone::Dim),
            cell(&job.repository, Tone::Dim),
            cell(&job.name, Tone::Dim),
            cell("", Tone::Dim),
            cell(&why, Tone::Dim),
        ],
    }
}

fn note(job: u64, branch: Option<&str>, why: &str) -> String {
    let branch = branch.map(|branch| format!(" ({branch})")).unwrap_or_default();
    match why {
        "" => format!("job {job}{branch}"),
        why => format!("job {job}{branch}: {why}"),
    }
}

pub fn runners(lists: &ListsJson) -> Vec<Row> {
    lists.runners.iter().map(runner).collect()
}

fn runner(runner: &RunnerJson) -> Row {
    let placed = runner.state == "dispatched" && runner.placed_at.is_some();
    let (state, tone) = match runner.state.as_str() {
        "dispatched" if placed => ("placed", Tone::Wait),
        "busy" => ("busy", Tone::Busy),
        "registered" => ("registered", Tone::Good),
        state @ ("finishing" | "withdrawing" | "clearing") => (state, Tone::Dim),
        state => (state, Tone::Wait),
    };
    let mut why = runner.reason.clone().unwrap_or_default();
    if runner.offline {
        why = format!("offline; {why}").trim_end_matches("; ").to_owned();
    }
    let child = runner.child.as_deref().unwrap_or("none yet");
    let job = runner.job.or(runner.hired_for);
    Row {
        key: runner.name.clone(),
        job,
        note: match why.as_str() {
            "" => format!("{}: Nomad job {child}", runner.name),
            why => format!("{}: Nomad job {child}; {why}", runner.name),
        },
        cells: vec![
            cell(state, tone),
            Cell {
                value: at(&runner.hired_at).map_or(Value::Nothing, Value::Since),
                tone: Tone::Plain,
            },
            cell(&runner.pool, Tone::Dim),
            cell(&runner.scope, Tone::Dim),
            cell(&runner.name, Tone::Plain),
            Cell {
                value: job.map_or(Value::Nothing, |job| Value::Text(job.to_string())),
                tone: Tone::Dim,
            },
            cell(&why, Tone::Plain),
        ],
    }
}

pub fn pools(status: &serde_json::Value) -> Vec<Row> {
    status["pools"].as_array().into_iter().flatten().map(pool).collect()
}

fn pool(pool: &serde_json::Value) -> Row {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let count = |key: &str, tone| {
        let count = pool[key].as_u64().unwrap_or_default();
        Cell { value: Value::Number(count), tone: if count == 0 { Tone::Dim } else { tone } }
    };
    let mut why = Vec::new();
    if pool["paused"] == true {
        why.push(match pool["paused_until"].as_str() {
            Some(until) => format!("paused until {until}"),
            None => "paused".to_owned(),
        });
    }
    if pool["breaker_open"] == true {
        why.push("circuit breaker open: one runner at a time".to_owned());
    }
    why.extend(pool["waiting_for"].as_array().into_iter().flatten().map(text));
    let name = text(&pool["name"]);
    let tone = if pool["paused"] == true || pool["breaker_open"] == true {
        Tone::Bad
    } else {
        Tone::Plain
    };
    let labels: Vec<String> = pool["labels"].as_array().into_iter().flatten().map(text).collect();
    let why = why.join("; ");
    Row {
        key: name.clone(),
        job: None,
        note: format!(
            "{name} ({}): {}",
            labels.join(", "),
            if why.is_empty() { "no job waits" } else { &why }
        ),
        cells: vec![
            cell(&name, tone),
            count("waiting", Tone::Wait),
            count("supply", Tone::Wait),
            count("busy", Tone::Busy),
            count("alive", Tone::Plain),
            count("max_runners", Tone::Dim),
            cell(&why, tone),
        ],
    }
}

fn cell(text: &str, tone: Tone) -> Cell {
    Cell { value: Value::Text(text.to_owned()), tone }
}

pub fn at(text: &str) -> Option<Millis> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
