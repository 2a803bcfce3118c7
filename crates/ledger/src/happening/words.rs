//! A happening in words, as the log and `explain` show it. Every text here has a row in
//! `docs/operations.md`; ids that the log has as fields are said only where the sentence needs them.

use std::fmt;

use super::{Happened, Happening, Renamed};
use crate::PoolName;
use crate::matching::labels_in_words;

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = &self.about;
        let pool = about.pool.as_ref().map_or("", PoolName::as_str);
        match &self.what {
            Happened::JobStatus { title, status, conclusion: None } => {
                write!(f, "job {}: {title}", status.as_str())
            }
            Happened::JobStatus { title, status, conclusion: Some(conclusion) } => {
                write!(f, "job {}: {title} ({conclusion})", status.as_str())
            }
            Happened::JobQueuedAgain => f.write_str("job queued again under the same id"),
            Happened::JobFoundAgain { forge } => {
                write!(f, "{forge} shows the job after all; it is served again")
            }
            Happened::JobUnserved { labels, why, .. } => write!(
                f,
                "no pool serves the job (labels: {}): {why}; further jobs of this repository with \
                 the same labels are not logged",
                labels_in_words(labels)
            ),
            Happened::JobRefused { why } => write!(f, "job refused by policy: {why}"),
            Happened::RunUnknown { reason } => {
                write!(f, "cannot check the run against the pool's policy: {reason}")
            }
            Happened::JobHeldBack { ends, last, until } => write!(
                f,
                "runners launched for this job ended without a job ({ends} in a row, last: \
                 {last}); the next is launched at {until}"
            ),
            Happened::JobRetried => f.write_str("job is looked up again, as requested"),
            Happened::RunSuperseded { older, newer } => write!(
                f,
                "run {older} cancelled before a job of it began: run {newer} is of a newer push to the same branch"
            ),
            Happened::RunCancelForced { older } => {
                write!(
                    f,
                    "run {older} cancelled by force: the first request did nothing within a minute"
                )
            }
            Happened::RunNotCancelled { older, newer, reason } => {
                write!(
                    f,
                    "cannot cancel run {older}, which run {newer} of a newer push supersedes: {reason}"
                )
            }
            Happened::RunnerLaunched { waiting, supply } => {
                write!(f, "runner launched ({waiting} waiting, {supply} launched for them)")
            }
            Happened::WarmLaunched { idle, asked } => {
                write!(f, "warm runner launched ({idle} of {asked})")
            }
            Happened::RunnerDispatched { child } => write!(f, "runner dispatched as {child}"),
            Happened::RunnerMinted { id } => {
                write!(f, "JIT configuration received, registered as runner {id}")
            }
            Happened::MintFailed { reason } => write!(f, "no JIT configuration: {reason}"),
            Happened::DepositFailed { reason } => write!(f, "credential not written: {reason}"),
            Happened::DepositLeft { path, reason } => {
                write!(f, "cannot delete the credential at {path}, retrying: {reason}")
            }
            Happened::RunnerClaimed { allocation } => {
                write!(f, "credential claimed by allocation {allocation}")
            }
            Happened::ClaimRefused { allocation, why } => {
                write!(f, "claim of allocation {allocation} refused: {why}")
            }
            Happened::DispatchRefused { reason } => write!(f, "dispatch refused: {reason}"),
            Happened::DispatchUnknown { reason } => {
                write!(f, "dispatch outcome unknown, looking it up: {reason}")
            }
            Happened::DispatchResent => f.write_str("dispatch never arrived; sending it again"),
            Happened::RunnerAdopted { child } => {
                write!(f, "runner adopted: child {child} is ours and was not tracked")
            }
            Happened::RunnerPlaced => f.write_str("runner placed"),
            Happened::RunnerNotStarting { why } => write!(f, "runner does not start: {why}"),
            Happened::RunnerRegistered => f.write_str("runner registered"),
            Happened::RunnerBusy => f.write_str("runner took a job"),
            Happened::RunnerFinished => f.write_str("runner finished its job"),
            Happened::RunnerUnused { why } => write!(f, "runner was not used: {why}"),
            Happened::RunnerReleased { why } => write!(f, "runner released: {why}"),
            Happened::RunnerKept => f.write_str("runner kept: a job waits for it"),
            Happened::RunnerStillBusy => f.write_str("runner is busy and is kept"),
            Happened::RunnerTooOld => f.write_str("runner is older than max_lifetime"),
            Happened::RunnerEnded { how } => {
                write!(f, "runner ended, and no job of it is known yet: {how}")
            }
            Happened::RunnerEndedWithoutJob { how } => {
                write!(f, "runner ended without a job: {how}")
            }
            Happened::RequestFailed { reason } => write!(f, "request failed, retrying: {reason}"),
            Happened::RunnerGone { how } => write!(f, "runner gone: {how}"),
            Happened::StrayRegistration => {
                f.write_str("deleting the registration of a runner that is ours and not tracked")
            }
            Happened::PoolPaused { until: Some(until) } => {
                write!(f, "pool {pool} is paused until {until}: no runner is launched for it")
            }
            Happened::PoolPaused { until: None } => {
                write!(f, "pool {pool} is paused: no runner is launched for it")
            }
            Happened::PoolResumed => write!(f, "pool {pool} launches runners again"),
            Happened::BreakerOpened { ends, last } => match &about.repository {
                Some(scope) => write!(
                    f,
                    "circuit breaker of {scope} in pool {pool} open, one runner at a time is \
                     launched: {ends} ended in a row without a job, last: {last}"
                ),
                None => write!(
                    f,
                    "circuit breaker of pool {pool} open, one runner at a time is launched: \
                     runners of {ends} repositories or organizations ended without a job, last: \
                     {last}"
                ),
            },
            Happened::BreakerClosed => match &about.repository {
                Some(scope) => {
                    write!(
                        f,
                        "circuit breaker of {scope} in pool {pool} closed: a runner got a job"
                    )
                }
                None => write!(f, "circuit breaker of pool {pool} closed: a runner got a job"),
            },
            Happened::RepositoryDenied { forge, reason } => {
                write!(f, "{forge} denies access to the repository: {reason}")
            }
            Happened::RepositoryRenamed(renamed) => renamed.fmt(f),
            Happened::CredentialFailed { target, reason } => {
                write!(f, "no registration token for {target}: {reason}")
            }
            Happened::ClockSet { by } => {
                let way = if *by > 0 { "ahead" } else { "back" };
                let size = in_words(by.unsigned_abs());
                write!(
                    f,
                    "the clock of this machine was set {way} by {size}; deadlines and pauses move \
                     with it"
                )
            }
            Happened::Degraded { who, reason } => write!(f, "{who} is degraded: {reason}"),
            Happened::Recovered { who } => write!(f, "{who} recovered"),
        }
    }
}

impl fmt::Display for Renamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Renamed { before, now, pools } = self;
        let pools: Vec<&str> = pools.iter().map(PoolName::as_str).collect();
        write!(
            f,
            "{before} is now called {now} and is still served; write {now} in repositories of \
             pool {}",
            pools.join(", ")
        )
    }
}

fn in_words(millis: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let seconds = millis / 1_000;
    let unit = UNITS.iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(
        || format!("{seconds} seconds"),
        |(length, name)| format!("{} {name}", seconds / length),
    )
}
