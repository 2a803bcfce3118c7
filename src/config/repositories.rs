//! `repositories` of a pool: patterns `owner/name`. Rejects those that can match no repository, and warns
//! of those without effect. What a pattern matches is decided in `ledger::matching`.

use std::collections::BTreeSet;

use super::github::{ForgeKind, GitHub};
use super::section::Section;
use crate::ledger::matching::RepositoryGlobs;

const KEY: &str = "repositories";

/// Of a repository's name, at GitHub and at a Gitea.
const LONGEST: usize = 100;

pub(super) fn read(section: &Section, github: Option<&GitHub>) -> Option<Vec<String>> {
    let kind = github.map(|github| github.kind);
    let patterns = section.required(KEY, Section::filled_list)?;
    if let Some(what) = patterns.iter().find_map(|pattern| check(pattern, kind).err()) {
        section.refuse(KEY, what);
        return None;
    }
    if patterns.iter().all(|pattern| pattern.starts_with('!')) {
        section.refuse(KEY, "contains only exclusions, so the pool serves nothing");
        return None;
    }
    if let Some(github) = github {
        let owners = patterns.iter().filter_map(|pattern| literal_owner(pattern));
        let mut stranger = owners.filter(|owner| github.credential_for(owner).is_none());
        if let Some(owner) = stranger.next() {
            section.report(
                KEY,
                format!("no credential for the owner {owner:?}"),
                format!("add {owner:?} to the owners of one of [[github.credentials]]"),
            );
        }
    }
    for (what, fix) in remarks(&patterns) {
        section.warn(KEY, what, fix);
    }
    Some(patterns)
}

/// `owner/name`, both may contain `*` for any text; a leading `!` excludes.
fn check(pattern: &str, kind: Option<ForgeKind>) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
    let part = |text: &str| !text.is_empty() && text.chars().all(fits);
    let plain = pattern.strip_prefix('!').unwrap_or(pattern);
    let Some((owner, name)) = plain.split_once('/').filter(|(o, n)| part(o) && part(n)) else {
        return Err(format!(
            "{pattern:?} is not of the form owner/name (* matches anything, a leading ! excludes)"
        ));
    };
    if kind == Some(ForgeKind::GitHub) && (owner.contains('.') || owner.starts_with('-')) {
        return Err(format!(
            "{pattern:?} matches nothing: {owner:?} is not a valid login at GitHub"
        ));
    }
    let git = name.to_ascii_lowercase().ends_with(".git");
    if git || name == "." || name == ".." || name.replace('*', "").len() > LONGEST {
        return Err(format!(
            "{pattern:?} matches nothing: no repository can have this name{}",
            if git { "; write it without .git" } else { "" }
        ));
    }
    Ok(())
}

/// The owner that a pattern names in full; none for exclusions.
fn literal_owner(pattern: &str) -> Option<&str> {
    let (owner, _) = pattern.split_once('/')?;
    (!owner.starts_with('!') && !owner.contains('*')).then_some(owner)
}

/// Patterns without effect: probably something else is meant.
fn remarks(patterns: &[String]) -> Vec<(String, &'static str)> {
    let mut seen = BTreeSet::new();
    let mut remarks = Vec::new();
    if let Some(twice) = patterns.iter().find(|pattern| !seen.insert(pattern.to_lowercase())) {
        remarks.push((format!("{twice:?} is listed twice"), "remove one of them"));
    }
    let excluded: Vec<&str> = patterns.iter().filter_map(|p| p.strip_prefix('!')).collect();
    let exclusions = RepositoryGlobs::new(&excluded);
    let served = patterns.iter().filter(|pattern| !pattern.starts_with('!'));
    // A star of the pattern is treated as a character that only a star matches: so this holds for all
    // names that the pattern matches. If nothing is left at all, `check` fails.
    if let Some(nothing) = served.clone().find(|pattern| exclusions.matches(pattern))
        && served.clone().any(|pattern| !exclusions.matches(pattern))
    {
        let what = format!("{nothing:?} serves nothing: a pattern with ! excludes it");
        remarks.push((what, "remove it, or narrow the exclusion"));
    }
    let idle = excluded
        .iter()
        .find(|exclusion| !served.clone().any(|pattern| overlap(pattern, exclusion)));
    if let Some(idle) = idle {
        let what = format!("\"!{idle}\" excludes nothing that the other patterns match");
        remarks.push((what, "remove or correct it"));
    }
    remarks
}

