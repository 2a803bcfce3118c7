//! The network: how long a request is on its way, and what becomes of it.

use simulated::github::model::{Millis, SECOND};
use transport::Request;

use crate::troubles::Trouble;
use crate::wires::Side;
use crate::world::World;

/// What becomes of one request.
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

/// Whom of Nomad nobody can reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Away {
    #[default]
    Nobody,
    All,
    /// One namespace, as where a token's rights for it are taken away and a proxy answers in its place.
    Namespace(&'static str),
}

impl Away {
    pub fn is_in_the_way(&self, request: &Request) -> bool {
        match self {
            Away::Nobody => false,
            Away::All => true,
            Away::Namespace(name) => {
                request.url.query_pairs().any(|(key, value)| key == "namespace" && value == *name)
            }
        }
    }
}

impl World {
    /// How long a request, or its answer, is on its way.
    pub fn latency(&mut self) -> Millis {
        if self.strikes(Trouble::NetworkSlow, 0.1) {
            return self.draw(SECOND, 8 * SECOND);
        }
        self.draw(5, 300)
    }

    pub fn luck(&mut self, side: Side, request: &Request) -> Luck {
        if side == Side::Nomad && self.setting.away.is_in_the_way(request) {
            return Luck::NotSent;
        }
        if self.strikes(Trouble::RequestsActLate, 0.05) {
            return Luck::Late;
        }
        if side == Side::GitHub && self.strikes(Trouble::GitHubLimits, 0.05) {
            return Luck::Limited;
        }
        // It stands beside Nomad.
        if side == Side::Vault && self.setting.away == Away::All {
            return Luck::NotSent;
        }
        let fails = if side == Side::GitHub { Trouble::GitHubFails } else { Trouble::NomadFails };
        if !self.strikes(fails, 0.1) {
            return Luck::Fine;
        }
        let lucks = [Luck::NotSent, Luck::LostBefore, Luck::LostAfter, Luck::Error];
        self.pick(&lucks).unwrap_or(Luck::Fine)
    }
}
