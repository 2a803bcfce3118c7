//! Every reason that a job can wait for, and every line that the daemon logs, stands in the
//! documents. So whoever writes a new text also says what it means.

use std::path::{Path, PathBuf};

use super::{read, root};

/// Rust files in a folder and the folders in it, or the one file.
fn sources(path: &str) -> Vec<PathBuf> {
    let path = root().join(path);
    if path.is_file() {
        return vec![path];
    }
    let entries = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|entry| !entry.ends_with("tests") && !entry.ends_with("testing.rs"))
        .flat_map(|entry| match entry.is_dir() {
            true => sources(entry.to_str().unwrap()),
            false => vec![entry],
        })
        .collect()
}

/// What runs: without tests, comments and attributes.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    let noise = |line: &&str| !["//", "#["].iter().any(|start| line.trim().starts_with(start));
    text.lines().filter(noise).map(|line| format!("{line}\n")).collect()
}

/// The string literals in a piece of Rust, as they would be printed.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // A quote as a character begins no text.
            '\'' if rest.peek() == Some(&'"') => {
                rest.next();
            }
            '"' => {
                let mut text = String::new();
                while let Some(c) = rest.next() {
                    match c {
                        '"' => break,
                        '\\' => match rest.next() {
                            Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                            Some(c) => text.push(c),
                            None => {}
                        },
                        c => text.push(c),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
    }
    found
}

/// What stands before the parenthesis that closes one opened before.
fn call(code: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, c) in code.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..at];
        }
    }
    code
}

/// The longest piece of a text between its placeholders.
fn fixed(text: &str) -> String {
    let pieces = text.split('{').flat_map(|piece| piece.split('}'));
    // Every second piece is a name or format, which has no spaces.
    let pieces = pieces.filter(|piece| piece.contains(' '));
    pieces.max_by_key(|piece| piece.len()).unwrap_or_default().trim().to_owned()
}

/// Sentences, not keys or formats: two words at least beside what is filled in.
fn sentences(texts: Vec<String>) -> Vec<String> {
    let is_word = |word: &&str| word.len() > 1 && word.contains(char::is_alphabetic);
    let words = |text: &String| text.split_whitespace().filter(is_word).count();
    texts.iter().map(|text| fixed(text)).filter(|text| words(text) > 1).collect()
}

fn assert_explained(texts: &[String], document: &str) {
    assert_eq!(undocumented(texts, document), [""; 0], "say in {document} what it means");
}

fn undocumented(texts: &[String], document: &str) -> Vec<String> {
    let document = read(document).split_whitespace().collect::<Vec<_>>().join(" ");
    // A pipe in a table is written \|, and code stands in backticks.
    texts.iter().filter(|text| !document.contains(text.as_str())).cloned().collect()
}

#[test]
fn every_reason_is_explained() {
    let places = [
        "crates/ledger/src/why.rs",
        "crates/ledger/src/policy.rs",
        "crates/ledger/src/matching.rs",
        "crates/ledger/src/job.rs",
        "src/engine/meta.rs",
        "src/engine/children.rs",
        "src/engine/dispatching.rs",
        "src/forge/error.rs",
        "src/forge/github/mod.rs",
        "src/forge/gitea/mod.rs",
        "crates/nomad/src/allocation.rs",
    ];
    let mut texts: Vec<String> =
        places.iter().flat_map(|place| sentences(literals(&code(&root().join(place))))).collect();
    // What stands before it is how they are known among Nomad's answers.
    let refusals = code(&root().join("crates/nomad/src/refusal.rs"));
    let (_, told) = refusals.split_once("impl fmt::Display").unwrap();
    texts.extend(sentences(literals(told)));
    assert!(texts.len() > 25, "{texts:?}");
    assert_explained(&texts, "docs/reasons.md");
}

#[test]
fn every_line_of_the_log_is_explained() {
    let mut texts = Vec::new();
    // What happens is logged in these words, and the reasons of `step` are told with them.
    for file in sources("crates/ledger/src/step").into_iter().chain(happenings()) {
        texts.extend(sentences(literals(&code(&file))));
    }
    // What this logs is the demo's, and no daemon's.
    let demo = root().join("src/demo");
    let clients = ["crates/nomad/src", "crates/github/src", "crates/gitea/src"];
    let logging = ["src"].into_iter().chain(clients).flat_map(sources);
    for file in logging.filter(|file| !file.starts_with(&demo)) {
        let code = code(&file);
        for level in ["info!(", "warn!(", "error!("] {
            for (at, _) in code.match_indices(level) {
                let said = literals(call(&code[at + level.len()..]));
                // The message is the last; of one word it stands in backticks.
                let word = said.last().filter(|text| text.chars().all(char::is_alphabetic));
                texts.extend(word.map(|word| format!("`{word}`")));
                texts.extend(sentences(said));
            }
        }
    }
    assert!(texts.len() > 50, "{texts:?}");
    assert!(texts.contains(&"`ready`".to_owned()), "{texts:?}");
    let documents =
        ["docs/log.md", "docs/operations.md", "docs/reasons.md", "docs/troubleshooting.md"];
    let missing = documents.iter().fold(texts, |left, document| undocumented(&left, document));
    assert_eq!(missing, [""; 0], "say in docs/log.md what it means");
}