/// Whether any name matches both patterns, ignoring case.
pub fn overlap(a: &str, b: &str) -> bool {
    fn go(a: &[u8], b: &[u8]) -> bool {
        match (a, b) {
            ([], rest) | (rest, []) => rest.iter().all(|byte| *byte == b'*'),
            ([b'*', after @ ..], _) => {
                go(after, b)
                    || b.split_first().is_some_and(|(next, rest)| *next != b'/' && go(a, rest))
            }
            (_, [b'*', ..]) => go(b, a),
            ([x, a @ ..], [y, b @ ..]) => x == y && go(a, b),
        }
    }
    go(a.to_lowercase().as_bytes(), b.to_lowercase().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{errors, loaded, pool_with};

    #[test]
    fn patterns() {
        for good in ["octocat/*", "!octocat/secret", "*/*", "a-b/c.d_e", "o*/x*y"] {
            assert_eq!(check(good, Some(ForgeKind::GitHub)), Ok(()), "{good}");
        }
        for wrong in ["octocat", "/x", "x/", "a/b/c", "!!a/b", "a b/c", "!", "a/[bc]", "a/b "] {
            assert!(check(wrong, None).is_err(), "{wrong}");
        }
        assert_eq!(literal_owner("octocat/*"), Some("octocat"));
        assert_eq!(literal_owner("octo*/x"), None);
        assert_eq!(literal_owner("!octocat/x"), None);
    }

    #[test]
    fn patterns_that_can_match_nothing_are_refused() {
        for wrong in ["a.b/c", "-a/b", "a/b.git", "!a/b.GIT", "a/.", "a/.."] {
            let told = check(wrong, Some(ForgeKind::GitHub)).expect_err(wrong);
            assert!(told.contains("matches nothing: "), "{told}");
        }
        assert!(check(&format!("a/{}", "b".repeat(101)), None).is_err());
        assert_eq!(check("a.b/c", Some(ForgeKind::Gitea)), Ok(()));
        let told = errors(&pool_with("repositories = [\"octocat/app.git\"]"));
        assert!(
            told.starts_with("f.toml: pools[x64].repositories: \"octocat/app.git\" "),
            "{told}"
        );
        assert!(told.contains("write it without .git"), "{told}");
    }

    #[test]
    fn patterns_overlap() {
        assert!(overlap("octo/*", "*/app") && overlap("a*c/x", "AB*/x") && overlap("*/*", "o/r"));
        assert!(!overlap("octo/*", "else/*") && !overlap("o/a*", "o/b*") && !overlap("o*", "o/r"));
    }

    #[test]
    fn what_changes_nothing_is_told() {
        let told = |patterns: &str| {
            let loaded = loaded(&pool_with(&format!("repositories = {patterns}")));
            loaded.warnings.iter().map(|one| one.what.clone()).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(told("[\"o/a\", \"O/A\"]"), "\"O/A\" is listed twice");
        assert_eq!(
            told("[\"o/*\", \"o/secret\", \"!o/s*\"]"),
            "\"o/secret\" serves nothing: a pattern with ! excludes it"
        );
        assert_eq!(
            told("[\"o/*\", \"!else/*\"]"),
            "\"!else/*\" excludes nothing that the other patterns match"
        );
        assert_eq!(told("[\"o/*\", \"!o/secret\", \"*/x\", \"!*/y*\"]"), "");
    }
}
