//! A fixture whose every figure was computed by hand: month ends, other clocks, rounding, public and private,
//! included minutes, the prices of before and after 2026-01-01.

use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, Settings, from_text};
use crate::ledger::Time;
use crate::store::Brief;

const NAME: &str = "ci-x64-0123456789abc";

fn settings(report: &str, pools: &str) -> Settings {
    let pool = |name: &str, more: &str| {
        format!(
            "[[pools]]\nname = \"{name}\"\nnomad_job = \"j\"\nlabels = [\"linux\"]\n\
             repositories = [\"*/*\"]\ndelivery = \"payload\"\n{more}\n"
        )
    };
    let text = format!(
        "[runners]\nname_prefix = \"ci\"\n[report]\n{report}\n{}{}",
        pool("x64", ""),
        pool("win", pools)
    );
    let secrets = [
        ("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef"),
        ("ROUSTABOUT_GITHUB_TOKEN", "ghp_test"),
    ];
    match from_text(&text, "f.toml", &Environment::from_iter(secrets)) {
        Ok(loaded) => loaded.settings,
        Err(errors) => panic!("{errors}"),
    }
}

fn time(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// A job that waited ten seconds, by what differs from this.
fn job(repository: u64, from: &str, to: &str, more: &[(&str, Value)]) -> Value {
    let mut row = json!({
        "report": {"id": 1, "run": 7, "run_attempt": 1, "name": "build", "workflow": "CI",
            "head_branch": "main", "labels": ["linux"], "status": "completed",
            "conclusion": "success", "runner_name": NAME, "url": null,
            "created_at": time(from) - 10_000, "actor": "octocat",
            "details": {"started_at": time(from), "completed_at": time(to)}},
        "repository": repository, "repository_name": format!("octo/{repository}"),
        "delivery": null, "received_at": 0, "pool": "x64", "verdict": {"verdict": "serve"},
        "robot": false, "fork": null, "cause_of": null, "ended_at": time(to)
    });
    for (pointer, value) in more {
        *row.pointer_mut(pointer).unwrap() = value.clone();
    }
    row
}

/// The rows of a ledger's job can be read too: what is above has the same names.
#[test]
fn the_fixture_is_a_job_of_the_ledger() {
    let row = job(1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", &[]);
    let job: crate::ledger::Job = serde_json::from_value(row).unwrap();
    let row = serde_json::to_string(&job).unwrap();
    Brief::of_row(&row).unwrap();
}

fn told(settings: &Settings, period: &Period, by: By, jobs: &[Value]) -> Value {
    let mut tally = Tally::new(period.clone(), by, settings);
    for (id, visibility) in [(1, "private"), (2, "public")] {
        let repository = json!({"id": id, "full_name": format!("octo/{id}"),
            "html_url": "https://github.com/octo", "visibility": visibility, "forkable": false,
            "owned_by_organization": false});
        tally.know(serde_json::from_value(repository).unwrap());
    }
    for job in jobs {
        let row = job.to_string();
        tally.add(&Brief::of_row(&row).unwrap());
    }
    serde_json::to_value(tally.finish()).unwrap()
}

fn months(months: &[&str]) -> Period {
    let months: Vec<String> = months.iter().map(|month| (*month).to_owned()).collect();
    Period::read(&months, None, Time(time("2026-11-30T12:00:00Z"))).unwrap()
}

fn fixture() -> Vec<Value> {
    let failed = [("/report/conclusion", json!("failure")), ("/robot", json!(true))];
    let timed_out = [("/report/conclusion", json!("timed_out"))];
    let cancelled = [("/report/conclusion", json!("cancelled"))];
    let nobody = [("/report/runner_name", Value::Null)];
    let hosted = [("/report/runner_name", json!("GitHub Actions 7"))];
    let other = [("/report/runner_name", json!("ci2-x64-0123456789abc"))];
    let unstarted = [("/report/details", json!({"completed_at": time("2025-12-05T00:00:00Z")}))];
    vec![
        // December 2025: 61 s are 2 minutes.
        job(1, "2025-12-01T00:00:00Z", "2025-12-01T00:01:01Z", &[]),
        // It starts in December, ends in January and is December's: 4 minutes.
        job(1, "2025-12-31T23:59:59Z", "2026-01-01T00:03:30Z", &failed),
        // The same on another clock: January there, December in UTC. 60 s are 1 minute.
        job(1, "2026-01-01T00:30:00+01:00", "2026-01-01T00:31:00+01:00", &[]),
        // Public: 10 minutes that cost nothing.
        job(2, "2025-12-31T12:00:00Z", "2025-12-31T12:10:00Z", &timed_out),
        // January 2026, whose first moment it starts in: 0 s are 1 minute.
        job(1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", &cancelled),
        // Evening of December in New York: 2500 minutes.
        job(1, "2025-12-31T22:00:00-05:00", "2026-01-02T15:40:00-05:00", &[]),
        // What did not run on a runner of ours.
        job(1, "2025-12-02T00:00:00Z", "2025-12-02T01:00:00Z", &nobody),
        job(1, "2025-12-02T00:00:00Z", "2025-12-02T01:00:00Z", &hosted),
        job(1, "2025-12-02T00:00:00Z", "2025-12-02T01:00:00Z", &other),
        job(1, "2025-12-02T00:00:00Z", "2025-12-02T01:00:00Z", &unstarted),
        // Other months.
        job(1, "2025-11-30T23:59:59Z", "2025-12-01T00:59:59Z", &[]),
        job(1, "2026-02-01T00:00:00Z", "2026-02-01T01:00:00Z", &[]),
    ]
}

#[test]
fn two_months_computed_by_hand() {
    let both = months(&["2025-12", "2026-01"]);
    let report = told(&settings("", ""), &both, By::Month, &fixture());
    // 7 private minutes at 0.008. The public ones count as minutes.
    let december = json!({"month": "2025-12", "jobs": 4, "failed": 2, "minutes": 17,
        "robot_minutes": 4, "wait_p50_s": 10, "wait_p90_s": 10, "hosted_cost_usd": 0.056});
    // 2501 at 0.006.
    let january = json!({"month": "2026-01", "jobs": 2, "failed": 0, "minutes": 2501,
        "robot_minutes": 0, "wait_p50_s": 10, "wait_p90_s": 10, "hosted_cost_usd": 15.006});
    assert_eq!(report["rows"], json!([december, january]));
    let totals = &report["totals"];
    assert_eq!((&totals["jobs"], &totals["minutes"]), (&json!(6), &json!(2518)));
    // 7 of December's 2000, and all of January's, so 501 minutes are left to pay.
    assert_eq!(totals["included_minutes_used"], 2007);
    assert_eq!(totals["included_minutes_left"], 1993);
    assert_eq!(totals["hosted_cost_usd"], 3.006);
    assert_eq!((&report["from"], &report["to"]), (&json!("2025-12-01"), &json!("2026-01-31")));
    assert_eq!(report["by"], "month");
    assert_eq!(report["prices"]["from"], "2026-01-01");
    assert_eq!(report["storms"], json!([]));
}

#[test]
fn by_repository_the_greatest_first() {
    let december = months(&["2025-12"]);
    let report =
        told(&settings("plan = \"enterprise\"", ""), &december, By::Repository, &fixture());
    let rows: Vec<(&Value, &Value, &Value)> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["repository"], &row["minutes"], &row["hosted_cost_usd"]))
        .collect();
    let expected =
        [(json!("octo/2"), json!(10), json!(0.0)), (json!("octo/1"), json!(7), json!(0.056))];
    assert_eq!(rows, expected.each_ref().map(|(name, minutes, cost)| (name, minutes, cost)));
    assert_eq!(report["totals"]["included_minutes_left"], 49_993);
    assert_eq!(report["totals"]["hosted_cost_usd"], 0.0);
    assert_eq!(report["prices"]["from"], Value::Null);
}

#[test]
fn each_pool_is_priced_as_the_runner_that_it_is_compared_with() {
    let win = "ci-win-0123456789abc";
    let took = |repository, runner: &str| {
        let more = [("/report/runner_name", json!(runner))];
        job(repository, "2026-03-01T00:00:00Z", "2026-03-01T10:00:00Z", &more)
    };
    // The pool that hired the runner counts, not the one that the job's labels fit.
    let jobs = [took(1, NAME), took(1, win), took(2, NAME), took(2, win)];
    let march = months(&["2026-03"]);
    let windows = settings("plan = \"team\"", "[pools.report]\ncompare_with = \"windows\"");
    let report = told(&windows, &march, By::Pool, &jobs);
    let cost = |report: &Value, pool: &str| {
        let rows = report["rows"].as_array().unwrap();
        rows.iter().find(|row| row["pool"] == pool).unwrap()["hosted_cost_usd"].clone()
    };
    assert_eq!((cost(&report, "x64"), cost(&report, "win")), (json!(3.6), json!(6.0)));
    // A minute of Windows uses up two.
    assert_eq!(report["totals"]["included_minutes_used"], 600 + 1200);
    assert_eq!(report["totals"]["hosted_cost_usd"], 0.0);
    // A larger runner is charged always, for public repositories too.
    let larger = settings("", "[pools.report]\ncompare_with = \"linux_4_core\"");
    let report = told(&larger, &march, By::Pool, &jobs);
    assert_eq!((cost(&report, "x64"), cost(&report, "win")), (json!(3.6), json!(14.4)));
    assert_eq!(report["totals"]["included_minutes_used"], 600);
    assert_eq!(report["totals"]["hosted_cost_usd"], 14.4);
}

#[test]
fn what_a_row_stands_for() {
    let one = |by: By, more: &[(&str, Value)]| {
        let job = job(3, "2026-03-01T00:00:00Z", "2026-03-01T00:01:00Z", more);
        let report = told(&settings("", ""), &months(&["2026-03"]), by, &[job]);
        report["rows"][0][by.as_str()].clone()
    };
    assert_eq!(one(By::Repository, &[]), "octo/3");
    // Its newest name.
    let renamed = [("/repository", json!(1)), ("/repository_name", json!("octo/former"))];
    assert_eq!(one(By::Repository, &renamed), "octo/1");
    assert_eq!(one(By::Owner, &[]), "octo");
    assert_eq!(one(By::Workflow, &[]), "CI");
    assert_eq!(one(By::Workflow, &[("/report/workflow", Value::Null)]), "(unknown)");
    assert_eq!(one(By::Actor, &[]), "octocat");
    assert_eq!(one(By::Branch, &[]), "main");
    assert_eq!(one(By::Pool, &[]), "x64");
    assert_eq!(one(By::Month, &[]), "2026-03");
}

#[test]
fn a_month_before_the_first_job_is_empty() {
    let report = told(&settings("", ""), &months(&["2009-01"]), By::Owner, &fixture());
    assert_eq!(report["rows"], json!([]));
    assert_eq!(report["totals"]["jobs"], 0);
    assert_eq!(report["totals"]["wait_p50_s"], Value::Null);
    assert_eq!(report["totals"]["included_minutes_left"], 2000);
    assert!(text(&report).contains("No job was run by these runners."), "{}", text(&report));
    assert_eq!(csv(&report).lines().count(), 1);
}

#[test]
fn since_a_day_counts_months_from_the_first_job_on() {
    let since = Period::read(&[], Some("2020-01-01"), Time(time("2026-01-31T00:00:00Z"))).unwrap();
    let report = told(&settings("", ""), &since, By::Owner, &fixture());
    // Three months have jobs, of which November's 60 minutes are new.
    assert_eq!(report["totals"]["minutes"], 2518 + 60);
    assert_eq!(report["totals"]["included_minutes_used"], 2007 + 60);
    assert_eq!(report["totals"]["included_minutes_left"], 3 * 2000 - 2067);
}

#[test]
fn people_read_the_figures_of_the_json() {
    let mut jobs = fixture();
    for (run, minute, branch) in
        [(20, 0, "renovate/a"), (21, 1, "renovate/b"), (22, 5, "renovate/a"), (23, 6, "renovate/b")]
    {
        let from = format!("2026-01-05T10:{minute:02}:00Z");
        let more = [
            ("/report/run", json!(run)),
            ("/report/head_branch", json!(branch)),
            ("/robot", json!(true)),
        ];
        jobs.push(job(1, &from, "2026-01-05T10:20:00Z", &more));
    }
    let more = [("/report/run", json!(30))];
    jobs.push(job(1, "2026-01-05T10:04:00Z", "2026-01-05T10:30:00Z", &more));
    let both = months(&["2025-12", "2026-01"]);
    let report = told(&settings("", ""), &both, By::Branch, &jobs);
    insta::assert_snapshot!(text(&report));
    let rows = csv(&report);
    assert!(rows.starts_with(
        "branch,jobs,failed,minutes,robot_minutes,wait_p50_s,wait_p90_s,hosted_cost_usd\n"
    ));
    assert!(rows.contains("\nrenovate/a,2,0,35,35,10,10,0.21\n"), "{rows}");
}
