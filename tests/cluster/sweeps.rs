//! What no webhook told: jobs found by asking, failed deliveries fetched, children and runners
//! that are ours taken up or deleted, also after the database is lost. And that all this
//! looking around costs nothing while nothing happens.

use crate::support;

use std::time::Duration;

use serde_json::Value;
use simulated::github::{DeliveryFaults, HookSpec, Scope, Status, Visibility};
use support::daemon::{GITHUB_TOKEN, SECRET};
use support::parents::pool;
use support::proxied::Proxied;
use support::proxy::Fate;
use support::until;
use support::webhook::Request;
use support::world::{PARENT, Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);
const OFTEN: &str = "sweep_interval = \"1s\"\nfull_sweep_interval = \"2s\"";

fn often() -> Plan {
    Plan { github_keys: OFTEN.to_owned(), ..Plan::default() }
}

fn drop_webhooks(world: &Proxied, chance: f64) {
    let faults = DeliveryFaults { drop: chance, ..DeliveryFaults::default() };
    world.github.with(|github, _| github.delivery_faults = faults);
}

async fn until_status(world: &Proxied, job: u64, status: Status) {
    let so = world.github.until(LIMIT, |github| github.job(job).unwrap().status == status);
    so.await.unwrap();
}

/// `queued`, `in_progress` and `completed` alike: the pattern's repositories come from the
/// listing that the credential sees.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_without_any_webhook_run() {
    let world = Proxied::planned(often()).await;
    drop_webhooks(&world, 1.0);
    let jobs = [world.queue(world.app, 2, 200), world.queue(world.lib, 1, 1_500)].concat();
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 3, "one job, one dispatch");
    until("all are known to have ended well", LIMIT, async || {
        let mut ended = true;
        for job in &jobs {
            ended &= world.daemon.job(*job).await["conclusion"] == "success";
        }
        ended
    })
    .await;
}

/// No port is open to the world, and a job cancelled meanwhile leaves nothing either.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_door_the_sweeps_do_the_whole_job() {
    let plan = Plan {
        webhook: "enabled = false".to_owned(),
        github_keys: "sweep_interval = \"1s\"\nfull_sweep_interval = \"10m\"".to_owned(),
        before_pools: "[runners]\nmax = 2".to_owned(),
        ..Plan::default()
    };
    let world = Proxied::planned(plan).await;
    let door = tokio::net::TcpStream::connect(("127.0.0.1", world.daemon.door)).await;
    assert!(door.is_err(), "nothing listens");
    let mut jobs = [world.queue(world.app, 2, 800), world.queue(world.lib, 3, 300)].concat();
    until("the first are hired for", LIMIT, async || !world.children().await.is_empty()).await;
    world.cancel(&[jobs.pop().unwrap()]);
    world.each_ran_once(&jobs, LIMIT).await;
}

/// No webhook tells of the job but one whose `workflow_job` is null, and the next sweep is far.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_job_is_null_has_its_repository_looked_at() {
    let github_keys = "sweep_interval = \"1h\"\nfull_sweep_interval = \"1h\"".to_owned();
    let world = Proxied::planned(Plan { github_keys, ..Plan::default() }).await;
    let first = world.queue(world.app, 1, 100);
    world.each_ran_once(&first, LIMIT).await;
    drop_webhooks(&world, 1.0);
    let jobs = world.queue(world.app, 1, 100);
    let repository = world.github.with(|github, _| github.full_name(world.app));
    let body = serde_json::json!({
        "action": "queued", "workflow_job": null,
        "repository": {"id": world.app, "full_name": repository, "private": true},
    });
    let hook = Request::hook("workflow_job", "null-job", body.to_string());
    assert_eq!(hook.send(world.daemon.door).await.outcome(), (202, "accepted".into()));
    until("the job has run", LIMIT, async || {
        world.daemon.job(jobs[0]).await["status"] == "in_progress"
            || world
                .github
                .with(|github, _| github.job(jobs[0]).unwrap().status == Status::Completed)
    })
    .await;
}

