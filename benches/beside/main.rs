//! What roustabout costs, each figure beside something measured in the same run: the door
//! beside a bare handler, a hiring beside a bare dispatch. `scripts/bench` builds and runs it and
//! says what the machine is; what came out is in `docs/benchmarks.md`.
//!
//! Arguments choose parts: `door`, `steady`, `accept`, `burst`, `memory`, `start`, `history`, `crowd`, `report`,
//! `claims`, `watchers`; none means all.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by it")]

#[path = "../../tests/support/mod.rs"]
mod support;

mod accept;
mod bare;
mod burst;
mod claims;
mod crowd;
mod door;
mod figures;
mod hiring;
mod history;
mod load;
mod memory;
mod process;
mod relay;
mod report;
mod start;
mod steady;
mod watchers;

#[tokio::main]
async fn main() {
    // `cargo bench` adds `--bench`.
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| part != "--bench").collect();
    if parts.first().is_some_and(|part| part == "bare") {
        return bare::serve().await;
    }
    let chosen = |part: &str| parts.is_empty() || parts.iter().any(|one| one == part);
    if chosen("door") {
        door::measure().await;
    }
    if chosen("steady") {
        steady::measure().await;
    }
    if chosen("accept") {
        accept::measure().await;
    }
    if chosen("burst") {
        burst::measure().await;
    }
    if chosen("memory") {
        memory::measure().await;
    }
    if chosen("start") {
        start::measure().await;
    }
    if chosen("crowd") {
        crowd::measure().await;
    }
    if chosen("claims") {
        claims::measure().await;
    }
    if chosen("history") {
        history::measure().await;
    }
    if chosen("report") {
        report::measure().await;
    }
    if chosen("watchers") {
        watchers::measure().await;
    }
}
