//! Whether GitHub reports a repository's jobs: whether it has an active webhook for `workflow_job`, and
//! whether the last delivery was accepted. Pure.

use url::Url;

use super::finding::Finding;
use crate::github::{Hook, Repository};

/// Whether the webhook reports jobs.
pub fn tells(hook: &Hook) -> bool {
    hook.active && hook.tells_of_jobs()
}

/// `path` and `public_url` are those of `[webhook]`. Without `all_seen` its organization may have hooks that the token
/// cannot see.
pub fn judge(
    subject: &str,
    repository: &Repository,
    path: &str,
    public_url: Option<&Url>,
    hooks: &[Hook],
    all_seen: bool,
) -> Finding {
    let page = format!("{}/settings/hooks", repository.html_url);
    let of_jobs: Vec<&Hook> = hooks.iter().filter(|hook| hook.tells_of_jobs()).collect();
    let active: Vec<&Hook> = hooks.iter().filter(|hook| tells(hook)).collect();
    if active.is_empty() {
        let told = match of_jobs.is_empty() {
            true => "has no webhook for jobs",
            false => "has a webhook for jobs, but it is not active",
        };
        let unseen = match all_seen {
            true => "",
            false => " (its organization may have one that the token cannot see)",
        };
        let payload_url =
            public_url.map_or_else(|| format!("https://THIS-HOST{path}"), Url::to_string);
        return Finding::warn(
            subject,
            format!("{told}{unseen}: its jobs are found only by the sweep, minutes late"),
            format!(
                "add one under Settings → Webhooks ({page}): payload URL {payload_url}, content type \
                 application/json, the secret of [webhook], the single event \"Workflow jobs\", active; or let \
                 roustabout hooks sync do it"
            ),
        );
    }
    let trouble = |hook: &&Hook| {
        let last = hook.last_response.as_ref()?;
        let taken = last.code.is_none_or(|code| (200..300).contains(&code));
        let unused = last.status.as_deref() == Some("unused");
        let failed = !taken || (last.code.is_none() && !unused && last.status.is_some());
        failed.then(|| match (last.code.filter(|code| *code != 0), &last.message) {
            (Some(code), _) => format!("{code}"),
            (None, Some(message)) if !message.is_empty() => message.clone(),
            _ => "no answer".to_owned(),
        })
    };
    let troubles: Vec<String> = active.iter().filter_map(trouble).collect();
    match troubles.first() {
        // One that works is enough: others may belong to another program.
        Some(first) if troubles.len() == active.len() => Finding::warn(
            subject,
            format!("the last delivery of its webhook for jobs failed: {first}"),
            format!(
                "see Recent Deliveries at {page}: 401 means that the secret differs from that of [webhook], 404 that the path is not {path}, no answer that GitHub cannot reach the address"
            ),
        ),
        _ => Finding::ok(subject, "has an active webhook for jobs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;
    use crate::github::LastResponse;

    fn hook(events: &[&str], active: bool, last: Option<(u16, &str)>) -> Hook {
        Hook {
            id: 1,
            url: "https://door/webhook".into(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            active,
            content_type: None,
            insecure_ssl: None,
            last_response: Some(LastResponse {
                code: last.map(|(code, _)| code),
                status: Some(last.map_or("unused", |_| "active").to_owned()),
                message: last.map(|(_, message)| message.to_owned()),
            }),
        }
    }

    fn judged(hooks: &[Hook]) -> Finding {
        let repository = Repository {
            id: 1,
            full_name: "octo/app".into(),
            private: true,
            visibility: None,
            fork: false,
            allow_forking: None,
            forks_count: 0,
            html_url: "https://github.com/octo/app".into(),
            permissions: None,
            archived: false,
            owned_by_organization: false,
            topics: None,
            default_branch: None,
        };
        judge("github octo/app", &repository, "/webhook", None, hooks, true)
    }

    const JOBS: &[&str] = &["workflow_job"];

    #[test]
    fn a_hook_for_jobs_is_enough() {
        for fine in [
            vec![hook(JOBS, true, None)],
            vec![hook(&["*"], true, Some((202, "OK")))],
            vec![hook(JOBS, true, Some((500, "no"))), hook(JOBS, true, Some((200, "OK")))],
        ] {
            assert_eq!(judged(&fine).level, Level::Ok, "{fine:?}");
        }
    }

    #[test]
    fn none_is_told_with_what_to_do() {
        for none in [vec![], vec![hook(&["push"], true, None)]] {
            let found = judged(&none);
            assert!(found.message.starts_with("has no webhook for jobs"), "{found:?}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(found.fix.unwrap(), @r#"
                add one under Settings → Webhooks (https://github.com/octo/app/settings/hooks): payload URL https://THIS-HOST/webhook, content type application/json, the secret of [webhook], the single event "Workflow jobs", active; or let roustabout hooks sync do it
                "#);
            }
        }
        assert!(judged(&[hook(JOBS, false, None)]).message.contains("it is not active"));
    }

    #[test]
    fn a_delivery_that_failed_is_told() {
        let told = |last| judged(&[hook(JOBS, true, Some(last))]).message;
        assert!(told((401, "Invalid HTTP Response: 401")).ends_with("failed: 401"));
        assert!(told((0, "failed to connect to host")).ends_with("failed to connect to host"));
    }
}
