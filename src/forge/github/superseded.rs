//! Runs that supersede each other, and concurrency groups, as GitHub shows them.

use super::{GitHub, about};
use crate::forge::{Ahead, Error};
use crate::github::{self, Client, ConcurrencyGroup, Operation, Purpose, Run, WorkflowJob};
use crate::ledger::superseded::{Pair, RunOnBranch};
use crate::ledger::{RepositoryId, RunId};
use strangers_text::{harmless, harmless_up_to};

impl GitHub {
    /// The jobs come last, right before a cancel follows.
    pub async fn pair(&self, full_name: &str, older: RunId, newer: RunId) -> Result<Pair, Error> {
        let client = self.share_of(full_name);
        let runs = |error: github::Error| about(&error, Operation::Runs, full_name);
        let found = client.repository(full_name).await;
        let found = found.map_err(|error| about(&error, Operation::Repository, full_name))?;
        let one = match client.run(full_name, older.0).await {
            Err(github::Error::NotFound { .. }) => None,
            answer => Some(answer.map_err(runs)?),
        };
        let other = client.run(full_name, newer.0).await.map_err(runs)?;
        let pending = pending(&client, full_name, older).await.map_err(runs)?;
        let begun = match &one {
            Some(_) => client.jobs_of_run(full_name, older.0).await.map_err(runs)?,
            None => Vec::new(),
        };
        Ok(Pair {
            older: one.map_or_else(|| deleted(older), on_branch),
            newer: on_branch(other),
            default_branch: found.default_branch,
            begun: begun.iter().any(has_begun),
            pending,
        })
    }

    pub async fn cancel(&self, full_name: &str, run: RunId, force: bool) -> Result<(), Error> {
        let purpose = Purpose::For(full_name.to_ascii_lowercase().into());
        let client = self.asks.cancelling(full_name).with_purpose(purpose);
        let done = match force {
            false => client.cancel_run(full_name, run.0).await,
            true => client.force_cancel_run(full_name, run.0).await,
        };
        done.map(drop).map_err(|error| about(&error, Operation::CancelRuns, full_name))
    }

    pub async fn ahead(&self, full_name: &str, run: RunId) -> Result<Vec<Ahead>, Error> {
        let client = self.share_of(full_name);
        let mut ahead = Vec::new();
        let groups = groups(&client, full_name, run).await;
        let groups = groups.map_err(|error| about(&error, Operation::Runs, full_name))?;
        for group in groups {
            let waits = |member: &&github::GroupMember| {
                member.run_id == run.0 && member.status != "in_progress"
            };
            let Some(place) = group.members.iter().position(|member| waits(&member)) else {
                continue;
            };
            let before = &group.members[..place];
            let others = before.iter().filter(|member| member.run_id != run.0);
            let (holding, waiting): (Vec<_>, Vec<_>) =
                others.partition(|member| member.status == "in_progress");
            let page = |member: &&github::GroupMember| match &member.run_html_url {
                Some(url) => harmless_up_to(url, crate::ledger::job::LONGEST_ADDRESS),
                None => format!("run {}", member.run_id),
            };
            ahead.push(Ahead {
                group: harmless(&group.name),
                held_by: holding.first().map(page),
                before: waiting.len(),
            });
        }
        Ok(ahead)
    }
}

/// The groups that a run is in, whole.
async fn groups(
    client: &Client,
    full_name: &str,
    run: RunId,
) -> Result<Vec<ConcurrencyGroup>, github::Error> {
    let of_run = match client.groups_of_run(full_name, run.0).await {
        // An Enterprise Server, or a run that is gone.
        Err(github::Error::NotFound { .. }) => return Ok(Vec::new()),
        groups => groups?,
    };
    let mut whole = Vec::new();
    for group in of_run {
        match client.concurrency_group(full_name, &group.name).await {
            // Nothing is in it any more.
            Err(github::Error::NotFound { .. }) => {}
            group => whole.push(group?),
        }
    }
    Ok(whole)
}

async fn pending(client: &Client, full_name: &str, run: RunId) -> Result<usize, github::Error> {
    let waiting = |group: &ConcurrencyGroup| {
        group.members.iter().filter(|member| member.status != "in_progress").count()
    };
    let groups = groups(client, full_name, run).await?;
    Ok(groups.iter().map(waiting).max().unwrap_or_default())
}

/// A job that was skipped has had no runner.
fn has_begun(job: &WorkflowJob) -> bool {
    match job.status {
        github::JobStatus::InProgress => true,
        github::JobStatus::Completed => job.conclusion.as_deref() != Some("skipped"),
        _ => false,
    }
}

fn on_branch(run: Run) -> RunOnBranch {
    let branch = run.head_branch.as_ref();
    let of_branch = |head: &String| Some(head) == branch;
    RunOnBranch {
        id: RunId(run.id),
        number: run.run_number,
        workflow: run.workflow_id,
        has_pull_request: run.pull_request_heads.iter().any(of_branch),
        head_repository: run.head_repository.map(|head| RepositoryId(head.id)),
        head_sha: run.head_sha,
        actors: run.actor.into_iter().chain(run.triggering_actor).collect(),
        over: run.status == "completed",
        event: run.event,
        branch: run.head_branch,
    }
}

fn deleted(id: RunId) -> RunOnBranch {
    RunOnBranch {
        id,
        number: None,
        workflow: None,
        event: String::new(),
        branch: None,
        has_pull_request: false,
        head_repository: None,
        head_sha: None,
        actors: Vec::new(),
        over: true,
    }
}