/// It was off while jobs were queued, ended and were cancelled, and nothing was delivered.
#[tokio::test(flavor = "multi_thread")]
async fn off_for_a_while_and_on_again() {
    let mut world = Proxied::planned(often()).await;
    let ending = world.queue(world.app, 1, 1_000);
    let running = world.queue(world.app, 1, 8_000);
    until_status(&world, ending[0], Status::InProgress).await;
    until_status(&world, running[0], Status::InProgress).await;
    let unneeded = world.queue(world.lib, 1, 200);
    until("three are hired", LIMIT, async || world.children().await.len() == 3).await;
    world.cancel(&unneeded);
    world.daemon.kill_hard();
    let queued = [world.queue(world.lib, 2, 200), world.queue(world.app, 2, 200)].concat();
    let cancelled = world.queue(world.lib, 2, 200);
    until_status(&world, ending[0], Status::Completed).await;
    world.cancel(&cancelled);
    drop_webhooks(&world, 1.0);
    world.daemon.start().await;
    world.each_ran_once(&[ending, running, queued].concat(), LIMIT).await;
}

/// Room for three: two at work, one that nobody needs any more, and one blocked.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_lost() {
    let parts = Parts::with(|options| options.total_cpu = 330).await;
    let mut world = Proxied::around(parts, often()).await;
    world.daemon.start().await;
    let busy = world.queue(world.app, 2, 9_000);
    for job in &busy {
        until_status(&world, *job, Status::InProgress).await;
    }
    let unneeded = world.queue(world.app, 1, 200);
    until("a third is hired", LIMIT, async || world.children().await.len() == 3).await;
    let blocked = world.queue(world.lib, 1, 200);
    until("a fourth is hired", LIMIT, async || world.children().await.len() == 4).await;
    world.daemon.kill_hard();
    world.cancel(&unneeded);
    lose_database(&world);
    world.daemon.start().await;
    until("all four are adopted", LIMIT, async || {
        world.daemon.log().matches("runner adopted").count() >= 3
    })
    .await;
    world.each_ran_once(&[busy, blocked].concat(), LIMIT).await;
    assert_eq!(world.children().await.len(), 4, "nobody was hired twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_registration_of_ours_is_deleted_and_no_other() {
    let world = Proxied::planned(often()).await;
    let ours = world.register_by_hand("roustabout-x64-0123456789abc");
    let gone_pool = world.register_by_hand("roustabout-old-pool-0123456789abd");
    let others = [
        world.register_by_hand("roustabout2-x64-0123456789abc"),
        world.register_by_hand("roustabout-x64-by-hand"),
        world.register_by_hand("build-server-7"),
    ];
    until("the strays are deleted", LIMIT, async || {
        world
            .github
            .with(|github, _| [ours, gone_pool].iter().all(|id| github.runner(*id).is_none()))
    })
    .await;
    // The others are looked at again, and again left alone.
    let looks = || world.github_proxy.count("GET", "/actions/runners?");
    let before = looks();
    until("runners are listed twice more", LIMIT, async || looks() >= before + 4).await;
    world.github.with(|github, _| {
        assert!(others.iter().all(|id| github.runner(*id).is_some_and(|r| r.registered)));
    });
    assert_eq!(world.github_proxy.count("DELETE", "/actions/runners/"), 2);
}

fn lose_database(world: &Proxied) {
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", world.daemon.database().display());
        // The last two are only there after an unclean end.
        let _ = std::fs::remove_file(file);
    }
    assert!(!world.daemon.database().exists());
}

/// A webhook comes before Nomad has shown what lives: nobody is hired until then.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_hired_before_what_lives_is_known() {
    let mut world = Proxied::planned(often()).await;
    world.set_eligible(false).await;
    let jobs = world.queue(world.app, 1, 200);
    until("it is hired for", LIMIT, async || world.children().await.len() == 1).await;
    world.daemon.kill_hard();
    lose_database(&world);
    let mut held = world.nomad_proxy.next("GET", "DispatchIdempotencyToken", Fate::HoldAnswer);
    world.daemon.start().await;
    held.arrived().await;
    let more = world.queue(world.app, 1, 200);
    until("it is known", LIMIT, async || world.daemon.job(more[0]).await["id"].is_u64()).await;
    world.until_reason(more[0], "waiting for Nomad's first listing").await;
    assert_eq!(world.children().await.len(), 1);
    held.release();
    world.set_eligible(true).await;
    world.each_ran_once(&[jobs, more].concat(), LIMIT).await;
    assert_eq!(world.children().await.len(), 2);
}

