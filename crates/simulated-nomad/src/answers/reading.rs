//! How every read answers: from the state, with the index of what was read, at once or when it has
//! changed.
//!
//! A blocked read waits until its index is higher than the one it was given. It looks again only
//! when something that it watches has changed: a list by prefix is not woken by another job.
//! Read next: `call.rs`; the tables' indexes are in `tables.rs`.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponse;
use serde_json::Value;
use tokio::time::Instant;

use super::call::{Admitted, Call, Reply, Stated};
use super::options::Options;
use super::refusal::Refusal;
use crate::http::View;
use crate::standing::Standing;

/// Up to this part of a wait is added to it, so that not all come back at the same time.
const JITTER_PART: f64 = 1.0 / 16.0;

/// What a read found.
pub(crate) struct Found {
    /// The index of what was read: its table's, or its own.
    pub index: u64,
    /// Equal as long as nothing has changed that this read looks at.
    pub watched: Vec<u64>,
    /// None: it is not there.
    pub body: Option<Value>,
    pub next_token: Option<String>,
    /// The index where something that was watched is there no more, if it is the higher one.
    pub on_loss: u64,
    /// What to say where it is not there.
    pub absent: &'static str,
}

impl Found {
    /// A list, or anything else that changes with its table.
    pub fn list(index: u64, body: Value) -> Self {
        Self {
            index,
            watched: vec![index],
            body: Some(body),
            next_token: None,
            on_loss: 0,
            absent: "",
        }
    }

    /// An object with an index of its own, or none with the table's.
    pub fn one(found: Option<(u64, Value)>, table: u64, absent: &'static str) -> Self {
        let watched = found.iter().map(|(index, _)| *index).collect();
        let index = found.as_ref().map_or(table, |(index, _)| *index);
        Self {
            index,
            watched,
            body: found.map(|(_, body)| body),
            next_token: None,
            on_loss: 0,
            absent,
        }
    }

    /// Looks again only when these change: the indexes of the rows that were looked at.
    pub fn watching(self, rows: Vec<u64>) -> Self {
        Self { watched: rows, ..self }
    }
}

impl Call {
    /// Answers from the state.
    pub async fn read(
        &self,
        look: impl Fn(&View<'_>, &Admitted, &Options) -> Result<Found, Refusal>,
    ) -> Reply {
        let options = self.options()?;
        let jitter = options.wait.mul_f64(JITTER_PART * self.server.draw());
        let deadline = Instant::now() + options.wait + jitter;
        // Once: who is let in stays so while it waits, whatever becomes of its token [V].
        let admitted = self.server.view(|view, now| self.admit(view, &Stated::default(), now))?;
        let mut before: Option<Found> = None;
        loop {
            // It hears of whatever changes from here on.
            let changed = self.server.changes().notified();
            let found = self.server.view(|view, _| look(view, &admitted, &options))?;
            let found = match before {
                Some(before) if before.watched == found.watched => before,
                Some(before) if before.watched.len() > found.watched.len() => {
                    Found { index: found.index.max(found.on_loss), ..found }
                }
                _ => found,
            };
            let news = options.index == 0 || found.index > options.index;
            if news || tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self.found(found);
            }
            before = Some(found);
        }
    }

    fn found(&self, found: Found) -> Reply {
        let leads = *self.server.standing() == Standing::Leader;
        let mut headers = query_meta(found.index, leads);
        if let Some(token) = found.next_token.and_then(|token| token.parse().ok()) {
            headers.insert("x-nomad-nexttoken", token);
        }
        match found.body {
            Some(body) => Ok((headers, self.json(&body)).into_response()),
            None => {
                let mut refusal = Refusal::new(404, found.absent);
                *refusal.headers = headers;
                Err(refusal)
            }
        }
    }
}

/// The heads of whatever was read from the state. Who has no leader has heard of none for ever, which
/// is as long as Go's lengths of time are.
fn query_meta(index: u64, leads: bool) -> HeaderMap {
    let name = HeaderName::from_static;
    let (known, contact) = if leads { ("true", "0") } else { ("false", "9223372036854") };
    HeaderMap::from_iter([
        (name("x-nomad-index"), HeaderValue::from(index)),
        (name("x-nomad-knownleader"), HeaderValue::from_static(known)),
        (name("x-nomad-lastcontact"), HeaderValue::from_static(contact)),
    ])
}
