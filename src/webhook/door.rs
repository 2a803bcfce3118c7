//! Judges one request: path, method, announced length, content type, signature, event; keeps
//! what is to be kept; answers. Nothing is parsed or stored before the signature holds.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::{Extension, Router};
use clock::Clock;
use tracing::{debug, info, warn};

use super::apps::{self, Apps};
use super::body::{self, Bodies, Use};
use super::hand::{Hand, Receipt};
use super::in_flight::InFlight;
use super::news::{self, News};
use super::outcome::{Outcome, Pinger, Unsigned};
use super::payload::{self, NotAnEvent, WorkflowJob};
use super::phase::{Doing, Phase};
use super::quota::{Quota, Tell};
use super::signature::{Given, Secrets};
use super::tally::Tally;
use crate::ledger::matching::Candidate;
use crate::ledger::policy::{Judgement, Known};
use crate::ledger::{DeliveryId, Rules, Time, matching, policy, runner_name};
use crate::metrics::Metrics;
use crate::store::{Delivery, Kept, Unparsed};
use strangers_text::harmless_up_to;

/// Unreadable bodies are kept up to this many bytes.
const UNPARSED_BYTES: usize = 64 * 1024;
/// GitHub's delivery ids are UUIDs; longer than this is not one.
const LONGEST_DELIVERY_ID: usize = 128;
/// Bytes of the reason why a body could not be read.
const LONGEST_REASON: usize = 300;
/// Bytes of a header in a log line.
const LONGEST_IN_LOG: usize = 64;

pub struct Door {
    pub secrets: Secrets,
    /// Whose webhooks an App's secret signs.
    pub apps: Apps,
    pub rules: Arc<Rules>,
    pub hand: Hand,
    pub bodies: Bodies,
    /// The same for all that share one memory: the door before a reload and the one after it.
    pub in_flight: InFlight,
    pub refusals: Quota,
    pub tally: Tally,
    pub metrics: Metrics,
    pub clock: Clock,
}

#[derive(Clone)]
struct Shared {
    path: Arc<str>,
    door: Arc<Door>,
}

/// The one path of the public door; everything else is 404.
pub fn router(path: &str, door: Door) -> Router {
    let shared = Shared { path: path.into(), door: Arc::new(door) };
    // Not a route: the operator's path is meant as it stands, whatever signs are in it.
    Router::new().fallback(take).with_state(shared)
}

async fn take(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    phase: Option<Extension<Arc<Phase>>>,
    body: Body,
) -> Response {
    if uri.path() != &*shared.path {
        return Outcome::WrongPath.respond(None);
    }
    let began = Instant::now();
    let delivery = delivery_id(&headers);
    let answer = judge(&shared, &method, &headers, phase.as_deref(), body, delivery.as_ref());
    let answer = answer.await;
    shared.door.metrics.webhook(began.elapsed());
    shared.door.tally.count(&answer, shared.door.clock.now().into());
    log(&answer, &headers, delivery.as_ref(), &shared.door.refusals);
    answer.respond(delivery.as_ref())
}

async fn judge(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    phase: Option<&Arc<Phase>>,
    body: Body,
    id: Option<&DeliveryId>,
) -> Outcome {
    let door = &shared.door;
    if method != Method::POST {
        return Outcome::WrongMethod;
    }
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > door.bodies.each) {
        return Outcome::TooLarge(door.bodies.each);
    }
    let Some(encoding) = Encoding::of(headers) else { return Outcome::WrongType };
    // Gitea says everything three times, as Gogs, as GitHub, and as itself.
    let given = match headers.get("x-hub-signature-256") {
        None => return Outcome::Unsigned(Unsigned::Missing),
        Some(header) => match Given::read(header.as_bytes()) {
            None => return Outcome::Unsigned(Unsigned::Malformed),
            Some(given) => given,
        },
    };
    let wanted = match text(headers, "x-github-event") {
        Some(event) if id.is_some() && is_read(event) => Use::All,
        Some(_) if id.is_some() => Use::Nothing,
        _ => Use::Start,
    };
    let doing = |doing| phase.into_iter().for_each(|phase| phase.is(doing));
    doing(Doing::ReadingBody);
    let checking = door.secrets.check(given);
    let signed = body::read(body, announced, wanted, &door.bodies, &door.in_flight, checking).await;
    doing(Doing::Serving);
    let signed = match signed {
        Ok(signed) => signed,
        Err(answer) => return answer,
    };
    let raw = &signed.bytes;
    match understand(headers, encoding, raw, id) {
        Ok(Understood::Ping(pinger)) => Outcome::Pong(pinger),
        Ok(Understood::Other(event)) => Outcome::Ignored(format!(
            "event {event} is not used; workflow_job is, and an App's installation and repository events"
        )),
        Ok(Understood::News(Some(news))) if !door.apps.are_for(&signed.signers, news.owner()) => {
            Outcome::Ignored(apps::stranger(news.owner()))
        }
        Ok(Understood::News(news)) => {
            news.into_iter().for_each(|news| door.apps.tell(news));
            Outcome::Accepted
        }
        Ok(Understood::Job(_, job)) if !door.apps.are_for(&signed.signers, owner_of(&job)) => {
            Outcome::Ignored(apps::stranger(owner_of(&job)))
        }
        Ok(Understood::Job(id, job)) => match job.unreadable.clone() {
            None => {
                if let Some(installation) = job.installation
                    && signed.signers.iter().any(|signer| signer.app.is_some())
                {
                    door.apps.sent_for(owner_of(&job), installation);
                }
                door.keep(id, *job).await
            }
            Some(why) => door.keep_and_look(headers, id, *job, clipped(&why), raw).await,
        },
        Err(why) => door.keep_unreadable(headers, id, clipped(&why), raw).await,
    }
}

