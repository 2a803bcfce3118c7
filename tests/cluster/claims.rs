//! Runners whose task asks for its credential, by the identity that Nomad gave it: on a Nomad with the
//! jobspec that we ship. Whoever else asks gets nothing.

use crate::support;

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use roustabout::nomad::DispatchRequest;
use serde_json::Value;
use support::certificates::Certificates;
use support::parents;
use support::proxy::{Fate, Proxy};
use support::world::{Parts, Plan, World};
use support::{free_port, until};

const LIMIT: Duration = Duration::from_secs(60);
const NONCE: &str = "0123456789abcdef";
/// Of the tests' own jobs: its task tells its identity to whoever reads its log.
const TELLER: &str = "teller";

struct Claiming {
    world: World,
    url: String,
}

fn requests(world: &World, method: &str, path: &str) -> usize {
    world.github.with(|github, _| github.count_requests(method, path))
}

impl Claiming {
    /// Prepared, with one more pool, of jobs that tell their identity.
    async fn prepared(pool: &str, keys: &str, scheme: &str) -> Self {
        let port = free_port();
        Self::reached_as(format!("{scheme}://127.0.0.1:{port}"), port, pool, keys).await
    }

    /// Its tasks ask at this URL.
    async fn reached_as(url: String, port: u16, pool: &str, keys: &str) -> Self {
        Self::around(Parts::start().await, None, url, port, pool, keys).await
    }

    /// What the daemon takes for Nomad may be a proxy before it.
    async fn around(
        parts: Parts,
        nomad: Option<String>,
        url: String,
        port: u16,
        pool: &str,
        keys: &str,
    ) -> Self {
        let plan = Plan {
            nomad,
            before_pools: format!(
                "[claims]\nlisten = \"127.0.0.1:{port}\"\nurl = \"{url}\"\n{keys}"
            ),
            pool: format!("delivery = \"claim\"\n{pool}"),
            ..Plan::default()
        };
        Self { world: World::around(parts, plan).await, url }
    }

    async fn start(pool: &str) -> Self {
        let mut claiming = Self::prepared(pool, "", "http").await;
        claiming.world.daemon.start().await;
        claiming
    }

    fn ask(&self, jwt: &str) -> RequestBuilder {
        let request = Client::new().post(format!("{}/claim", self.url));
        request.bearer_auth(jwt).header("Claim-Nonce", NONCE)
    }

    async fn claim(&self, jwt: &str) -> Response {
        self.ask(jwt).send().await.unwrap()
    }

    fn logs(&self, text: &str) -> bool {
        self.world.daemon.log().contains(text)
    }
}

