//! `events` and `actors` of a pool: patterns of what and who may cause the runs that it serves. Rejects
//! those that can match nothing, and warns of events that GitHub does not have. What a pattern matches
//! is decided in `ledger::patterns`.

use super::repositories::overlap;
use super::section::Section;
use super::suggest::nearest;
use crate::ledger::Patterns;

/// Events that start workflows (GitHub docs, "Events that trigger workflows"), and `dynamic`, which
/// GitHub's own workflows have.
const EVENTS: &[&str] = &[
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "dynamic",
    "fork",
    "gollum",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "push",
    "registry_package",
    "release",
    "repository_dispatch",
    "schedule",
    "status",
    "watch",
    "workflow_call",
    "workflow_dispatch",
    "workflow_run",
];

/// Both; each is `None` if it is invalid.
pub(super) fn read(section: &Section) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let events = patterns(section, "events", "_", "pull_request_target");
    let known = |pattern: &&String| {
        let plain = pattern.trim_start_matches('!').to_lowercase();
        plain.contains('*') || EVENTS.contains(&plain.as_str())
    };
    if let Some(odd) = events.iter().flatten().find(|pattern| !known(pattern)) {
        let fix = match nearest(odd.trim_start_matches('!'), EVENTS.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "check its spelling; the event is what a workflow has below `on`".to_owned(),
        };
        section.warn("events", format!("{odd:?} is not a known event of workflows"), fix);
    }
    (events, patterns(section, "actors", "-_.[]", "renovate[bot]"))
}

/// Letters, digits, `*` and some more; a leading `!` excludes.
fn patterns(section: &Section, key: &str, more: &str, example: &str) -> Option<Vec<String>> {
    let patterns = section.list(key)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '*' || more.contains(c);
    let good = |pattern: &String| {
        let plain = pattern.strip_prefix('!').unwrap_or(pattern);
        !plain.is_empty() && plain.chars().all(fits)
    };
    let fix = format!(
        "write, for example, {key} = [\"*\", \"!{example}\"] (* matches anything, a leading ! excludes)"
    );
    if let Some(wrong) = patterns.iter().find(|pattern| !good(pattern)) {
        section.report(key, format!("{wrong:?} matches nothing"), fix);
        return None;
    }
    if patterns.iter().all(|pattern| pattern.starts_with('!')) {
        let what = match patterns.is_empty() {
            true => "is empty, so the pool serves nothing",
            false => "contains only exclusions, so the pool serves nothing",
        };
        section.report(key, what, fix);
        return None;
    }
    let excluded = || patterns.iter().filter_map(|pattern| pattern.strip_prefix('!'));
    let exclusions = Patterns::new(&excluded().collect::<Vec<_>>());
    let allowed = || patterns.iter().filter(|pattern| !pattern.starts_with('!'));
    // A star of the pattern is treated as a character that only a star matches: so this holds for all
    // that the pattern matches.
    if allowed().all(|pattern| exclusions.matches(pattern)) {
        let what = "allows nothing: its exclusions take out all that it matches, so the pool serves nothing";
        section.report(key, what, fix);
        return None;
    }
    if let Some(nothing) = allowed().find(|pattern| exclusions.matches(pattern)) {
        let what = format!("{nothing:?} allows nothing: a pattern with ! excludes it");
        section.warn(key, what, "remove it, or narrow the exclusion");
    }
    if let Some(idle) = excluded().find(|one| !allowed().any(|pattern| overlap(pattern, one))) {
        let what = format!("\"!{idle}\" excludes nothing that the other patterns match");
        section.warn(key, what, "remove or correct it");
    }
    Some(patterns)
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded, pool_with};

    #[test]
    fn everything_is_allowed_unless_something_is_said() {
        let pool = loaded(&pool_with("")).settings.pools.remove(0);
        assert_eq!((pool.events, pool.actors), (vec!["*".to_owned()], vec!["*".to_owned()]));
    }

    #[test]
    fn patterns_that_match_nothing_are_refused() {
        for (lines, what) in [
            ("events = []", "events: is empty, so the pool serves nothing"),
            ("events = [\"!push\"]", "events: contains only exclusions"),
            ("events = [\"pull-request\"]", "events: \"pull-request\" matches nothing"),
            ("events = [\"*\", \"!*\"]", "events: allows nothing"),
            ("events = [\"push\", \"!Push\"]", "events: allows nothing"),
            ("events = [\"push\", \"pull_request\", \"!pu*\"]", "events: allows nothing"),
            ("actors = [\"*\", \"!**\"]", "actors: allows nothing"),
            ("actors = [\"!\"]", "actors: \"!\" matches nothing"),
            ("actors = [\"a b\"]", "actors: \"a b\" matches nothing"),
            ("actors = [\"a,b\"]", "actors: \"a,b\" matches nothing"),
        ] {
            let told = errors(&pool_with(lines));
            assert!(told.contains(what), "{told}");
            assert!(told.contains("write, for example, "), "{told}");
        }
    }

    #[test]
    fn a_pattern_without_effect_is_warned_of() {
        let warnings = |lines: &str| {
            let loaded = loaded(&pool_with(lines));
            loaded.warnings.iter().map(ToString::to_string).collect::<String>()
        };
        let told = warnings("events = [\"push\", \"pull_request_target\", \"!pull_request*\"]");
        assert!(
            told.contains("\"pull_request_target\" allows nothing: a pattern with !"),
            "{told}"
        );
        let told = warnings("actors = [\"octocat\", \"!*[bot]\"]");
        assert!(told.contains("\"!*[bot]\" excludes nothing that the other patterns"), "{told}");
        assert_eq!(warnings("events = [\"push\"]\nactors = [\"*\", \"!*[bot]\"]"), "");
    }

    #[test]
    fn an_event_that_is_not_known_is_warned_of() {
        let warnings = |lines: &str| {
            let loaded = loaded(&pool_with(lines));
            loaded.warnings.iter().map(ToString::to_string).collect::<String>()
        };
        let told = warnings("events = [\"*\", \"!pull_request_targt\"]");
        assert!(told.contains("did you mean \"pull_request_target\"?"), "{told}");
        let good = "events = [\"*\", \"!pull_request*\", \"!Workflow_Run\"]\n\
                    actors = [\"*\", \"!dependabot[bot]\"]";
        assert_eq!(warnings(good), "");
    }
}
