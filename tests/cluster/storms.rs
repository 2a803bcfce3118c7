//! Update branches that are rebased after each merge: what they cost with `cancel_superseded`, and
//! without. The figures stand in docs/storms.md.

use crate::support;

use std::collections::BTreeMap;
use std::time::Duration;

use simulated::github::{Conclusion, Concurrency, JobSpec, RunSpec, Status};
use support::world::{LABELS, Plan, World};

const LIMIT: Duration = Duration::from_secs(240);
const ROBOT: &str = "renovate[bot]";
/// Open update branches.
const BRANCHES: usize = 6;

struct Storm {
    world: World,
    /// Open branches, each with the run of its newest push.
    open: BTreeMap<String, u64>,
}

impl Storm {
    /// One runner at a time: what waits is a queue.
    async fn begin(cancel: bool) -> Self {
        let pool = format!("delivery = \"payload\"\nmax_runners = 1\ncancel_superseded = {cancel}");
        let world = World::planned(Plan { pool, ..Plan::default() }).await;
        let mut storm = Self { world, open: BTreeMap::new() };
        let branches: Vec<String> = (0..BRANCHES).map(|n| format!("renovate/lib-{n}")).collect();
        storm.push(&branches);
        storm
    }

    /// The robot pushes to these branches: one run each.
    fn push(&mut self, branches: &[String]) {
        for branch in branches {
            let spec = RunSpec {
                event: "pull_request".to_owned(),
                head_branch: branch.clone(),
                actor: ROBOT.to_owned(),
                ..RunSpec::default()
            };
            let app = self.world.app;
            let run = self.world.github.with(|github, now| {
                let job = JobSpec::new("build", &LABELS).lasting(500);
                github.add_run(app, spec, vec![job], now)
            });
            self.open.insert(branch.clone(), run);
        }
    }

    /// Merges each branch when its newest run has succeeded, and rebases the others.
    async fn play(&mut self) {
        while !self.open.is_empty() {
            let open = self.open.clone();
            let ended = |github: &simulated::github::GitHub| {
                let succeeded = |run: &u64| {
                    let run = github.run(*run).unwrap();
                    github.run_status(run) == (Status::Completed, Some(Conclusion::Success))
                };
                open.iter().find(|(_, run)| succeeded(run)).map(|(branch, _)| branch.clone())
            };
            let merged = async {
                loop {
                    let oldest = |github: &mut simulated::github::GitHub| {
                        // GitHub does not say whom it serves first; users see the oldest.
                        let queued = github.jobs().find(|job| job.status == Status::Queued);
                        github.knobs.first_job = queued.map(|job| job.id);
                        ended(github)
                    };
                    if let Some(branch) = self.world.github.with(|github, _| oldest(github)) {
                        return branch;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let merged = tokio::time::timeout(LIMIT, merged).await.expect("a run succeeds");
            self.open.remove(&merged);
            let others: Vec<String> = self.open.keys().cloned().collect();
            self.push(&others);
        }
        self.world.until_nothing_is_left(LIMIT).await;
    }

    /// Runs that a runner began with, and all that there were.
    fn counted(&self) -> (usize, usize) {
        self.world.github.with(|github, _| {
            let began = github.jobs().filter(|job| job.runner.is_some()).count();
            (began, github.jobs().count())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_that_are_rebased_after_each_merge_cost_about_one_run_each() {
    let mut storm = Storm::begin(true).await;
    storm.play().await;
    let (began, all) = storm.counted();
    let waves = BRANCHES * (BRANCHES + 1) / 2;
    println!("{BRANCHES} branches: {began} of {all} runs began with cancel_superseded");
    assert_eq!(all, waves, "each wave pushes to every open branch");
    // While it asks GitHub, the runner that is free takes one that is superseded, now and then.
    assert!(began <= 2 * BRANCHES, "{began} of {all} runs began");
    let log = storm.world.daemon.log();
    let cancelled = log.matches("\"run.superseded\"").count();
    assert_eq!(cancelled, all - began, "every other run was cancelled: {log}");

    let mut storm = Storm::begin(false).await;
    storm.play().await;
    let (began, all) = storm.counted();
    println!("{BRANCHES} branches: {began} of {all} runs began without");
    assert_eq!(began, all);
    assert!(!storm.world.daemon.log().contains("\"run.superseded\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_concurrency_group_and_who_is_ahead() {
    let world = World::start().await;
    let group = Concurrency { group: "deploy-main".to_owned(), has_queue: true };
    let begin = |labels: &[&str]| {
        let (app, job) = (world.app, JobSpec::new("deploy", labels));
        let spec = RunSpec { concurrency: Some(group.clone()), ..RunSpec::default() };
        world.github.with(|github, now| github.add_run(app, spec, vec![job], now))
    };
    let [first, second, third] = [(); 3].map(|()| begin(&["nobody"]));
    let asked = format!("/api/v1/explain/octo%2Fapp%23{third}");
    let told = world.daemon.api(&asked).await;
    let expected = format!(
        "it waits for the concurrency group deploy-main: held by {}octo/app/actions/runs/{first}, and 1 more waits before it",
        world.github.url().to_string() + "/"
    );
    assert_eq!(told["note"], expected.as_str(), "{told}");
    world.github.with(|github, now| {
        for run in [third, second, first] {
            github.cancel_run(run, now);
        }
    });
}