async fn reason(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["reason"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_is_run_by_a_runner_that_claimed_its_token_and_the_dispatch_has_no_secret() {
    let claiming = Claiming::start("").await;
    let world = &claiming.world;
    let jobs = [world.queue(world.app, 3, 200), world.queue(world.lib, 1, 200)].concat();
    world.until_nothing_is_left(LIMIT).await;
    for job in jobs {
        let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
        assert_eq!(conclusion.unwrap().as_str(), "success");
    }
    // One a repository, however many claim.
    assert_eq!(requests(world, "POST", "/registration-token"), 2);
    assert_eq!(world.daemon.count_of("credential claimed by allocation"), 4);
    for child in world.children().await {
        let job = world.nomad.job(world.nomad.place(), &child.id).await.unwrap();
        assert!(!job.meta.contains_key("runner_token") && job.meta.contains_key("claim_url"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_minted_for_the_claim() {
    let claiming = Claiming::start("credential = \"jit\"").await;
    let world = &claiming.world;
    world.queue(world.app, 2, 200);
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(requests(world, "POST", "/generate-jitconfig"), 2);
    assert_eq!(requests(world, "POST", "/registration-token"), 0);
}

/// A job of the tests' own, with one task that writes its identities for us down and stays.
async fn register_teller(world: &World, id: &str, folder: &std::path::Path) {
    let script = format!(
        "printf %s \"$NOMAD_TOKEN_roustabout\" >{0}/new.$NOMAD_ALLOC_ID\n\
         printf %s \"$NOMAD_TOKEN_other\" >{0}/other.$NOMAD_ALLOC_ID\n\
         mv {0}/new.$NOMAD_ALLOC_ID {0}/{id}.$NOMAD_ALLOC_ID\nexec sleep 600",
        folder.display()
    );
    let job = parents::identified(id, &script, &["roustabout", "other"]);
    world.nomad.register(world.nomad.place(), &job).await.unwrap();
}

/// What the first task of that job has told.
async fn told_by(id: &str, folder: &std::path::Path) -> (String, String) {
    let mut told = None;
    until("a task tells its identity", LIMIT, async || {
        let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let prefix = format!("{id}.");
        told = files.find_map(|file| Some(file.to_str()?.strip_prefix(&prefix)?.to_owned()));
        told.is_some()
    })
    .await;
    let read = |kind: &str| {
        let file = folder.join(format!("{kind}.{}", told.as_deref().unwrap()));
        std::fs::read_to_string(file).unwrap()
    };
    (read(id), read("other"))
}

/// The daemon, a job that waits, and the identities of the task that was launched for it.
async fn with_an_identity() -> (Claiming, tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let more = parents::pool(TELLER, TELLER, "delivery = \"claim\"");
    let mut claiming = Claiming::prepared(&more, "", "http").await;
    register_teller(&claiming.world, TELLER, folder.path()).await;
    claiming.world.daemon.start().await;
    claiming.world.queue_for(TELLER, claiming.world.app, 1);
    let (jwt, other) = told_by(TELLER, folder.path()).await;
    (claiming, folder, jwt, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_is_given_to_one_allocation_with_one_nonce_and_a_thief_ends_the_runner() {
    let (claiming, _folder, jwt, other) = with_an_identity().await;
    let http = Client::new();
    let url = format!("{}/claim", claiming.url);
    assert_eq!(http.get(&url).send().await.unwrap().status(), 405);
    assert_eq!(http.post(format!("{url}/x")).send().await.unwrap().status(), 404);
    assert_eq!(http.post(&url).send().await.unwrap().status(), 401);
    assert_eq!(http.post(&url).bearer_auth(&jwt).send().await.unwrap().status(), 400);
    let (head, _) = jwt.split_once('.').unwrap();
    for forged in ["x", &format!("{head}.e30.AAAA"), &other] {
        assert_eq!(claiming.claim(forged).await.status(), 401, "{forged}");
    }
    assert!(claiming.logs("claim refused: the identity is for another audience"));
    // Nothing of this has minted anything.
    assert_eq!(requests(&claiming.world, "POST", "/registration-token"), 0);

    let given = claiming.ask(&jwt).header("Accept", "application/json").send().await.unwrap();
    assert_eq!(given.headers()["cache-control"], "no-store");
    let given: Value = given.json().await.unwrap();
    assert_eq!(given["credential"], "registration-token");
    assert!(given["runner_name"].as_str().unwrap().starts_with("roustabout-teller-"));
    assert!(given["expires_at"].is_string());
    // The answer may have been lost.
    let again = claiming.claim(&jwt).await.text().await.unwrap();
    assert_eq!(again, given["value"].as_str().unwrap());
    assert_eq!(requests(&claiming.world, "POST", "/registration-token"), 1);

    let stolen = Client::new().post(&url).bearer_auth(&jwt);
    let stolen = stolen.header("Claim-Nonce", "fedcba9876543210").send().await.unwrap();
    let (status, why) = reason(stolen).await;
    assert_eq!(
        (status, why.as_str()),
        (403, "the credential was claimed before with another nonce")
    );
    until("the runner is released", LIMIT, async || {
        claiming.logs("its credential was claimed more than once")
            && claiming.logs("runner.claim_refused")
    })
    .await;
    assert_eq!(claiming.claim(&jwt).await.status(), 403);
    // What its log says is no secret.
    for secret in [&again, &jwt] {
        assert!(!claiming.logs(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_as_the_door_has_connections_are_answered_at_once() {
    let (claiming, _folder, jwt, _) = with_an_identity().await;
    let http = Client::new();
    let url = format!("{}/claim", claiming.url);
    let began = std::time::Instant::now();
    let claims = (0..256).map(|_| {
        let asked = http.post(&url).bearer_auth(&jwt).header("Claim-Nonce", NONCE).send();
        tokio::spawn(async move { asked.await.unwrap().status().as_u16() })
    });
    for claim in claims.collect::<Vec<_>>() {
        assert_eq!(claim.await.unwrap(), 200);
    }
    println!("256 claims took {:?}", began.elapsed());
    assert_eq!(requests(&claiming.world, "POST", "/registration-token"), 1);
    assert_eq!(claiming.world.daemon.count_of("credential claimed by allocation"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_one_request_to_nomad_and_none_to_github_while_a_token_lives() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let parts = Parts::start().await;
    let proxy = Proxy::before(parts.agent.address().as_str()).await;
    let more = parents::pool(TELLER, TELLER, "delivery = \"claim\"");
    let url = format!("http://127.0.0.1:{port}");
    let nomad = Some(proxy.url());
    let mut claiming = Claiming::around(parts, nomad, url, port, &more, "").await;
    register_teller(&claiming.world, TELLER, folder.path()).await;
    claiming.world.daemon.start().await;
    claiming.world.queue_for(TELLER, claiming.world.app, 1);
    let (jwt, _) = told_by(TELLER, folder.path()).await;
    // Of all that may be asked of an allocation or its job, and the keys of identities.
    let asked = || {
        let about = ["/v1/allocation/", "/v1/job/", "/v1/evaluation/", "/.well-known/"];
        about.map(|path| proxy.count("GET", path))
    };
    let [none, of_job, of_evaluation, no_keys] = asked();
    assert_eq!((none, no_keys), (0, 0));
    for claims in 1..=10 {
        assert_eq!(claiming.claim(&jwt).await.status(), 200);
        assert_eq!(asked(), [claims, of_job, of_evaluation, 1]);
    }
    assert_eq!(requests(&claiming.world, "POST", "/registration-token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_the_daemon_did_not_dispatch_get_nothing() {
    let (claiming, folder, _, _) = with_an_identity().await;
    let nomad = &claiming.world.nomad;
    let place = nomad.place();
    register_teller(&claiming.world, "stranger", folder.path()).await;
    let meta = std::collections::BTreeMap::new();
    let dispatch = |token| DispatchRequest { idempotency_token: token, payload: None, meta: &meta };
    nomad.dispatch(place, "stranger", &dispatch("x")).await.unwrap();
    let (jwt, _) = told_by("stranger", folder.path()).await;
    let (status, why) = reason(claiming.claim(&jwt).await).await;
    assert_eq!(status, 403);
    assert!(why.starts_with("no pool with delivery"), "{why}");
    // Of the pool's own job, and with a name of our form that nobody has launched.
    for (token, expected) in [
        ("by hand", "the allocation belongs to no runner of this daemon"),
        (
            "roustabout-teller-0123456789abc@octo/app",
            "the allocation belongs to no runner of this daemon",
        ),
    ] {
        std::fs::read_dir(folder.path())
            .unwrap()
            .for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
        nomad.dispatch(place, TELLER, &dispatch(token)).await.unwrap();
        let (jwt, _) = told_by(TELLER, folder.path()).await;
        let (status, why) = reason(claiming.claim(&jwt).await).await;
        assert_eq!((status, why.as_str()), (403, expected), "{token}");
    }
    assert_eq!(requests(&claiming.world, "POST", "/registration-token"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_asks_again_until_the_daemon_is_back() {
    let mut claiming = Claiming::start("").await;
    let world = &mut claiming.world;
    let job = world.queue(world.app, 1, 200)[0];
    until("a runner is dispatched", LIMIT, async || !world.children().await.is_empty()).await;
    world.daemon.kill_hard();
    world.daemon.start().await;
    world.until_nothing_is_left(LIMIT).await;
    let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
    assert_eq!(conclusion.unwrap().as_str(), "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_connection_breaks_off_asks_again_with_the_same_nonce() {
    let port = free_port();
    let proxy = Proxy::before(&format!("http://127.0.0.1:{port}")).await;
    let _lost = [Fate::CutRequest, Fate::CutAnswer].map(|fate| proxy.next("POST", "/claim", fate));
    let mut claiming = Claiming::reached_as(proxy.url(), port, "", "").await;
    claiming.world.daemon.start().await;
    let world = &claiming.world;
    world.queue(world.app, 1, 200);
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(proxy.count("POST", "/claim"), 3);
    let runners = world.daemon.log().matches("runner dispatched as").count();
    assert_eq!(runners, 1, "{}", world.daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_speaks_tls_and_takes_up_a_new_certificate() {
    let (first, second) = (Certificates::make(), Certificates::make());
    let file = |name: &str| first.0.path().join(name);
    let (cert, key) = (file("global-server-nomad.pem"), file("global-server-nomad-key.pem"));
    let keys = format!("tls_cert_file = {cert:?}\ntls_key_file = {key:?}\n");
    let mut claiming = Claiming::prepared("", &keys, "https").await;
    claiming.world.daemon.start().await;
    let url = format!("{}/claim", claiming.url);
    let trusting = |certificates: &Certificates| {
        let authority = std::fs::read(certificates.0.path().join("nomad-agent-ca.pem")).unwrap();
        let authority = reqwest::Certificate::from_pem(&authority).unwrap();
        Client::builder().tls_certs_only([authority]).build().unwrap()
    };
    let before = trusting(&first);
    assert_eq!(before.post(&url).send().await.unwrap().status(), 401);
    let after = trusting(&second);
    assert!(after.post(&url).send().await.is_err());
    for (name, file) in [("global-server-nomad-key.pem", &key), ("global-server-nomad.pem", &cert)]
    {
        std::fs::copy(second.0.path().join(name), file).unwrap();
    }
    assert_eq!(after.post(&url).send().await.unwrap().status(), 401);
    assert!(trusting(&first).post(&url).send().await.is_err());
    assert!(claiming.logs("new TLS certificate taken up"));
}
