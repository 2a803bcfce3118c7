//! What the documents, the example config, the jobspecs and the scripts name is there: links, files
//! of this repository, config keys, variables, addresses of the private door, variables of jobspecs.

use std::collections::BTreeSet;
use std::path::Path;

use roustabout::config::{is_not_yet, known_keys};

use super::{deployed, documents, files, pieces, read, root};

fn place(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}

/// Everything that people read, with what each is called.
fn everything() -> Vec<(String, String)> {
    let all = documents().into_iter().chain(deployed());
    all.map(|file| (place(&file), read(&file))).collect()
}

/// What stands between characters that no name has.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_./-".contains(c)))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for document in documents() {
        let text = read(&document);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            links += 1;
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if !heading.is_empty() {
                let headings = std::fs::read_to_string(&target).unwrap();
                let there = headings.lines().any(|line| anchor(line).as_deref() == Some(heading));
                assert!(there, "{}: no heading for {link}", document.display());
            }
        }
    }
    assert!(links > 20, "{links}");
}

/// As GitHub makes it from a heading.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
}

#[test]
fn every_file_of_this_repository_that_is_named_is_there() {
    let folders = ["src/", "crates/", "tests/", "docs/", "deploy/", "scripts/", "benches/", ".ci/"];
    let mut named = 0;
    for (place, text) in everything() {
        for word in words(&text) {
            if folders.iter().any(|folder| word.len() > folder.len() && word.starts_with(folder)) {
                named += 1;
                // What is in capitals stands for a name.
                let known = match word.rsplit_once('/') {
                    Some((folder, name)) if name.chars().all(|c| c.is_ascii_uppercase()) => folder,
                    _ => word,
                };
                assert!(root().join(known).exists(), "{place}: {word} is not there");
            }
        }
    }
    // The simulation's tables leave out `src/`.
    for word in words(&read("docs/simulation.md")).filter(|word| word.ends_with(".rs")) {
        let folders = ["", "src", "tests/simulation", "crates/ledger/src/step/tests"];
        // A package's files are named as `ledger/step/hiring.rs`.
        let in_package = word.split_once('/').is_some_and(|(package, file)| {
            root().join("crates").join(package).join("src").join(file).exists()
        });
        let there =
            in_package || folders.iter().any(|folder| root().join(folder).join(word).exists());
        assert!(there, "docs/simulation.md: {word} is not there");
        named += 1;
    }
    assert!(named > 60, "{named}");
}

#[test]
fn every_config_key_that_is_named_is_one() {
    let sections: BTreeSet<&str> = known_keys()
        .iter()
        .filter_map(|key| key.path.split_once('.'))
        .map(|(section, _)| section)
        .collect();
    let is_one = |path: &str| known_keys().iter().any(|key| key.path == path) || is_not_yet(path);
    let mut named = 0;
    for document in documents() {
        for piece in pieces(&document) {
            // As `[webhook] listen` or `[[pools]] name`, with a value behind it or not.
            let Some((section, key)) =
                piece.text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            else {
                continue;
            };
            let section = section.trim_start_matches('[');
            let key = key.trim_start_matches(']').split(['=', ',']).next().unwrap().trim();
            // Another program's keys are in capitals.
            if !sections.contains(section) || key.is_empty() || key.contains(char::is_uppercase) {
                continue;
            }
            named += 1;
            assert!(is_one(&format!("{section}.{key}")), "{}: `{}`", piece.place, piece.text);
        }
    }
    assert!(named > 10, "{named}");
}

