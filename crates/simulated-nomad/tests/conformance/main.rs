//! The stand-in is held to what a real Nomad 1.11.3 answered: `record.py`, which made the record on
//! the real one, plays every scenario on the stand-in, and what comes out must be the same: status,
//! headers, JSON with its keys, types and texts. What may differ stands in `differences.json`, each
//! with its reason; anything else fails.
//!
//!     cargo test -p simulated-nomad --test conformance
//!     SCENARIOS=dispatch,gc cargo test -p simulated-nomad --test conformance
//!
//! Where a real Nomad is found it plays them too, and is told how it differs (`found.rs`).
//! How often an index or a time differs from another one is not compared (`comparing.rs`).
//! Read next: `playing.rs`, `comparing.rs`, `README.md` (the record's format).

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod comparing;
mod declared;
mod found;
mod not_run;
mod playing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comparing::Difference;
use declared::Declared;
use serde_json::Value;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

#[test]
fn the_stand_in_answers_as_recorded() {
    if !playing::is_possible() {
        return;
    }
    let recorded = playing::scenarios(&here("recorded-1.11.3.json"));
    let wanted: Option<Vec<String>> =
        std::env::var("SCENARIOS").ok().map(|text| text.split(',').map(str::to_owned).collect());
    let groups = playing::groups(|name| {
        wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|it| it == name))
    });
    let binary = Path::new(env!("CARGO_BIN_EXE_simulated-nomad"));
    let mut played = playing::all(binary, &groups);
    let mut declared = Declared::read(&here("differences.json"));
    let mut undeclared = all_differences(&recorded, &played, &groups, &mut declared);
    // Whoever asks between two events that are milliseconds apart sees the first one on a busy machine.
    // So what differs is played once more, with less beside it; a real difference is there again.
    let again = playing::narrowed(&groups, |name| undeclared.iter().any(|it| it.scenario == name));
    if !again.is_empty() {
        for one in &undeclared {
            println!("at first: {one}");
        }
        played.extend(playing::all(binary, &again));
        undeclared = all_differences(&recorded, &played, &again, &mut declared);
    }
    if let Ok(keep) = std::env::var("KEEP_PLAYED") {
        let all = Value::Array(played.values().cloned().collect());
        std::fs::write(keep, serde_json::to_string_pretty(&all).unwrap()).unwrap();
    }
    for one in &undeclared {
        println!("{one}");
    }
    let unused = if wanted.is_none() { declared.unused() } else { Vec::new() };
    for one in &unused {
        println!("declared, and no difference any more: {one}");
    }
    println!("{} scenarios played, {} differences declared", played.len(), declared.len());
    assert!(
        undeclared.is_empty() && unused.is_empty(),
        "{} undeclared differences, {} declared ones that are none",
        undeclared.len(),
        unused.len()
    );
}

/// What differs in the scenarios of these groups, without what is declared.
fn all_differences(
    recorded: &BTreeMap<String, Value>,
    played: &BTreeMap<String, Value>,
    groups: &[playing::Group],
    declared: &mut Declared,
) -> Vec<Difference> {
    let mut undeclared = Vec::new();
    for name in groups.iter().flat_map(|group| &group.scenarios) {
        let found = match played.get(name) {
            Some(played) => comparing::differences(name, &recorded[name], played),
            None => vec![Difference::new(name, "", "", "played", "not played at all")],
        };
        undeclared.extend(found.into_iter().filter(|one| !declared.covers(one)));
    }
    undeclared
}
