//! Looks at one repository: its unfinished runs and their jobs. Where nothing has changed the
//! answers cost no rate limit (`ETag`, GitHub docs "Best practices for using the REST API").

use std::collections::BTreeMap;

use super::{GitHub, bare, report, repository, run_details};
use crate::forge::{Error, Look};
use crate::github::{self, Client, Conditional, Run};
use crate::ledger::{Details, JobReport, Repository, RunDetails, Time};

/// A run in any of these may hold jobs that wait. Jobs are queued inside runs that are in
/// progress too (slang#11143), and in pending ones (cap-evolve#228).
pub(super) const UNFINISHED: [&str; 5] =
    ["queued", "in_progress", "waiting", "pending", "requested"];

/// A run, the login that caused it, and what only runs say.
type Caused = (u64, (Option<String>, RunDetails));

/// What was seen the last time, by question.
#[derive(Default)]
pub struct LookMemory {
    repository: Option<Repository>,
    repository_tag: Option<String>,
    /// By status: the tag, and the runs.
    runs: BTreeMap<&'static str, (Option<String>, Vec<Caused>)>,
    /// By run: the tag and the jobs.
    jobs: BTreeMap<u64, (Option<String>, Vec<JobReport>)>,
    /// How often it was looked at; now and then visibility and name are asked for anew.
    looks: u32,
}

/// How many looks the repository's own data is believed for; they are in every webhook too.
const BELIEVED: u32 = 30;

impl GitHub {
    pub async fn look(&self, name: &str, memory: &mut LookMemory) -> Result<Look, Error> {
        memory.look(&self.client, name).await.map_err(|error| bare(&error))
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
            let etag = self.runs.get(status).and_then(|(etag, _)| etag.clone());
            match client.runs(name, status, etag.as_deref()).await? {
                Conditional::Unchanged => {}
                Conditional::Fresh { value, etag } => {
                    let cause = |run: Run| (run.id, (cause_of(&run), run_details(&run)));
                    let runs = value.into_iter().map(cause).collect();
                    self.runs.insert(status, (etag, runs));
                }
            }
        }
        let runs: BTreeMap<u64, (Option<String>, RunDetails)> =
            self.runs.values().flat_map(|(_, runs)| runs.iter().cloned()).collect();
        self.jobs.retain(|run, _| runs.contains_key(run));
        for (run, (actor, details)) in runs {
            let etag = self.jobs.get(&run).and_then(|(etag, _)| etag.clone());
            match client.jobs_of_run_if_changed(name, run, etag.as_deref()).await {
                Ok(Conditional::Unchanged) => {}
                Ok(Conditional::Fresh { value, etag }) => {
                    let caused = |report: JobReport| JobReport {
                        actor: actor.clone(),
                        details: with_run(report.details, &details),
                        ..report
                    };
                    let reports = value.into_iter().map(report).map(caused).collect();
                    self.jobs.insert(run, (etag, reports));
                }
                // Deleted since it was listed.
                Err(github::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let reports = self.jobs.values().flat_map(|(_, reports)| reports.iter().cloned()).collect();
        Ok(Look { repository: known, reports, began })
    }
}

/// The login that caused this attempt.
fn cause_of(run: &Run) -> Option<String> {
    run.triggering_actor.clone().or_else(|| run.actor.clone())
}

fn with_run(details: Option<Box<Details>>, run: &RunDetails) -> Option<Box<Details>> {
    Details { run: run.clone(), ..details.map_or_else(Details::default, |details| *details) }.kept()
}