#[test]
fn every_variable_that_is_named_is_read_by_somebody() {
    let mut readers = String::new();
    for file in ["src", "tests", "benches", "scripts"].into_iter().flat_map(files) {
        // Who names them here reads none of them.
        if !file.ends_with("documents/names.rs") {
            readers += &read(&file);
        }
    }
    let mut named = 0;
    for (place, text) in everything() {
        let words = words(&text).flat_map(|word| word.split('/'));
        for word in words.filter(|word| word.starts_with("ROUSTABOUT_")) {
            named += 1;
            let there = match word.strip_prefix("ROUSTABOUT__") {
                Some(key) => {
                    let path = key.to_lowercase().replace("__", ".");
                    known_keys().iter().any(|key| key.path == path)
                }
                None => {
                    readers.contains(&format!("\"{word}\""))
                        || readers.contains(&format!("${{{word}:-"))
                }
            };
            assert!(there, "{place}: nobody reads {word}");
        }
    }
    assert!(named > 15, "{named}");
}

#[test]
fn every_variable_that_the_program_reads_is_told() {
    let told: String = everything().into_iter().map(|(_, text)| text).collect();
    let mut read_by_us = BTreeSet::new();
    for file in files("src") {
        let text = read(&file);
        let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
        let quoted =
            code.split('"').skip(1).step_by(2).filter(|word| word.starts_with("ROUSTABOUT_"));
        read_by_us.extend(quoted.filter(|word| !word.ends_with('_')).map(str::to_owned));
    }
    assert!(read_by_us.len() > 3, "{read_by_us:?}");
    let untold: Vec<_> = read_by_us.iter().filter(|word| !told.contains(word.as_str())).collect();
    assert_eq!(untold, [""; 0], "say in the documents what it is for");
}

/// Paths of the private door, without what stands for something in them.
fn served() -> Vec<String> {
    let code = read("src/admin/door.rs");
    let paths = code.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    paths.map(|path| path.to_owned()).collect()
}

#[test]
fn the_addresses_of_the_private_door_are_told_and_are_right() {
    let shape = |path: &str| -> Vec<String> {
        let parts = path.split('/').map(|part| match part {
            part if part.starts_with('{') || part.chars().all(|c| c.is_ascii_uppercase()) => "…",
            part => part,
        });
        parts.map(str::to_owned).collect()
    };
    let served: Vec<_> = served().iter().map(|path| shape(path)).collect();
    assert!(served.len() > 10, "{served:?}");
    let mut named = Vec::new();
    for document in documents() {
        let text = read(&document);
        for word in words(&text) {
            let at = word
                .find("/api/v1/")
                .or_else(|| word.find("/healthz"))
                .or_else(|| word.find("/readyz"));
            if let Some(at) = at {
                let path = shape(&word[at..]);
                assert!(served.contains(&path), "{}: {word}", place(&document));
                named.push(path);
            }
        }
    }
    let ours = served.iter().filter(|path| path.get(1).is_some_and(|part| part == "api"));
    let untold: Vec<_> = ours.filter(|path| !named.contains(path)).collect();
    assert!(untold.is_empty(), "say in docs/operations.md what it answers: {untold:?}");
}

/// Names of the variables that a jobspec has.
fn variables(jobspec: &str) -> BTreeSet<String> {
    let names = jobspec.lines().filter_map(|line| line.strip_prefix("variable \""));
    names.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn the_variables_of_the_jobspecs_are_told_and_no_others() {
    let tables = [
        ("deploy/nomad/README.md", "## Variables", "runner-"),
        ("deploy/nomad/README.md", "# The daemon on Nomad", "roustabout"),
        ("docs/gitea.md", "## The Nomad jobs", "gitea-runner-"),
    ];
    for (document, heading, jobspecs) in tables {
        let mut there = BTreeSet::new();
        for file in files("deploy/nomad") {
            if file.file_name().unwrap().to_str().unwrap().starts_with(jobspecs) {
                there.extend(variables(&read(&file)));
            }
        }
        assert!(there.len() > 5, "{there:?}");
        let text = read(document);
        let section = text.split_once(&format!("{heading}\n")).unwrap().1;
        let section = section.split("\n#").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.map(|row| row.split('|').nth(1).unwrap());
        let told: BTreeSet<String> =
            cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
        assert_eq!(told, there, "{document}, {heading}");
    }
}
