//! Looks at one repository: its unfinished runs and their jobs. Where nothing has changed the
//! answers cost no rate limit (`ETag`, GitHub docs "Best practices for using the REST API").

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{GitHub, bare, report, repository, run_details};
use crate::forge::{Error, Look};
use crate::github::{self, Client, Conditional, MOST_RUNS, Pages, Run};
use crate::ledger::{Details, JobReport, Repository, RunDetails, RunId, Time};

/// A run in any of these may hold jobs that wait. Jobs are queued inside runs that are in
/// progress too (slang#11143), and in pending ones (cap-evolve#228).
pub(super) const UNFINISHED: [&str; 5] =
    ["queued", "in_progress", "waiting", "pending", "requested"];

/// How many runs' jobs are asked for in one look. The next look asks for those of the others.
const RUNS_A_LOOK: usize = 100;

/// A run, the login that caused it, and what only runs say.
type Caused = (u64, (Option<String>, RunDetails));

/// What was seen the last time, by question.
#[derive(Default)]
pub struct LookMemory {
    repository: Option<Repository>,
    repository_tag: Option<String>,
    /// By status.
    runs: BTreeMap<&'static str, Pages<Caused>>,
    /// By run.
    jobs: BTreeMap<u64, JobsOfRun>,
    /// How many changes of it had been told of.
    changes: u64,
    /// How often it was looked at; now and then visibility and name are asked for anew.
    looks: u32,
}

#[derive(Default)]
struct JobsOfRun {
    jobs: Pages<JobReport>,
    /// In which look they were last asked for.
    asked: u32,
}

/// How many looks the repository's own data is believed for; they are in every webhook too.
const BELIEVED: u32 = 30;

impl GitHub {
    pub async fn look(&self, name: &str, memory: &mut LookMemory) -> Result<Look, Error> {
        let known = memory.repository.as_ref();
        let changes = known.map_or(0, |known| self.changes.of(known.id));
        if std::mem::replace(&mut memory.changes, changes) != changes {
            memory.looks = memory.looks.next_multiple_of(BELIEVED);
        }
        memory.look(&self.in_background(name), name).await.map_err(|error| bare(&error))
    }
}

impl LookMemory {
    async fn look(&mut self, client: &Client, name: &str) -> Result<Look, github::Error> {
        let began = Time::from(client.clock().now());
        let known = match &self.repository {
            Some(known) if !self.looks.is_multiple_of(BELIEVED) => known.clone(),
            known => {
                let tag = known.as_ref().and(self.repository_tag.as_deref());
                match (client.repository_if_changed(name, tag).await?, known) {
                    (Conditional::Fresh { value, etag }, _) => {
                        self.repository_tag = etag;
                        repository(value)
                    }
                    (Conditional::Unchanged, Some(known)) => known.clone(),
                    (Conditional::Unchanged, None) => repository(client.repository(name).await?),
                }
            }
        };
        self.looks += 1;
        self.repository = Some(known.clone());
        for status in UNFINISHED {
            let known = self.runs.entry(status).or_default();
            let cause = |run: Run| (run.id, (cause_of(&run), run_details(&run)));
            client.runs_again(name, status, known, cause).await?;
        }
        let listed = self.runs.values();
        let cut = listed.clone().any(|runs| runs.items().count() >= MOST_RUNS);
        let runs: BTreeMap<u64, (Option<String>, RunDetails)> =
            listed.flat_map(|runs| runs.items().cloned()).collect();
        self.jobs.retain(|run, _| runs.contains_key(run));
        // Who was asked about longest ago comes first, and of those the newest.
        let mut order: Vec<_> = runs.into_iter().collect();
        order.sort_by_key(|(run, _)| (self.jobs.get(run).map(|known| known.asked), Reverse(*run)));
        let (mut reports, mut unseen) = (Vec::new(), BTreeSet::new());
        for (place, (run, (actor, details))) in order.into_iter().enumerate() {
            let known = self.jobs.entry(run).or_default();
            if place >= RUNS_A_LOOK || !unseen.is_empty() {
                unseen.insert(RunId(run));
                continue;
            }
            match client.jobs_of_run_again(name, run, &mut known.jobs, report).await {
                Ok(()) => {
                    known.asked = self.looks;
                    let caused = |job: &JobReport| JobReport {
                        actor: actor.clone(),
                        details: with_run(job.details.clone(), &details),
                        ..job.clone()
                    };
                    reports.extend(known.jobs.items().map(caused));
                }
                // Deleted since it was listed.
                Err(github::Error::NotFound { .. }) => {}
                // What has been seen counts; the next look goes on from here.
                Err(github::Error::OverShare { .. } | github::Error::TooFast { .. }) => {
                    unseen.insert(RunId(run));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Look { repository: known, reports, began, unseen, cut })
    }
}

/// The login that caused this attempt.
fn cause_of(run: &Run) -> Option<String> {
    run.triggering_actor.as_deref().or(run.actor.as_deref()).map(strangers_text::harmless)
}

fn with_run(details: Option<Box<Details>>, run: &RunDetails) -> Option<Box<Details>> {
    Details { run: run.clone(), ..details.map_or_else(Details::default, |details| *details) }.kept()
}
