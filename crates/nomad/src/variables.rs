//! Nomad Variables: a few items under a path, in a namespace, encrypted in Nomad's state.
//!
//! Lists and errors show no items. `X-Nomad-Index` of an answer is not looked at: a write is made with the
//! index that the caller knows the variable by (check-and-set).

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client, Failure};
use super::wire;

/// Variables a page.
const PAGE: u32 = 500;
/// This ends a list that never does.
const MAX_PAGES: usize = 1000;

/// What became of a write with check-and-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// Nothing was written: the variable is another than the one that was expected. By this index it is
    /// known now; 0: it does not exist.
    Conflict {
        modify_index: u64,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireItems<'a> {
    items: BTreeMap<&'a str, &'a str>,
}

/// What a list shows of a variable, and what a conflict shows to who may not read it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireStub {
    #[serde(default, deserialize_with = "wire::or_default")]
    path: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    modify_index: u64,
}

impl Client {
    /// `PUT /v1/var/:path?cas=`, where the variable has this index; 0: where there is none. Needs `write` on
    /// the path. An error that is [`Error::Unavailable`] does not say that nothing was written.
    pub async fn put_variable(
        &self,
        place: &Place,
        path: &str,
        items: &BTreeMap<&str, &SecretString>,
        expected: u64,
    ) -> Result<Written, Error> {
        let shown = items.iter().map(|(key, value)| (*key, value.expose_secret()));
        let endpoint = Endpoint::PutVariable(path);
        let mut call = Call::to(endpoint).at(place).query("cas", expected.to_string());
        let request = call.name();
        let body = serde_json::to_vec(&WireItems { items: shown.collect() });
        call.body = Some(body.map_err(|error| unavailable(&request, error.to_string()))?);
        let answer = match self.send(call).await {
            Ok(answer) => answer,
            Err(Failure::NotSent(reason) | Failure::Unknown(reason)) => {
                return Err(unavailable(&request, reason));
            }
        };
        match answer.status {
            200..300 => Ok(Written::Done),
            409 => match serde_json::from_slice::<WireStub>(&answer.body) {
                Ok(there) => Ok(Written::Conflict { modify_index: there.modify_index }),
                // It may repeat the items of the one that is there.
                Err(_) => Err(Error::Protocol {
                    request,
                    reason: "a conflict that names no index".to_owned(),
                }),
            },
            status => {
                let text = without(answer.text(), items);
                Err(Error::from_status(request, status, text))
            }
        }
    }

    /// `DELETE /v1/var/:path`, whatever is in it. Needs `destroy` on the path. One that does not exist is a
    /// success, for so Nomad has it.
    pub async fn delete_variable(&self, place: &Place, path: &str) -> Result<(), Error> {
        let call = Call::to(Endpoint::DeleteVariable(path)).at(place);
        self.call(call).await.map(|_| ())
    }

    /// The paths that begin with `prefix`: `GET /v1/vars?prefix=`. Those that the token may neither list nor
    /// read are left out without a word.
    pub async fn variable_paths(&self, place: &Place, prefix: &str) -> Result<Vec<String>, Error> {
        let mut paths = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut call = Call::to(Endpoint::Variables).at(place).query("prefix", prefix);
            call = call.query("per_page", PAGE.to_string());
            if let Some(token) = next.take() {
                call = call.query("next_token", token);
            }
            let (page, answer) = self.read::<Option<Vec<WireStub>>>(call).await?;
            paths.extend(page.unwrap_or_default().into_iter().map(|stub| stub.path));
            match answer.next_token {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        Ok(paths)
    }
}

fn unavailable(request: &str, reason: String) -> Error {
    Error::Unavailable { request: request.to_owned(), reason }
}

/// Nomad repeats no item, but whatever stands before it might. Values too short to be secrets stay, so
/// that words remain words.
fn without(mut text: String, items: &BTreeMap<&str, &SecretString>) -> String {
    for value in items.values().map(|value| value.expose_secret()).filter(|it| it.len() >= 12) {
        text = text.replace(value, "[hidden]");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{body_json, method, path, query_param, query_param_is_missing};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    const SECRET: &str = "AAAA-registration-token";

    async fn put(address: &str) -> Result<Written, Error> {
        let secret = SecretString::from(SECRET);
        let client = testing::client(address);
        let items = BTreeMap::from([("token", &secret)]);
        client.put_variable(client.place(), "ghr/x64/a", &items, 0).await
    }

    async fn answered(status: u16, body: &str) -> Result<Written, Error> {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_string(body);
        Mock::given(method("PUT")).respond_with(answer).mount(&server).await;
        put(&server.uri()).await
    }

    #[tokio::test]
    async fn a_write_is_one_with_check_and_set() {
        let server = MockServer::start().await;
        Mock::given(method("PUT"))
            .and(path("/v1/var/ghr/x64/a"))
            .and(query_param("cas", "0"))
            .and(query_param("namespace", "default"))
            .and(body_json(json!({"Items": {"token": SECRET}})))
            .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
            .mount(&server)
            .await;
        assert_eq!(put(&server.uri()).await.unwrap(), Written::Done);
    }

    #[tokio::test]
    async fn a_conflict_tells_the_index_and_nothing_else() {
        let there = r#"{"Path":"ghr/x64/a","ModifyIndex":7,"Items":{"token":"other"}}"#;
        assert_eq!(answered(409, there).await.unwrap(), Written::Conflict { modify_index: 7 });
        let error = answered(409, r#"{"Items": "other"#).await.unwrap_err().to_string();
        assert!(!error.contains("other"), "{error}");
    }

    #[tokio::test]
    async fn what_nomad_says_no_to_is_told_by_kind_and_without_the_secret() {
        let denied = answered(403, "Permission denied").await;
        assert!(matches!(denied, Err(Error::Forbidden { .. })), "{denied:?}");
        let text = format!("variables are limited to 64KiB in total size: {SECRET}");
        let large = answered(400, &text).await.unwrap_err();
        assert!(matches!(large, Error::Rejected { status: 400, .. }), "{large:?}");
        assert!(large.to_string().contains("64KiB") && !large.to_string().contains(SECRET));
        let away = answered(500, "No cluster leader").await;
        assert!(matches!(away, Err(Error::Unavailable { .. })), "{away:?}");
        let closed = put(&testing::closed_port().await).await;
        assert!(matches!(closed, Err(Error::Unavailable { .. })), "{closed:?}");
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end() {
        let server = MockServer::start().await;
        let page = |paths: &[&str]| {
            let stubs = paths.iter().map(|path| json!({"Path": path, "ModifyIndex": 1}));
            ResponseTemplate::new(200).set_body_json(stubs.collect::<Vec<_>>())
        };
        Mock::given(query_param_is_missing("next_token"))
            .and(query_param("prefix", "ghr/"))
            .respond_with(page(&["ghr/a"]).insert_header("X-Nomad-NextToken", "b"))
            .mount(&server)
            .await;
        Mock::given(query_param("next_token", "b"))
            .respond_with(page(&["ghr/b"]))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let paths = client.variable_paths(client.place(), "ghr/").await.unwrap();
        assert_eq!(paths, ["ghr/a", "ghr/b"]);
    }
}
