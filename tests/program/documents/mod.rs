//! The documents against the code, so that they stay true: every reason and every line of the log
//! is explained in them (`texts`), every link, file, config key, variable, address and jobspec
//! variable that they name is there (`names`), every config that they show loads, and every
//! command of ours is one that the program takes (`commands`). Whether the commands *do* what is
//! said there no test here tries.

mod commands;
mod names;
mod texts;

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The files in a folder and in the folders in it, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        match entry.is_dir() {
            true => found.extend(files(entry.to_str().unwrap())),
            false => found.push(entry),
        }
    }
    found
}

/// Every Markdown document.
fn documents() -> Vec<PathBuf> {
    let mut found =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|file| root().join(file)).to_vec();
    let folders = ["docs", "deploy"].into_iter().flat_map(files);
    found.extend(folders.filter(|file| file.extension().is_some_and(|end| end == "md")));
    assert!(found.len() > 10, "{found:?}");
    found
}

/// What else people read: comments in what is deployed and in the scripts, and the example config.
fn deployed() -> Vec<PathBuf> {
    let mut found = vec![root().join("config.example.toml"), root().join(".ci/run")];
    let others = ["deploy", "scripts"].into_iter().flat_map(files);
    let ends = ["md", "mod", "sum", "json"];
    let read_by_people = |file: &PathBuf| {
        !file.extension().is_some_and(|end| ends.iter().any(|other| end == *other))
    };
    found.extend(others.filter(read_by_people));
    found
}

/// A piece of a document.
struct Piece {
    /// File and line.
    place: String,
    /// What its fence says, as `sh`; `None` for what stands in backticks in a line.
    fence: Option<String>,
    text: String,
}

/// What stands in fences and in backticks.
fn pieces(document: &Path) -> Vec<Piece> {
    let name = document.strip_prefix(root()).unwrap().display().to_string();
    let text = std::fs::read_to_string(document).unwrap();
    let mut found = Vec::new();
    let mut fence: Option<Piece> = None;
    // What is in backticks may go over the end of a line, but not of a paragraph.
    let mut paragraph = String::new();
    let mut begins = 1;
    for (number, line) in (1..).zip(text.lines().chain([""])) {
        let place = format!("{name}:{number}");
        let fenced = line.trim_start().strip_prefix("```");
        if let Some(piece) = &mut fence {
            match fenced {
                Some(_) => found.extend(fence.take()),
                None => piece.text.extend([line, "\n"]),
            }
            continue;
        }
        if fenced.is_some() || line.trim().is_empty() {
            let place = format!("{name}:{begins}");
            let quoted = paragraph.split('`').skip(1).step_by(2).map(str::to_owned);
            found.extend(quoted.map(|text| Piece { place: place.clone(), fence: None, text }));
            paragraph.clear();
            begins = number + 1;
        } else {
            paragraph.extend([line.trim(), " "]);
        }
        fence =
            fenced.map(|says| Piece { place, fence: Some(says.to_owned()), text: String::new() });
    }
    assert!(fence.is_none(), "{name}: a fence is not closed");
    found
}

#[test]
fn fences_and_backticks_are_found() {
    let pieces = pieces(&root().join("README.md"));
    let shell = pieces.iter().filter(|piece| piece.fence.as_deref() == Some("sh"));
    assert!(shell.count() >= 4);
    assert!(
        pieces.iter().any(|piece| piece.fence.is_none() && piece.text == "scripts/demo --keep")
    );
}
