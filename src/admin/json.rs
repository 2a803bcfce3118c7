//! Jobs and runners as the API shows them. These names are a contract with scripts: add, do
//! not rename.

use serde::{Deserialize, Serialize};

use crate::engine::{
    Capacity, Few, Oldest, OpenJob, Overview, PoolView, StatusView, SweepsView, UnservedView,
};
use crate::ledger::{Job, Runner, Time};
use crate::store::Unparsed;
use crate::webhook::Deliveries;

/// What `status` shows.
#[derive(Debug, Serialize)]
pub struct StatusJson {
    at: String,
    capacity: Capacity,
    pools: Vec<PoolView>,
    oldest_waiting: Option<Oldest>,
    unserved: UnservedView,
    /// `None`: the public door is off.
    deliveries: Option<Deliveries>,
    sweeps: SweepsView,
    degraded: Vec<String>,
    /// Where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    lists: Option<ListsJson>,
}

impl StatusJson {
    pub fn of(status: StatusView, deliveries: Option<Deliveries>, sweeps: SweepsView) -> Self {
        let StatusView { at, capacity, pools, oldest_waiting, unserved, degraded } = status;
        let at = at.to_string();
        Self {
            at,
            capacity,
            pools,
            oldest_waiting,
            unserved,
            deliveries,
            sweeps,
            degraded,
            lists: None,
        }
    }

    pub fn with(self, lists: ListsJson) -> Self {
        Self { lists: Some(lists), ..self }
    }
}

/// The jobs and runners of a `status`, at most as many of each as were asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ListsJson {
    /// Those that have waited longest.
    pub waiting: FewJson,
    /// The newest.
    pub running: FewJson,
    /// The forge holds them back; the oldest.
    pub held: FewJson,
    /// The newest that ended.
    pub ended: Vec<JobJson>,
    /// The newest that are not gone.
    pub runners: Vec<RunnerJson>,
    /// How many are not gone.
    pub runners_total: usize,
}

impl ListsJson {
    pub fn of(
        overview: Overview,
        ended: Vec<Job>,
        runners: Vec<Runner>,
    ) -> (StatusView, ListsJson) {
        let Overview { now: _, status, waiting, running, held, runners: runners_total } = overview;
        let lists = Self {
            waiting: waiting.into(),
            running: running.into(),
            held: held.into(),
            ended: ended.into_iter().map(|job| JobJson::of(job, None)).collect(),
            runners: runners.into_iter().map(RunnerJson::of).collect(),
            runners_total,
        };
        (status, lists)
    }
}

/// Some jobs of all that there are.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FewJson {
    pub total: usize,
    pub jobs: Vec<OpenJobJson>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct OpenJobJson {
    pub id: u64,
    pub name: String,
    pub repository: String,
    pub head_branch: Option<String>,
    pub pool: Option<String>,
    pub received_at: String,
    /// When it began to run, where that was told.
    pub started_at: Option<String>,
    pub reason: Option<String>,
    /// The runner that took it, or that was launched for it, and the state of that.
    pub runner_name: Option<String>,
    pub runner_state: Option<String>,
    pub runner_placed: bool,
}

impl From<Few> for FewJson {
    fn from(few: Few) -> Self {
        Self { total: few.total, jobs: few.jobs.into_iter().map(OpenJobJson::from).collect() }
    }
}

