//! What the tests of this room share, and the tests of failures that no single call owns.

use secrecy::SecretString;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Client, Error, RunnersOf};

pub fn client(api: &str) -> Client {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::new(api.parse().unwrap(), SecretString::from("ghp_s3cr3t")).unwrap()
}

async fn answering(answer: ResponseTemplate) -> (Client, MockServer) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    (client(&server.uri()), server)
}

fn told(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"message": message}))
}

#[tokio::test]
async fn each_status_has_its_kind() {
    for (status, shown) in [
        (401, "GET /repos/o/r: 401 No. (the token is wrong, expired or revoked)"),
        (403, "GET /repos/o/r: 403 No. (requires administration=write)"),
        (404, "GET /repos/o/r: 404 not found, or the token may not see it"),
        (409, "GET /repos/o/r: 409 No."),
        (422, "GET /repos/o/r: 422 No."),
        (502, "GET /repos/o/r: 502 No."),
        (418, "GET /repos/o/r: unexpected answer: 418 No."),
    ] {
        let answer = told(status, "No.")
            .insert_header("x-accepted-github-permissions", "administration=write");
        let (client, _server) = answering(answer).await;
        assert_eq!(client.repository("o/r").await.unwrap_err().to_string(), shown);
        assert_eq!(client.held_back_for(), None);
    }
}

#[tokio::test]
async fn a_rate_limit_holds_back_every_call_of_every_clone() {
    let (client, server) = answering(told(403, "You have exceeded a secondary rate limit.")).await;
    let error = client.repository("o/r").await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error}");
    let twin = client.clone();
    let held = twin.registration_token(RunnersOf::Organization("o")).await.unwrap_err();
    let Error::HeldBack { wait, .. } = held else { panic!("{held}") };
    assert!(wait <= std::time::Duration::from_secs(60) && wait >= client.held_back_for().unwrap());
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_success_that_empties_the_limit_closes_the_gate() {
    let reset = jiff::Timestamp::now().as_second() + 900;
    let answer = ResponseTemplate::new(200)
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", reset.to_string().as_str())
        .set_body_json(json!({"login": "o"}));
    let (client, server) = answering(answer).await;
    client.user().await.unwrap();
    assert!(matches!(client.user().await, Err(Error::HeldBack { .. })));
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_connection_is_unavailable_and_tells_no_secret() {
    let error = client("http://user:pa55@127.0.0.1:1").user().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("refused") && !shown.contains("pa55"), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[tokio::test]
async fn too_large_an_answer_is_refused() {
    let (client, _server) =
        answering(ResponseTemplate::new(200).set_body_bytes(vec![b' '; (20 << 20) + 1])).await;
    assert!(matches!(client.user().await, Err(Error::Protocol { .. })));
}

#[tokio::test]
async fn a_post_is_redirected_only_with_its_method() {
    for (status, followed) in [(307, true), (301, false)] {
        let server = MockServer::start().await;
        let moved = ResponseTemplate::new(status).insert_header("location", "/moved");
        Mock::given(wiremock::matchers::path("/orgs/o/actions/runners/registration-token"))
            .respond_with(moved)
            .mount(&server)
            .await;
        let token = json!({"token": "t", "expires_at": "2026-01-22T12:13:35Z"});
        Mock::given(wiremock::matchers::method("POST"))
            .and(wiremock::matchers::path("/moved"))
            .respond_with(ResponseTemplate::new(201).set_body_json(token))
            .mount(&server)
            .await;
        let of = RunnersOf::Organization("o");
        let token = client(&server.uri()).registration_token(of).await;
        assert_eq!(token.is_ok(), followed);
    }
}

#[test]
fn an_address_that_is_none_is_refused() {
    let token = SecretString::from("t");
    assert!(Client::new("ftp://x".parse().unwrap(), token).is_err());
}
