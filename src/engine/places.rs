//! Nomad's places as its client and as the ledger know them, everywhere where children of ours can
//! be, and what is told of a place that does not answer.
//!
//! `children` follows each of them; `health` keeps what is told. Nothing is asked here.

use std::collections::BTreeSet;

use super::Setup;
use super::health::Health;
use super::rules::rules;
use crate::ledger::event::NomadTrouble;
use crate::ledger::{Event, NomadPlace, State};
use crate::nomad::{self, Client, Error, Place};

/// Everywhere where children of ours can be: where the pools' jobs are, and where runners have been
/// dispatched before.
pub fn places(setup: &Setup, state: &State) -> BTreeSet<Place> {
    let rules = rules(&setup.settings);
    let pools = rules.pools.iter().map(|pool| rules.place_of(pool));
    let runners = state.runners.values().map(|runner| rules.place_of_runner(runner));
    pools.chain(runners).map(|place| at(&place)).collect()
}

/// In the client's words.
pub fn at(place: &NomadPlace) -> Place {
    Place { namespace: place.namespace.clone(), region: place.region.clone() }
}

/// Says of one place that it is away, or (`None`) well.
pub fn tell(health: &Health, nomad: &Client, place: &Place, error: Option<&Error>) {
    tell_words(health, nomad, place, error.map(Error::to_string));
}

/// The same of what is in words already.
pub fn tell_words(health: &Health, nomad: &Client, place: &Place, trouble: Option<String>) {
    let part = format!("{}@{}", place.namespace, place.region.as_deref().unwrap_or_default());
    let unlike = named(place).unlike(&named(nomad.place()));
    let trouble = trouble.map(|trouble| match unlike.trim_start() {
        "" => trouble,
        unlike => format!("{unlike}: {trouble}"),
    });
    health.report("nomad", &part, trouble);
}

/// Nomad does not answer about children there.
pub fn went_away(place: &Place, error: &Error) -> Event {
    let trouble = match error {
        Error::Forbidden { .. } => NomadTrouble::Refuses(forbidden(error, place)),
        _ => NomadTrouble::Unreachable(error.to_string()),
    };
    Event::NomadAway { place: named(place), trouble }
}

/// In the ledger's words.
pub fn named(place: &Place) -> NomadPlace {
    NomadPlace { namespace: place.namespace.clone(), region: place.region.clone() }
}

/// With what the token needs there.
pub fn forbidden(error: &nomad::Error, place: &Place) -> String {
    format!(
        "{error}; in namespace {:?} it needs read-job, list-jobs, dispatch-job and deregister-job \
         (before Nomad 1.11.2: submit-job)",
        place.namespace
    )
}