impl From<OpenJob> for OpenJobJson {
    fn from(job: OpenJob) -> Self {
        Self {
            id: job.id.0,
            name: job.name,
            repository: job.repository,
            head_branch: job.branch,
            pool: job.pool,
            received_at: job.since.to_string(),
            started_at: time(job.began),
            reason: job.reason,
            runner_name: job.runner,
            runner_state: job.runner_state.map(str::to_owned),
            runner_placed: job.placed,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct JobJson {
    pub id: u64,
    pub run_id: u64,
    pub run_attempt: u64,
    pub repository: String,
    pub name: String,
    pub workflow_name: Option<String>,
    pub head_branch: Option<String>,
    pub labels: Vec<String>,
    pub status: String,
    pub conclusion: Option<String>,
    /// The runner that GitHub says took it.
    pub runner_name: Option<String>,
    pub pool: Option<String>,
    /// Why it waits, or why no runner is hired for it.
    pub reason: Option<String>,
    pub url: Option<String>,
    pub delivery: Option<String>,
    pub received_at: String,
    pub created_at: Option<String>,
    pub ended_at: Option<String>,
}

impl JobJson {
    /// `waits` is the reason of its class, where the job is demand.
    pub fn of(job: Job, waits: Option<String>) -> Self {
        let reason = waits.or_else(|| job.verdict.reason());
        let Job { report, repository_name, delivery, received_at, pool, ended_at, .. } = job;
        Self {
            id: report.id.0,
            run_id: report.run.0,
            run_attempt: report.run_attempt,
            repository: repository_name,
            name: report.name,
            workflow_name: report.workflow,
            head_branch: report.head_branch,
            labels: report.labels,
            status: report.status.as_str().to_owned(),
            conclusion: report.conclusion,
            runner_name: report.runner_name,
            pool: pool.map(|pool| pool.0),
            reason,
            url: report.url,
            delivery: delivery.map(|id| id.0),
            received_at: received_at.to_string(),
            created_at: time(report.created_at),
            ended_at: time(ended_at),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RunnerJson {
    pub name: String,
    pub pool: String,
    /// Where it registers: `owner/name`, or an organization.
    pub scope: String,
    /// wanted, dispatching, dispatched, registered, busy, finishing, withdrawing, clearing, gone.
    pub state: String,
    /// The forge listed it as not connected when it was last seen there.
    #[serde(default)]
    pub offline: bool,
    /// The job that caused the hiring; GitHub may have given it another.
    pub hired_for: Option<u64>,
    /// The job that it took.
    pub job: Option<u64>,
    pub nomad_job: String,
    pub child: Option<String>,
    pub reason: Option<String>,
    pub hired_at: String,
    pub placed_at: Option<String>,
    pub ended_at: Option<String>,
}

impl RunnerJson {
    pub fn of(runner: Runner) -> Self {
        Self {
            state: runner.phase().to_owned(),
            offline: runner.offline.is_some(),
            name: runner.name.0,
            pool: runner.class.pool.0,
            scope: runner.scope_name,
            hired_for: runner.cause.map(|id| id.0),
            job: runner.took.and_then(|took| took.job).map(|id| id.0),
            nomad_job: runner.parent,
            child: runner.child,
            reason: runner.reason,
            hired_at: runner.hired_at.to_string(),
            placed_at: time(runner.placed_at),
            ended_at: time(runner.ended_at),
        }
    }
}

/// Bytes of an unreadable body that are shown.
const SHOWN: usize = 2000;

/// A delivery that was signed and could not be read.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliveryJson {
    pub delivery: Option<String>,
    pub event: Option<String>,
    pub received_at: String,
    pub error: String,
    /// The start of it.
    pub body: String,
    /// How long it was, up to what is kept.
    pub body_bytes: usize,
}

impl DeliveryJson {
    pub fn of(unparsed: Unparsed) -> Self {
        let Unparsed { id, received_at, event, error, body } = unparsed;
        Self {
            delivery: id.map(|id| id.0),
            event,
            received_at: received_at.to_string(),
            error,
            body: String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned(),
            body_bytes: body.len(),
        }
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let delivery = self.delivery.as_deref().unwrap_or("without an id");
        let event = self.event.as_deref().unwrap_or("no event named");
        format!(
            "delivery {delivery} ({event}) arrived at {} and was not understood: {}\n\n{}{}\n",
            self.received_at,
            self.error,
            self.body,
            if self.body_bytes > self.body.len() { "…" } else { "" },
        )
    }
}

fn time(at: Option<Time>) -> Option<String> {
    at.map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::RunnerState;
    use crate::ledger::step::testing;

    #[test]
    fn a_runner_that_is_listed_offline_is_shown_as_that() {
        let mut runner = testing::runner(Time(0));
        runner.state = RunnerState::Registered;
        assert!(!RunnerJson::of(runner.clone()).offline);
        runner.offline = Some(Time(1));
        let shown = RunnerJson::of(runner);
        assert_eq!((shown.state.as_str(), shown.offline), ("registered", true));
    }
}
