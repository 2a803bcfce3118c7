//! The status page in a real browser: somebody signs in, watches a job go through, pauses and resumes,
//! and goes on over a restart of the daemon. And what people see who see badly, use no mouse, or let no
//! script run.

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use simulated::github::{JobSpec, RunSpec};
use support::browser::{Browser, DESKTOP, PHONE};
use support::daemon::Daemon;
use support::parts::{self, Part};
use support::until;
use support::webhook::{NOBODY_THERE, Request, queued};
use support::world::{LABELS, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

fn address(daemon: &Daemon, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", daemon.admin)
}

/// As somebody does it, who is sent back to `path`.
async fn sign_in(browser: &Browser, daemon: &Daemon, path: &str) {
    let token = std::fs::read_to_string(daemon.folder.path().join("admin-token")).unwrap();
    browser.open(&address(daemon, path)).await;
    assert!(browser.url().await.contains("/login"), "{}", browser.url().await);
    browser.write("#token", token.trim()).await;
    browser.click("main button").await;
    until("the page is there", LIMIT, async || browser.url().await == address(daemon, path)).await;
}

/// A mark that is gone when the page is loaded anew.
async fn mark(browser: &Browser) {
    browser.run("window.mark = true; return null").await;
}

async fn is_marked(browser: &Browser) -> bool {
    browser.run("return window.mark === true").await == true
}

async fn until_live(browser: &Browser) {
    browser.until_there("#live[data-state=on]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_watches_a_job_go_through_and_a_restart_loses_nothing() {
    if parts::is_missing(Part::Browser, "the status page in a browser") {
        return;
    }
    let mut world = World::start().await;
    let browser = Browser::start().await;
    browser.open(&address(&world.daemon, "/")).await;
    browser.write("#token", "wr0ng").await;
    browser.click("main button").await;
    browser.until_shown("This is not the admin token.").await;
    sign_in(&browser, &world.daemon, "/").await;
    until_live(&browser).await;
    mark(&browser).await;

    // Live: nobody loads the page.
    let job = world.queue(world.app, 1, 3_000)[0];
    browser.until_there(&format!("#running-{job}")).await;
    browser.picture("live").await;
    assert!(is_marked(&browser).await, "without loading it anew");
    browser.click(&format!("#running-{job} a")).await;
    browser.until_shown("Timeline").await;
    until_live(&browser).await;
    mark(&browser).await;
    browser.until_shown("success").await;
    browser.until_shown("Runner gone").await;
    assert!(is_marked(&browser).await);
    browser.picture("job").await;
    let links = "return [...document.querySelectorAll('main a')].map((link) => link.href)";
    let links = browser.run(links).await.to_string();
    assert!(links.contains("/ui/jobs/") && links.contains("/actions/runs/"), "{links}");
    browser.click(".path a").await;
    browser.until_there(&format!("#ended-{job}")).await;

    // The button, and what it does.
    browser.click("#pause-x64").await;
    browser.until_shown("Paused: no runner is launched.").await;
    until_live(&browser).await;
    mark(&browser).await;
    world.daemon.kill_hard();
    browser.until_shown("Connection lost").await;
    // Its webhook finds nobody; a sweep finds the job.
    let missed = world.queue(world.app, 1, 300)[0];
    world.daemon.start().await;
    until_live(&browser).await;
    browser.until_there(&format!("#job-{missed}")).await;
    browser.until_shown("Pool x64 is paused").await;
    assert!(is_marked(&browser).await, "the same page goes on");
    browser.click("#resume-x64").await;
    browser.until_there(&format!("#ended-{missed}")).await;
    // What was refused while the daemon was away is no fault of the page.
    let faults = browser.errors().await;
    let faults: Vec<_> = faults.iter().filter(|it| !it.contains("net::ERR_")).collect();
    assert!(faults.iter().all(|it| it.contains("401 (Unauthorized)")), "{faults:?}");
    browser.click("#sign-out").await;
    browser.until_shown("Admin token").await;
    world.until_nothing_is_left(LIMIT).await;
}

/// A page that waits alone: the daemon's Nomad and GitHub are away.
async fn degraded() -> Daemon {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon.start().await;
    daemon
}

async fn deliver(daemon: &Daemon, job: u64, name: &str) {
    let mut payload = queued(job);
    payload["workflow_job"]["name"] = json!(name);
    let reply = Request::job(&format!("of-{job}"), &payload).send(daemon.door).await;
    assert_eq!(reply.status, 202);
    until("the job is known", LIMIT, async || daemon.job(job).await["id"] == job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_the_page_refreshes_and_its_buttons_work() {
    if parts::is_missing(Part::Browser, "the status page without scripts") {
        return;
    }
    let daemon = degraded().await;
    let browser = Browser::start().await;
    browser.without_scripts().await;
    sign_in(&browser, &daemon, "/").await;
    deliver(&daemon, 7, "build").await;
    until("it refreshes", LIMIT, async || browser.source().await.contains("id=\"job-7\"")).await;
    browser.click("#pause-x64").await;
    until("the pool is paused", LIMIT, async || {
        browser.source().await.contains("id=\"resume-x64\"")
    })
    .await;
    assert_eq!(daemon.api("/api/v1/pools").await[0]["paused"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_be_used_with_the_keyboard_alone() {
    if parts::is_missing(Part::Browser, "the status page by keyboard") {
        return;
    }
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let daemon = degraded().await;
    let browser = Browser::start().await;
    sign_in(&browser, &daemon, "/").await;
    until_live(&browser).await;
    browser.open(&address(&daemon, "/")).await;
    let mut seen = Vec::new();
    for _ in 0..40 {
        browser.press(TAB).await;
        let at = "const at = document.activeElement; const outline = getComputedStyle(at).outlineStyle; \
                  return [at.className || at.id || at.nodeName, outline, at.getBoundingClientRect().width > 0]";
        let Value::Array(at) = browser.run(at).await else { panic!("it is a list") };
        let name = at[0].as_str().unwrap().to_owned();
        assert!(at[1] != "none" && at[2] == true, "the focus is seen on {name}");
        let is_last = name == "pause-x64";
        seen.push(name);
        if is_last {
            break;
        }
    }
    assert_eq!(seen.first().map(String::as_str), Some("skip"));
    assert_eq!(seen.last().map(String::as_str), Some("pause-x64"), "{seen:?}");
    // While it is updated the focus stays.
    deliver(&daemon, 7, "build").await;
    browser.until_there("#job-7").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "pause-x64");
    browser.press(ENTER).await;
    browser.until_there("#resume-x64").await;
}

/// What axe-core finds wrong, with where.
async fn faults(browser: &Browser, axe: &str) -> Vec<String> {
    let script = format!(
        "{axe};\nconst found = await axe.run(document, {{resultTypes: ['violations']}}); \
         return found.violations.flatMap((it) => it.nodes.map((node) => `${{it.id}}: ${{node.html}} ${{node.failureSummary}}`));"
    );
    let found = browser.run_to_its_end(&script).await;
    assert!(found.is_array(), "{found}");
    found.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_readable_at_every_width_in_both_colours() {
    if parts::is_missing(Part::Browser, "the looks of the status page") {
        return;
    }
    let axe = parts::folder("ROUSTABOUT_TEST_AXE");
    let axe =
        axe.map(|folder| std::fs::read_to_string(folder.join("axe-core/axe.min.js")).unwrap());
    if axe.is_none() {
        assert!(parts::is_missing(Part::Axe, "the accessibility of the status page"));
    }
    let daemon = degraded().await;
    let browser = Browser::start().await;
    let look = async |state: &str| {
        for (size, width) in [("desktop", DESKTOP), ("phone", PHONE)] {
            browser.size(width).await;
            for scheme in ["light", "dark"] {
                browser.colours(scheme).await;
                browser.picture(&format!("{state}-{size}-{scheme}")).await;
                if let Some(axe) = &axe {
                    let faults = faults(&browser, axe).await;
                    assert!(faults.is_empty(), "{state} {size} {scheme}: {faults:#?}");
                }
            }
            let wide = "return document.documentElement.scrollWidth - innerWidth";
            assert!(browser.run(wide).await.as_i64().unwrap() <= 0, "{state} {size} is too wide");
        }
        browser.size(DESKTOP).await;
    };
    browser.open(&address(&daemon, "/")).await;
    look("sign-in").await;
    sign_in(&browser, &daemon, "/").await;
    browser.until_shown("No webhook has arrived yet").await;
    look("first-run").await;
    deliver(&daemon, 7, "build (ubuntu, with a long name that goes on, 3.13, release)").await;
    deliver(&daemon, 8, "test").await;
    let pause =
        daemon.at_private_door("POST", "/api/v1/pools/x64/pause").json(&json!({"for": "2h"}));
    assert!(pause.send().await.unwrap().status().is_success());
    browser.until_there("#job-8").await;
    browser.until_shown("Degraded").await;
    browser.until_shown("Paused until").await;
    look("degraded").await;
    browser.open(&address(&daemon, "/jobs/7")).await;
    look("job").await;
    browser.open(&address(&daemon, "/report")).await;
    browser.until_shown("No job was run by these runners.").await;
    look("report-empty").await;
    browser.open(&address(&daemon, "/jobs/9")).await;
    look("no-job").await;
    assert!(browser.errors().await.iter().all(|it| it.contains("404 (Not Found)")));
}

/// Told of from its beginning to its end.
async fn run(daemon: &Daemon, job: u64, started: &str, completed: &str, more: &[(&str, Value)]) {
    let mut payload = queued(job);
    for (key, value) in more {
        payload["workflow_job"][*key] = value.clone();
    }
    Request::job(&format!("q-{job}"), &payload).send(daemon.door).await;
    payload["action"] = json!("completed");
    let told = &mut payload["workflow_job"];
    (told["status"], told["conclusion"]) = (json!("completed"), json!("success"));
    told["runner_name"] = json!("roustabout-x64-0123456789abc");
    told["created_at"] = json!(started);
    (told["started_at"], told["completed_at"]) = (json!(started), json!(completed));
    Request::job(&format!("c-{job}"), &payload).send(daemon.door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_picked_by_month_and_by_what() {
    if parts::is_missing(Part::Browser, "the report in a browser") {
        return;
    }
    let axe = parts::folder("ROUSTABOUT_TEST_AXE");
    let axe = axe.map(|it| std::fs::read_to_string(it.join("axe-core/axe.min.js")).unwrap());
    let daemon = degraded().await;
    let ended = jiff::Timestamp::now();
    let at = |minutes: i64| (ended - jiff::SignedDuration::from_mins(minutes)).to_string();
    for (job, branch, minutes) in [(7, "main", 95), (8, "a-feature", 21), (9, "a-feature", 12)] {
        let workflow = [("head_branch", json!(branch)), ("workflow_name", json!("CI"))];
        run(&daemon, job, &at(minutes), &at(1), &workflow).await;
    }
    until("all have ended", LIMIT, async || {
        let jobs = daemon.api("/api/v1/jobs").await;
        jobs.as_array().unwrap().iter().filter(|job| job["status"] == "completed").count() == 3
    })
    .await;
    let browser = Browser::start().await;
    sign_in(&browser, &daemon, "/").await;
    browser.click(".pages a").await;
    browser.until_shown("By repository").await;
    // At the start of a month they lie in the one before.
    let month = &at(95)[..7];
    browser.open(&address(&daemon, &format!("/report?month={month}&by=branch"))).await;
    browser.until_shown("a-feature").await;
    for (size, width) in [("desktop", DESKTOP), ("phone", PHONE)] {
        browser.size(width).await;
        for scheme in ["light", "dark"] {
            browser.colours(scheme).await;
            browser.picture(&format!("report-{size}-{scheme}")).await;
            if let Some(axe) = &axe {
                let faults = faults(&browser, axe).await;
                assert!(faults.is_empty(), "{size} {scheme}: {faults:#?}");
            }
        }
        let wide = "return document.documentElement.scrollWidth - innerWidth";
        assert!(browser.run(wide).await.as_i64().unwrap() <= 0, "{size} is too wide");
        let bars = "return [...document.querySelectorAll('.sums tbody .bar')].map((it) => it.getBoundingClientRect().width)";
        let bars = browser.run(bars).await;
        let widths: Vec<f64> = bars.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert!(widths.len() >= 3 && widths.iter().all(|it| *it > 150.0), "{size}: {widths:?}");
    }
    browser.size(DESKTOP).await;
    browser.run("document.querySelector('[name=by]').value = 'workflow'; return null").await;
    browser.click(".ask button").await;
    browser.until_shown("By workflow").await;
    let url = browser.url().await;
    assert!(url.ends_with(&format!("/report?month={month}&by=workflow")), "{url}");
    assert_eq!(browser.run("return document.querySelectorAll('.sums svg').length > 1").await, true);
    let faults = browser.errors().await;
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_of_jobs_is_shown_at_every_width() {
    if parts::is_missing(Part::Browser, "the status page of a busy day") {
        return;
    }
    let plan = Plan { before_pools: "[runners]\nmax = 4".to_owned(), ..Plan::default() };
    let world = World::planned(plan).await;
    let browser = Browser::start().await;
    sign_in(&browser, &world.daemon, "/").await;
    let names = ["build", "lint", "unit tests", "docs", "package (arm64)", "end to end (chromium)"];
    for repository in [world.app, world.lib] {
        let jobs = names.map(|name| JobSpec::new(name, &LABELS).lasting(3_000));
        world
            .github
            .with(|github, now| github.add_run(repository, RunSpec::default(), jobs.to_vec(), now));
    }
    browser.until_there("[id^=job-]").await;
    browser.until_there("[id^=running-]").await;
    browser.view("readme").await;
    for (size, width) in [("desktop", DESKTOP), ("phone", PHONE)] {
        browser.size(width).await;
        browser.picture(&format!("busy-{size}")).await;
        let wide = "return document.documentElement.scrollWidth - innerWidth";
        assert!(browser.run(wide).await.as_i64().unwrap() <= 0, "{size} is too wide");
    }
    browser.colours("dark").await;
    browser.size(DESKTOP).await;
    browser.picture("busy-dark").await;
    world.until_nothing_is_left(LIMIT).await;
    browser.until_shown("No job waits for a runner.").await;
}
