//! Nomad's event stream: which jobs something has happened to. It is a reason to look, not the
//! truth: a server keeps the last 100 raft indexes and drops the rest in silence, so whoever
//! (re)connects lists everything first.
//!
//! `GET /v1/event/stream` (Nomad `command/agent/event_endpoint.go`, `nomad/stream/ndjson.go`).

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use transport::Response;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};

/// An allowed stream sends a heartbeat at once; one that is denied answers 200 and is silent
/// (from 1.11.2 on; tried on 1.11.3).
const FIRST_SIGN: Duration = Duration::from_secs(5);
/// A heartbeat comes every 30 s.
const SILENCE: Duration = Duration::from_secs(40);
/// A stream is opened anew after this long: no request lives for ever.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// A single line may hold a job and its payload many times over; more than this is not one.
const LONGEST_LINE: usize = 64 << 20;

/// An open stream.
pub struct EventStream {
    response: Response,
    request: String,
    buffer: Vec<u8>,
    /// False before the first whole line.
    started: bool,
    /// When something was last heard, or the stream was opened. Of the stream and not of a call of
    /// `next`, which the caller gives up whenever it has something else to do.
    heard: Instant,
}

/// Something happened to a job, or to an allocation or evaluation of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    /// `Job`, `Allocation`, `Evaluation`, ….
    pub topic: String,
    /// `AllocationUpdated`, `JobDeregistered`, ….
    pub kind: String,
    pub job: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireLine {
    #[serde(default)]
    events: Option<Vec<WireEvent>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireEvent {
    topic: String,
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    filter_keys: Option<Vec<String>>,
}

impl Client {
    /// Opens the stream of jobs and allocations of a namespace, from now on, and waits for its
    /// first sign. Needs `read-job` in it; without, [`Error::Forbidden`].
    pub async fn events(&self, place: &Place) -> Result<EventStream, Error> {
        let mut call =
            Call::to(Endpoint::Events).at(place).query("topic", "Job").query("topic", "Allocation");
        call.timeout = LONGEST;
        let request = call.name();
        let silent = |_| Error::Unavailable {
            request: request.clone(),
            reason: "no answer in time; does something before Nomad hold streams back?".to_owned(),
        };
        let opened = tokio::time::timeout(FIRST_SIGN, self.open(call)).await;
        let response = opened.map_err(silent)??;
        let mut stream = EventStream {
            response,
            request: request.clone(),
            buffer: Vec::new(),
            started: false,
            heard: Instant::now(),
        };
        // Whatever is buffered at the server comes with the first sign; nobody needs it, for
        // everything is listed after this.
        stream.next().await?;
        Ok(stream)
    }
}

impl EventStream {
    /// What happened next; nothing for a heartbeat. An error ends the stream.
    pub async fn next(&mut self) -> Result<Vec<StreamEvent>, Error> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                self.started = true;
                self.heard = Instant::now();
                return self.read(&line);
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(self.protocol("a line without an end"));
            }
            let patience = if self.started { SILENCE } else { FIRST_SIGN };
            match tokio::time::timeout_at(self.heard + patience, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    self.buffer.extend_from_slice(&chunk);
                    if self.started {
                        self.heard = Instant::now();
                    }
                }
                Ok(Ok(None)) => return Err(self.unavailable("the stream has ended".to_owned())),
                Ok(Err(error)) => return Err(self.unavailable(error.reason)),
                Err(_) if self.started => {
                    return Err(self.unavailable(format!("silent for {} s", SILENCE.as_secs())));
                }
                Err(_) => {
                    return Err(Error::Forbidden {
                        request: self.request.clone(),
                        text:
                            "the stream stays silent, which is how it denies a token, and how it \
                               answers of a region that it does not know"
                                .to_owned(),
                    });
                }
            }
        }
    }

    fn read(&self, line: &[u8]) -> Result<Vec<StreamEvent>, Error> {
        let wire: WireLine = serde_json::from_slice(line)
            .map_err(|error| self.protocol(&transport::misread(&error)))?;
        let event = |wire: WireEvent| {
            // The job is the key of its own events, and the first filter key of the others.
            let job = match wire.topic.as_str() {
                "Job" => wire.key,
                _ => wire.filter_keys.unwrap_or_default().into_iter().next().unwrap_or_default(),
            };
            StreamEvent { topic: wire.topic, kind: wire.kind, job }
        };
        Ok(wire.events.unwrap_or_default().into_iter().map(event).collect())
    }

    fn unavailable(&self, reason: String) -> Error {
        Error::Unavailable { request: self.request.clone(), reason }
    }

    fn protocol(&self, reason: &str) -> Error {
        Error::Protocol { request: self.request.clone(), reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use wiremock::matchers::{path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    async fn stream(body: &str) -> Result<EventStream, Error> {
        let server = MockServer::start().await;
        Mock::given(path("/v1/event/stream"))
            .and(query_param("namespace", "default"))
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        client.events(&client.place().clone()).await
    }

    #[tokio::test]
    async fn events_name_the_job_they_are_about() {
        let lines = concat!(
            "{}\n",
            r#"{"Index":7,"Events":[{"Topic":"Allocation","Type":"AllocationUpdated","Key":"a1","FilterKeys":["gha/dispatch-1",""],"Payload":{}},"#,
            r#"{"Topic":"Job","Type":"JobDeregistered","Key":"gha/dispatch-2","FilterKeys":null}]}"#,
            "\n{}\n"
        );
        let mut stream = stream(lines).await.unwrap();
        let jobs: Vec<String> = stream.next().await.unwrap().into_iter().map(|e| e.job).collect();
        assert_eq!(jobs, ["gha/dispatch-1", "gha/dispatch-2"]);
        assert!(stream.next().await.unwrap().is_empty());
        assert!(matches!(stream.next().await, Err(Error::Unavailable { .. })));
    }

    /// An agent that answers every request with this head and body, and then says nothing more.
    async fn falls_silent_after(body: &'static str) -> Client {
        testing::client(&testing::stays_open_after(body).await)
    }

    #[tokio::test]
    async fn a_stream_that_falls_silent_ends_however_often_it_is_looked_at() {
        let client = falls_silent_after("{}\n").await;
        let mut stream = client.events(client.place()).await.unwrap();
        tokio::time::pause();
        // The follower looks at everything every 30 s, and gives up waiting for that.
        let look = Duration::from_secs(30);
        let begun = Instant::now();
        assert!(tokio::time::timeout(look, stream.next()).await.is_err());
        let ended = tokio::time::timeout(look, stream.next()).await.expect("it ends by 40 s");
        assert!(matches!(ended, Err(Error::Unavailable { .. })), "{ended:?}");
        assert_eq!(begun.elapsed().as_secs(), SILENCE.as_secs());
    }

    #[tokio::test]
    async fn a_heartbeat_is_a_sign_of_life() {
        let client = falls_silent_after("{}\n{}\n").await;
        let mut stream = client.events(client.place()).await.unwrap();
        tokio::time::pause();
        tokio::time::advance(SILENCE / 2).await;
        assert!(stream.next().await.unwrap().is_empty());
        let begun = Instant::now();
        assert!(stream.next().await.is_err());
        assert_eq!(begun.elapsed().as_secs(), SILENCE.as_secs());
    }

    #[tokio::test]
    async fn a_stream_without_a_first_sign_is_denied() {
        for first in ["", "{\"Ind"] {
            let client = falls_silent_after(first).await;
            let mut call = Call::to(Endpoint::Events);
            call.timeout = LONGEST;
            let response = client.open(call).await.unwrap();
            let (request, buffer, heard) = (String::new(), Vec::new(), Instant::now());
            let mut stream = EventStream { response, request, buffer, started: false, heard };
            tokio::time::pause();
            assert!(matches!(stream.next().await, Err(Error::Forbidden { .. })));
            assert!(heard.elapsed() < FIRST_SIGN + Duration::from_secs(1));
            tokio::time::resume();
        }
    }

    #[tokio::test]
    async fn a_stream_that_is_held_back_is_given_up() {
        let client = testing::warm(&testing::never_answers().await).await;
        tokio::time::pause();
        let opened = client.events(client.place()).await.err().map(|error| error.to_string());
        assert!(opened.is_some_and(|it| it.contains("does something before Nomad hold")));
    }

    #[tokio::test]
    async fn a_stream_that_ends_before_its_first_sign_is_none() {
        assert!(matches!(stream("").await.err(), Some(Error::Unavailable { .. })));
    }
}
