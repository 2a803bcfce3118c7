//! Small makers for the ledger's unit tests. Nothing here decides anything.

use std::time::Duration;

use crate::matching::RepositoryGlobs;
use crate::pool::{CredentialKind, Delivery, Forge};
use crate::{
    ClassKey, Job, JobId, JobReport, JobStatus, NomadPlace, Patterns, Pool, PoolName, Repository,
    RepositoryId, Rules, RunId, Runner, RunnerName, ScopeKey, ScopeKind, Time, Verdict, Visibility,
};

pub fn rules(max: u32, pools: Vec<Pool>) -> Rules {
    Rules {
        forge: Forge::default(),
        name_prefix: "roustabout".to_owned(),
        nomad: NomadPlace::default(),
        max,
        robots: Vec::new(),
        pools,
    }
}

pub fn pool(name: &str, labels: &[&str]) -> Pool {
    Pool {
        name: PoolName::from(name),
        nomad_job: format!("github-runner-{name}"),
        namespace: None,
        region: None,
        labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        repositories: RepositoryGlobs::new(&["octo/*"]),
        topics: Vec::new(),
        delivery: Delivery::Payload,
        credential: CredentialKind::RegistrationToken,
        scope: ScopeKind::Repository,
        runner_group: None,
        max_runners: 20,
        max_runners_per_repository: None,
        public_repositories: false,
        forks: false,
        events: Patterns::any(),
        actors: Patterns::any(),
        placement_timeout: Duration::from_secs(1200),
        boot_timeout: Duration::from_secs(600),
        idle_timeout: Duration::from_secs(600),
        release_grace: Duration::from_secs(300),
        max_lifetime: Duration::from_secs(6 * 3600),
        robots_per_repository: None,
        cancel_superseded: false,
        warm: Vec::new(),
    }
}

pub fn repository(id: u64, full_name: &str) -> Repository {
    Repository {
        former: Vec::new(),
        id: RepositoryId(id),
        full_name: full_name.to_owned(),
        html_url: format!("https://github.com/{full_name}"),
        visibility: Visibility::Private,
        forkable: false,
        owned_by_organization: true,
        topics: None,
    }
}

pub fn report(id: u64, status: JobStatus) -> JobReport {
    JobReport {
        id: JobId(id),
        run: RunId(id / 100 + 1),
        run_attempt: 1,
        name: format!("job {id}"),
        workflow: Some("ci".to_owned()),
        head_branch: Some("main".to_owned()),
        labels: vec!["linux".to_owned()],
        status,
        conclusion: None,
        runner_name: None,
        url: None,
        created_at: None,
        actor: None,
        details: None,
    }
}

/// A runner for any job of `octo/app`, of the pool `x64`.
pub fn runner(hired_at: Time) -> Runner {
    let class = ClassKey {
        pool: PoolName::from("x64"),
        scope: ScopeKey::Repository(RepositoryId(1)),
        run: None,
    };
    Runner::new(RunnerName::from("roustabout-x64-1"), class, "octo/app".to_owned(), hired_at)
}

/// A job of `octo/app` that was just heard of.
pub fn job(report: JobReport) -> Job {
    Job {
        report,
        repository: RepositoryId(1),
        repository_name: "octo/app".to_owned(),
        delivery: None,
        received_at: Time(0),
        pool: None,
        verdict: Verdict::Serve,
        unconfirmed: false,
        robot: false,
        fork: None,
        cause: None,
        ended_attempt: None,
        in_vain: None,
        cause_of: None,
        vanished: false,
        ended_at: None,
    }
}
