//! Whether Gitea reports a repository's jobs to us: whether it or its organization has a webhook for
//! `workflow_job` that can reach us. Pure. Gitea's API shows no deliveries.

use crate::check::finding::Finding;
use crate::gitea::Hook;

/// `path` is the one of `[webhook]`; `organization` is `None` if its hooks are not visible.
pub fn judge(
    subject: &str,
    page: &str,
    path: &str,
    repository: &[Hook],
    organization: Option<&[Hook]>,
) -> Finding {
    let all = || repository.iter().chain(organization.unwrap_or_default());
    let of_jobs: Vec<&Hook> = all().filter(|hook| hook.tells_of_jobs()).collect();
    let troubles: Vec<String> = of_jobs.iter().filter_map(|hook| trouble(hook, path)).collect();
    if troubles.len() < of_jobs.len() {
        return Finding::ok(subject, "has an active webhook for jobs with our path");
    }
    let hidden = match organization {
        Some(_) => "",
        None => " (its organization may have one that is not visible)",
    };
    let told = match (troubles.first(), all().count()) {
        (Some(trouble), _) => trouble.clone(),
        (None, 0) => "has no webhook".to_owned(),
        (None, _) => "has webhooks, but none of type Gitea and for jobs".to_owned(),
    };
    Finding::warn(
        subject,
        format!("{told}{hidden}"),
        format!(
            "add one under Settings → Webhooks ({}/settings/hooks) → Gitea: target URL http(s)://THIS-HOST{path}, \
             POST content type application/json, the secret of [webhook], custom event \"Workflow \
             Jobs\", active; and allow this host in [webhook] ALLOWED_HOST_LIST of app.ini",
            page.trim_end_matches('/')
        ),
    )
}

/// Why a hook for jobs does not reach us, as far as its settings show.
fn trouble(hook: &Hook, path: &str) -> Option<String> {
    let url = &hook.url;
    let leads_to = url::Url::parse(url).ok().map(|url| url.path().to_owned());
    if leads_to.as_deref() != Some(path) {
        return Some(format!("its webhook for jobs posts to {url}, but our path is {path}"));
    }
    if !hook.active {
        return Some("its webhook for jobs is not active".to_owned());
    }
    if hook.content_type.as_deref() != Some("json") {
        let kind = hook.content_type.as_deref().unwrap_or("nothing");
        return Some(format!(
            "its webhook for jobs sends {kind}, for which Gitea's signature does not match what it sends"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    fn hook(url: &str) -> Hook {
        Hook {
            id: 1,
            kind: "gitea".into(),
            url: url.into(),
            events: vec!["workflow_job".into()],
            active: true,
            content_type: Some("json".into()),
            branch_filter: String::new(),
            authorization_header: "".into(),
        }
    }

    fn judged(repository: &[Hook], organization: Option<&[Hook]>) -> Finding {
        judge("gitea o/r", "http://git/o/r", "/webhook", repository, organization)
    }

    #[test]
    fn one_hook_that_reaches_us_is_enough_wherever_it_is() {
        let (ours, other) = (hook("http://door/webhook"), hook("http://else/x"));
        for (repository, organization) in [
            (vec![ours.clone()], None),
            (vec![other.clone(), ours.clone()], Some(vec![])),
            (vec![], Some(vec![ours.clone()])),
        ] {
            let found = judged(&repository, organization.as_deref());
            assert_eq!(found.level, Level::Ok, "{found:?}");
        }
    }

    #[test]
    fn what_keeps_a_hook_from_us_is_told() {
        let ours = hook("http://door/webhook");
        let with = |change: fn(&mut Hook)| {
            let mut hook = ours.clone();
            change(&mut hook);
            vec![hook]
        };
        for (hooks, told) in [
            (vec![], "has no webhook"),
            (with(|hook| hook.events = vec!["push".into()]), "none of type Gitea"),
            (with(|hook| hook.kind = "slack".into()), "none of type Gitea"),
            (with(|hook| hook.active = false), "its webhook for jobs is not active"),
            (
                with(|hook| hook.content_type = Some("form".into())),
                "its webhook for jobs sends form",
            ),
            (
                vec![hook("http://door/other")],
                "posts to http://door/other, but our path is /webhook",
            ),
        ] {
            let found = judged(&hooks, Some(&[]));
            assert_eq!(found.level, Level::Warn);
            assert!(found.message.contains(told), "{found:?}");
            assert!(found.fix.unwrap().contains("(http://git/o/r/settings/hooks)"));
        }
        assert!(judged(&[], None).message.ends_with("that is not visible)"));
    }
}
