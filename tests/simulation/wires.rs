//! The wires to GitHub (or Gitea) and Nomad: each request of the real clients is answered by the
//! models' HTTP faces in this process, late, never, or twice as the weather has it.

use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body as NomadBody;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use jiff::fmt::rfc2822;
use rand::Rng as _;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use simulated::github::model::{Millis, SECOND};
use simulated::github::rest;
use simulated::nomad::InProcess;
use transport::{Answering, Body, Exchange, Failure, Request, Response, Whole};

use crate::life::Shared;
use crate::luck::Luck;
use crate::troubles::Trouble;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    GitHub,
    Nomad,
    Vault,
}

pub struct Wire {
    pub side: Side,
    pub world: Shared,
}

impl Exchange for Wire {
    fn send(&self, request: Request) -> Answering<'_, Response> {
        Box::pin(async move {
            let timeout = request.timeout;
            match tokio::time::timeout(timeout, self.exchange(request)).await {
                Ok(answer) => answer,
                Err(_) => {
                    let reason = format!("no answer within {} s", timeout.as_secs());
                    Err(Failure { sent: true, reason })
                }
            }
        })
    }
}

/// A request between its leaving and its arrival. Where the daemon dies meanwhile, half of them
/// arrive all the same.
struct Leaving<'a> {
    wire: &'a Wire,
    request: Option<Request>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.wire.world.of_a_dead(|world| {
                if world.rng.random_bool(0.5) {
                    world.act_late(self.wire.side, request);
                }
            });
        }
    }
}

impl Wire {
    async fn exchange(&self, request: Request) -> Result<Response, Failure> {
        let (latency, luck) = self.world.with(|world| {
            world.is_asked(self.side, &request);
            world.leaves(self.side, &request);
            (world.latency(), world.luck(self.side, &request))
        });
        let mut leaving = Leaving { wire: self, request: Some(request) };
        self.world.may_die("dies with a request under way", 0.001).await;
        pause(latency).await;
        let Some(request) = leaving.request.take() else { return Err(lost()) };
        drop(leaving);
        match luck {
            Luck::NotSent => {
                let reason = "cannot connect: connection refused".to_owned();
                return Err(Failure { sent: false, reason });
            }
            Luck::LostBefore => return Err(lost()),
            Luck::Late => {
                self.world.with(|world| world.act_late(self.side, request));
                std::future::pending::<()>().await;
            }
            Luck::Error => {
                let headers = self.world.with(|world| world.dated());
                return Ok(answer(502, headers, "Bad Gateway"));
            }
            Luck::Limited => return Ok(self.limited()),
            Luck::LostAfter => {
                drop(self.answered(&request).await);
                return Err(lost());
            }
            Luck::Fine => {
                let answer = self.answered(&request).await;
                self.world.with(|world| world.tell_request(&request, answer.status));
                self.world.may_die("dies before an answer reaches it", 0.001).await;
                pause(self.world.with(|world| world.latency())).await;
                return Ok(answer);
            }
        }
        Err(lost())
    }

    /// The other side does what it is asked, now.
    async fn answered(&self, request: &Request) -> Response {
        match self.side {
            Side::GitHub => self.world.with(|world| world.ask_github(request)),
            Side::Vault => {
                let (status, body) = self.world.with(|world| world.ask_vault(request));
                let headers = self.world.with(|world| world.dated());
                let body = if body.is_null() { String::new() } else { body.to_string() };
                answer(status, headers, &body)
            }
            Side::Nomad => {
                let nomad = self.world.with(|world| {
                    world.before_nomad_acts(request, world.now);
                    world.nomad.clone()
                });
                let answer = at_nomad(&nomad, request).await;
                self.world.with(|_| ());
                let (head, body) = answer.into_parts();
                let (body, world) = (Mutex::new(body), self.world.clone());
                let body = Frames { body, request: request.clone(), world };
                Response { status: head.status, headers: head.headers, body: Box::new(body) }
            }
        }
    }

    fn limited(&self) -> Response {
        let (reset, after) = self.world.with(|world| {
            let at = (world.now + world.draw(-10 * SECOND, 120 * SECOND)).div_euclid(SECOND);
            (at, world.rng.random_bool(0.3).then(|| world.draw(1, 60)))
        });
        let mut headers = self.world.with(|world| world.dated());
        match after {
            Some(seconds) => headers.insert("retry-after", HeaderValue::from(seconds)),
            None => {
                headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
                headers.insert("x-ratelimit-reset", HeaderValue::from(reset))
            }
        };
        answer(403, headers, r#"{"message": "API rate limit exceeded"}"#)
    }
}

impl crate::world::World {
    /// A request that was given up by us, or by a life that is over, arrives later all the same.
    pub fn act_late(&mut self, side: Side, request: Request) {
        let asks = request.method == Method::GET || request.url.path() == "/v1/jobs/statuses";
        if !asks {
            let left = self.now;
            let at = left + self.draw(10 * SECOND, 120 * SECOND);
            let request = Box::new(request);
            self.agenda.enter(at, crate::agenda::Act::Late { side, left, request });
        }
    }

