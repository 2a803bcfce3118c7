//! Ending a job: stopping it, and removing every trace of it.
//!
//! Stopping a parameterized job does not stop its children (hashicorp/nomad#2263).

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};

impl Client {
    /// `DELETE /v1/job/:id`. Needs the capability `deregister-job` (Nomad 1.11.2) or `submit-job`.
    ///
    /// The job is dead at once; its tasks get their signal and run on for up to `kill_timeout`,
    /// poststop tasks after that. A child that waits for room is cancelled. A job that does not
    /// exist is a success, for so Nomad has it.
    pub async fn stop(&self, place: &Place, child: &str) -> Result<(), Error> {
        self.deregister(place, child, "false").await
    }

    /// As [`stop`](Self::stop), and Nomad forgets job and allocations at once, while tasks may
    /// still run: for what has ended. Needs the capability `purge-job` or `submit-job`.
    pub async fn purge(&self, place: &Place, child: &str) -> Result<(), Error> {
        self.deregister(place, child, "true").await
    }

    async fn deregister(&self, place: &Place, job: &str, purge: &str) -> Result<(), Error> {
        let call = Call::to(Endpoint::Deregister(job)).at(place).query("purge", purge);
        self.call(call).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use wiremock::matchers::{method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn stop_does_not_purge_and_purge_does() {
        let server = MockServer::start().await;
        for (purge, status) in [("false", 200), ("true", 403)] {
            Mock::given(method("DELETE"))
                .and(path("/v1/job/gha%2Fdispatch-1-ab"))
                .and(query_param("purge", purge))
                .respond_with(ResponseTemplate::new(status).set_body_string("Permission denied"))
                .expect(1)
                .mount(&server)
                .await;
        }
        let client = testing::client(&server.uri());
        client.stop(client.place(), "gha/dispatch-1-ab").await.unwrap();
        let purged = client.purge(client.place(), "gha/dispatch-1-ab").await;
        assert!(matches!(purged, Err(Error::Forbidden { .. })), "{purged:?}");
    }
}