fn is_read(event: &str) -> bool {
    matches!(event, "workflow_job" | "ping") || news::is_news(event)
}

fn owner_of(job: &WorkflowJob) -> &str {
    let name = &job.repository.full_name;
    name.split_once('/').map_or(name, |(owner, _)| owner)
}

/// A parser's error may quote the body, and a body may hold anything and be long.
fn clipped(why: &str) -> String {
    harmless_up_to(why, LONGEST_REASON)
}

enum Understood {
    Ping(Pinger),
    Other(String),
    /// `None`: of nothing that matters here.
    News(Option<News>),
    Job(DeliveryId, Box<WorkflowJob>),
}

fn understand(
    headers: &HeaderMap,
    encoding: Encoding,
    raw: &[u8],
    id: Option<&DeliveryId>,
) -> Result<Understood, String> {
    let event = text(headers, "x-github-event").ok_or("there is no X-GitHub-Event header")?;
    let id = id.ok_or("there is no X-GitHub-Delivery header, or it is not an id")?;
    if !is_read(event) {
        return Ok(Understood::Other(harmless_up_to(event, LONGEST_IN_LOG)));
    }
    let json = encoding.json(raw).map_err(|e| e.to_string())?;
    if event == "ping" {
        let object: Result<serde_json::Map<_, _>, _> = serde_json::from_slice(&json);
        return object
            .map(|ping| Understood::Ping(Pinger::of(&ping)))
            .map_err(|e| format!("the body is not a ping event: {e}"));
    }
    if news::is_news(event) {
        return news::read(event, &json).map(Understood::News).map_err(|e| e.to_string());
    }
    let job = payload::read_workflow_job(&json).map_err(|e| e.to_string())?;
    Ok(Understood::Job(id.clone(), Box::new(job)))
}

impl Door {
    async fn keep(&self, id: DeliveryId, job: WorkflowJob) -> Outcome {
        let delivery = Delivery {
            id,
            received_at: self.clock.now().into(),
            repository: job.repository.clone(),
            report: job.report.clone(),
            look: job.unreadable.is_some(),
        };
        match self.hand.keep(delivery).await {
            Ok(Receipt { kept: Kept::Duplicate, .. }) => Outcome::Duplicate,
            Ok(Receipt { kept: Kept::New, former }) => self.foresee(&job, &former),
            Err(error) => Outcome::Unavailable(error.to_string()),
        }
    }

    /// The job could not be read: the delivery is kept for people, and the repository is looked at.
    async fn keep_and_look(
        &self,
        headers: &HeaderMap,
        id: DeliveryId,
        job: WorkflowJob,
        why: String,
        raw: &[u8],
    ) -> Outcome {
        match self.keep_unreadable(headers, Some(&id), why, raw).await {
            Outcome::Unreadable(why) => {
                warn!(
                    delivery = id.as_str(),
                    reason = why,
                    "webhook not understood; its repository is looked at"
                );
                self.keep(id, job).await
            }
            answer => answer,
        }
    }

