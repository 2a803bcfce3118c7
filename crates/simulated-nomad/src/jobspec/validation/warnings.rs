//! What Nomad takes and warns of.

use serde_json::Value;

use super::{Object, Problems, list, number, objects, text};

/// Empty: nothing to warn of.
pub fn warnings(job: &Object) -> String {
    let mut all = Vec::new();
    for group in objects(job, "TaskGroups") {
        let mut of_group = Problems::default();
        for task in objects(group, "Tasks") {
            let mut of_task = Problems::default();
            for one in objects(task, "Identities") {
                of_task.append(&identity(one));
            }
            of_group.nest(format!("Task {:?} has warnings", text(task, "Name")), &of_task);
        }
        if let Some(inner) = of_group.text() {
            all.push(format!("Group {:?} has warnings: {inner}", text(group, "Name")));
        }
    }
    if job["Periodic"]["Spec"].as_str().is_some_and(|spec| !spec.is_empty()) {
        all.push(
            "cron is deprecated and may be removed in a future release. Use crons instead".into(),
        );
    }
    if all.is_empty() {
        return String::new();
    }
    let count =
        if all.len() == 1 { "1 warning".to_owned() } else { format!("{} warnings", all.len()) };
    format!("{count}:\n\n* {}", all.join("\n* ")).trim_end().to_owned()
}

fn identity(identity: &Object) -> Problems {
    let mut found = Problems::default();
    let name = text(identity, "Name");
    match list(identity, "Audience").filter_map(Value::as_str).count() {
        0 => found.add(format!("Identity[{name}] identities without an audience are insecure")),
        1 => {}
        _ => found.add(format!(
            "Identity[{name}] while multiple audiences is allowed, it is more secure to use 1 \
             audience per identity"
        )),
    }
    if number(identity, "TTL") == 0 {
        found.add(format!("Identity[{name}] identities without an expiration are insecure"));
    }
    found
}
