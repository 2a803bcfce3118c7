//! Every happening once: its name, whether it is a warning, its words. The snapshot is what people
//! read; the names are what is stored.

use super::*;

fn all() -> Vec<Happened> {
    let text = |text: &str| text.to_owned();
    let status = |status| Happened::JobStatus {
        title: text("build"),
        status,
        conclusion: (status == JobStatus::Completed).then(|| text("success")),
    };
    let at = Time(1_790_000_000_000);
    let why = text("403");
    let gone = [
        Gone::JobDone,
        Gone::ChildEnded { how: text("its allocation on n1 is complete") },
        Gone::EndedAtWork,
        Gone::ClearedAway,
        Gone::NothingLeft { forge: text("GitHub") },
        Gone::UnknownToBoth { forge: text("GitHub") },
        Gone::Released,
        Gone::ReleasedBeforePlacement,
        Gone::NotNeeded,
        Gone::NeverDispatched,
        Gone::NeverDispatchedPoolRemoved,
        Gone::NotNeededBeforeDispatch,
        Gone::OutcomeUnknown,
        Gone::Removed { forge: text("GitHub") },
        Gone::NotSent { reason: text("Nomad is unreachable") },
        Gone::TooLarge { reason: text("the payload is over the limit") },
    ];
    let released = [
        Release::NoJobWaits,
        Release::NotPlacedInTime,
        Release::OtherNomadJob,
        Release::AsRequested,
        Release::AllocationLost,
        Release::RegisteredAgain,
        Release::RunsOnAfterItsJob,
        Release::TooOld,
        Release::Idle,
    ];
    let mut all = vec![
        status(JobStatus::Queued),
        status(JobStatus::Waiting),
        status(JobStatus::InProgress),
        status(JobStatus::Completed),
        Happened::JobQueuedAgain,
        Happened::RunSuperseded { older: RunId(7), newer: RunId(9) },
        Happened::RunCancelForced { older: RunId(7) },
        Happened::RunNotCancelled { older: RunId(7), newer: RunId(9), reason: text("403") },
        Happened::JobFoundAgain { forge: text("GitHub") },
        Happened::JobUnserved {
            labels: vec![text("self-hosted"), text("arm64")],
            why: text("no pool has the label arm64"),
            self_hosted: true,
        },
        Happened::JobRefused { why: text("octo/app is public") },
        Happened::RunUnknown { reason: why.clone() },
        Happened::JobHeldBack { ends: 2, last: text("its task failed"), until: at },
        Happened::JobRetried,
        Happened::RunnerLaunched { waiting: 3, supply: 2 },
        Happened::RunnerDispatched { child: text("runner/dispatch-1-ab") },
        Happened::RunnerMinted { id: 23 },
        Happened::MintFailed { reason: why.clone() },
        Happened::DispatchRefused { reason: why.clone() },
        Happened::DispatchUnknown { reason: text("timed out") },
        Happened::DispatchResent,
        Happened::RunnerAdopted { child: text("runner/dispatch-1-ab") },
        Happened::RunnerPlaced,
        Happened::RunnerNotStarting { why: text("no such image") },
        Happened::RunnerRegistered,
        Happened::RunnerBusy,
        Happened::RunnerFinished,
        Happened::RunnerUnused { why: Unused::NotRegisteredInTime },
        Happened::RunnerUnused { why: Unused::NoJobInTime },
        Happened::RunnerKept,
        Happened::RunnerStillBusy,
        Happened::RunnerTooOld,
        Happened::RunnerEnded { how: text("its allocation failed") },
        Happened::RunnerEndedWithoutJob { how: text("its allocation failed") },
        Happened::RequestFailed { reason: text("502 Bad Gateway") },
        Happened::StrayRegistration,
        Happened::PoolPaused { until: Some(at) },
        Happened::PoolPaused { until: None },
        Happened::PoolResumed,
        Happened::BreakerOpened { ends: 3, last: text("its task failed") },
        Happened::BreakerClosed,
        Happened::RepositoryDenied { forge: text("GitHub"), reason: why.clone() },
        Happened::RepositoryRenamed(Renamed {
            before: text("octo/app"),
            now: text("octo/new"),
            pools: vec!["x64".into()],
        }),
        Happened::CredentialFailed { target: text("octo/app"), reason: why },
        Happened::ClockSet { by: -86_400_000 * 3 },
        Happened::Degraded { who: text("nomad"), reason: text("connection refused") },
        Happened::Recovered { who: text("nomad") },
    ];
    all.extend(released.map(|why| Happened::RunnerReleased { why }));
    all.extend(gone.map(|how| Happened::RunnerGone { how }));
    all
}

#[test]
fn in_words() {
    let about = About { pool: Some("x64".into()), ..About::default() };
    let lines = all().into_iter().map(|what| {
        let (name, level) = (what.name(), if what.is_warning() { "!" } else { " " });
        format!("{level} {name:<25} {}", what.about(about.clone()))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_breaker_of_one_repository_says_whose_it_is() {
    let about = About { repository: Some("octo/app".into()), ..About::pool(&"x64".into()) };
    let opened = Happened::BreakerOpened { ends: 3, last: "its task failed".to_owned() };
    let said = opened.about(about).to_string();
    assert!(said.starts_with("circuit breaker of octo/app in pool x64 open"), "{said}");
}

/// What is stored has the name that others know, but for a job's status, which is a field.
#[test]
fn each_is_stored_by_its_name_and_read_back() {
    for what in all() {
        let happening = what.clone().about(About { job: Some(JobId(7)), ..About::default() });
        let stored = serde_json::to_value(&happening).unwrap();
        match &what {
            Happened::JobStatus { .. } => assert_eq!(stored["what"]["event"], "job.status"),
            _ => assert_eq!(stored["what"]["event"], what.name()),
        }
        assert_eq!(serde_json::from_value::<Happening>(stored).unwrap(), happening);
    }
}
