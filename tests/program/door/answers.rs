//! Every row of the interface's table, and the order in which a request is judged.

use std::time::Duration;

use serde_json::json;

use super::rows;
use crate::support::daemon::SECRET;
use crate::support::until;
use crate::support::webhook::{Raw, Request, assert_accepts, door, door_with, queued};

#[tokio::test]
async fn a_queued_job_that_a_pool_serves_is_accepted_and_known_from_then_on() {
    let daemon = door().await;
    let reply = Request::job("one", &queued(7)).send(daemon.door).await;
    assert_eq!(reply.status, 202);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.json(), json!({"outcome": "accepted", "delivery": "one"}));
    until("the job is in the ledger", Duration::from_secs(10), async || {
        daemon.job(7).await["status"] == "queued"
    })
    .await;
}

#[tokio::test]
async fn the_same_delivery_again_is_a_duplicate() {
    let daemon = door().await;
    let request = Request::job("one", &queued(7));
    request.send(daemon.door).await;
    assert_eq!(request.send(daemon.door).await.outcome(), (202, "duplicate".into()));
    assert_eq!(rows(&daemon, "deliveries"), 1);
}

#[tokio::test]
async fn form_encoding_is_taken_like_json() {
    let daemon = door().await;
    let reply = Request::job("one", &queued(7)).into_form().send(daemon.door).await;
    assert_eq!(reply.outcome(), (202, "accepted".into()));
    let ping = Request::hook("ping", "two", r#"{"zen": "Keep it logically awesome. 100% & more"}"#);
    assert_eq!(ping.into_form().send(daemon.door).await.outcome(), (200, "pong".into()));
    let mut no_payload = Request::job("three", &queued(8));
    no_payload.body = b"load=%7B%7D".to_vec();
    let no_payload = no_payload.with("content-type", "application/x-www-form-urlencoded");
    let reply = no_payload.signed(SECRET).send(daemon.door).await;
    assert_eq!(reply.status, 400);
    assert!(reply.reason().contains("\"payload\""), "{}", reply.reason());
}

#[tokio::test]
async fn a_ping_is_answered_with_pong() {
    let daemon = door().await;
    let reply = Request::hook("ping", "one", r#"{"zen": "Design for failure."}"#);
    assert_eq!(reply.send(daemon.door).await.outcome(), (200, "pong".into()));
    assert_eq!(rows(&daemon, "deliveries"), 0);
}

#[tokio::test]
async fn only_a_ping_that_names_its_webhook_says_that_github_reaches_the_address() {
    let daemon = door().await;
    let of_a_program = Request::hook("ping", "one", r#"{"zen": "Design for failure."}"#);
    assert_eq!(of_a_program.send(daemon.door).await.status, 200);
    assert!(!daemon.log().contains("GitHub reaches this address"), "{}", daemon.log());
    let of_github = Request::hook("ping", "two", r#"{"zen": "Design for failure.", "hook_id": 7}"#);
    assert_eq!(of_github.send(daemon.door).await.status, 200);
    assert!(daemon.log().contains("GitHub reaches this address"), "{}", daemon.log());
}

#[tokio::test]
async fn an_unknown_action_or_status_is_202_and_changes_nothing() {
    let daemon = door().await;
    for (number, (action, status)) in
        [("frozen", "queued"), ("queued", "hibernating"), ("", ""), ("waiting", "frozen")]
            .into_iter()
            .enumerate()
    {
        let mut payload = queued(7);
        payload["action"] = json!(action);
        payload["workflow_job"]["status"] = json!(status);
        let reply = Request::job(&number.to_string(), &payload).send(daemon.door).await;
        assert_eq!(reply.status, 202, "{action} {status}");
        assert!(reply.reason().contains("nothing is changed"), "{}", reply.reason());
    }
    assert_eq!(rows(&daemon, "jobs"), 0);
}

#[tokio::test]
async fn what_tells_of_access_or_of_a_repository_is_accepted_and_changes_what_is_known() {
    let daemon = door().await;
    let installation = json!({"id": 7, "account": {"login": "octo"}});
    for (event, action) in [
        ("installation", "new_permissions_accepted"),
        ("installation_repositories", "added"),
        ("installation_target", "renamed"),
    ] {
        let payload = json!({"action": action, "installation": installation}).to_string();
        let reply = Request::hook(event, action, payload).send(daemon.door).await;
        assert_eq!(reply.outcome(), (202, "accepted".into()), "{event}");
    }
    Request::job("job", &queued(7)).send(daemon.door).await;
    until("the job is demand", Duration::from_secs(10), async || {
        daemon.job(7).await["status"] == "queued"
    })
    .await;
    let mut payload = json!({"action": "publicized", "repository": queued(7)["repository"]});
    payload["repository"]["private"] = json!(false);
    payload["repository"]["visibility"] = json!("public");
    let reply = Request::hook("repository", "two", payload.to_string()).send(daemon.door).await;
    assert_eq!(reply.outcome(), (202, "accepted".into()));
    until("it is refused by policy", Duration::from_secs(10), async || {
        daemon.job(7).await["reason"].to_string().contains("public")
    })
    .await;
    let reply = Request::hook("installation", "three", "[]").send(daemon.door).await;
    assert_eq!(reply.outcome(), (400, "unreadable".into()));
    assert_eq!(rows(&daemon, "deliveries"), 1, "only the job's is kept");
}

#[tokio::test]
async fn another_event_is_ignored_with_the_reason() {
    let daemon = door().await;
    let reply = Request::hook("push", "one", "{}").send(daemon.door).await;
    assert_eq!(reply.outcome(), (202, "ignored".into()));
    assert!(reply.reason().contains("push"), "{}", reply.reason());
}

#[tokio::test]
async fn a_job_that_no_pool_serves_is_ignored_with_the_reason() {
    let daemon = door().await;
    let mut elsewhere = queued(7);
    elsewhere["repository"]["full_name"] = json!("else/app");
    let mut windows = queued(8);
    windows["workflow_job"]["labels"] = json!(["self-hosted", "windows"]);
    let mut no_labels = queued(9);
    no_labels["workflow_job"]["labels"] = json!([]);
    for (payload, why) in [(elsewhere, "else/app"), (windows, "windows"), (no_labels, "no labels")]
    {
        let reply = Request::job(why, &payload).send(daemon.door).await;
        assert_eq!(reply.outcome(), (202, "ignored".into()));
        assert!(reply.reason().contains(why), "{}", reply.reason());
    }
}

#[tokio::test]
async fn a_public_repository_is_refused_with_the_reason() {
    let daemon = door().await;
    let mut payload = queued(7);
    payload["repository"]["private"] = json!(false);
    let reply = Request::job("one", &payload).send(daemon.door).await;
    assert_eq!(reply.outcome(), (202, "ignored".into()));
    assert!(reply.reason().contains("octo/app is public"), "{}", reply.reason());
}

#[tokio::test]
async fn a_repository_that_may_have_forks_is_accepted_for_github_must_be_asked() {
    let daemon = door().await;
    let mut payload = queued(7);
    payload["repository"]["forks_count"] = json!(3);
    let reply = Request::job("one", &payload).send(daemon.door).await;
    assert_eq!(reply.outcome(), (202, "accepted".into()));
}

#[tokio::test]
async fn an_event_that_names_a_runner_of_ours_is_folded_whatever_the_policy_says() {
    let daemon = door().await;
    let mut payload = queued(7);
    payload["action"] = json!("in_progress");
    payload["workflow_job"]["status"] = json!("in_progress");
    payload["workflow_job"]["runner_name"] = json!("roustabout-x64-sometimes");
    payload["repository"]["private"] = json!(false);
    payload["repository"]["full_name"] = json!("else/app");
    let strange = Request::job("one", &payload).send(daemon.door).await;
    payload["workflow_job"]["runner_name"] = json!(an_id_of_ours());
    let ours = Request::job("two", &payload).send(daemon.door).await;
    assert_eq!(ours.outcome(), (202, "accepted".into()));
    assert_eq!(strange.outcome(), (202, "ignored".into()), "its end is no id of our form");
}

/// A name as the daemon gives them.
fn an_id_of_ours() -> String {
    use rand::SeedableRng;
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    roustabout::ledger::runner_name::draw("roustabout", &"x64".into(), &mut rng).0
}

#[tokio::test]
async fn any_other_path_is_404() {
    let daemon = door().await;
    for path in ["/", "/webhook/", "/webhooks", "/WEBHOOK", "/healthz", "/webhook/../webhook", "*"]
    {
        let reply = Request::job("one", &queued(7)).path(path).send(daemon.door).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    let query = Request::job("one", &queued(7)).path("/webhook?from=github");
    assert_eq!(query.send(daemon.door).await.status, 202);
}

#[tokio::test]
async fn a_path_is_meant_as_it_stands_whatever_signs_are_in_it() {
    for path in ["/{id}", "/*", "/a/{*rest}", "/:id", "/{", "/hooks/%7Bx%7D"] {
        let daemon = door_with(&format!("path = \"{path}\"")).await;
        let reply = Request::job("one", &queued(7)).path(path).send(daemon.door).await;
        assert_eq!(reply.status, 202, "{path}");
        let reply = Request::job("two", &queued(7)).path("/anything").send(daemon.door).await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn any_other_method_is_405_and_says_which_is_allowed() {
    let daemon = door().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let reply = Request::job("one", &queued(7)).method(method).send(daemon.door).await;
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
}

#[tokio::test]
async fn a_body_announced_too_large_is_413_before_any_of_it_comes() {
    let daemon = door_with("max_body = \"64kB\"").await;
    for length in ["65537", "9223372036854775807"] {
        let mut raw = Raw::open(daemon.door).await;
        raw.say(Request::hook("ping", "one", "").with("content-length", length).bare_head()).await;
        assert_eq!(raw.reply().await.outcome(), (413, "too large".into()));
    }
    let fits = Request::hook("push", "two", vec![b' '; 64 * 1024]);
    assert_eq!(fits.send(daemon.door).await.status, 202);
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_413_as_it_comes() {
    let daemon = door_with("max_body = \"64kB\"").await;
    let mut raw = Raw::open(daemon.door).await;
    let chunked = Request::hook("ping", "one", "").with("transfer-encoding", "chunked");
    raw.say(chunked.bare_head()).await;
    for _ in 0..9 {
        raw.say(b"2000\r\n").await;
        raw.say([b' '; 0x2000]).await;
        raw.say(b"\r\n").await;
    }
    assert_eq!(raw.reply().await.outcome(), (413, "too large".into()));
    raw.end().await;
}

#[tokio::test]
async fn a_chunked_body_within_the_limit_is_taken() {
    let daemon = door().await;
    let request = Request::job("one", &queued(7)).with("transfer-encoding", "chunked");
    let (one, two) = request.body.split_at(100);
    let mut raw = Raw::open(daemon.door).await;
    raw.say(request.bare_head()).await;
    for part in [one, two, b""] {
        raw.say(format!("{:x}\r\n", part.len())).await;
        raw.say(part).await;
        raw.say(b"\r\n").await;
    }
    assert_eq!(raw.reply().await.outcome(), (202, "accepted".into()));
}

#[tokio::test]
async fn neither_json_nor_form_encoding_is_415() {
    let daemon = door().await;
    let request = || Request::job("one", &queued(7));
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/jsonp", ";"] {
        let reply = request().with("content-type", kind).send(daemon.door).await;
        assert_eq!(reply.status, 415, "{kind}");
    }
    assert_eq!(request().without("content-type").send(daemon.door).await.status, 415);
    let with_charset = request().with("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(with_charset.send(daemon.door).await.status, 202);
}

#[tokio::test]
async fn no_malformed_and_wrong_signatures_get_one_and_the_same_401_and_store_nothing() {
    let daemon = door().await;
    let good = || Request::job("one", &queued(7));
    let right =
        roustabout::webhook::signature::sign(&secrecy::SecretString::from(SECRET), &good().body);
    let mut bodies = Vec::new();
    let mut refused = vec![
        good().without("x-hub-signature-256"),
        good().signed("another secret"),
        good().signed("").with("x-hub-signature", "sha1=0000000000000000000000000000000000000000"),
        Request::hook("workflow_job", "one", "{not json").signed("another secret"),
    ];
    let half = &right[..right.len() / 2];
    for value in ["", "sha256=", "sha256=zz", "sha512=00", &right[7..], half, &right.to_uppercase()]
    {
        refused.push(good().with("x-hub-signature-256", value));
    }
    for request in refused {
        let reply = request.send(daemon.door).await;
        assert_eq!(reply.status, 401);
        bodies.push(reply.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "nothing to learn from the answer");
    assert_eq!(rows(&daemon, "deliveries") + rows(&daemon, "unparsed"), 0);
    assert!(!daemon.log().contains(&right[7..]), "the right signature is not told");
}

/// Else three strangers with 21 MB each would be as much memory as the daemon has.
#[tokio::test]
async fn without_a_well_formed_signature_nothing_of_the_body_is_read() {
    let daemon = door().await;
    let large = Request::job("one", &queued(7)).with("content-length", "22020096");
    for request in [
        large.clone().without("x-hub-signature-256"),
        large.with("x-hub-signature-256", "sha256=00"),
    ] {
        let mut raw = Raw::open(daemon.door).await;
        raw.say(request.bare_head()).await;
        let reply = raw.reply().await;
        assert_eq!(reply.outcome(), (401, "unauthorized".into()));
        assert_eq!(reply.header("connection"), Some("close"));
    }
    assert_accepts(daemon.door).await;
}

/// All that somebody without a secret can have the doors say something about.
#[tokio::test]
async fn strangers_cannot_fill_the_log() {
    let daemon = door().await;
    let before = daemon.log();
    let long = |number: usize| format!("{number}{}", "x".repeat(12_000));
    for number in 0..1_000 {
        let (long, ping) = (long(number), Request::hook("ping", "one", "{}"));
        let (request, status) = match number % 7 {
            0 => (Request::hook(&long, "one", "{}").without("x-hub-signature-256"), 401),
            1 => (ping.with("x-hub-signature-256", &long), 401),
            2 => (Request::hook(&long, "one", "{}").signed("another"), 401),
            3 => (Request::hook("ping", &long, "{}").signed("another"), 401),
            4 => (ping.with("content-type", &long), 415),
            5 => (ping.with("user-agent", &long).path("/elsewhere"), 404),
            _ => {
                let url =
                    format!("http://127.0.0.1:{}/api/v1/explain/{}", daemon.admin, &long[..2_000]);
                let asked = reqwest::Client::new().get(url).bearer_auth(&long[..2_000]).send();
                assert_eq!(asked.await.unwrap().status(), 401);
                continue;
            }
        };
        assert_eq!(request.send(daemon.door).await.status, status, "{number}");
    }
    let log = daemon.log();
    let (lines, bytes) = (log.lines().count() - before.lines().count(), log.len() - before.len());
    assert!(daemon.count_of("webhook refused") > 0 && log.contains("set the webhook's secret"));
    // Ten of each kind of line in a minute; on a slow machine it may take two.
    assert!(lines <= 60 && bytes < 60_000, "{lines} lines, {bytes} bytes: {log}");
    assert!(log.lines().all(|line| line.len() < 2_000), "{log}");
}

#[tokio::test]
async fn a_refused_webhook_is_told_with_its_delivery_what_was_wrong_and_what_to_do() {
    let daemon = door().await;
    for (delivery, signature, why, what) in [
        ("d-1", None, "no X-Hub-Signature-256", "set the webhook's secret"),
        ("d-2", Some("sha256=zz"), "is not sha256= and 64 hex digits", "X-Hub-Signature-256"),
        ("d-3", Some("other"), "invalid signature", "differs from [webhook] secret"),
    ] {
        let request = Request::job(delivery, &queued(7));
        let request = match signature {
            None => request.without("x-hub-signature-256"),
            Some("other") => request.signed("another secret"),
            Some(value) => request.with("x-hub-signature-256", value),
        };
        assert_eq!(request.send(daemon.door).await.status, 401);
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains(delivery)).unwrap_or_default();
        assert!(line.contains("webhook refused") && line.contains("WARN"), "{log}");
        assert!(line.contains(why) && line.contains(what), "{line}");
    }
}

#[tokio::test]
async fn while_secrets_change_either_may_have_signed() {
    let daemon = door_with("previous_secret = \"the one before this one\"").await;
    for (delivery, secret, status) in
        [("one", SECRET, 202), ("two", "the one before this one", 202), ("three", "neither", 401)]
    {
        let request = Request::job(delivery, &queued(7)).signed(secret);
        assert_eq!(request.send(daemon.door).await.status, status, "{secret}");
    }
}

#[tokio::test]
async fn what_is_signed_and_not_its_event_is_400_and_kept_in_part() {
    let daemon = door().await;
    let long = format!("{{\"action\": \"queued\", \"workflow_job\": \"{}\"}}", "é".repeat(50_000));
    let mut nowhere = queued(7);
    nowhere["repository"]["id"] = json!(-1);
    let bodies = ["", "{", "[]", "null", "\u{0}", &long, &nowhere.to_string()];
    for body in bodies {
        let reply = Request::hook("workflow_job", "bad", body).send(daemon.door).await;
        assert_eq!(reply.outcome(), (400, "unreadable".into()), "{body:.30}");
        assert!(reply.reason().len() < 1000, "a reason is no copy of the body");
    }
    assert_eq!(Request::hook("ping", "bad", "[]").send(daemon.door).await.status, 400);
    assert_eq!(rows(&daemon, "unparsed"), 8);
    let store = rusqlite::Connection::open(daemon.database()).unwrap();
    let row = |column: &str| -> i64 {
        let sql = format!("SELECT MAX(LENGTH({column})) FROM unparsed");
        store.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(row("body"), 64 * 1024);
    assert!(row("error") < 1000);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_202_and_kept_and_its_repository_is_looked_at() {
    let daemon = door().await;
    let unusable = [json!(null), json!("build"), json!({}), json!({"id": -1, "run_id": 1})];
    for (number, job) in unusable.into_iter().enumerate() {
        let mut payload = queued(7);
        payload["workflow_job"] = job;
        let (id, body) = (number.to_string(), payload.to_string());
        let reply = Request::hook("workflow_job", &id, body.as_str()).send(daemon.door).await;
        assert_eq!(reply.outcome(), (202, "accepted".into()), "{body:.60}");
        let again = Request::hook("workflow_job", &id, body.as_str()).send(daemon.door).await;
        assert_eq!(again.outcome(), (202, "duplicate".into()));
    }
    let mut elsewhere = queued(7);
    elsewhere["workflow_job"] = json!(null);
    elsewhere["repository"]["full_name"] = json!("else/where");
    let elsewhere = elsewhere.to_string();
    let reply =
        Request::hook("workflow_job", "elsewhere", elsewhere.as_str()).send(daemon.door).await;
    assert_eq!(reply.outcome(), (202, "ignored".into()));
    assert!(reply.reason().contains("no pool serves the repository else/where"));
    let store = rusqlite::Connection::open(daemon.database()).unwrap();
    let sql =
        "SELECT COUNT(DISTINCT id) FROM unparsed WHERE error LIKE '%not a workflow_job event%'";
    let kept: i64 = store.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 5, "explain --delivery shows each");
}

#[tokio::test]
async fn the_last_hundred_unreadable_deliveries_are_kept() {
    let daemon = door().await;
    let mut raw = Raw::open(daemon.door).await;
    for number in 0..105 {
        raw.say(Request::hook("workflow_job", &number.to_string(), "{").bytes()).await;
        assert_eq!(raw.reply().await.status, 400);
    }
    assert_eq!(rows(&daemon, "unparsed"), 100);
    let store = rusqlite::Connection::open(daemon.database()).unwrap();
    let oldest: String = store
        .query_row("SELECT id FROM unparsed ORDER BY sequence LIMIT 1", [], |row| row.get(0))
        .unwrap();
    assert_eq!(oldest, "5");
}

#[tokio::test]
async fn without_event_or_delivery_header_it_is_400_and_kept() {
    let daemon = door().await;
    let good = || Request::job("one", &queued(7));
    for (request, missing) in [
        (good().without("x-github-event"), "X-GitHub-Event"),
        (good().with("x-github-event", ""), "X-GitHub-Event"),
        (good().without("x-github-delivery"), "X-GitHub-Delivery"),
        (good().with("x-github-delivery", &"x".repeat(1000)), "X-GitHub-Delivery"),
    ] {
        let reply = request.send(daemon.door).await;
        assert_eq!(reply.status, 400, "{missing}");
        assert!(reply.reason().contains(missing), "{}", reply.reason());
    }
    assert_eq!(rows(&daemon, "unparsed"), 4);
    assert_eq!(rows(&daemon, "deliveries"), 0);
}

#[tokio::test]
async fn a_request_is_judged_by_path_method_length_type_signature_and_event_in_this_order() {
    let daemon = door_with("max_body = \"64kB\"").await;
    // Wrong in everything; then one thing after the other is put right.
    let mut request = Request::hook("", "", "{")
        .signed("another secret")
        .path("/elsewhere")
        .method("PUT")
        .with("content-type", "text/plain");
    request.body = vec![b'{'; 64 * 1024 + 1];
    assert_eq!(request.send(daemon.door).await.status, 404);
    request = request.path("/webhook");
    assert_eq!(request.send(daemon.door).await.status, 405);
    request = request.method("POST");
    assert_eq!(request.send(daemon.door).await.status, 413);
    request.body = b"{".to_vec();
    assert_eq!(request.send(daemon.door).await.status, 415);
    request = request.with("content-type", "application/json");
    assert_eq!(request.send(daemon.door).await.status, 401);
    request = request.signed(SECRET);
    assert_eq!(request.send(daemon.door).await.status, 400);
    assert_accepts(daemon.door).await;
}

#[tokio::test]
async fn numbers_and_names_at_their_ends_are_no_surprise() {
    let daemon = door().await;
    let mut odd = Vec::new();
    for id in [0, u64::MAX, 1 << 63] {
        odd.push(queued(id));
    }
    for name in ["octo/", "octo/a/b", "octo", "", "octo/é\u{0}\"'", "octo/*"] {
        let mut payload = queued(1);
        payload["repository"]["full_name"] = json!(name);
        payload["repository"]["html_url"] = json!(name);
        let reply = Request::job(&format!("named {name:?}"), &payload).send(daemon.door).await;
        assert_eq!(reply.status, 400, "it is no repository: {name:?}");
    }
    let mut far = queued(2);
    far["workflow_job"]["created_at"] = json!("9999-12-31T23:59:59Z");
    far["workflow_job"]["run_id"] = json!(u64::MAX);
    far["workflow_job"]["run_attempt"] = json!(u64::MAX);
    far["repository"]["id"] = json!(u64::MAX);
    odd.push(far);
    for (number, payload) in odd.iter().enumerate() {
        let reply = Request::job(&number.to_string(), payload).send(daemon.door).await;
        assert_eq!(reply.status, 202, "{payload}");
    }
    until("all are folded", Duration::from_secs(10), async || {
        let store = rusqlite::Connection::open(daemon.database()).unwrap();
        let sql = "SELECT COUNT(*) FROM deliveries WHERE inbox IS NOT NULL";
        store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0
    })
    .await;
    assert_accepts(daemon.door).await;
}
