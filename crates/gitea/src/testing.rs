//! What the tests of this room share, and the tests of failures that no single call owns.

use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::matchers::{any, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Client, Error, Owner};

pub fn client(api: &str) -> Client {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::new(format!("{api}/api/v1").parse().unwrap(), &SecretString::from("s3cr3t")).unwrap()
}

/// A Gitea that answers this question with that body.
pub async fn answering(verb: &str, at: &str, body: Value) -> (Client, MockServer) {
    let server = MockServer::start().await;
    Mock::given(method(verb))
        .and(path(format!("/api/v1{at}")))
        .and(header("authorization", "Bearer s3cr3t"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    (client(&server.uri()), server)
}

#[tokio::test]
async fn each_status_has_its_kind_and_no_error_shows_the_token() {
    for (status, shown) in [
        (401, "GET /repos/o/r: 401 No. (the token is wrong, expired or revoked)"),
        (403, "GET /repos/o/r: 403 No."),
        (404, "GET /repos/o/r: 404 not found, or the token may not see it"),
        (405, "GET /repos/o/r: 405, this version of Gitea has no such call"),
        (429, "GET /repos/o/r: 429 No."),
        (502, "GET /repos/o/r: 502 No."),
        (418, "GET /repos/o/r: unexpected answer: 418 No."),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_json(json!({"message": "No."}));
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let client = client(&server.uri());
        let error = client.repository("o/r").await.unwrap_err();
        assert_eq!(error.to_string(), shown);
        assert!(!format!("{client:?} {error:?}").contains("s3cr3t"));
    }
}

#[tokio::test]
async fn a_gitea_that_is_away_is_unavailable() {
    let error = client("http://127.0.0.1:1").version().await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_renamed_repository_is_followed_on_the_same_origin_only() {
    let server = MockServer::start().await;
    let repository = json!({"id": 7, "full_name": "o/new", "private": true});
    let to = |location: &str| ResponseTemplate::new(307).insert_header("location", location);
    Mock::given(path("/api/v1/repos/o/old"))
        .respond_with(to("/api/v1/repos/o/new"))
        .mount(&server)
        .await;
    Mock::given(path("/api/v1/repos/o/new"))
        .respond_with(ResponseTemplate::new(200).set_body_json(repository))
        .mount(&server)
        .await;
    Mock::given(path("/api/v1/repos/o/far"))
        .respond_with(to("https://elsewhere.test/api/v1/repos/o/far"))
        .mount(&server)
        .await;
    let client = client(&server.uri());
    assert_eq!(client.repository("o/old").await.unwrap().full_name, "o/new");
    let error = client.repository("o/far").await.unwrap_err();
    assert!(error.to_string().contains("a redirect (307) that leads elsewhere"), "{error}");
}

#[tokio::test]
async fn no_name_leads_to_another_thing() {
    let client = client("http://127.0.0.1:1");
    for name in ["o", "o/", "/r", "../r", "o/..", "o/r/x"] {
        let error = client.repository(name).await.unwrap_err();
        assert!(matches!(&error, Error::NotFound { .. }), "{name}: {error}");
    }
}

fn page_of(ids: std::ops::Range<u64>, total: u64) -> ResponseTemplate {
    let runners: Vec<Value> = ids.map(|id| json!({"id": id, "name": format!("r{id}")})).collect();
    ResponseTemplate::new(200).set_body_json(json!({"runners": runners, "total_count": total}))
}

async fn pages(server: &MockServer, pages: [ResponseTemplate; 2]) {
    for (number, answer) in (1..).zip(pages) {
        Mock::given(query_param("page", number.to_string()))
            .and(query_param("limit", "50"))
            .respond_with(answer)
            .mount(server)
            .await;
    }
}

#[tokio::test]
async fn all_pages_are_read_even_where_gitea_gives_less_than_was_asked_for() {
    let server = MockServer::start().await;
    pages(&server, [page_of(0..30, 45), page_of(30..45, 45)]).await;
    let runners = client(&server.uri()).runners(Owner::Organization("o")).await.unwrap();
    assert_eq!(runners.len(), 45);
}

#[tokio::test]
async fn a_list_that_moves_while_it_is_read_is_read_again_and_then_no_answer() {
    let server = MockServer::start().await;
    // One went from the first page to the second between the two, so that one is seen twice.
    pages(&server, [page_of(0..50, 60), page_of(49..59, 60)]).await;
    let error = client(&server.uri()).runners(Owner::Organization("o")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GET /orgs/o/actions/runners: the list kept changing while it was read"
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 6);
}
