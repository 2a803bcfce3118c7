//! Commands and configs as they are shown: each command of roustabout's is one that the program
//! takes, each script, test and jobspec variable in one is there, and each config loads.

use roustabout::cli;
use roustabout::config::{Environment, from_text};

use super::{Piece, deployed, documents, files, pieces, read, root};

/// What stands for something, and what it might be.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("OWNER/REPO#RUN", "octocat/app#1"),
    ("JOB", "1"),
    ("POOL", "x64"),
    ("HOST:PORT", "127.0.0.1:9090"),
    ("YOUR-DOOR", "hooks.example.org"),
    ("TIME", "2h"),
];

/// The commands in a piece of shell, without what is set before them and without comments.
fn commands(shell: &str) -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut depth = 0;
    let mut rest = shell.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', _) if rest.peek() == Some(&'\n') => drop(rest.next()),
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => while rest.next_if(|c| *c != '\n').is_some() {},
            ('(', None) => {
                depth += 1;
                word.get_or_insert_default().push('(');
            }
            (')', None) => {
                depth -= 1;
                word.get_or_insert_default().push(')');
            }
            (' ', None) if depth == 0 => found.last_mut().unwrap().extend(word.take()),
            ('\n' | ';' | '|' | '&', None) if depth == 0 => {
                found.last_mut().unwrap().extend(word.take());
                found.push(Vec::new());
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    found.last_mut().unwrap().extend(word.take());
    let is_set = |word: &String| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    for command in &mut found {
        let set = command.iter().take_while(|word| is_set(word)).count();
        command.drain(..set);
    }
    found.retain(|command| !command.is_empty());
    found
}

/// Every command that is shown: in fences of shell, and in backticks.
fn shown() -> Vec<(Piece, Vec<String>)> {
    let mut found = Vec::new();
    for document in documents() {
        for piece in pieces(&document) {
            if piece.fence.as_deref().is_none_or(|fence| fence == "sh") {
                for command in commands(&piece.text) {
                    let piece = Piece {
                        place: piece.place.clone(),
                        fence: piece.fence.clone(),
                        text: command.join(" "),
                    };
                    found.push((piece, command));
                }
            }
        }
    }
    // In comments: what is in backticks, and what has a line of its own or its end behind a colon.
    for file in deployed() {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        for (number, line) in (1..).zip(read(&file).lines()) {
            let Some(comment) = line.trim_start().strip_prefix('#').map(str::trim) else {
                continue;
            };
            let end = comment.rsplit_once(": ").map_or(comment, |(_, end)| end);
            let alone = ["nomad job ", "nomad acl ", "scripts/"];
            let alone = alone.iter().any(|start| end.starts_with(start)).then_some(end);
            let quoted = comment.split('`').skip(1).step_by(2);
            for text in quoted.chain(alone) {
                for command in commands(text) {
                    let place = format!("{name}:{number}");
                    found.push((Piece { place, fence: None, text: text.to_owned() }, command));
                }
            }
        }
    }
    found
}

/// As the program is called: `roustabout …`, a script that hands its arguments on, or in backticks
/// a command of it by its name alone.
fn arguments_of_ours(command: &[String]) -> Option<Vec<String>> {
    let (program, rest) = command.split_first()?;
    let names = ["serve", "check", "send", "status", "explain", "pause", "resume", "retry", "demo"];
    let mut arguments: Vec<String> = match program.as_str() {
        "roustabout" if !rest.is_empty() => rest.to_vec(),
        "scripts/demo" => [&["demo".to_owned()], rest].concat(),
        name if names.contains(&name) && !rest.is_empty() => command.to_vec(),
        _ => return None,
    };
    for argument in &mut arguments {
        for (placeholder, value) in PLACEHOLDERS {
            *argument = argument.replace(placeholder, value);
        }
    }
    Some(arguments)
}

