//! How many requests the daemon makes, as an operator's rate limit feels it: about each job, and in
//! any one minute. What sweeps and probes ask by the clock has a share of its own.

use std::collections::VecDeque;

use reqwest::Method;
use simulated::github::model::{MINUTE, Millis};
use simulated::github::rest;
use simulated::nomad;
use transport::Request;

use crate::wires::Side;
use crate::world::World;

/// Of requests about single jobs and runners: so many for each job, and for each runner that was
/// dispatched,
struct Most {
    about_one: u64,
    /// for each life of the daemon, which takes up what the one before left,
    in_a_life: u64,
    /// and for each minute, in which what does not answer is tried again, and is asked what keeps it.
    in_a_minute: u64,
}

const TO_FORGE: Most = Most { about_one: 4, in_a_life: 8, in_a_minute: 1 };
/// Two to write a credential and one to remove it.
const TO_VAULT: Most = Most { about_one: 4, in_a_life: 8, in_a_minute: 1 };
const TO_NOMAD: Most = Most { about_one: 8, in_a_life: 10, in_a_minute: 20 };

/// Refused for a rate limit: so many in any ten minutes,
const REFUSED: usize = 15;
/// and so many more for each life of the daemon, which knows nothing of what the one before was told,
/// and may have several under way.
const REFUSED_IN_A_LIFE: usize = 10;

/// In any one minute, to one side, of whatever kind: so many, most of them by the clock,
const IN_A_MINUTE: usize = 200;
/// so many more for each job that there is, or was,
const IN_A_MINUTE_FOR_A_JOB: usize = 6;
/// and for each start within it, which looks at everything once.
const IN_A_MINUTE_FOR_A_START: usize = 40;

#[derive(Default)]
pub struct Requests {
    forge: Counted,
    nomad: Counted,
    vault: Counted,
    /// How long the daemon has been running, in all its lives but this.
    pub lived: Millis,
    /// When each life began.
    pub starts: Vec<Millis>,
    /// When GitHub refused one for its limits.
    refused: Vec<Millis>,
}

#[derive(Default)]
struct Counted {
    /// Those about one job or runner.
    about_one: u64,
    /// All within the last minute.
    lately: VecDeque<Millis>,
    most: usize,
}

impl Counted {
    fn one(&mut self, request: &Request, about_one: bool, now: Millis) {
        self.about_one += u64::from(about_one);
        // Each delivery that was missed is fetched once, however many there are; a parameterized job
        // that refused a dispatch is looked at each second; claims are counted by themselves.
        let path = request.url.path();
        let watches = path.starts_with("/v1/job/runner-") && !path.contains("dispatch");
        if path.contains("/deliveries/") || path.starts_with("/v1/allocation/") || watches {
            return;
        }
        self.lately.push_back(now);
        while self.lately.front().is_some_and(|at| at + MINUTE <= now) {
            self.lately.pop_front();
        }
        self.most = self.most.max(self.lately.len());
    }
}

/// Not a list, which sweeps and followers ask for.
fn is_about_one(side: Side, request: &Request) -> bool {
    let path = request.url.path();
    let asks = request.method == Method::GET;
    match side {
        Side::GitHub => {
            let (_, last) = path.rsplit_once('/').unwrap_or_default();
            let by_name = request.url.query().is_some_and(|query| query.contains("name="));
            // Of one that is sent on after a rename, only the first half.
            let again = path.starts_with("/repositories/");
            let by_id = path.contains("/actions/") && last.parse::<u64>().is_ok();
            (!asks && !path.ends_with("/access_tokens")) || by_name || (by_id && !again)
        }
        // Each names one, but for lists and the probe.
        Side::Vault => !asks,
        Side::Nomad => {
            (!asks && !path.ends_with("/statuses"))
                || path.contains("/dispatch-")
                || path.contains("%2Fdispatch-")
        }
    }
}

impl World {
    /// A request leaves the daemon.
    pub fn is_asked(&mut self, side: Side, request: &Request) {
        let now = self.now;
        self.check_claims_requests(request.url.path());
        let counted = match side {
            Side::GitHub => &mut self.requests.forge,
            Side::Nomad => &mut self.requests.nomad,
            Side::Vault => &mut self.requests.vault,
        };
        counted.one(request, is_about_one(side, request), now);
        let lately = counted.lately.len();
        let jobs = self.github.jobs().count();
        let starts = self.requests.starts.iter().filter(|at| **at + MINUTE > now).count();
        let more = IN_A_MINUTE_FOR_A_JOB * jobs + IN_A_MINUTE_FOR_A_START * starts;
        if lately > IN_A_MINUTE + more {
            self.watching
                .broken(|| format!("{lately} requests to {side:?} in a minute, for {jobs} jobs"));
        }
    }

    /// An App that is suspended is refused in the same way, and not for asking too much.
    pub fn is_refused(&mut self, answer: &rest::Answer) {
        let message = answer.body.as_ref().and_then(|body| body["message"].as_str());
        let for_limits = message.is_some_and(|it| it.to_lowercase().contains("rate limit"));
        if for_limits && matches!(answer.status, 403 | 429) {
            self.requests.refused.push(self.now);
        }
    }

    /// Whoever is told to wait does so, and all that ask by the same credential with it.
    fn check_refusals(&mut self) {
        let at = &self.requests.refused;
        let within = |from: usize| at[from..].partition_point(|one| *one < at[from] + 10 * MINUTE);
        let most = (0..at.len()).map(within).max().unwrap_or_default();
        if std::env::var_os("SIM_STATS").is_some() {
            println!("STAT refused {} most {most} lives {}", at.len(), self.life);
        }
        if most > REFUSED + REFUSED_IN_A_LIFE * self.life as usize {
            self.watching
                .broken(|| format!("GitHub refused {most} requests for its limit in ten minutes"));
        }
    }

    /// Requests about single jobs and runners, over all that happened.
    pub fn check_requests_per_job(&mut self) {
        self.check_refusals();
        let here = self.daemon.as_ref().map_or(0, |daemon| self.now - daemon.since);
        let minutes = ((self.requests.lived + here) / MINUTE).unsigned_abs();
        let jobs = self.github.jobs().count() as u64;
        let dispatched =
            |one: &&nomad::Happening| matches!(one.what, nomad::What::Dispatched { .. });
        let runners = self.nomad.lock().events().iter().filter(dispatched).count() as u64;
        let counted = [
            ("forge", TO_FORGE, &self.requests.forge),
            ("Nomad", TO_NOMAD, &self.requests.nomad),
            ("Vault", TO_VAULT, &self.requests.vault),
        ];
        if std::env::var_os("SIM_STATS").is_some() {
            let (f, n, v) = (&self.requests.forge, &self.requests.nomad, &self.requests.vault);
            println!(
                "STAT minutes {minutes} lives {} jobs {jobs} runners {runners} forge {} {} nomad {} {} vault {} {}",
                self.life, f.about_one, f.most, n.about_one, n.most, v.about_one, v.most
            );
        }
        for (side, most, Counted { about_one, .. }) in counted {
            let most = most.about_one * (jobs + runners)
                + most.in_a_life * u64::from(self.life)
                + most.in_a_minute * minutes;
            if *about_one > most {
                self.watching.broken(|| {
                    format!(
                        "{about_one} requests to {side} about {jobs} jobs and {runners} runners \
                         in {minutes} minutes, of {most}"
                    )
                });
            }
        }
    }
}
