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
