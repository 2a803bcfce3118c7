//! Lists of more than a page, and what one repository may spend, against the simulated GitHub: its
//! tags are those of single answers, and it counts what is asked.

use simulated::github::http::Server;
use simulated::github::repositories::Visibility;
use simulated::github::runs::{JobSpec, RunSpec};
use tokio::net::TcpListener;

use super::*;

struct Stage {
    server: Server,
    github: GitHub,
    user: u64,
    repository: u64,
}

impl Stage {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let server = Server::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), 1).unwrap();
        let (user, repository) = server.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_full_token("token", user);
            (user, github.add_repository("octocat/app", Visibility::Private, now))
        });
        let github = GitHub::new(server.url().parse().unwrap(), &super::credential()).unwrap();
        Self { server, github, user, repository }
    }

    /// A run of so many jobs, and its id.
    fn run(&self, jobs: usize) -> u64 {
        self.server.with(|github, now| {
            let jobs = (0..jobs).map(|n| JobSpec::new(format!("job {n}"), &["x64"])).collect();
            github.add_run(self.repository, RunSpec::default(), jobs, now)
        })
    }

    fn jobs(&self, run: u64) -> Vec<u64> {
        self.server.with(|github, _| github.run(run).unwrap().jobs.clone())
    }

    /// What was counted so far.
    fn spent(&self) -> u64 {
        self.server.with(|github, now| github.standing(self.user, now).used)
    }

    fn asked(&self) -> usize {
        self.server.with(|github, _| github.requests().len())
    }

    async fn look(&self, memory: &mut LookMemory) -> crate::forge::Look {
        self.github.look("octocat/app", memory).await.unwrap()
    }
}

#[tokio::test]
async fn jobs_that_ended_on_the_second_page_are_seen_and_a_quiet_look_is_free() {
    let stage = Stage::new().await;
    let run = stage.run(150);
    let mut memory = LookMemory::default();
    assert_eq!(stage.look(&mut memory).await.reports.len(), 150);
    let ended: Vec<u64> = stage.jobs(run)[110..].to_vec();
    stage.server.with(|github, now| {
        for job in &ended {
            github.cancel_job(*job, now);
        }
    });
    let look = stage.look(&mut memory).await;
    let seen = look.reports.iter().filter(|job| job.status == JobStatus::Completed);
    assert_eq!(seen.map(|job| job.id.0).collect::<Vec<_>>(), ended);
    let spent = stage.spent();
    assert_eq!(stage.look(&mut memory).await.reports.len(), 150);
    assert_eq!(stage.spent(), spent, "nothing has changed, so nothing is counted");
}

#[tokio::test]
async fn an_old_run_that_is_started_again_is_seen_although_the_total_is_the_same() {
    let stage = Stage::new().await;
    let runs: Vec<u64> = (0..121).map(|_| stage.run(1)).collect();
    stage.server.with(|github, now| github.cancel_run(runs[0], now));
    let mut memory = LookMemory::default();
    for _ in 0..2 {
        stage.look(&mut memory).await;
    }
    stage.server.with(|github, now| {
        github.cancel_run(runs[1], now);
        github.rerun(runs[0], false, now);
    });
    let look = stage.look(&mut memory).await;
    let new = look.reports.iter().find(|job| job.run.0 == runs[0]).unwrap();
    assert_eq!((new.run_attempt, new.status), (2, JobStatus::Queued));
    assert!(!look.reports.iter().any(|job| job.run.0 == runs[1]));
    assert!(!look.unseen.contains(&RunId(runs[1])), "it is over, so its jobs are missing");
}

#[tokio::test]
async fn a_look_goes_into_so_many_runs_and_the_next_into_the_others() {
    let stage = Stage::new().await;
    let runs: BTreeSet<RunId> = (0..150).map(|_| RunId(stage.run(1))).collect();
    let mut memory = LookMemory::default();
    let first = stage.look(&mut memory).await;
    let second = stage.look(&mut memory).await;
    let in_it = |look: &crate::forge::Look| {
        look.reports.iter().map(|job| job.run).collect::<BTreeSet<RunId>>()
    };
    assert_eq!((in_it(&first).len(), first.unseen.len()), (100, 50));
    assert!(first.unseen.is_subset(&in_it(&second)));
    assert_eq!(&in_it(&first) | &first.unseen, runs);
}

#[tokio::test]
async fn repositories_and_runners_beyond_a_hundred_are_seen_to_change() {
    let stage = Stage::new().await;
    let ids: Vec<u64> = stage.server.with(|github, now| {
        let name = |n| format!("octocat/r{n}");
        (0..150).map(|n| github.add_repository(&name(n), Visibility::Private, now)).collect()
    });
    let mut memory = ListMemory::default();
    assert_eq!(stage.github.repositories(&mut memory).await.unwrap().len(), 151);
    for id in ids.into_iter().step_by(20) {
        stage.server.with(|github, _| github.rename_repository(id, &format!("z-{id}")));
        let listed = stage.github.repositories(&mut memory).await.unwrap();
        assert!(listed.iter().any(|one| one.full_name == format!("octocat/z-{id}")));
    }
    let spent = stage.spent();
    stage.github.repositories(&mut memory).await.unwrap();
    assert_eq!(stage.spent(), spent);
}

#[tokio::test]
async fn one_repository_that_asks_for_everything_leaves_the_others_theirs() {
    let stage = Stage::new().await;
    stage.server.with(|github, now| {
        github.knobs.core_limit = 500;
        github.add_repository("octocat/quiet", Visibility::Private, now);
    });
    let run = stage.run(1);
    let asks = async |name: &str| stage.github.run_facts(RepositoryId(1), name, RunId(run)).await;
    let mut refused = None;
    for _ in 0..500 {
        refused = refused.or(asks("octocat/app").await.err());
    }
    let refused = refused.unwrap();
    assert_eq!(refused.kind, Kind::Share);
    assert!(refused.retry_after.is_some() && !refused.is_trouble());
    assert!(refused.what.contains("octocat/app has used 2"), "{refused}");
    let asked = stage.asked();
    assert!((200..220).contains(&asked), "{asked}: who is over its share makes no request");
    stage.github.repository("octocat/quiet").await.unwrap();
    let quiet = Target::Repository("octocat/quiet".into());
    stage.github.mint(&quiet, Duration::from_secs(60)).await.unwrap();
    let other = Target::Repository("octocat/app".into());
    stage.github.mint(&other, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn a_look_whose_share_is_used_up_tells_what_it_has_seen() {
    let stage = Stage::new().await;
    stage.server.with(|github, _| github.knobs.core_limit = 100);
    for _ in 0..60 {
        stage.run(1);
    }
    let look = stage.look(&mut LookMemory::default()).await;
    assert!(look.reports.len() >= 10, "{}", look.reports.len());
    assert_eq!(look.reports.len() + look.unseen.len(), 60);
}
