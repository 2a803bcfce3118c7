//! The config as a file: the example that documents it, and what a person reads when a file of
//! theirs is wrong.

use std::path::Path;

use roustabout::config::{Environment, Key, find_file, from_text, is_not_yet, known_keys, load};

const EXAMPLE: &str = include_str!("../../config.example.toml");

const SECRETS: [(&str, &str); 2] =
    [("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef"), ("ROUSTABOUT_GITHUB_TOKEN", "ghp_test")];

fn secrets() -> Environment {
    Environment::from_iter(SECRETS)
}

/// The lines of the example that set or show a key: its path, its value, whether it is commented
/// out, and whether one of the comment lines right above says "(not yet)".
fn shown() -> Vec<(String, String, bool, bool)> {
    let mut section = String::new();
    let mut not_yet = false;
    let mut shown = Vec::new();
    let mut after_key = false;
    for line in EXAMPLE.lines() {
        if line.is_empty() || line == "#" || line.starts_with("# ") {
            not_yet = line.contains("(not yet)") || (not_yet && !after_key && !line.is_empty());
            after_key = false;
            continue;
        }
        let plain = line.trim_start_matches('#');
        if plain.starts_with('[') {
            section = format!("{}.", plain.trim_matches(['[', ']']));
        } else {
            let (key, value) = plain.split_once(" = ").expect("a line sets a key");
            // The keys of [pools.meta] are the operator's: they show the section as a whole.
            let (path, value) = match section.as_str() {
                "pools.meta." => ("pools.meta".to_owned(), format!("{{ {plain} }}")),
                _ => (format!("{section}{key}"), value.to_owned()),
            };
            shown.push((path, value, plain != line, not_yet));
        }
        after_key = true;
    }
    shown
}

#[test]
fn the_example_loads_without_a_warning() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml"));
    let loaded = load(Some(path), &secrets()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.file.as_deref(), Some(path));
    assert_eq!(loaded.settings.pools.len(), 1);
}

#[test]
fn the_example_shows_every_key_once_and_no_other() {
    let mut shown: Vec<String> = shown().into_iter().map(|(path, ..)| path).collect();
    let mut known: Vec<&str> = known_keys().iter().map(|key| key.path).collect();
    shown.sort_unstable();
    known.sort_unstable();
    assert_eq!(shown, known);
}

#[test]
fn the_example_shows_the_defaults_as_they_are() {
    for (path, value, commented, not_yet) in shown() {
        let key: &Key = known_keys()
            .iter()
            .find(|key| key.path == path)
            .unwrap_or_else(|| panic!("{path} is no key"));
        assert_eq!(value, key.example(), "{path}");
        let must_be_said = key.split().0 == "pools" && REQUIRED.contains(&key.split().1);
        assert_eq!(
            commented,
            key.default.is_none() && !must_be_said,
            "{path}: a default stands open, an example is commented out"
        );
        if is_not_yet(&path) {
            assert!(commented && not_yet, "{path} is marked (not yet)");
        }
    }
}

const REQUIRED: [&str; 5] = ["name", "nomad_job", "labels", "repositories", "delivery"];

#[test]
fn every_example_that_is_built_is_taken() {
    // All at once, but for what excludes each other, names files that are not here, or goes with
    // other values: those are tried beside the code.
    let left_out = |path: &str| {
        is_not_yet(path)
            || path.ends_with("_file")
            || path.ends_with("_vault")
            || path.starts_with("vault.")
            || matches!(path, "pools.payload" | "pools.runner_group" | "pools.warm.owners")
            || path.starts_with("claims.")
            || path.starts_with("github.credentials.app.")
    };
    let mut text = String::new();
    let mut section = "";
    let shown = shown();
    for (path, value, ..) in shown.iter().filter(|(path, ..)| !left_out(path)) {
        let (around, key) = path.rsplit_once('.').unwrap_or(("", path));
        if around != section {
            text += &match around {
                "pools" | "pools.warm" | "github.credentials" => format!("[[{around}]]\n"),
                _ => format!("[{around}]\n"),
            };
            section = around;
        }
        text += &format!("{key} = {value}\n");
    }
    let loaded = from_text(&text, "example", &Environment::default())
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(loaded.settings.github.credentials.len(), 1);
    assert_eq!(loaded.settings.pools[0].meta.len(), 1);
}

