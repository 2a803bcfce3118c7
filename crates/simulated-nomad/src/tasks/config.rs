//! A task's `config` for `raw_exec`: what is to be run.
//!
//! What is wrong with it is found when the task starts, not when it is registered. Read next:
//! `hcl.rs`. (Nomad `drivers/rawexec/driver.go`, `helper/pluginutils/hclutils`.)

use serde_json::Value;

use super::environment::Environment;
use super::hcl::evaluate;

/// All that `raw_exec` knows.
const KNOWN: [&str; 7] = [
    "command",
    "args",
    "work_dir",
    "cgroup_v2_override",
    "cgroup_v1_override",
    "oom_score_adj",
    "denied_envvars",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub command: String,
    pub arguments: Vec<String>,
    pub folder: Option<String>,
}

impl Command {
    /// # Errors
    /// In the words of a failed validation.
    pub fn read(config: &Value, environment: &Environment) -> Result<Self, String> {
        let Some(fields) = config.as_object().filter(|fields| !fields.is_empty()) else {
            return Err(refusal(
                "Root value must be object: The root value in a JSON-based configuration must be \
                 either a JSON object or a JSON array of objects.",
            ));
        };
        if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(refusal(&format!(
                "Invalid label: No argument or block type is named {unknown:?}."
            )));
        }
        let evaluate = |text: &str| evaluate(text, environment).map_err(|why| refusal(&why));
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(evaluate).transpose();
        let Some(command) = text("command")? else {
            return Err(refusal(
                "Missing required argument: The argument \"command\" is required, but no \
                 definition was found.",
            ));
        };
        let arguments = fields.get("args").and_then(Value::as_array);
        let arguments = arguments.into_iter().flatten().filter_map(Value::as_str).map(evaluate);
        Ok(Self {
            command,
            arguments: arguments.collect::<Result<_, _>>()?,
            folder: text("work_dir")?,
        })
    }
}

fn refusal(what: &str) -> String {
    format!("2 errors occurred:\n\t* failed to parse config: \n\t* {what}\n\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_is_filled_in_and_what_is_wrong_with_it_is_said() {
        let variables = BTreeMap::from([("NOMAD_TASK_DIR".to_owned(), "/t".to_owned())]);
        let environment = Environment { variables, node: BTreeMap::new() };
        let read = |config| Command::read(&config, &environment);
        let command = read(json!({"command": "${NOMAD_TASK_DIR}/run", "args": ["$HOME", "a b"]}));
        let command = command.unwrap();
        assert_eq!(command.command, "/t/run");
        assert_eq!(command.arguments, ["$HOME", "a b"]);
        let wrong = [
            (json!({}), "Root value must be object"),
            (json!(null), "Root value must be object"),
            (json!({"command": "x", "nonsense": 1}), "No argument or block type is named"),
            (json!({"args": []}), "The argument \"command\" is required"),
            (json!({"command": "${nowhere.x}"}), "There is no variable named \"nowhere\""),
        ];
        for (config, why) in wrong {
            let found = read(config).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }
}
