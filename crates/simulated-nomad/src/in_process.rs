//! A server without doors, for a simulation that runs in one thread: requests are handed in, and so
//! are the time, the draws and the state. Whoever holds it plays the tasks as well.
//!
//! Blocking reads and streams wait on the caller's tokio runtime, whose time should stand still until
//! it is moved on. Read next: `answers/mod.rs`.

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use bytes::Bytes;
use rand::rngs::StdRng;
use serde_json::json;

use super::answers::{self, Door};
use super::http::{Held, Server};
use super::identity::Keyring;
use super::model::{Millis, Nomad, in_form_of_uuid};
use super::tasks::IdentityAsked;
use super::wire::Request;

/// Clones are the same server.
#[derive(Clone)]
pub struct InProcess(Server);

impl InProcess {
    /// Serves this state, at this time.
    ///
    /// # Errors
    /// In words, when the system has no randomness for a key.
    pub fn new(nomad: Nomad, draws: StdRng, now: Millis) -> Result<Self, String> {
        let server = Server::without_doors(nomad, key()?, draws)?;
        server.lock().clock.stands_at(now);
        Ok(Self(server))
    }

    /// Lets time pass until then, and with it happen whatever is due.
    pub fn at(&self, now: Millis) {
        self.0.lock().clock.stands_at(now);
        self.with(|_, _| ());
    }

    /// Looks at the state or changes it; whoever waits for a change is woken.
    pub fn with<R>(&self, act: impl FnOnce(&mut Nomad, Millis) -> R) -> R {
        self.0.with(act)
    }

    /// The state itself, locked until this is dropped.
    pub fn lock(&self) -> Locked<'_> {
        Locked(self.0.hold())
    }

    /// The identity of a task that an `identity` block of that name and audience asks for, good for an hour.
    /// `None`: there is no such allocation.
    pub fn identity(&self, allocation: &str, name: &str, audience: &str) -> Option<String> {
        let nanos: i64 = 3_600_000_000_000;
        let spec = json!({"Name": name, "Audience": [audience], "TTL": nanos});
        let spec = serde_json::from_value(spec).ok()?;
        let asked =
            IdentityAsked { allocation: allocation.to_owned(), task: "runner".into(), spec };
        // This server signs it itself, and waits for nobody.
        let mut signed = pin!(self.0.identity(asked));
        match signed.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(signed) => signed.ok(),
            Poll::Pending => None,
        }
    }

    /// Answers a request to the agent. The body of a stream goes on for as long as it is read.
    pub async fn answer(
        &self,
        method: Method,
        (path, query): (&str, &str),
        headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let (path, query) = (path.to_owned(), query.to_owned());
        let request = Request { method, path, query, modern: true, headers, body };
        answers::answer(self.0.clone(), Door::Agent, request).await
    }
}

/// The state of a server. Nobody else gets at it meanwhile.
pub struct Locked<'a>(Held<'a>);

impl Deref for Locked<'_> {
    type Target = Nomad;

    fn deref(&self) -> &Nomad {
        &self.0.state.nomad
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Nomad {
        &mut self.0.state.nomad
    }
}

/// One for all servers of this process, for making one takes long.
fn key() -> Result<Arc<Keyring>, String> {
    static KEY: OnceLock<Result<Arc<Keyring>, String>> = OnceLock::new();
    let made = || Keyring::new(in_form_of_uuid(1)).map(Arc::new).map_err(|why| why.to_string());
    KEY.get_or_init(made).clone()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use rand::SeedableRng;

    use super::*;
    use crate::{JobKey, JobSpec};

    async fn jobs(server: InProcess, query: &str) -> (String, String) {
        let headers = HeaderMap::new();
        let at = ("/v1/jobs", query);
        let answer = server.answer(Method::GET, at, headers, Bytes::new()).await;
        let index = answer.headers()["x-nomad-index"].to_str().unwrap().to_owned();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (index, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocking_read_is_woken_by_a_change_and_else_by_its_wait() {
        let nomad = Nomad::new(StdRng::seed_from_u64(1));
        let server = InProcess::new(nomad, StdRng::seed_from_u64(2), 1_000).unwrap();
        let register = |nomad: &mut Nomad, now| {
            nomad.register(JobKey::new("default", "runner"), JobSpec::default(), now);
        };
        server.with(register);
        let (index, _) = jobs(server.clone(), "").await;
        let since = tokio::time::Instant::now();
        let query = format!("index={index}&wait=30s");
        let (same, _) = jobs(server.clone(), &query).await;
        assert_eq!(same, index);
        assert!(since.elapsed().as_secs() >= 30);
        let asked = server.clone();
        let waiting = tokio::spawn(async move { jobs(asked, &query).await });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        server.with(|nomad, now| {
            nomad.register(JobKey::new("default", "other"), JobSpec::default(), now);
        });
        let (later, body) = waiting.await.unwrap();
        assert!(later != index && body.contains("other"), "{later} {body}");
    }
}
