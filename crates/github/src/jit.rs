//! A runner's own configuration ("just in time"): GitHub registers the runner, which then needs no
//! token and no `config.sh`, and runs one job at most.

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::error::Error;
use super::registration::RunnersOf;
use super::transport::{Call, Client};

/// What the runner registers as; GitHub adds no labels of its own.
#[derive(Clone, Copy, Debug)]
pub struct JitRunner<'a> {
    /// 64 characters at most.
    pub name: &'a str,
    /// 1 to 100.
    pub labels: &'a [String],
    /// A repository has one group, 1.
    pub group: u64,
}

/// A registered runner and its credential. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct JitConfig {
    pub runner: u64,
    /// What `run.sh --jitconfig` wants.
    pub config: SecretString,
}

#[derive(Deserialize)]
struct WireConfig {
    runner: WireRunner,
    encoded_jit_config: String,
}

#[derive(Deserialize)]
struct WireRunner {
    id: u64,
}

impl Client {
    /// `POST …/actions/runners/generate-jitconfig`. [`Error::Conflict`]: a runner of that name is
    /// registered. Needs [`Operation::Runners`](super::Operation::Runners).
    pub async fn jit_config(
        &self,
        of: RunnersOf<'_>,
        runner: JitRunner<'_>,
    ) -> Result<JitConfig, Error> {
        let mut path = of.path();
        path.push("generate-jitconfig");
        let body = json!({
            "name": runner.name,
            "runner_group_id": runner.group,
            "labels": runner.labels,
            "work_folder": "_work",
        });
        let (wire, _) = self.read::<WireConfig>(Call::new(Method::POST, path).body(body)).await?;
        Ok(JitConfig { runner: wire.runner.id, config: wire.encoded_jit_config.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use secrecy::ExposeSecret;
    use wiremock::matchers::{body_json, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    const OF: RunnersOf<'static> = RunnersOf::Organization("octo");

    async fn asked(answer: ResponseTemplate) -> Result<JitConfig, Error> {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/orgs/octo/actions/runners/generate-jitconfig"))
            .and(body_json(json!({
                "name": "r-1", "runner_group_id": 3, "labels": ["x64", "gpu"],
                "work_folder": "_work",
            })))
            .respond_with(answer)
            .mount(&server)
            .await;
        let labels = ["x64".to_owned(), "gpu".to_owned()];
        let runner = JitRunner { name: "r-1", labels: &labels, group: 3 };
        testing::client(&server.uri()).jit_config(OF, runner).await
    }

    #[tokio::test]
    async fn a_configuration_is_asked_for_as_github_wants_it_and_not_shown() {
        let answer = json!({
            "runner": {"id": 23, "name": "r-1", "os": "unknown", "status": "offline",
                "busy": false, "labels": [], "runner_group_id": 3},
            "encoded_jit_config": "c3VyZQ==",
        });
        let got = asked(ResponseTemplate::new(201).set_body_json(answer)).await.unwrap();
        assert_eq!((got.runner, got.config.expose_secret()), (23, "c3VyZQ=="));
        assert!(!format!("{got:?}").contains("c3VyZQ"));
    }

    #[tokio::test]
    async fn a_name_that_is_taken_and_a_broken_answer_are_told_apart() {
        let taken = "Already exists - A runner with the name *** already exists.";
        let answer = ResponseTemplate::new(409).set_body_json(json!({ "message": taken }));
        assert!(matches!(asked(answer).await, Err(Error::Conflict { .. })));
        let answer = ResponseTemplate::new(201).set_body_json(json!({ "encoded_jit_config": "x" }));
        assert!(matches!(asked(answer).await, Err(Error::Protocol { .. })));
    }
}