#[test]
fn every_command_of_ours_is_taken() {
    let mut taken = 0;
    for (piece, command) in shown() {
        // Lines of the log, not commands.
        if piece.text == "starting roustabout" || piece.text.contains('…') {
            continue;
        }
        let Some(arguments) = arguments_of_ours(&command) else { continue };
        // Within a sentence it may lack what the sentence says.
        let lacking = piece.fence.is_none();
        if let Err(error) = cli::understands(&arguments, lacking) {
            panic!("{}: {}\n{error}", piece.place, piece.text);
        }
        taken += 1;
    }
    assert!(taken > 25, "{taken}");
}

#[test]
fn every_test_bench_and_script_that_is_called_is_there() {
    let mut called = 0;
    for (piece, command) in shown() {
        let (program, rest) = command.split_first().unwrap();
        let is_cargo = program == "cargo" || program == "scripts/test";
        if program.starts_with("scripts/") || program.starts_with("./scripts/") {
            assert!(root().join(program).exists(), "{}: {}", piece.place, piece.text);
            called += 1;
        }
        for (folder, flag) in [("tests", "--test"), ("benches", "--bench"), ("src/bin", "--bin")] {
            let Some(at) = rest.iter().position(|word| word == flag).filter(|_| is_cargo) else {
                continue;
            };
            let name = &rest[at + 1];
            let file = root().join(folder).join(name);
            let there = file.with_extension("rs").exists() || file.join("main.rs").exists();
            assert!(there || name == "roustabout", "{}: {}", piece.place, piece.text);
            called += 1;
        }
    }
    assert!(called > 8, "{called}");
}

#[test]
fn every_variable_that_is_given_to_a_jobspec_is_one() {
    let mut given = 0;
    for (piece, command) in shown() {
        if command.first().is_none_or(|program| program != "nomad") {
            continue;
        }
        let file = command.iter().find(|word| word.ends_with(".hcl"));
        // Where the Debian package puts them.
        let file = file.map(|file| file.replace("/usr/share/roustabout/", "deploy/"));
        if let Some(file) = file.as_ref().filter(|file| file.contains('/')) {
            assert!(root().join(file).exists(), "{}: {}", piece.place, piece.text);
        }
        let Some(file) = file.filter(|file| file.ends_with(".nomad.hcl")) else { continue };
        let jobspec = read(&file);
        for pair in command.iter().zip(command.iter().skip(1)) {
            if pair.0 == "-var" {
                let name = pair.1.split('=').next().unwrap();
                let declared = jobspec.contains(&format!("variable \"{name}\""));
                assert!(declared, "{}: {}", piece.place, piece.text);
                given += 1;
            }
        }
    }
    assert!(given > 4, "{given}");
}

#[test]
fn every_config_that_is_shown_loads() {
    let secrets = [
        ("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef"),
        ("ROUSTABOUT_GITHUB_TOKEN", "ghp_test"),
    ];
    let environment = Environment::from_iter(secrets);
    let mut loaded = 0;
    for document in documents() {
        for piece in pieces(&document).iter().filter(|piece| piece.fence.as_deref() == Some("toml"))
        {
            match from_text(&piece.text, &piece.place, &environment) {
                Ok(found) => assert_eq!(found.warnings, [], "{}", piece.place),
                Err(errors) => panic!("{}: {errors}", piece.place),
            }
            loaded += 1;
        }
    }
    assert!(loaded >= 3, "{loaded}");
}

#[test]
fn shell_is_read_as_a_shell_reads_it() {
    let shell =
        "A=$(cat x) \\\nroustabout check  # why\nnomad run -var \"a=$(b c)\" f | x; y 'z #'\n";
    let read: Vec<String> = commands(shell).iter().map(|words| words.join("·")).collect();
    assert_eq!(read, ["roustabout·check", "nomad·run·-var·a=$(b c)·f", "x", "y·z #"]);
    assert!(files("docs").len() > 8);
}