#[test]
fn five_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = r#"
[webhook]
listn = "0.0.0.0:8080"
max_connections = "many"

[store]
retention = 90

[github]
kind = "gitea"
api_url = "https://git.example.com"

[[pools]]
name = "x64"
nomad_job = "github-runner-x64"
labels = ["linux"]
repositories = ["octocat"]
delivery = "payload"
"#;
    let mut env = SECRETS.to_vec();
    env.push(("ROUSTABOUT__ADMIN__LISTEN", "9090"));
    let errors =
        from_text(text, "roustabout.toml", &Environment::from_iter(env)).expect_err("it is wrong");
    insta::assert_snapshot!(errors, @r#"
    roustabout.toml: webhook.listn: unknown key; did you mean "listen"?
    roustabout.toml: webhook.max_connections: must be a whole number, not a string; write, for example, max_connections = 256
    roustabout.toml: store.retention: 90 has no unit; write retention = "90s" for seconds (units: s, m, h, d)
    roustabout.toml: github.api_url: https://git.example.com/ is not the API address of a Gitea; use the address of your Gitea followed by /api/v1
    roustabout.toml: pools[x64].repositories: "octocat" is not of the form owner/name (* matches anything, a leading ! excludes); write, for example, repositories = ["octocat/*", "!octocat/secret"]
    ROUSTABOUT__ADMIN__LISTEN: admin.listen: "9090" is not an IP address with a port; write, for example, listen = "127.0.0.1:9090"
    "#);
}

#[test]
fn a_file_that_is_not_there_or_no_toml_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("roustabout.toml");
    let shown = file.display().to_string();
    let told = || load(Some(&file), &secrets()).expect_err("it is wrong").to_string();
    assert!(told().starts_with(&format!("{shown}: cannot read the config: ")));
    std::fs::write(&file, "[webhook\n").expect("the temporary folder is writable");
    assert!(told().starts_with(&format!("{shown}:1: invalid TOML: ")), "{}", told());
}

#[test]
fn the_variable_names_the_file() {
    let env = Environment::from_iter([("ROUSTABOUT_CONFIG", "/nowhere/r.toml")]);
    assert_eq!(find_file(None, &env).ok().as_deref(), Some(Path::new("/nowhere/r.toml")));
    let errors = load(None, &env).expect_err("there is no such file");
    assert!(errors.to_string().starts_with("/nowhere/r.toml: cannot read the config: "));
}

#[test]
fn systemd_credentials_are_used_where_nothing_else_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for name in
        ["webhook-secret", "previous-webhook-secret", "github-token", "nomad-token", "admin-token"]
    {
        std::fs::write(folder.path().join(name), format!("{name}-0123456\n"))
            .expect("the temporary folder is writable");
    }
    let directory = folder.path().to_str().expect("the temporary path is UTF-8");
    let env = Environment::from_iter([("CREDENTIALS_DIRECTORY", directory)]);
    let settings =
        from_text(EXAMPLE, "example", &env).unwrap_or_else(|errors| panic!("{errors}")).settings;
    let text = |secret: &Option<secrecy::SecretString>| {
        use secrecy::ExposeSecret;
        secret.as_ref().map(|secret| secret.expose_secret().to_owned())
    };
    assert_eq!(text(&settings.webhook.secret).as_deref(), Some("webhook-secret-0123456"));
    assert_eq!(
        text(&settings.webhook.previous_secret).as_deref(),
        Some("previous-webhook-secret-0123456")
    );
    assert_eq!(text(&settings.nomad.token).as_deref(), Some("nomad-token-0123456"));
    assert_eq!(text(&settings.admin.token).as_deref(), Some("admin-token-0123456"));
    assert_eq!(settings.github.credentials[0].owners, ["*"]);
    assert!(!format!("{settings:?}").contains("0123456"), "no secret prints");
}
