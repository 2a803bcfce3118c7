//! Names a request by its method and the form of its path, without the names and ids in it: those are
//! strangers' texts, and there is no end of them.

use super::Peer;

/// What Vault's entries are below; before these words stands the path of a mount.
const ENTRIES: [&str; 2] = ["data", "metadata"];

/// Words after which as many segments are names, at GitHub, Gitea and Nomad.
const NAMES_AFTER: [(&str, usize); 14] = [
    ("repos", 2),
    ("orgs", 1),
    ("users", 1),
    ("repositories", 1),
    ("app-manifests", 1),
    ("enterprises", 1),
    ("job", 1),
    ("allocation", 1),
    ("evaluation", 1),
    ("node", 1),
    ("deployment", 1),
    ("namespace", 1),
    ("policy", 1),
    ("var", usize::MAX),
];

pub(super) fn of(method: &str, path: &str) -> (Peer, String) {
    let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    // Behind a proxy either API may have a prefix.
    let version = segments.iter().position(|segment| matches!(*segment, "v1" | "v3"));
    let is_nomad =
        version.is_some_and(|at| segments[at] == "v1" && (at == 0 || segments[at - 1] != "api"));
    if let Some(at) = version {
        segments.drain(..=at);
    }
    if is_nomad && let Some(form) = of_vault(&segments) {
        return (Peer::Vault, format!("{method} /{form}"));
    }
    let mut form = Vec::new();
    let mut names = 0;
    for segment in segments {
        if names > 0 {
            names -= 1;
            form.push("*");
            continue;
        }
        let is_word =
            segment.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_.".contains(&byte));
        form.push(if is_word { segment } else { "*" });
        let after = NAMES_AFTER.iter().find(|(word, _)| *word == segment);
        names = after.map_or(0, |(_, names)| *names);
    }
    let peer = if is_nomad { Peer::Nomad } else { Peer::Forge };
    (peer, format!("{method} /{}", form.join("/")))
}

/// Vault's API has the same prefix as Nomad's, and mounts have any name.
fn of_vault(segments: &[&str]) -> Option<String> {
    match segments {
        ["auth", "token", what] => Some(format!("auth/token/{what}")),
        ["auth", .., "login"] => Some("auth/*/login".to_owned()),
        ["sys", "capabilities-self"] => Some("sys/capabilities-self".to_owned()),
        ["sys", "internal", ..] => Some("sys/internal/ui/mounts/*".to_owned()),
        ["var" | "job", ..] => None,
        [_, rest @ ..] => {
            let kind = rest.iter().find(|segment| ENTRIES.contains(segment))?;
            Some(format!("*/{kind}/*"))
        }
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_no_name_and_no_id_in_it() {
        let forge = [
            ("/repos/octo/app/actions/runs/7/jobs", "GET /repos/*/*/actions/runs/*/jobs"),
            ("/repos/actions/runners/actions/runners", "GET /repos/*/*/actions/runners"),
            ("/api/v3/orgs/my-org/actions/runners/12", "GET /orgs/*/actions/runners/*"),
            ("/api/v1/repos/octo/app", "GET /repos/*/*"),
            ("/repositories/7/actions", "GET /repositories/*/actions"),
            ("/rate_limit", "GET /rate_limit"),
        ];
        for (path, form) in forge {
            assert_eq!(of("GET", path), (Peer::Forge, form.to_owned()), "{path}");
        }
        let nomad = [
            ("/v1/job/runner%2Fdispatch-1/allocations", "GET /job/*/allocations"),
            ("/nomad/v1/jobs/statuses", "GET /jobs/statuses"),
            ("/v1/var/nomad/jobs/a", "GET /var/*/*/*"),
        ];
        for (path, form) in nomad {
            assert_eq!(of("GET", path), (Peer::Nomad, form.to_owned()), "{path}");
        }
        let vault = [
            ("/v1/kv/data/github_runner/my-org", "GET /*/data/*"),
            ("/v1/team/kv/metadata/roustabout/a", "GET /*/metadata/*"),
            ("/v1/auth/ci/approle/login", "GET /auth/*/login"),
            ("/v1/auth/token/renew-self", "GET /auth/token/renew-self"),
        ];
        for (path, form) in vault {
            assert_eq!(of("GET", path), (Peer::Vault, form.to_owned()), "{path}");
        }
    }
}
