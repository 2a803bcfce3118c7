//! One sentence on where a job is and why, for a tired person. Pure.

use super::at_nomad::Look;
use super::story::Known;
use crate::ledger::{Job, JobStatus, Rules, Runner, RunnerState, Verdict, runner_name};

pub fn of(known: &Known, rules: &Rules) -> String {
    let forge = rules.forge.name;
    let job = &known.job;
    let subject = subject(job);
    match job.report.status {
        JobStatus::Completed => format!("{subject} is done: {}", done(job)),
        JobStatus::InProgress => format!("{subject} is running{}", on(known, &rules.name_prefix)),
        JobStatus::Waiting => {
            let then = match job.verdict.reason() {
                Some(why) => format!("no runner is launched for it: {why}"),
                None => format!("a runner is launched for it once {forge} lets it run"),
            };
            format!(
                "{subject} waits at {forge} for its environment's approval or timer, or for its concurrency group; {then}"
            )
        }
        JobStatus::Queued => queued(known, forge, &subject),
    }
}

pub fn subject(job: &Job) -> String {
    name(job.id().0, &job.report.name, &job.repository_name)
}

pub fn name(id: u64, name: &str, repository: &str) -> String {
    match name {
        "" => format!("job {id} of {repository}"),
        name => format!("job {id} ({name}) of {repository}"),
    }
}

fn done(job: &Job) -> String {
    let conclusion = job.report.conclusion.as_deref().unwrap_or("completed");
    match &job.report.runner_name {
        Some(runner) => format!("{conclusion}, on runner {runner}"),
        None => format!("{conclusion}, no runner was reported"),
    }
}

/// The rows of a runner that is ours may be gone already: then its name says that it was.
fn on(known: &Known, prefix: &str) -> String {
    let Some(name) = &known.job.report.runner_name else { return String::new() };
    let ours = known.runners.iter().find(|(runner, _)| runner.name.as_str() == name);
    match ours {
        Some((runner, _)) => match runner.cause {
            Some(cause) if cause != known.job.id() => {
                format!(" on runner {name}, which was launched for job {cause}")
            }
            _ => format!(" on runner {name}"),
        },
        None if runner_name::pool_of(prefix, name).is_some() => format!(" on runner {name}"),
        None => format!(" on runner {name}, which is not ours"),
    }
}

fn queued(known: &Known, forge: &str, subject: &str) -> String {
    let id = known.job.id();
    match &known.job.verdict {
        Verdict::Refused(why) => return format!("{subject} gets no runner: {why}"),
        Verdict::Unserved(why) => {
            return format!("{subject} gets no runner from roustabout: {why}");
        }
        Verdict::AskingRun(_) | Verdict::AskingWhetherQueued => {
            let why = known.waits.clone().or(known.job.verdict.reason()).unwrap_or_default();
            return format!("{subject} waits: {why}");
        }
        Verdict::Serve => {}
    }
    // Others of its class are told of beside it: whether one is for it, only the reason knows.
    let coming = known.runners.iter().filter(|(it, _)| it.is_supply() && it.cause == Some(id));
    match coming.max_by_key(|(runner, _)| runner.advance()) {
        Some((runner, look)) if runner.state != RunnerState::Wanted => {
            format!("{subject} waits for its runner: {}", on_the_way(runner, forge, look.as_ref()))
        }
        _ => match &known.waits {
            Some(why) => format!("{subject} waits: {why}"),
            // Row and answer are of two moments.
            None => format!("{subject} is queued and is being processed: ask again"),
        },
    }
}

fn on_the_way(runner: &Runner, forge: &str, look: Option<&Look>) -> String {
    let name = &runner.name;
    match &runner.state {
        RunnerState::Dispatching(_) if runner.is_minting() => match &runner.reason {
            Some(why) => format!("{forge} has not issued the JIT configuration of {name}: {why}"),
            None => format!("{forge} is asked for the JIT configuration of {name}"),
        },
        RunnerState::Dispatching(_) => match &runner.reason {
            Some(why) => format!("the dispatch of {name} is not confirmed, {why}"),
            None => format!("{name} is being dispatched to Nomad"),
        },
        RunnerState::Registered if runner.offline.is_some() => format!(
            "{name} is registered, but {forge} listed it offline at {}: its program was not \
             connected; look at its allocation",
            runner.offline.map_or_else(String::new, |at| at.to_string())
        ),
        RunnerState::Registered => {
            format!("{name} is registered, and {forge} has not given it a job yet")
        }
        _ => match look {
            Some(Look::Unplaced { why: Some(why) }) => {
                format!("Nomad has no room for {name}; {why}")
            }
            Some(Look::Unplaced { why: None }) => {
                format!("Nomad has not placed {name} yet")
            }
            Some(Look::Placed(allocations)) => match allocations.last() {
                Some(last) => format!(
                    "{name} is on node {} ({}) and has not registered yet",
                    last.node_name, last.client_status
                ),
                None => format!("Nomad has not placed {name} yet"),
            },
            Some(Look::Nothing) => format!(
                "{name} was dispatched, and Nomad no longer has it: its job was purged or garbage-collected"
            ),
            Some(Look::Away(why)) => {
                format!("{name} is dispatched, and Nomad does not answer about it: {why}")
            }
            None => format!("{name} is dispatched"),
        },
    }
}
