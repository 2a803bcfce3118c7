//! Merges the environment (`ROUSTABOUT__SECTION__KEY`) over the file into one tree. That is what the
//! `config` crate is used for: the merge and the origin of each value. Reports invalid TOML (`position`
//! parses it) and variables that name no key; values are validated where the tree is read
//! (`section.rs`). Defaults are not a layer: they are in `keys.rs`, so that other programs' variables can
//! take precedence over them.

use ::config::{
    Config, ConfigError as MergeError, File, FileFormat, Map, Source, Value, ValueKind,
};

use super::Environment;
use super::error::{ConfigError, ConfigErrors};
use super::keys::{self, ARRAYS};
use super::not_yet::is_not_yet;
use super::position::{NotToml, Positions};
use super::suggest::nearest;

pub(super) const PREFIX: &str = "ROUSTABOUT__";
const SEPARATOR: &str = "__";

/// The merged tree, where its keys are in the file, and what is wrong with the variables.
pub(super) fn merge(
    text: &str,
    file: &str,
    env: &Environment,
) -> Result<(Value, Positions, Vec<ConfigError>), ConfigErrors> {
    let positions = Positions::of(text).map_err(|error| not_toml(file, &error))?;
    let (mut variables, errors) = Variables::of(env);
    let merged = Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .build()
        .and_then(|from_file| {
            variables.keep_to_sections_of(&from_file.cache);
            Config::builder().add_source(from_file).add_source(variables).build()
        })
        .map_err(|error| not_toml(file, &NotToml { line: None, what: cause(error) }))?;
    Ok((merged.cache, positions, errors))
}

/// The variables that name a key, each value with its variable's name as origin, which values of
/// the file do not have. (The crate's own environment source names no variable.)
#[derive(Debug, Clone)]
struct Variables(Map<String, Value>);

impl Variables {
    fn of(env: &Environment) -> (Self, Vec<ConfigError>) {
        let mut values = Map::new();
        let mut errors = Vec::new();
        for (name, value) in env.iter() {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let path = rest.to_lowercase().replace(SEPARATOR, ".");
            match judge(&path) {
                Ok(()) => {
                    let value = Value::new(Some(&name.to_owned()), ValueKind::from(value));
                    values.insert(path, value);
                }
                Err((what, fix)) => errors.push(ConfigError {
                    origin: name.to_owned(),
                    key: path,
                    what,
                    fix,
                    order: usize::MAX,
                }),
            }
        }
        (Self(values), errors)
    }

    /// If the file has a plain value under a section's name, a variable would replace it by a section,
    /// and the error would not be reported.
    fn keep_to_sections_of(&mut self, file: &Value) {
        let ValueKind::Table(file) = &file.kind else {
            return;
        };
        self.0.retain(|path, _| {
            let section = path.split_once('.').and_then(|(section, _)| file.get(section));
            section.is_none_or(|section| matches!(section.kind, ValueKind::Table(_)))
        });
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, MergeError> {
        Ok(self.0.clone())
    }
}

/// Whether a variable may set that path; else what is wrong and how to fix it.
fn judge(path: &str) -> Result<(), (String, String)> {
    for array in ARRAYS {
        let inside = path.strip_prefix(array);
        if inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            return Err((
                format!("[[{array}]] cannot be set by environment variables"),
                "set it in the config file".to_owned(),
            ));
        }
    }
    if is_not_yet(path) {
        return Err((
            "not yet supported in this version".to_owned(),
            "unset the variable".to_owned(),
        ));
    }
    if keys::find(path).is_some() {
        return Ok(());
    }
    let settable = keys::known_keys()
        .iter()
        .map(|key| key.path)
        .filter(|path| !is_not_yet(path) && !ARRAYS.iter().any(|array| path.starts_with(array)));
    let fix = match nearest(path, settable) {
        Some(near) => format!("did you mean {}?", variable(near)),
        None => "unset the variable, or see config.example.toml for the keys".to_owned(),
    };
    Err(("unknown key".to_owned(), fix))
}

/// The variable that sets a key.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', SEPARATOR).to_uppercase())
}

/// Valid TOML that the `config` crate cannot represent: a number that is too large.
fn cause(error: MergeError) -> String {
    match error {
        MergeError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    }
}

/// Names file and line, but does not quote the line: it may contain a secret.
fn not_toml(file: &str, error: &NotToml) -> ConfigErrors {
    let origin = match error.line {
        Some(line) => format!("{file}:{line}"),
        None => file.to_owned(),
    };
    ConfigError::whole_file(
        origin,
        format!("invalid TOML: {}", error.what),
        "correct the syntax: strings are written in double quotes, lists in [ ]",
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str, env: &[(&str, &str)]) -> (Value, String) {
        let env = env.iter().copied().collect();
        let (value, _, errors) = merge(text, "f.toml", &env).expect("the text is TOML");
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        (value, errors.join("\n"))
    }

    fn at(value: &Value, section: &str, key: &str) -> Value {
        let table = value.clone().into_table().expect("the root is a table");
        let table = table[section].clone().into_table().expect("a section");
        table[key].clone()
    }

    #[test]
    fn the_environment_wins_over_the_file_and_stays_text() {
        let (value, errors) = merged(
            "[webhook]\nsecret = \"from the file\"\nlisten = \"1.2.3.4:5\"\n",
            &[("ROUSTABOUT__WEBHOOK__SECRET", "0123456"), ("PATH", "/bin")],
        );
        assert_eq!(errors, "");
        let secret = at(&value, "webhook", "secret");
        assert_eq!(secret.kind, ValueKind::from("0123456"));
        assert_eq!(secret.origin(), Some("ROUSTABOUT__WEBHOOK__SECRET"));
        assert_eq!(at(&value, "webhook", "listen").origin(), None);
    }

    #[test]
    fn a_variable_hides_no_mistake_of_the_file() {
        let (value, _) = merged("log = 5\n", &[("ROUSTABOUT__LOG__LEVEL", "debug")]);
        let table = value.into_table().expect("the root is a table");
        assert_eq!(table["log"].kind, ValueKind::I64(5));
    }

    #[test]
    fn variables_that_set_nothing_are_reported() {
        let (_, errors) = merged(
            "",
            &[
                ("ROUSTABOUT__GITHUB__CREDENTIALS__0__TOKEN", "x"),
                ("ROUSTABOUT__POOLS", "x"),
                ("ROUSTABOUT__WEBHOOK__LISTN", "x"),
                ("ROUSTABOUT__ZZZZZZ", "x"),
                ("ROUSTABOUT_ADDR", "http://127.0.0.1:9090"),
            ],
        );
        insta::assert_snapshot!(errors, @r"
        ROUSTABOUT__GITHUB__CREDENTIALS__0__TOKEN: github.credentials.0.token: [[github.credentials]] cannot be set by environment variables; set it in the config file
        ROUSTABOUT__POOLS: pools: [[pools]] cannot be set by environment variables; set it in the config file
        ROUSTABOUT__WEBHOOK__LISTN: webhook.listn: unknown key; did you mean ROUSTABOUT__WEBHOOK__LISTEN?
        ROUSTABOUT__ZZZZZZ: zzzzzz: unknown key; unset the variable, or see config.example.toml for the keys
        ");
    }

    #[test]
    fn a_syntax_error_names_the_line_and_shows_no_secret() {
        let error = merge(
            "[webhook]\nlisten = \"x\"\nsecret = \"hunter2\n",
            "f.toml",
            &Environment::default(),
        )
        .expect_err("the quote is not closed")
        .to_string();
        assert!(error.starts_with("f.toml:3: invalid TOML: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