    /// What the ledger makes of it, as far as can be said without asking GitHub.
    fn foresee(&self, job: &WorkflowJob, former: &[String]) -> Outcome {
        let candidate = Candidate { former, ..job.repository.candidate() };
        let Some(report) = &job.report else {
            if job.unreadable.is_some() {
                let pools = &self.rules.pools;
                return match pools.iter().any(|pool| pool.serves(candidate)) {
                    true => Outcome::Accepted,
                    false => Outcome::Ignored(matching::unpicked(pools, candidate).to_string()),
                };
            }
            return Outcome::Ignored(format!(
                "this version does not know action {} with this status; nothing is changed",
                job.action
            ));
        };
        let ours = report
            .runner_name
            .as_deref()
            .is_some_and(|name| runner_name::pool_of(&self.rules.name_prefix, name).is_some());
        if ours {
            return Outcome::Accepted;
        }
        let repository = &job.repository;
        match matching::pool_for(&self.rules.pools, candidate, &report.labels, report.run) {
            Err(why) => Outcome::Ignored(why.to_string()),
            Ok(pool) => match policy::judge(pool, repository, Known::default()) {
                Judgement::Refused(why) => Outcome::Ignored(why),
                Judgement::Allowed | Judgement::AskRun => Outcome::Accepted,
            },
        }
    }

    async fn keep_unreadable(
        &self,
        headers: &HeaderMap,
        id: Option<&DeliveryId>,
        why: String,
        raw: &[u8],
    ) -> Outcome {
        let unparsed = Unparsed {
            id: id.cloned(),
            received_at: Time::from(self.clock.now()),
            event: text(headers, "x-github-event")
                .map(|event| harmless_up_to(event, LONGEST_IN_LOG)),
            error: why.clone(),
            body: raw[..raw.len().min(UNPARSED_BYTES)].to_vec(),
        };
        match self.hand.store.keep_unparsed(unparsed).await {
            Ok(()) => Outcome::Unreadable(why),
            Err(error) => Outcome::Unavailable(error.to_string()),
        }
    }
}

#[derive(Clone, Copy)]
enum Encoding {
    Json,
    Form,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = text(headers, header::CONTENT_TYPE.as_str())?.split(';').next()?.trim();
        match kind {
            _ if kind.eq_ignore_ascii_case("application/json") => Some(Encoding::Json),
            _ if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
                Some(Encoding::Form)
            }
            _ => None,
        }
    }

    fn json(self, raw: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, NotAnEvent> {
        match self {
            Encoding::Json => Ok(raw.into()),
            Encoding::Form => form_urlencoded::parse(raw)
                .find(|(key, _)| key == "payload")
                .map(|(_, value)| value.into_owned().into_bytes().into())
                .ok_or(NotAnEvent::NoPayload),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

fn delivery_id(headers: &HeaderMap) -> Option<DeliveryId> {
    let id = text(headers, "x-github-delivery")?;
    (id.len() <= LONGEST_DELIVERY_ID).then(|| DeliveryId::from(id))
}

/// What comes without a good signature may be anybody's: its headers are clipped, and only some of
/// its lines are told.
fn log(answer: &Outcome, headers: &HeaderMap, delivery: Option<&DeliveryId>, refusals: &Quota) {
    let delivery = delivery.map(|id| harmless_up_to(id.as_str(), LONGEST_IN_LOG));
    let webhook =
        text(headers, "x-github-event").map(|event| harmless_up_to(event, LONGEST_IN_LOG));
    match answer {
        Outcome::Accepted => debug!(delivery, webhook, "webhook kept"),
        Outcome::Duplicate => info!(delivery, webhook, "webhook already known"),
        Outcome::Pong(Pinger::Forge) => {
            info!(delivery, "webhook ping: GitHub reaches this address");
        }
        Outcome::Pong(Pinger::Other) => {
            info!(delivery, "webhook ping of a program that has the secret: accepted");
        }
        Outcome::Ignored(reason) => debug!(delivery, webhook, reason, "webhook ignored"),
        Outcome::Unavailable(reason) => warn!(delivery, webhook, reason, "webhook not stored"),
        Outcome::Unreadable(reason) => warn!(delivery, webhook, reason, "webhook unreadable"),
        Outcome::Unsigned(why) => {
            let Tell::Yes { kept_back } = refusals.take(Instant::now()) else { return };
            if kept_back > 0 {
                warn!(kept_back, "more webhooks were refused than are logged");
            }
            let reason = match why {
                Unsigned::Missing => "no X-Hub-Signature-256 header; set the webhook's secret",
                Unsigned::Malformed => "X-Hub-Signature-256 is not sha256= and 64 hex digits",
                Unsigned::Wrong => {
                    "invalid signature; the webhook's secret differs from [webhook] secret"
                }
            };
            warn!(delivery, webhook, reason, "webhook refused");
        }
        refused => debug!(?refused, "request refused"),
    }
}
