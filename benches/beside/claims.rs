//! 256 running children that claim their credential at once, over a TLS connection each, with the token in hand;
//! beside as many requests to the same listener that it answers at once.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::json;

use crate::figures::{median, millis};
use crate::support::certificates::Certificates;
use crate::support::parents;
use crate::support::world::{Parts, Plan, World};
use crate::support::{free_port, until};

const CHILDREN: usize = 256;
const ROUNDS: usize = 5;
const JOB: &str = "claiming";
const LIMIT: Duration = Duration::from_secs(120);

pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make();
    let (world, url) = start(&certificates, folder.path()).await;
    world.queue_for(JOB, world.app, CHILDREN);
    let told = || std::fs::read_dir(folder.path()).unwrap().count();
    until("every child tells its identity", LIMIT, async || told() == CHILDREN).await;
    let files = std::fs::read_dir(folder.path()).unwrap();
    let identities: Vec<String> =
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    // The token is in hand, as it is for an hour after the first.
    assert_eq!(at_once(&certificates, &url, &identities[..1]).await.1, 200);
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (claims, status) = at_once(&certificates, &url, &identities).await;
        assert_eq!(status, 200);
        let (plain, status) = at_once(&certificates, &url, &vec![String::new(); CHILDREN]).await;
        assert_eq!(status, 405);
        ratios.push(claims.as_secs_f64() / plain.as_secs_f64());
        ours.push(claims.as_secs_f64());
        bare.push(plain.as_secs_f64());
    }
    let shown = |values| millis(Duration::from_secs_f64(median(values)));
    println!("\n## {CHILDREN} children that claim at once\n");
    println!("| until the last has its credential | until the last has a 405 | ratio |");
    println!("|---|---|---|");
    println!("| {} | {} | {:.2} |", shown(ours), shown(bare), median(ratios));
}

/// The daemon with its listener, and a job whose tasks write their identity down and stay.
async fn start(certificates: &Certificates, folder: &Path) -> (World, String) {
    let parts = Parts::start().await;
    let file = |name: &str| certificates.0.path().join(name);
    let (port, cert, key) =
        (free_port(), file("global-server-nomad.pem"), file("global-server-nomad-key.pem"));
    let url = format!("https://127.0.0.1:{port}");
    let plan = Plan {
        before_pools: format!(
            "[runners]\nmax = 300\n[claims]\nlisten = \"127.0.0.1:{port}\"\nurl = \"{url}\"\n\
             tls_cert_file = {cert:?}\ntls_key_file = {key:?}\n"
        ),
        pool: format!(
            "delivery = \"payload\"\n{}",
            parents::pool(JOB, JOB, "delivery = \"claim\"")
        ),
        ..Plan::default()
    };
    let script = format!(
        "f={}/$NOMAD_ALLOC_ID; umask 077; printf %s \"$NOMAD_TOKEN_roustabout\" >/tmp/$NOMAD_ALLOC_ID && \
         mv /tmp/$NOMAD_ALLOC_ID $f && exec sleep 600",
        folder.display()
    );
    let mut job = parents::identified(JOB, &script, &["roustabout"]);
    // So many fit on one node.
    let group = &mut job["TaskGroups"][0];
    group["EphemeralDisk"] = json!({ "SizeMB": 10 });
    group["Tasks"][0]["Resources"] = json!({ "CPU": 1, "MemoryMB": 10 });
    group["Tasks"][0]["LogConfig"] = json!({ "MaxFiles": 1, "MaxFileSizeMB": 1 });
    parts.nomad.register(parts.nomad.place(), &job).await.unwrap();
    let mut world = World::around(parts, plan).await;
    world.daemon.start().await;
    (world, url)
}

/// How long it takes until the last is answered, and with what; without an identity it is no claim.
async fn at_once(certificates: &Certificates, url: &str, identities: &[String]) -> (Duration, u16) {
    let authority = std::fs::read(certificates.ca()).unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let requests: Vec<_> = identities
        .iter()
        .map(|identity| {
            // A connection of its own each, as each is a task of its own.
            let client = Client::builder().tls_certs_only([authority.clone()]).build().unwrap();
            let url = format!("{url}/claim");
            match identity.is_empty() {
                true => client.get(url),
                false => {
                    let nonce = "0123456789abcdef";
                    client.post(url).bearer_auth(identity).header("Claim-Nonce", nonce)
                }
            }
        })
        .collect();
    let began = Instant::now();
    let asked = requests.into_iter().map(|request| {
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    });
    let mut statuses = Vec::new();
    for request in asked.collect::<Vec<_>>() {
        statuses.push(request.await.unwrap());
    }
    let took = began.elapsed();
    assert!(statuses.iter().all(|status| *status == statuses[0]), "{statuses:?}");
    (took, statuses[0])
}
