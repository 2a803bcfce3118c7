//! Short configs for the tests of `config`: what a test does not set is valid.

use super::{Environment, Loaded, from_text};

const POOL: [(&str, &str); 5] = [
    ("name", "\"x64\""),
    ("nomad_job", "\"github-runner-x64\""),
    ("labels", "[\"self-hosted\", \"linux\", \"x64\"]"),
    ("repositories", "[\"octocat/*\"]"),
    ("delivery", "\"payload\""),
];

const SECRET: (&str, &str) = ("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef");
const TOKEN: (&str, &str) = ("ROUSTABOUT_GITHUB_TOKEN", "ghp_test");

/// A valid pool with these lines, which replace those of the same key.
pub(super) fn pool_with(lines: &str) -> String {
    let mut text = "\n[[pools]]\n".to_owned();
    for (key, value) in POOL {
        if !lines.lines().any(|line| line.starts_with(&format!("{key} ="))) {
            text += &format!("{key} = {value}\n");
        }
    }
    text + lines + "\n"
}

/// The text and, where it has none, a pool.
fn whole(text: &str) -> String {
    match text.contains("[[pools]]") {
        true => text.to_owned(),
        false => format!("{text}{}", pool_with("")),
    }
}

fn load(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
    let env: Environment = env.iter().copied().collect();
    from_text(text, "f.toml", &env).map_err(|errors| errors.to_string())
}

fn load_with_secrets(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
    load(&whole(text), &[&[SECRET, TOKEN], env].concat())
}

pub(super) fn loaded(text: &str) -> Loaded {
    loaded_with(text, &[])
}

pub(super) fn loaded_with(text: &str, env: &[(&str, &str)]) -> Loaded {
    match load_with_secrets(text, env) {
        Ok(loaded) => loaded,
        Err(errors) => panic!("{errors}"),
    }
}

pub(super) fn errors(text: &str) -> String {
    errors_with(text, &[])
}

pub(super) fn errors_with(text: &str, env: &[(&str, &str)]) -> String {
    load_with_secrets(text, env).expect_err("the text is wrong")
}

/// Without the implied credential.
pub(super) fn no_token(text: &str) -> String {
    load(&whole(text), &[SECRET]).expect_err("the text is wrong")
}

/// Without the implied secret.
pub(super) fn no_secret(text: &str) -> String {
    load(&whole(text), &[TOKEN]).expect_err("the text is wrong")
}

/// The same, if it is valid without one.
pub(super) fn without_secret(text: &str) -> Loaded {
    load(&whole(text), &[TOKEN]).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Only the text, without secrets or a pool; what is missing is reported too.
pub(super) fn errors_alone(text: &str) -> String {
    load(text, &[]).expect_err("the text is wrong")
}
