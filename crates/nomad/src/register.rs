//! Registering a job from a jobspec: for demonstrations and tests, a daemon only dispatches.

use serde::Serialize;
use serde_json::Value;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireParse<'a> {
    #[serde(rename = "JobHCL")]
    hcl: &'a str,
    variables: &'a str,
    canonicalize: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireRegister<'a> {
    job: &'a Value,
}

impl Client {
    /// `POST /v1/jobs/parse`: a jobspec in HCL to JSON. `variables` is the text of a variables
    /// file, which may be empty. Needs the capability `parse-job` or `submit-job`.
    pub async fn parse_hcl(
        &self,
        place: &Place,
        text: &str,
        variables: &str,
    ) -> Result<Value, Error> {
        let call = Call::to(Endpoint::Parse).at(place);
        let wire = WireParse { hcl: text, variables, canonicalize: false };
        let body = json(&call, &wire)?;
        Ok(self.read(call.body(body)).await?.0)
    }

    /// `PUT /v1/jobs`: registers what [`parse_hcl`](Self::parse_hcl) gave. `place` wins over
    /// the job's own namespace and region. Needs the capability `submit-job`.
    pub async fn register(&self, place: &Place, job: &Value) -> Result<(), Error> {
        let call = Call::to(Endpoint::Register).at(place);
        let body = json(&call, &WireRegister { job })?;
        self.call(call.body(body)).await.map(|_| ())
    }
}

fn json(call: &Call<'_>, wire: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(wire)
        .map_err(|e| Error::Protocol { request: call.name(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{body_json, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_jobspec_is_parsed_and_registered() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/v1/jobs/parse"))
            .and(body_json(
                json!({"JobHCL": "job \"x\" {}", "Variables": "a = 1", "Canonicalize": false}),
            ))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"ID": "x"})))
            .mount(&server)
            .await;
        Mock::given(method("PUT"))
            .and(path("/v1/jobs"))
            .and(body_json(json!({"Job": {"ID": "x"}})))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"EvalID": ""})))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let job = client.parse_hcl(client.place(), "job \"x\" {}", "a = 1").await.unwrap();
        client.register(client.place(), &job).await.unwrap();
    }

    #[tokio::test]
    async fn a_wrong_jobspec_is_told() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(400).set_body_string("input.hcl:1,1: no"))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let error = client.parse_hcl(client.place(), "jo", "").await.unwrap_err();
        assert_eq!(error.to_string(), "POST /v1/jobs/parse: refused with 400: input.hcl:1,1: no");
    }
}
