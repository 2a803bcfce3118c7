//! A task group.
//!
//! Read next: `task.rs`.

use super::{Object, Problems, constraint, list, number, objects, policies, task, text};

pub fn problems(group: &Object, kind: &str) -> Problems {
    let mut found = Problems::default();
    match text(group, "Name") {
        "" => found.add("Missing task group name"),
        name if name.contains('\0') => found.add("Task group name contains null character"),
        _ => {}
    }
    if number(group, "Count") < 0 {
        found.add("Task group count can't be negative");
    }
    if list(group, "Tasks").next().is_none() {
        found.add("Missing tasks for task group");
    }
    disconnect(group, &mut found);
    constraint::all(group, &mut found);
    if let Some(policy) = group["RestartPolicy"].as_object() {
        found.extend(policies::restart(policy));
    }
    if let Some(policy) = group["ReschedulePolicy"].as_object() {
        if matches!(kind, "system" | "sysbatch") {
            found.add("System or sysbatch jobs should not have a reschedule policy");
        } else {
            found.extend(policies::reschedule(policy));
        }
    }
    let disk = group["EphemeralDisk"]["SizeMB"].as_i64().unwrap_or(0);
    if disk < 10 {
        found.add(format!("minimum DiskMB value is 10; got {disk}"));
    }
    if group["Update"].is_object() && !matches!(kind, "service" | "system") {
        found.add(format!("Job type {kind:?} does not allow update block"));
    }
    if group["Migrate"].is_object() && kind != "service" {
        found.add(format!("Job type {kind:?} does not allow migrate block"));
    }
    names_and_leaders(group, &mut found);
    for one in objects(group, "Tasks") {
        let inner = task::problems(one, group, disk);
        found.nest(format!("Task {} validation failed", text(one, "Name")), &inner);
    }
    found
}

fn disconnect(group: &Object, found: &mut Problems) {
    let negative = |key: &str| group["Disconnect"][key].as_i64().is_some_and(|nanos| nanos < 0);
    if negative("LostAfter") {
        found.add("lost_after cannot be a negative duration");
    }
    if negative("StopOnClientAfter") {
        found.add("stop_on_client_after cannot be a negative duration");
    }
    if number(group, "MaxClientDisconnect") < 0 {
        found.add("max_client_disconnect cannot be negative");
    }
}

fn names_and_leaders(group: &Object, found: &mut Problems) {
    let names: Vec<&str> = objects(group, "Tasks").map(|task| text(task, "Name")).collect();
    for (at, name) in names.iter().enumerate() {
        let number = at + 1;
        match names[..at].iter().position(|before| before == name) {
            _ if name.is_empty() => found.add(format!("Task {number} missing name")),
            Some(first) => {
                found.add(format!("Task {number} redefines '{name}' from task {}", first + 1))
            }
            None => {}
        }
    }
    if objects(group, "Tasks").filter(|task| task["Leader"] == true).count() > 1 {
        found.add("Only one task may be marked as leader");
    }
}
