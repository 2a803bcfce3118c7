//! Every secret in play is searched for everywhere that people and programs can look, with the daemon at
//! `trace` level and errors on the way: found only where `delivery = "payload"` puts it.

use crate::support;

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use local_parts::runner_job;
use reqwest::{Client, redirect::Policy};
use serde_json::{Value, json};
use std::time::Duration;
use support::daemon::{Daemon, GITHUB_TOKEN, SECRET, roustabout};
use support::until;
use support::webhook::{Request, queued};
use support::world::{Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);
const NOMAD_TOKEN: &str = "5c1c3f4e-7d0b-4d0e-9a55-1d8f2f0a6b77";
/// What somebody presents in place of the admin token; it may be a mistyped or an older one.
const WRONG_TOKEN: &str = "nearly/the+admin=token";
/// The parameterized job of the pool whose operator chose `payload`.
const OPEN: &str = "github-runner-open";

/// A place where somebody can look, and what is there.
type Place = (String, Vec<u8>);

/// A secret as it may be written somewhere: plain, URL-encoded, and the part of its base64 that is the
/// same whatever surrounds it, for the three ways in which it can lie in groups of three bytes.
fn forms(secret: &str) -> Vec<String> {
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut forms = vec![secret.to_owned(), form.replace('+', "%20"), form];
    for before in 0..3 {
        let bytes = [&b"\0\0"[..before], secret.as_bytes()].concat();
        for alphabet in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = alphabet.encode(&bytes);
            let end = text.len() - usize::from(bytes.len() % 3 != 0);
            forms.push(text[[0, 2, 3][before]..end].to_owned());
        }
    }
    forms
}

/// Any of its forms.
fn has(place: &Place, forms: &[String]) -> bool {
    forms.iter().any(|form| memchr::memmem::find(&place.1, form.as_bytes()).is_some())
}

fn plan() -> Plan {
    Plan {
        before_pools: format!("token = \"{NOMAD_TOKEN}\""),
        pool: format!(
            "delivery = \"variable\"\n\
             [[pools]]\nname = \"open\"\nnomad_job = \"{OPEN}\"\nlabels = [\"self-hosted\", \"open\"]\n\
             repositories = [\"octo/*\"]\ndelivery = \"payload\""
        ),
        ..Plan::default()
    }
}

/// A wrong signature, a wrong admin token at the API and at the page, and a token that GitHub revoked.
async fn make_errors(world: &World) {
    let daemon = &world.daemon;
    let forged = Request::job("forged", &queued(4711)).signed("another secret");
    assert_eq!(forged.send(daemon.door).await.outcome().0, 401);
    let base = format!("http://127.0.0.1:{}", daemon.admin);
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let pause = client.post(format!("{base}/api/v1/pools/open/pause")).json(&json!({}));
    assert_eq!(pause.bearer_auth(WRONG_TOKEN).send().await.unwrap().status().as_u16(), 401);
    let form: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("token", WRONG_TOKEN).finish();
    let login = client.post(format!("{base}/login")).header("origin", &base).body(form);
    let login = login.header("content-type", "application/x-www-form-urlencoded");
    assert!(login.send().await.unwrap().status().is_client_error());
    world.github.with(|github, _| github.revoke_token(GITHUB_TOKEN));
    let job = world.queue(world.app, 1, 200)[0];
    until("GitHub's refusal is told", LIMIT, async || {
        daemon.job(job).await["reason"].as_str().is_some_and(|reason| !reason.is_empty())
    })
    .await;
}

/// All that the daemon shows over HTTP, by its commands, in files and as a process.
async fn places(daemon: &Daemon, jobs: &[u64]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut paths: Vec<String> =
        ["/metrics", "/api/v1/status", "/api/v1/pools", "/api/v1/jobs", "/api/v1/runners"]
            .map(str::to_owned)
            .into();
    paths.extend(["/api/v1/report", "/readyz", "/"].map(str::to_owned));
    for job in jobs {
        paths.extend(["/api/v1/jobs", "/api/v1/explain", "/jobs"].map(|at| format!("{at}/{job}")));
        let mut explain = roustabout();
        explain.arg("explain").arg(job.to_string()).arg("--config").arg(daemon.config());
        let output = explain.current_dir(daemon.folder.path()).output().unwrap();
        places.push((format!("explain {job}"), [output.stdout, output.stderr].concat()));
    }
    for path in paths {
        let answer = daemon.at_private_door("GET", &path).send().await.unwrap();
        let text = format!("{:?}\n{}", answer.headers().clone(), answer.text().await.unwrap());
        places.push((path, text.into_bytes()));
    }
    for file in fs::read_dir(daemon.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let chosen = path == daemon.config() || path.ends_with("admin-token");
        if path.is_file() && !chosen {
            places.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    for file in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{file}", daemon.process());
        match fs::read(&path) {
            Ok(bytes) => places.push((path, bytes)),
            // To root alone: the daemon is not dumpable.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
        }
    }
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_is_only_where_the_operator_chose_it() {
    let parts = Parts::start().await;
    let archive = parts.github.runner_archive_url().parse().unwrap();
    runner_job::register(&parts.nomad, OPEN, &archive).await.unwrap();
    let mut world = World::around(parts, plan()).await;
    world.daemon.configure(|config| config.replace("[log]\n", "[log]\nlevel = \"trace\"\n"));
    world.daemon.start().await;
    let mut jobs = world.queue(world.app, 2, 200);
    jobs.extend(world.queue_for("open", world.lib, 1));
    world.until_nothing_is_left(LIMIT).await;
    make_errors(&world).await;

    let mut places = places(&world.daemon, &jobs).await;
    assert!(world.daemon.log().contains("\"TRACE\""), "it logs at trace level");
    assert!(places.iter().any(|(name, _)| name.ends_with("-wal")), "the database has a WAL");
    let mut chosen = Vec::new();
    for child in world.children().await {
        let url = format!("/v1/job/{}", child.id.replace('/', "%2F"));
        let url = world.agent.address().join(&url).unwrap();
        let job: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let place = (format!("Nomad's job {}", child.id), job.to_string().into_bytes());
        match job["Payload"].as_str().filter(|payload| !payload.is_empty()) {
            Some(payload) => {
                let token = String::from_utf8(STANDARD.decode(payload).unwrap()).unwrap();
                assert!(has(&place, &forms(&token)), "the search finds what is there");
                chosen.push(token);
            }
            None => places.push(place),
        }
    }
    assert_eq!(chosen.len(), 1);

    let admin = fs::read_to_string(world.daemon.folder.path().join("admin-token")).unwrap();
    let minted = world.github.with(|github, _| github.minted_runner_tokens());
    assert!(minted.len() >= 2 && minted.contains(&chosen[0]));
    let own = [SECRET, GITHUB_TOKEN, NOMAD_TOKEN, WRONG_TOKEN, admin.trim()].map(str::to_owned);
    for secret in own.iter().chain(&minted) {
        let forms = forms(secret);
        let found: Vec<&String> =
            places.iter().filter(|place| has(place, &forms)).map(|(name, _)| name).collect();
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }
}