    pub fn arrive_late(&mut self, side: Side, left: Millis, request: &Request) {
        match side {
            Side::GitHub => drop(self.ask_github(request)),
            Side::Vault => drop(self.ask_vault(request)),
            Side::Nomad => {
                self.before_nomad_acts(request, left);
                let nomad = self.nomad.clone();
                // A write answers without waiting for anything.
                let mut answer = pin!(at_nomad(&nomad, request));
                let done = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(done, Poll::Ready(_)), "a write to Nomad waits");
                self.came_late(request);
            }
        }
    }

    fn tell_request(&mut self, request: &Request, status: StatusCode) {
        if self.story.tells_requests() {
            let (method, url) = (&request.method, &request.url);
            self.story.tell(self.now, "wire", || format!("{method} {url}: {}", status.as_u16()));
        }
    }

    /// With the time by the clock of whoever answers, which is right.
    fn dated(&self) -> HeaderMap {
        let now = jiff::Timestamp::from_millisecond(self.now).unwrap();
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap();
        HeaderMap::from_iter([(DATE, HeaderValue::from_str(&date).unwrap())])
    }

    pub fn ask_github(&mut self, request: &Request) -> Response {
        self.before_github_acts(request);
        let header = |name: HeaderName| {
            request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let path = request.url.path();
        let path = path.strip_prefix("/api/v1").unwrap_or(path).to_owned();
        let call = rest::Call {
            method: request.method.as_str().to_owned(),
            path,
            query: rest::Call::query_of(request.url.query().unwrap_or_default()),
            origin: "http://github.test".to_owned(),
            token: header(AUTHORIZATION).map(|it| it.trim_start_matches("Bearer ").to_owned()),
            if_none_match: header(IF_NONE_MATCH),
            api_version: header(HeaderName::from_static("x-github-api-version")),
            body: request
                .body
                .as_deref()
                .and_then(|it| serde_json::from_slice(it).ok())
                .unwrap_or_default(),
        };
        let lags = request.method == Method::GET && self.strikes(Trouble::GitHubLags, 0.5);
        let (now, old) = (self.now, self.lagging.as_mut().filter(|_| lags));
        // What lists are made from lags; tokens do by themselves, see `app.rs`.
        let old = old.map(|old| old.rest(&call, now)).filter(|given| given.status != 401);
        let given = old.unwrap_or_else(|| self.github.rest(&call, now));
        self.is_refused(&given);
        let mut headers = self.dated();
        for (name, value) in given.headers {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        self.after_github_acted(request);
        for (path, key) in
            [("/registration-token", "token"), ("/generate-jitconfig", "encoded_jit_config")]
        {
            if request.url.path().ends_with(path)
                && let Some(secret) = given.body.as_ref().and_then(|body| body[key].as_str())
            {
                self.watching.minted(secret.to_owned());
            }
        }
        answer(given.status, headers, &given.body.map(|body| body.to_string()).unwrap_or_default())
    }
}

async fn at_nomad(nomad: &InProcess, request: &Request) -> axum::response::Response<NomadBody> {
    let at = (request.url.path(), request.url.query().unwrap_or_default());
    let body = Bytes::from(request.body.clone().unwrap_or_default());
    nomad.answer(request.method.clone(), at, request.headers.clone(), body).await
}

/// What Nomad answers, as it comes; a stream is cut where Nomad goes away.
struct Frames {
    /// Never locked by two: a body that can be shared is asked for, and this one cannot.
    body: Mutex<NomadBody>,
    request: Request,
    world: Shared,
}

impl Body for Frames {
    fn chunk(&mut self) -> Answering<'_, Option<Bytes>> {
        Box::pin(async move {
            loop {
                if self.world.with(|world| world.setting.away.is_in_the_way(&self.request)) {
                    return Err(lost());
                }
                let frame = self.body.get_mut().unwrap().frame();
                let looks_again = Duration::from_secs(1);
                match tokio::time::timeout(looks_again, frame).await {
                    Ok(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => return Ok(Some(data)),
                        Err(_) => continue,
                    },
                    Ok(Some(Err(_))) => return Err(lost()),
                    Ok(None) => return Ok(None),
                    Err(_) => continue,
                }
            }
        })
    }
}

fn answer(status: u16, headers: HeaderMap, body: &str) -> Response {
    let body = Whole::of(body.to_owned());
    Response { status: StatusCode::from_u16(status).unwrap(), headers, body }
}

fn lost() -> Failure {
    Failure { sent: true, reason: "connection reset".to_owned() }
}

async fn pause(millis: i64) {
    tokio::time::sleep(Duration::from_millis(millis.unsigned_abs())).await;
}
