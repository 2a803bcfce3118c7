//! `{placeholders}` in a pool's `payload` and `[pools.meta]`: the data of a dispatch, by the names of its
//! meta keys. They are only checked here, and filled in when a runner is dispatched.

use super::suggest::nearest;

/// The data of a dispatch that may be used, and that a parameterized job may require.
pub const META_KEYS: &[&str] = &[
    "runner_name",
    "runner_labels",
    "runner_url",
    "runner_scope",
    "runner_group",
    "credential",
    "repository",
    "owner",
    "repository_name",
    "workflow_job_id",
    "run_id",
    "run_attempt",
    "workflow_job_name",
    "workflow_name",
    "head_branch",
    "delivery_id",
    "allow_repositories",
    "allow_public",
    "allow_forks",
    "allow_events",
    "allow_actors",
];

/// Meta keys that carry a credential, or the way to one: filled by `delivery` and by nothing else.
pub const CREDENTIAL_KEYS: &[&str] =
    &["runner_token", "runner_jit_config", "claim_url", "credential_path", "vault_path"];

/// The placeholders of a text. Only a bare name in braces is one, so a payload may be JSON.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!name.is_empty() && name.chars().all(bare)).then_some(name)
    })
}

/// What is wrong with a text's placeholders, and how to fix it.
pub(super) fn check(text: &str) -> Result<(), (String, String)> {
    for name in placeholders(text) {
        if CREDENTIAL_KEYS.contains(&name) {
            return Err((
                format!("{{{name}}} would put a credential into the job's data"),
                "remove it; delivery decides how the credential reaches the job".to_owned(),
            ));
        }
        if !META_KEYS.contains(&name) {
            let fix = match nearest(name, META_KEYS.iter().copied()) {
                Some(near) => format!("did you mean {{{near}}}?"),
                None => format!("known placeholders: {}", META_KEYS.join(", ")),
            };
            return Err((format!("unknown placeholder {{{name}}}"), fix));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_name_is_a_placeholder() {
        let of = |text| placeholders(text).collect::<Vec<_>>();
        assert_eq!(of("{repository} and {run_id}"), ["repository", "run_id"]);
        assert_eq!(of(r#"{"repo": "{repository}", "n": {}}"#), ["repository"]);
        assert_eq!(of("{open"), [""; 0]);
        assert_eq!(of("plain"), [""; 0]);
    }

    #[test]
    fn unknown_and_secret_placeholders_are_refused() {
        assert_eq!(check("{owner}/{repository_name}"), Ok(()));
        let fix = |text: &str| check(text).expect_err("it is refused").1;
        assert_eq!(fix("{repositry}"), "did you mean {repository}?");
        assert!(fix("{colour}").starts_with("known placeholders: runner_name, "));
        for key in CREDENTIAL_KEYS {
            assert!(fix(&format!("{{{key}}}")).contains("delivery decides"));
        }
    }
}