fn happenings() -> impl Iterator<Item = PathBuf> {
    sources("crates/ledger/src/happening").into_iter().filter(|file| !file.ends_with("tests.rs"))
}

#[test]
fn every_event_has_its_row_and_every_row_its_event() {
    let file = root().join("crates/ledger/src/happening/mod.rs");
    let is_name = |text: &String| {
        text.contains('.') && text.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c))
    };
    let mut names: Vec<String> = literals(&code(&file)).into_iter().filter(is_name).collect();
    let log = read("docs/log.md");
    let (_, events) = log.split_once("## Events").unwrap();
    let (events, _) = events.split_once("## Other lines").unwrap();
    let mut told: Vec<String> = rows(events).flat_map(|row| in_backticks(&row)).collect();
    told.retain(is_name);
    names.sort();
    names.dedup();
    told.sort();
    assert_eq!(told, names);
}

/// What the documents explain is said somewhere, word for word.
#[test]
fn nothing_is_explained_that_nobody_says() {
    let mut said = String::new();
    for file in sources("src").into_iter().chain(sources("crates")) {
        // Errors are said in attributes.
        let errors = std::fs::read_to_string(&file).unwrap();
        let errors = errors.lines().filter(|line| line.trim().starts_with("#[error"));
        let errors: String = errors.map(|line| format!("{line}\n")).collect();
        for text in literals(&format!("{}{errors}", code(&file))) {
            let words: Vec<&str> = text.split_whitespace().collect();
            said += &unfilled(&words.join(" "));
            said.push('\n');
        }
    }
    let mut unsaid = Vec::new();
    for document in ["docs/log.md", "docs/reasons.md"] {
        for row in rows(&read(document)) {
            for text in in_backticks(&row) {
                unsaid.extend(pieces(&text).filter(|it| !said.contains(it)));
            }
        }
    }
    assert_eq!(unsaid, [""; 0], "documented, and said nowhere");
}

/// What is between names, numbers and quotations, which are filled in: sentences of four words.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let is_name = |word: &str| ["GitHub", "Gitea", "Nomad"].iter().any(|it| word.starts_with(it));
    // What follows a comma or a semicolon is often a text of its own.
    let filled = |c: char| "…\"(),;:".contains(c) || c.is_ascii_digit();
    let mut pieces = vec![Vec::new()];
    for part in text.split(filled) {
        for word in part.split_whitespace() {
            match is_name(word) {
                true => pieces.push(Vec::new()),
                false => pieces.last_mut().unwrap().push(word.to_owned()),
            }
        }
        pieces.push(Vec::new());
    }
    let sentences = pieces.into_iter().filter(|words| words.len() > 3);
    sentences.map(|words| words.join(" ").trim_start_matches("but ").to_owned())
}

/// The first cell of each row of the tables; in a table of events the second.
fn rows(document: &str) -> impl Iterator<Item = String> {
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        // The last says what it means.
        cells[..cells.len() - 1].join(" ")
    })
}

fn in_backticks(cell: &str) -> Vec<String> {
    let cell = cell.replace("\\|", "|");
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// With `…` for what is filled in.
fn unfilled(text: &str) -> String {
    let mut parts = text.split('{');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once('}').map_or(part, |(_, rest)| rest);
        all += "…";
        all += rest;
    }
    all
}

#[test]
fn every_answer_of_the_door_is_explained() {
    let mut texts = sentences(literals(&code(&root().join("src/webhook/outcome.rs"))));
    for file in ["src/webhook/body.rs", "src/webhook/door.rs", "src/webhook/payload.rs"] {
        let code = code(&root().join(file));
        for (at, start) in code.match_indices("Unavailable(").chain(code.match_indices("Ignored("))
        {
            texts.extend(sentences(literals(call(&code[at + start.len()..]))));
        }
    }
    assert!(texts.len() > 8, "{texts:?}");
    let document = "docs/troubleshooting.md";
    assert_explained(&texts, document);
}

#[test]
fn every_warning_about_the_config_is_explained() {
    let mut texts = Vec::new();
    for file in sources("src/config") {
        let code = code(&file);
        for (at, start) in code.match_indices(".warn(") {
            let mut said = literals(call(&code[at + start.len()..]));
            // The last is the mend, which explains itself.
            said.pop();
            texts.extend(sentences(said));
        }
    }
    assert!(texts.len() > 2, "{texts:?}");
    assert_explained(&texts, "docs/log.md");
}

#[test]
fn a_text_is_read_as_it_is_printed() {
    let code = r#"format!("pool {name} has \"a\" \
        job: {}", '"', "x")"#;
    assert_eq!(literals(code), ["pool {name} has \"a\" job: {}", "x"]);
    assert_eq!(sentences(literals(code)), ["has \"a\" job:"]);
    assert_eq!(call("\"a)\", f(x)), warn!(\"b\")"), "\"a)\", f(x)");
    assert_eq!(undocumented(&["no such sentence".to_owned()], "README.md").len(), 1);
}
