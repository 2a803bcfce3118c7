//! A task: its templates, artifacts, identities and mounts.
//!
//! Read next: `policies.rs`.

use super::{Object, Problems, constraint, number, objects, policies, text};

/// How far a path may climb from the task's folder and still be in the allocation's.
const DEPTH: usize = 1;

pub fn problems(task: &Object, group: &Object, disk: i64) -> Problems {
    let mut found = Problems::default();
    match text(task, "Name") {
        "" => found.add("Missing task name"),
        name if name.contains(['/', '\\']) => found.add("Task name cannot include slashes"),
        name if name.contains('\0') => found.add("Task name cannot include null characters"),
        _ => {}
    }
    if task["Driver"] == "" {
        found.add("Missing task driver");
    }
    for (key, what) in [("KillTimeout", "KillTimeout"), ("ShutdownDelay", "ShutdownDelay")] {
        if number(task, key) < 0 {
            found.add(format!("{what} must be a positive value"));
        }
    }
    if let Some(resources) = task["Resources"].as_object() {
        found.append(&policies::resources(resources));
    }
    if let Some(logs) = task["LogConfig"].as_object() {
        found.append(&policies::logs(logs, disk));
    }
    constraint::all(task, &mut found);
    numbered(task, "Artifacts", "Artifact", artifact, &mut found);
    numbered(task, "Templates", "Template", template, &mut found);
    if let Some(hook) = task["Lifecycle"]["Hook"].as_str()
        && !matches!(hook, "prestart" | "poststart" | "poststop")
    {
        found.add(format!("Lifecycle validation failed: invalid hook: {hook}"));
    }
    for (number, mount) in objects(task, "VolumeMounts").enumerate() {
        let volume = text(mount, "Volume");
        if group["Volumes"].get(volume).is_none() {
            found.add(format!("Volume Mount ({number}) references undefined volume {volume}"));
        }
    }
    for one in objects(task, "Identities") {
        found.nest(format!("Identity {:?} is invalid", text(one, "Name")), &identity(one));
    }
    found
}

fn numbered(
    task: &Object,
    list: &str,
    what: &str,
    problems: impl Fn(&Object) -> Problems,
    found: &mut Problems,
) {
    for (number, one) in objects(task, list).enumerate() {
        found.nest(format!("{what} {} validation failed", number + 1), &problems(one));
    }
}

fn template(template: &Object) -> Problems {
    let mut found = Problems::default();
    if template["SourcePath"] == "" && template["EmbeddedTmpl"] == "" {
        found.add("Must specify a source path or have an embedded template");
    }
    match text(template, "DestPath") {
        "" => found.add("Must specify a destination for the template"),
        path if escapes(path) => found.add("destination escapes allocation directory"),
        _ => {}
    }
    if !matches!(text(template, "ChangeMode"), "noop" | "signal" | "script" | "restart") {
        found.add(
            "Invalid change mode. Must be one of the following: noop, signal, script, restart",
        );
    }
    if number(template, "Splay") < 0 {
        found.add("Must specify positive splay value");
    }
    let perms = text(template, "Perms");
    if !perms.is_empty() && u32::from_str_radix(perms, 8).is_err() {
        found.add(format!(
            "Failed to parse {perms:?} as octal: strconv.ParseUint: parsing {perms:?}: invalid syntax"
        ));
    }
    found
}

fn artifact(artifact: &Object) -> Problems {
    let mut found = Problems::default();
    if artifact["GetterSource"] == "" {
        found.add("source must be specified");
    }
    let mode = text(artifact, "GetterMode");
    if !matches!(mode, "any" | "file" | "dir") {
        found.add(format!("invalid artifact mode {mode:?}; must be one of: any, file, dir"));
    }
    if escapes(text(artifact, "RelativeDest")) {
        found.add("destination escapes allocation directory");
    }
    if let Some(checksum) = artifact["GetterOptions"]["checksum"].as_str()
        && let Err(why) = check_sum(checksum.trim())
    {
        found.add(why);
    }
    found
}

fn check_sum(checksum: &str) -> Result<(), String> {
    if checksum.is_empty() {
        return Err("checksum value cannot be empty".into());
    }
    if checksum.contains("${") {
        return Ok(());
    }
    let parts: Vec<&str> = checksum.split(':').collect();
    let [kind, digits] = parts[..] else {
        return Err(format!("checksum must be given as \"type:value\"; got {checksum:?}"));
    };
    if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        let code = u32::from(wrong);
        return Err(format!(
            "invalid checksum: encoding/hex: invalid byte: U+{code:04X} '{wrong}'"
        ));
    }
    if digits.len() % 2 == 1 {
        return Err("invalid checksum: encoding/hex: odd length hex string".into());
    }
    let bytes = match kind {
        "md5" => 16,
        "sha1" => 20,
        "sha256" => 32,
        "sha512" => 64,
        other => return Err(format!("unsupported checksum type: {other}")),
    };
    if digits.len() == 2 * bytes {
        Ok(())
    } else {
        Err(format!("invalid {kind} checksum: {digits}"))
    }
}

fn identity(identity: &Object) -> Problems {
    let mut found = Problems::default();
    let name = text(identity, "Name");
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !(1..=128).contains(&name.len()) || !name.chars().all(good) {
        found.add(format!("invalid name {name:?}. Must match regex ^[a-zA-Z0-9-_]{{1,128}}$"));
    }
    if number(identity, "TTL") < 0 {
        found.add("ttl must be >= 0");
    }
    found
}

/// Whether a path below the task's folder leads out of the allocation's.
fn escapes(path: &str) -> bool {
    let mut depth = DEPTH;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_climb_to_the_allocation_and_no_further() {
        for inside in ["local/x", "../alloc/x", "/etc/x", "a/../../b"] {
            assert!(!escapes(inside), "{inside}");
        }
        for outside in ["../../x", "a/../../../x", "../../../x"] {
            assert!(escapes(outside), "{outside}");
        }
    }

    #[test]
    fn a_checksum_has_a_kind_and_a_length() {
        assert!(check_sum(&format!("sha256:{}", "0".repeat(64))).is_ok());
        assert!(check_sum("${meta.sum}").is_ok());
        let why = check_sum("sha256:00").unwrap_err();
        assert_eq!(why, "invalid sha256 checksum: 00");
        assert!(check_sum("00").unwrap_err().starts_with("checksum must be given as"));
    }
}