/// GitHub does not say at first which repositories there are, nor to which of them a child of
/// ours belongs.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_lost_and_github_stumbles() {
    let mut world = Proxied::planned(often()).await;
    let jobs = world.queue(world.app, 1, 6_000);
    until_status(&world, jobs[0], Status::InProgress).await;
    world.daemon.kill_hard();
    lose_database(&world);
    let mut stumble = world.github_proxy.rule("GET", "/repos/octo/app", 0, 3, Fate::Refuse(503));
    let _unlisted = world.github_proxy.rule("GET", "/user/repos", 0, 2, Fate::Refuse(503));
    world.daemon.start().await;
    stumble.arrived().await;
    until("it is adopted", LIMIT, async || world.daemon.log().contains("runner adopted")).await;
    let status = world.daemon.api("/api/v1/runners").await;
    assert_eq!(status[0]["scope"], "octo/app", "{status}");
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
}

/// The door was shut when the organization's hook knocked, and the sweep sees no run: the
/// hook's log has the job.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_organizations_hook_failed_to_deliver_is_fetched() {
    let mut world = Proxied::planned(often()).await;
    let url = world.daemon.url();
    world.github.with(|github, now| {
        github.delivery_faults.drop = 1.0;
        let octo = github.account("octo").unwrap().id;
        github.add_hook(Scope::Organization(octo), HookSpec::new(&url, SECRET), now);
    });
    until("the hook has been seen", LIMIT, async || {
        world.github_proxy.count("GET", "/deliveries") > 0
    })
    .await;
    world.daemon.kill_hard();
    let blind = world.github_proxy.rule("GET", "/actions/runs?", 0, 1_000, Fate::Refuse(404));
    drop_webhooks(&world, 0.0);
    let jobs = world.queue(world.app, 1, 200);
    let cancelled = world.queue(world.lib, 2, 200);
    world.cancel(&cancelled);
    until("the hook's log shows the failure", LIMIT, async || {
        world.github.with(|github, _| github.next_delivery().is_none())
    })
    .await;
    world.daemon.start().await;
    until_status(&world, jobs[0], Status::Completed).await;
    drop(blind);
    world.github_proxy.clear_rules();
    world.each_ran_once(&jobs, LIMIT).await;
    assert!(world.daemon.log().contains("missed webhook fetched"));
    assert_eq!(world.github_proxy.count("POST", "/attempts"), 0, "nothing was redelivered");
    assert_eq!(world.children().await.len(), 1, "nobody was hired for what was cancelled");
    for job in cancelled {
        assert_eq!(world.daemon.job(job).await["conclusion"], "cancelled");
    }
}

/// Whole sweeps over 200 repositories, and the user whose token it is has spent nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_sweep_costs_nothing() {
    let mut world = Proxied::prepared(often()).await;
    let url = world.daemon.url();
    let user = world.github.with(|github, now| {
        // So many sweeps within seconds are more than GitHub's minute allows.
        github.knobs.limits = false;
        let octo = github.account("octo").unwrap().id;
        github.add_hook(Scope::Organization(octo), HookSpec::new(&url, SECRET), now);
        for number in 0..198 {
            github.add_repository(&format!("octo/quiet-{number}"), Visibility::Private, now);
        }
        github.account("octocat").unwrap().id
    });
    world.daemon.start().await;
    let jobs = world.queue(world.app, 1, 200);
    world.each_ran_once(&jobs, LIMIT).await;
    let asked = || {
        let last = world.github_proxy.count("GET", "/repos/octo/quiet-99/actions/runners?");
        (last, world.github_proxy.total())
    };
    let sweeps = async |count: usize| {
        let wanted = asked().0 + count;
        until("whole sweeps have gone by", LIMIT, async || asked().0 >= wanted).await;
    };
    // What has just changed is looked at once more.
    sweeps(2).await;
    let cost = async |count: usize| {
        let spent = || world.github.with(|github, now| (github.standing(user, now).used, now));
        let (before, (used, since)) = (asked().1, spent());
        sweeps(count).await;
        let (points, requests) = (spent().0 - used, asked().1 - before);
        let paid: Vec<String> = world.github.with(|github, _| {
            let late = github.requests().iter().filter(|one| one.at > since && one.status != 304);
            late.map(|one| format!("{} {} {}", one.method, one.path, one.status)).collect()
        });
        assert_eq!(points, 0, "{requests} requests, paid: {paid:#?}");
        requests
    };
    let requests = cost(2).await;
    assert!(requests > 2000, "only {requests} requests: did it sweep?");
    // A reload asks as before, whatever was under way.
    world.daemon.configure(|config| {
        config.replace("full_sweep_interval = \"2s\"", "full_sweep_interval = \"3s\"")
    });
    world.daemon.reload().await;
    cost(1).await;
}

