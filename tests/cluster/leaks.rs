//! Every secret in play is searched for everywhere that people and programs can look, with the daemon at
//! `trace` level and errors on the way: found only where `delivery = "payload"` puts it. With claims and a real Vault
//! that is its audit log too, and the arguments and variables of all processes that run meanwhile.

use crate::support;

use std::collections::BTreeSet;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use local_parts::runner_job;
use reqwest::{Client, redirect::Policy};
use serde_json::{Value, json};
use std::time::Duration;
use support::daemon::{Daemon, GITHUB_TOKEN, SECRET, roustabout};
use support::parts::{Part, is_missing};
use support::processes::{Process, Watch};
use support::until;
use support::vault_and_nomad::{self, Both};
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

    let minted = world.github.with(|github, _| github.minted_runner_tokens());
    assert!(minted.len() >= 2 && minted.contains(&chosen[0]));
    let own = [SECRET, GITHUB_TOKEN, NOMAD_TOKEN, WRONG_TOKEN].map(str::to_owned);
    let secrets = own.into_iter().chain(minted).chain([admin_token(&world.daemon)]);
    none_is_in(&places, secrets);
}

fn admin_token(daemon: &Daemon) -> String {
    let token = fs::read_to_string(daemon.folder.path().join("admin-token")).unwrap();
    token.trim().to_owned()
}

fn none_is_in(places: &[Place], secrets: impl IntoIterator<Item = String>) {
    for secret in secrets {
        let forms = forms(&secret);
        let found: Vec<&String> =
            places.iter().filter(|place| has(place, &forms)).map(|(name, _)| name).collect();
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }
}

/// A daemon that has its secrets in Vault, with a pool whose runners read theirs there, and one whose runners claim.
async fn with_vault(both: Both) -> (World, support::vault::Vault, String) {
    let Both { vault, parts } = both;
    vault.policy("own", r#"path "kv/+/own" { capabilities = ["read"] }"#).await;
    let own = json!({ "webhook": SECRET, "github": GITHUB_TOKEN, "nomad": NOMAD_TOKEN });
    vault.put("own", own).await;
    let both = json!({ "token_policies": ["roustabout", "own"] });
    let (role_id, secret_id) = vault.approle("daemon", "own", both).await;
    let archive = parts.github.runner_archive_url().parse().unwrap();
    runner_job::register(&parts.nomad, OPEN, &archive).await.unwrap();
    let port = support::free_port();
    let plan = Plan {
        before_pools: format!(
            "token_vault = \"kv/data/own#nomad\"\n\
             [vault]\naddress = \"{}\"\nrole_id = \"{role_id}\"\nsecret_id = \"{secret_id}\"\n\
             mount = \"kv\"\npath = \"{{namespace}}/{{nomad_job}}/{{runner_name}}\"\n\
             [claims]\nlisten = \"127.0.0.1:{port}\"\nurl = \"http://127.0.0.1:{port}\"",
            vault.bao.address()
        ),
        pool: format!(
            "delivery = \"vault\"\n\
             [[pools]]\nname = \"open\"\nnomad_job = \"{OPEN}\"\nlabels = [\"self-hosted\", \"open\"]\n\
             repositories = [\"octo/*\"]\ndelivery = \"claim\""
        ),
        ..Plan::default()
    };
    let world = World::around(parts, plan).await;
    world.daemon.configure(|config| {
        let config = config.replace("[log]\n", "[log]\nlevel = \"trace\"\n");
        let webhook = format!("secret = \"{SECRET}\"");
        let config = config.replace(&webhook, "secret_vault = \"kv/data/own#webhook\"");
        let github = format!("token = \"{GITHUB_TOKEN}\"");
        config.replace(&github, "token_vault = \"kv/data/own#github\"")
    });
    (world, vault, secret_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_one_that_passes_through_vault_or_is_claimed() {
    if is_missing(Part::OpenBao, "secrets in Vault's audit log") {
        return;
    }
    let (mut world, vault, secret_id) = with_vault(vault_and_nomad::start().await).await;
    let watch = Watch::start();
    world.daemon.start().await;
    let mut jobs = world.queue(world.app, 2, 200);
    jobs.extend(world.queue_for("open", world.lib, 2));
    world.until_nothing_is_left(LIMIT).await;
    // Vault does not take what it is sent.
    vault.policy("roustabout", "path \"none\" { capabilities = [\"deny\"] }").await;
    jobs.extend(world.queue(world.app, 1, 200));
    until("Vault's refusal is told", LIMIT, async || {
        let job = world.daemon.job(*jobs.last().unwrap()).await;
        job["reason"].to_string().contains("credential not written")
    })
    .await;
    make_errors(&world).await;
    let processes = watch.end();

    let minted = world.github.with(|github, _| github.minted_runner_tokens());
    assert!(minted.len() >= 2, "{minted:?}");
    let mut places = places(&world.daemon, &jobs).await;
    let audit = fs::read(vault.bao.audit_log()).unwrap();
    let notes = |text: &str| memchr::memmem::find(&audit, text.as_bytes()).is_some();
    assert!(notes("kv/data/default/github-runner-x64/roustabout-x64-") && notes("kv/data/own"));
    places.push(("Vault's audit log".to_owned(), audit));
    places.push(("Vault's log".to_owned(), vault.bao.log().into_bytes()));
    for child in world.children().await {
        let url = format!("/v1/job/{}", child.id.replace('/', "%2F"));
        let url = world.agent.address().join(&url).unwrap();
        let job = reqwest::get(url).await.unwrap().text().await.unwrap();
        places.push((format!("Nomad's job {}", child.id), job.into_bytes()));
    }
    let paths = world.nomad.variable_paths(world.nomad.place(), "").await.unwrap();
    assert_eq!(paths, [""; 0], "and nothing is in a Variable");
    // The one that each task shows to us.
    let identities: Vec<String> = processes.iter().filter_map(identity).collect();
    assert!(identities.len() >= 2, "{}", processes.len());
    // The runner's own program takes its token in a variable, and removes it there.
    let said = |process: &Process| String::from_utf8_lossy(&process.arguments).replace('\0', " ");
    let takes_token = |process: &&Process| {
        ["config.sh", "simulated-runner config"].iter().any(|part| said(process).contains(part))
    };
    let meant: BTreeSet<u32> =
        processes.iter().filter(takes_token).map(|process| process.id).collect();
    assert!(!meant.is_empty());
    for process in processes {
        let name = format!("{}, {}", process.id, said(&process));
        let is_meant = meant.contains(&process.id) || meant.contains(&process.parent);
        places.push((format!("the arguments of {name}"), process.arguments));
        if !is_meant {
            places.push((format!("the variables of {name}"), process.variables));
        }
    }
    let own = [NOMAD_TOKEN, WRONG_TOKEN, &secret_id].map(str::to_owned);
    none_is_in(&places, own.into_iter().chain(minted).chain([admin_token(&world.daemon)]));
    // Processes of other tests have the same ones, and the task has its identity.
    places.retain(|(name, _)| !name.contains("the variables of"));
    none_is_in(&places, [SECRET, GITHUB_TOKEN].map(str::to_owned).into_iter().chain(identities));
}

fn identity(process: &Process) -> Option<String> {
    let variables = String::from_utf8_lossy(&process.variables);
    let mut variables = variables.split('\0');
    variables.find_map(|one| Some(one.strip_prefix("NOMAD_TOKEN_roustabout=")?.to_owned()))
}
