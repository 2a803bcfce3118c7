//! `GET /metrics`, and the alert rules that are made of it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::daemon::{Daemon, here};
use crate::support::parts::{Part, folder, is_missing};
use crate::support::until;
use crate::support::webhook::{Request, door, queued};

pub async fn scraped(daemon: &Daemon, accept: &str) -> (String, String) {
    // Nobody is asked for a token here.
    let url = format!("http://127.0.0.1:{}/metrics", daemon.admin);
    let asked = reqwest::Client::new().get(url).header("accept", accept);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, answer.text().await.unwrap())
}

/// After a good delivery and a bad one, with GitHub and Nomad away.
pub async fn daemon_with_a_job() -> Daemon {
    let daemon = door().await;
    let reply = Request::job("one", &queued(7)).send(daemon.door).await;
    assert_eq!(reply.status, 202);
    let unsigned = Request::job("two", &queued(8)).without("x-hub-signature-256");
    assert_eq!(unsigned.send(daemon.door).await.status, 401);
    daemon
}

#[tokio::test]
async fn what_happens_is_counted_by_the_names_of_the_contract() {
    let daemon = daemon_with_a_job().await;
    until("GitHub and Nomad were asked in vain", Duration::from_secs(30), async || {
        let text = scraped(&daemon, "text/plain").await.1;
        let asked = [
            "roustabout_github_requests_total{operation=\"GET /rate_limit\",",
            "roustabout_nomad_requests_total{operation=\"GET /jobs\",",
            "roustabout_degraded{part=\"nomad\"} 1\n",
        ];
        asked.iter().all(|line| text.contains(line))
            && text.contains("roustabout_jobs_waiting{pool=\"x64\",reason=\"nomad\"} 1\n")
    })
    .await;
    let (kind, text) = scraped(&daemon, "text/plain").await;
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    for line in [
        "roustabout_webhooks_total{outcome=\"accepted\"} 1\n",
        "roustabout_webhooks_total{outcome=\"signature_missing\"} 1\n",
        "roustabout_webhook_duration_seconds_count 2\n",
        "roustabout_jobs_waiting{pool=\"x64\",reason=\"nomad\"} 1\n",
        "roustabout_oldest_waiting_seconds{pool=\"x64\"} ",
        "roustabout_runners_max{pool=\"x64\"} 20\n",
        "roustabout_breaker_open{pool=\"x64\"} 0\n",
        "roustabout_job_wait_seconds_count{pool=\"x64\",phase=\"received\"} 1\n",
        "roustabout_github_requests_total{operation=\"GET /rate_limit\",status=\"error\"} ",
        "roustabout_nomad_requests_total{operation=\"GET /jobs\",status=\"error\"} ",
        "roustabout_degraded{part=\"nomad\"} 1\n",
        "roustabout_degraded{part=\"store\"} 0\n",
        "roustabout_store_bytes ",
        "roustabout_store_commit_seconds_bucket{le=\"+Inf\"} ",
        "process_resident_memory_bytes ",
        concat!("roustabout_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"),
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("octo"), "no name of a repository: {text}");
    let (kind, open) = scraped(&daemon, "application/openmetrics-text; version=1.0.0").await;
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(open.contains("# TYPE roustabout_webhooks counter\n") && open.ends_with("# EOF\n"));
}

/// Names of families, as Prometheus reads them.
pub fn families(text: &str) -> BTreeSet<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

#[tokio::test]
async fn alert_rules_and_documents_name_metrics_that_there_are_and_all_are_documented() {
    let daemon = daemon_with_a_job().await;
    let (_, text) = scraped(&daemon, "text/plain").await;
    let families = families(&text);
    for file in ["deploy/prometheus/roustabout.rules.yml", "docs/metrics.md"] {
        let used = std::fs::read_to_string(here(file)).unwrap();
        let words = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("roustabout_")).collect();
        assert!(named.len() > 5, "{file}: {named:?}");
        for name in &named {
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            assert!(families.contains(family.unwrap_or(name)), "{file} names {name}");
        }
        if file.ends_with(".md") {
            let ours = families.iter().filter(|name| name.starts_with("roustabout_"));
            let missing: Vec<_> = ours.filter(|name| !named.contains(**name)).collect();
            assert!(missing.is_empty(), "say in {file} what they mean: {missing:?}");
        }
    }
}

fn promtool() -> Command {
    let folder: PathBuf = folder("ROUSTABOUT_TEST_PROMTOOL").unwrap();
    Command::new(folder.join("promtool"))
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    if is_missing(Part::Promtool, "promtool on the metrics and the alert rules") {
        return;
    }
    let daemon = daemon_with_a_job().await;
    let (_, text) = scraped(&daemon, "text/plain").await;
    let mut lint = promtool();
    lint.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut lint = lint.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    lint.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = lint.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr) + String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && told.trim().is_empty(), "{told}");
    for arguments in
        [["check", "rules", "roustabout.rules.yml"], ["test", "rules", "roustabout.rules.test.yml"]]
    {
        let folder = here("deploy/prometheus");
        let said = promtool().args(arguments).current_dir(folder).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}
