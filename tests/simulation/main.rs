//! The ledger's real `step` in a world that is simulated whole: GitHub, Nomad, clock, disk and
//! network, in one thread and from a seed, with everything going wrong that can.
//!
//! `ROUSTABOUT_SIMULATION_SEED=N` plays one seed, and tells its story; `ROUSTABOUT_SIMULATION_SEEDS=N`
//! plays so many. What is promised is in `invariants.rs` and `quiescence.rs`, what can go wrong in
//! `troubles.rs`, what is not done yet in `not_yet.rs`. Read next: `world.rs`; `docs/simulation.md`.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod agenda;
mod calls;
mod carrier;
mod daemon;
mod disk;
mod door;
mod follower;
mod gitea;
mod invariants;
mod not_yet;
mod play;
mod quiescence;
mod reconciler;
mod runners;
mod scenario;
mod stage;
mod story;
mod troubles;
mod watching;
mod world;

const SEED: &str = "ROUSTABOUT_SIMULATION_SEED";
const SEEDS: &str = "ROUSTABOUT_SIMULATION_SEEDS";

/// How many a plain run plays.
const BY_DEFAULT: u64 = 200;

#[test]
fn every_promise_holds_in_every_seed() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number(SEED) {
        match play::told(seed) {
            (story, Ok(())) => println!("{story}seed {seed}: every promise holds"),
            (story, Err(why)) => panic!("{story}seed {seed}: {why}"),
        }
        return;
    }
    play::many(number(SEEDS).unwrap_or(BY_DEFAULT));
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [3, 17] {
        assert_eq!(play::told(seed), play::told(seed));
    }
}
