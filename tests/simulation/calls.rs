//! The network: how long a call takes, and what becomes of it.

use std::time::Duration;

use roustabout::ledger::event::{Answer, Failure};
use serde_json::Value;
use simulated::github::model::{Millis, SECOND};
use simulated::github::rest;

use crate::troubles::Trouble;
use crate::world::World;

/// The daemon's access token.
pub const TOKEN: &str = "ghp_simulated";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    GitHub,
    Nomad,
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    Fine,
    /// It certainly did not arrive.
    NotSent,
    /// It did not arrive, and nobody knows.
    LostBefore,
    /// It acted, and the answer is lost.
    LostAfter,
    /// It is given up, and acts later.
    Late,
    /// A 5xx; nothing was done.
    Error,
    /// "Come back later."
    Limited,
}

impl Luck {
    /// Whether the other side does what it was asked, now.
    pub fn acts(self) -> bool {
        matches!(self, Luck::Fine | Luck::LostAfter)
    }

    pub fn reason(self) -> &'static str {
        match self {
            Luck::Fine => "fine",
            Luck::NotSent => "connection refused",
            Luck::LostBefore | Luck::LostAfter => "connection reset",
            Luck::Late => "timed out",
            Luck::Error => "502 Bad Gateway",
            Luck::Limited => "rate limit exceeded",
        }
    }
}

impl World {
    /// How long a call, or its answer, is on its way.
    pub fn latency(&mut self) -> Millis {
        if self.strikes(Trouble::NetworkSlow, 0.1) {
            return self.draw(SECOND, 12 * SECOND);
        }
        self.draw(5, 300)
    }

    pub fn luck(&mut self, side: Side) -> Luck {
        if side == Side::Nomad && self.setting.nomad_is_away {
            return Luck::NotSent;
        }
        if self.strikes(Trouble::RequestsActLate, 0.05) {
            return Luck::Late;
        }
        if side == Side::GitHub && self.strikes(Trouble::GitHubLimits, 0.05) {
            return Luck::Limited;
        }
        let fails = if side == Side::GitHub { Trouble::GitHubFails } else { Trouble::NomadFails };
        if !self.strikes(fails, 0.1) {
            return Luck::Fine;
        }
        let lucks = [Luck::NotSent, Luck::LostBefore, Luck::LostAfter, Luck::Error];
        self.pick(&lucks).unwrap_or(Luck::Fine)
    }

    pub fn failure(&mut self, luck: Luck) -> Failure {
        let retry_after = match luck {
            Luck::Limited => Some(after(self.draw(-10 * SECOND, 120 * SECOND))),
            _ => None,
        };
        Failure { reason: luck.reason().to_owned(), retry_after }
    }

    /// One call to GitHub's API: status and body of what came back. A redirect is followed.
    pub fn github(&mut self, method: &str, path: &str) -> Answer<(u16, Value)> {
        self.github_if_changed(method, path, None).map(|(status, body, _)| (status, body))
    }

    /// The same, with the tag of what is known already, and of what comes back.
    pub fn github_if_changed(
        &mut self,
        method: &str,
        path: &str,
        tag: Option<&str>,
    ) -> Answer<(u16, Value, Option<String>)> {
        let luck = self.luck(Side::GitHub);
        let answer = luck.acts().then(|| self.ask_github(method, path, tag));
        let Some(answer) = answer.filter(|_| luck == Luck::Fine) else {
            return Err(self.failure(luck));
        };
        let header = |wanted: &str| {
            let found = answer.headers.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.clone())
        };
        if matches!(answer.status, 403 | 429) {
            let reset = header("x-ratelimit-reset").and_then(|at| at.parse::<i64>().ok());
            let retry_after = reset.map(|at| after(at * SECOND - self.now));
            return Err(Failure { reason: "rate limit exceeded".to_owned(), retry_after });
        }
        let tag = header("etag");
        Ok((answer.status, answer.body.unwrap_or_default(), tag))
    }

    fn ask_github(&mut self, method: &str, path: &str, tag: Option<&str>) -> rest::Answer {
        let lags = method == "GET" && self.strikes(Trouble::GitHubLags, 0.5);
        let (now, old) = (self.now, self.lagging.as_mut().filter(|_| lags));
        let github = old.map_or(&mut self.github, |old| &mut **old);
        let call = |path: &str| {
            let call = rest::Call::new(method, path, TOKEN);
            rest::Call { if_none_match: tag.map(str::to_owned), ..call }
        };
        let answer = github.rest(&call(path), now);
        let moved = answer.headers.iter().find(|(name, _)| *name == "location");
        match moved.filter(|_| matches!(answer.status, 301 | 307)) {
            Some((_, to)) => {
                let path = to.trim_start_matches("http://github.test").to_owned();
                github.rest(&call(&path), now)
            }
            None => answer,
        }
    }

    /// One GET whose answer must be a 200.
    pub fn get(&mut self, path: &str) -> Answer<Value> {
        match self.github("GET", path)? {
            (200, body) => Ok(body),
            (status, _) => {
                Err(Failure { reason: format!("{status} for {path}"), retry_after: None })
            }
        }
    }
}

/// So many milliseconds from now; none where that has passed.
fn after(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
