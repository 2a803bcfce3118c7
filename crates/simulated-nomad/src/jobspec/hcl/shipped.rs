//! The jobspecs that the project ships, read as users of it have them read.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::parse;
use crate::jobspec::definition::ALONE;
use crate::jobspec::{self, Surroundings};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn parsed(file: &str, variables: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(root().join("deploy/nomad").join(file)).unwrap();
    parse(&text, variables).unwrap_or_else(|why| panic!("{file}: {why}"))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.into_iter().filter(|(_, value)| !value.is_null());
            said.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(all) => all.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The JSON was made by a real Nomad 1.11.3, of the text beside it: a jobspec as we once shipped it.
#[test]
fn a_runners_jobspec_is_read_as_nomad_read_it() {
    let text = include_str!("../../../tests/jobspecs/runner-raw-exec.nomad.hcl");
    let recorded = include_str!("../../../tests/jobspecs/runner-raw-exec.json");
    let variables = "job = \"@job@\"\nnamespace = \"@namespace@\"\narch = \"@arch@\"\n\
                     runner_archive = \"@archive@\"\nrunner_checksum = \"@checksum@\"\n\
                     memory = 987654321\ncpu = 50\ndisk = 101\nrun_as_root = true\n";
    let read = without_nulls(parse(text, variables).unwrap().into());
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    assert_eq!(read, recorded);
}

#[test]
fn all_of_them_can_be_registered() {
    let folder = std::fs::read_dir(root().join("deploy/nomad")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| name.ends_with(".nomad.hcl")).collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let (variables, is_runner) = match name.as_str() {
            "runner-home.nomad.hcl" => ("", false),
            daemon if daemon.starts_with("roustabout") => ("config = \"x = 1\"", false),
            _ => ("vault_role = \"runner\"", true),
        };
        let around = Surroundings { vault: true, ..ALONE };
        let submitted = jobspec::submitted(parsed(&name, variables), "default", "global", &around);
        let tasks = submitted.job["TaskGroups"][0]["Tasks"].as_array().unwrap();
        let with_vault = tasks.iter().filter(|task| task["Vault"]["Role"] == "runner");
        assert_eq!(with_vault.count(), usize::from(is_runner), "{name}");
        assert_eq!(submitted.problems.text(), None, "{name}");
        assert_eq!(submitted.warnings, "", "{name}");
    }
}

#[test]
fn blocks_that_are_made_of_lists_and_names_of_the_client() {
    let job = parsed(
        "roustabout.nomad.hcl",
        "config = \"a = 1\"\nuser = \"runner\"\ndriver = \"raw_exec\"",
    );
    let group = &job["TaskGroups"][0];
    assert_eq!(
        group["Networks"][0]["ReservedPorts"][0],
        json!({
            "Label": "webhook", "Value": 8080, "To": 0, "HostNetwork": "", "IgnoreCollision": false,
        })
    );
    assert_eq!(group["Volumes"]["state"]["Source"], "roustabout");
    assert_eq!(group["Services"][1]["Checks"][0]["Interval"], 10_000_000_000_i64);
    let task = &group["Tasks"][0];
    assert_eq!(task["User"], "runner");
    assert_eq!(task["VolumeMounts"], Value::Null);
    assert_eq!(task["Identities"][0]["Env"], true);
    assert_eq!(task["Env"]["ROUSTABOUT__ADMIN__LISTEN"], "${NOMAD_IP_admin}:${NOMAD_PORT_admin}");
    let templates = task["Templates"].as_array().unwrap();
    assert_eq!(templates.len(), 4);
    assert_eq!(templates[1]["DestPath"], "secrets/webhook-secret");
    let data = templates[1]["EmbeddedTmpl"].as_str().unwrap();
    assert!(
        data.contains("(print \"nomad/jobs/\"") && data.contains("\"webhook_secret\""),
        "{data}"
    );
}
