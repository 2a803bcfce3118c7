//! The other way round: a real Nomad that is found on this machine plays the same scenarios, and it is
//! said how its version differs from the recorded one. A difference is news, not a failure: what then
//! has to change is the record, the stand-in or the daemon.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::declared::Declared;
use super::not_run::not_run;
use super::{comparing, here, playing};

/// Of each scenario so many differences are shown.
const SHOWN: usize = 5;

/// `NOMAD_BIN`, else `nomad` on `PATH`, with what it says of its version.
fn nomad() -> Option<(PathBuf, String)> {
    let said = std::env::var_os("NOMAD_BIN").map(PathBuf::from);
    let binary = match said {
        Some(binary) => binary,
        None => std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("nomad"))
            .find(|file| file.is_file())?,
    };
    let output = Command::new(&binary).arg("version").output();
    let output =
        output.unwrap_or_else(|error| panic!("{} does not run: {error}", binary.display()));
    let version = String::from_utf8_lossy(&output.stdout);
    Some((binary, version.lines().next().unwrap_or_default().to_owned()))
}

fn tell(line: &str) {
    // Past the test runner, which keeps what a test that passes prints.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[test]
fn a_real_nomad_is_told_how_it_differs_from_the_record() {
    let Some((binary, version)) = nomad() else {
        return not_run("the record, played on a real Nomad of today,", "needs a Nomad");
    };
    if !playing::is_possible() {
        return;
    }
    let file = here("recorded-1.11.3.json");
    let recorded = playing::scenarios(&file);
    let played = playing::all(Path::new(&binary), &playing::groups(|_| true));
    assert!(!played.is_empty(), "nothing could be played on {}", binary.display());
    let mut declared = Declared::read(&here("differences.json"));
    let mut differing = BTreeMap::new();
    for (name, recorded) in &recorded {
        let found = match played.get(name) {
            Some(played) => comparing::differences(name, recorded, played),
            None => vec![comparing::Difference::new(name, "", "", "played", "not played at all")],
        };
        let found: Vec<_> = found.into_iter().filter(|one| !declared.covers(one)).collect();
        if !found.is_empty() {
            differing.insert(name, found);
        }
    }
    let count = differing.values().map(Vec::len).sum::<usize>();
    let (scenarios, all) = (differing.len(), recorded.len());
    tell(&format!(
        "{version}: {count} differences from the record, in {scenarios} of {all} scenarios"
    ));
    for found in differing.values() {
        for one in found.iter().take(SHOWN) {
            tell(&format!("  {one}"));
        }
        if found.len() > SHOWN {
            tell(&format!("  … and {} more of {}", found.len() - SHOWN, found[0].scenario));
        }
    }
}
