//! The options of `config.sh`, from the command line and from `ACTIONS_RUNNER_INPUT_*`.
//!
//! Names and rules as in actions/runner's CommandSettings.cs: the command line goes before the
//! environment, and what is unknown is an error. Read next: `configure.rs`.

use std::collections::BTreeMap;

use super::{Environment, Failure};

const WITH_VALUE: &[&str] = &["url", "token", "name", "labels", "runnergroup", "work"];
const FLAGS: &[&str] =
    &["unattended", "ephemeral", "no-default-labels", "replace", "disableupdate"];

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    values: BTreeMap<String, String>,
}

impl Options {
    pub(super) fn parse(args: &[String], environment: &Environment) -> Result<Self, Failure> {
        let mut values = BTreeMap::new();
        for name in WITH_VALUE.iter().chain(FLAGS) {
            let variable = format!("ACTIONS_RUNNER_INPUT_{}", name.to_uppercase());
            if let Some(value) = environment.get(&variable).filter(|value| !value.is_empty()) {
                values.insert((*name).to_owned(), value.clone());
            }
        }
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").map(str::to_lowercase).unwrap_or_default();
            if FLAGS.contains(&name.as_str()) {
                values.insert(name, "true".to_owned());
            } else if WITH_VALUE.contains(&name.as_str()) {
                let value = args.next().filter(|value| !value.starts_with("--"));
                let Some(value) = value else {
                    return Err(Failure::Usage(format!(
                        "Invalid configuration provided for {name}."
                    )));
                };
                values.insert(name, value.clone());
            } else {
                return Err(Failure::Usage(format!(
                    "Unrecognized command-line input arguments for command configure: '{arg}'. For \
                     usage refer to: ./config.sh --help"
                )));
            }
        }
        Ok(Self { values })
    }

    /// An option's value, if it was given.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Without it the real one asks, and unattended it ends.
    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.value(name).filter(|value| !value.trim().is_empty()).ok_or_else(|| {
            Failure::Usage(format!(
                "Invalid configuration provided for {name}. Terminating unattended configuration."
            ))
        })
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// All labels: the client adds the default ones (ConfigurationManager.cs), unless told not to,
    /// which needs labels of one's own.
    pub(super) fn labels(&self) -> Result<Vec<String>, Failure> {
        let own = self.value("labels").unwrap_or_default().split(',').map(str::trim);
        let own: Vec<&str> = own.filter(|label| !label.is_empty()).collect();
        let mut labels: Vec<String> = Vec::new();
        if self.flag("no-default-labels") {
            if own.is_empty() {
                let message = "Cannot specify --no-default-labels without any custom labels";
                return Err(Failure::Usage(message.to_owned()));
            }
        } else {
            let arch = if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" };
            labels.extend(["self-hosted", "Linux", arch].map(str::to_owned));
        }
        for label in own {
            if !labels.iter().any(|one| one.eq_ignore_ascii_case(label)) {
                labels.push(label.to_owned());
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], environment: &[(&str, &str)]) -> Result<Options, Failure> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Options::parse(&args, &environment.iter().map(pair).collect())
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let environment =
            [("ACTIONS_RUNNER_INPUT_TOKEN", "secret"), ("ACTIONS_RUNNER_INPUT_NAME", "other")];
        let options = parse(&["--name", "mine", "--unattended"], &environment).unwrap();
        assert_eq!(options.value("token"), Some("secret"));
        assert_eq!(options.value("name"), Some("mine"));
        assert!(options.flag("unattended") && !options.flag("ephemeral"));
    }

    #[test]
    fn unknown_options_and_missing_values_are_errors() {
        assert!(parse(&["--epehmeral"], &[]).is_err());
        assert!(parse(&["name"], &[]).is_err());
        assert!(parse(&["--name", "--ephemeral"], &[]).is_err());
    }

    #[test]
    fn default_labels_are_added_by_the_client() {
        let labels = parse(&["--labels", "gpu,linux"], &[]).unwrap().labels().unwrap();
        assert_eq!(labels[..2], ["self-hosted", "Linux"]);
        assert_eq!(labels[3..], ["gpu"]);
        let only = parse(&["--labels", "gpu", "--no-default-labels"], &[]).unwrap();
        assert_eq!(only.labels().unwrap(), ["gpu"]);
        assert!(parse(&["--no-default-labels"], &[]).unwrap().labels().is_err());
    }
}
