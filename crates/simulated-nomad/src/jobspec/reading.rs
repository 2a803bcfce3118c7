//! What dispatching and the plain rules of a client want to know of a job.
//!
//! What the scheduler looks at is read in `../wants.rs`, what the tasks do in `../tasks/group.rs`.

use serde_json::Value;

use crate::jobs::{JobSpec, PayloadRule};
use crate::model::{HOUR, Millis};

/// Nanoseconds, as Go writes a length of time, in a millisecond.
const NANOS: i64 = 1_000_000;

/// Of a job in the kept form that was found good.
pub fn read(job: &Value) -> JobSpec {
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let rules = &job["ParameterizedJob"];
    let payload = rules.is_object().then(|| match rules["Payload"].as_str() {
        Some("required") => PayloadRule::Required,
        Some("forbidden") => PayloadRule::Forbidden,
        _ => PayloadRule::Optional,
    });
    let meta = job["Meta"].as_object().into_iter().flatten();
    let meta = meta.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let tasks: Vec<&Value> =
        job["TaskGroups"][0]["Tasks"].as_array().into_iter().flatten().collect();
    let of_hook = |hook: Option<&str>| {
        tasks.iter().find(move |task| task["Lifecycle"]["Hook"].as_str() == hook)
    };
    let usual = JobSpec::default();
    JobSpec {
        payload,
        meta_required: texts(&rules["MetaRequired"]),
        meta_optional: texts(&rules["MetaOptional"]),
        meta: meta.collect(),
        kill_timeout: of_hook(None).map_or(usual.kill_timeout, |main| kill_timeout(main)),
        // It ends when its process does; this only bounds it.
        poststop: of_hook(Some("poststop")).map(|_| HOUR),
        ..usual
    }
}

fn kill_timeout(task: &Value) -> Millis {
    task["KillTimeout"].as_i64().unwrap_or(0) / NANOS
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_model_learns_what_it_asks_for() {
        let asked = json!({
            "ID": "runner", "Type": "batch", "Meta": {"a": "b"},
            "ParameterizedJob": {"Payload": "required", "MetaRequired": ["a"]},
            "TaskGroups": [{"Name": "g", "Tasks": [
                {"Name": "before", "Driver": "raw_exec", "Lifecycle": {"Hook": "prestart"}},
                {"Name": "main", "Driver": "raw_exec", "KillTimeout": 30_000_000_000_i64},
            ]}],
        });
        let asked = super::super::asked(&super::super::shapes::JOB, &asked, "").unwrap();
        let job =
            super::super::submitted(asked, "default", "global", &super::super::definition::ALONE)
                .job;
        let spec = read(&job.into());
        assert_eq!(spec.payload, Some(PayloadRule::Required));
        assert_eq!((spec.meta_required, &spec.meta["a"]), (vec!["a".to_owned()], &"b".to_owned()));
        assert_eq!((spec.kill_timeout, spec.poststop), (30_000, None));
    }
}