/// 403 and 404 for one repository: the others are served, and their surplus is let go.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_github_refuses_leaves_the_others_alone() {
    tokio::join!(others_are_served(403), others_are_served(404));
}

async fn others_are_served(status: u16) {
    let mut world = Proxied::prepared(often()).await;
    let _refused =
        world.github_proxy.rule("GET", "/repos/octo/lib", 0, 10_000, Fate::Refuse(status));
    world.daemon.start().await;
    drop_webhooks(&world, 1.0);
    let jobs = world.queue(world.app, 2, 200);
    world.each_ran_once(&jobs, LIMIT).await;
    let unneeded = world.queue(world.app, 1, 200);
    until("it is hired for", LIMIT, async || world.children().await.len() == 3).await;
    world.cancel(&unneeded);
    world.until_nothing_is_left(LIMIT).await;
    // Seen again, it is served as ever.
    world.github_proxy.clear_rules();
    let late = world.queue(world.lib, 1, 200);
    world.each_ran_once(&late, LIMIT).await;
}

/// No webhook tells of a job: the first is found by the sweep of everything, the second by the next
/// one of what lately had jobs. Meanwhile GitHub answers nothing about 200 repositories of another
/// owner, whose name comes first.
#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_about_one_owner_and_a_long_sweep_delay_nobody_else() {
    const SLOW: usize = 200;
    let slow = pool("slow", PARENT, "delivery = \"payload\"").replace("*/*", "aslow/*");
    let mut world = Proxied::prepared(Plan {
        github_keys: "sweep_interval = \"1s\"\nfull_sweep_interval = \"1h\"".to_owned(),
        pool: format!("delivery = \"payload\"\n{slow}"),
        ..Plan::default()
    })
    .await;
    drop_webhooks(&world, 1.0);
    world.github.with(|github, now| {
        let octocat = github.account("octocat").unwrap().id;
        github.add_organization("aslow", &[octocat]);
        for number in 0..SLOW {
            github.add_repository(&format!("aslow/r{number}"), Visibility::Private, now);
        }
    });
    let mut held = world.github_proxy.rule("GET", "/repos/aslow/", 0, 10_000, Fate::HoldRequest);
    // So long that a short sweep comes by while it is open.
    let first = world.queue(world.app, 1, 3_000);
    world.daemon.start().await;
    held.arrived().await;
    until_status(&world, first[0], Status::Completed).await;
    let second = world.queue(world.app, 1, 200);
    until_status(&world, second[0], Status::Completed).await;
    let asked = world.github_proxy.count("GET", "/repos/aslow/");
    assert!((1..SLOW).contains(&asked), "the sweep of everything has {asked} of {SLOW} behind it");
}

/// The hook went silent after `in_progress`, and Nomad has forgotten the runner: only the job
/// itself can say that it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_completed_is_found_by_asking_the_job() {
    let world = Proxied::planned(often()).await;
    let jobs = world.queue(world.app, 1, 1_500);
    until("it is known to run", LIMIT, async || {
        world.daemon.job(jobs[0]).await["status"] == "in_progress"
    })
    .await;
    drop_webhooks(&world, 1.0);
    until("it is known to have ended", LIMIT, async || {
        world.daemon.job(jobs[0]).await["conclusion"] == "success"
    })
    .await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
}

/// Each look is answered by a refusal, and nothing is known of any repository.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_is_not_complete_where_the_credential_is_not_accepted() {
    let mut world = World::around(Parts::start().await, Plan::default()).await;
    world.github.with(|github, _| github.revoke_token(GITHUB_TOKEN));
    world.daemon.start().await;
    let mut sweeps = Value::Null;
    until("everything was asked about", LIMIT, async || {
        sweeps = world.daemon.api("/api/v1/status").await["sweeps"].clone();
        sweeps["full"].is_string()
    })
    .await;
    assert_eq!(sweeps["full_complete"], false);
}
