//! `[[pools.warm]]`: floors of idle runners. They are kept for names, never for patterns: nobody knows
//! how many repositories a pattern matches, and each would have its own runners.

use super::pool::ScopeKind;
use super::schedule;
use super::section::Section;
use crate::ledger::matching::RepositoryGlobs;
use crate::ledger::{Warm, is_full_name};

/// The parts of the pool that floors must agree with.
pub(super) struct Around<'a> {
    pub scope: Option<ScopeKind>,
    pub jit: bool,
    pub labels: Option<&'a [String]>,
    pub repositories: Option<&'a [String]>,
    /// The lower of the pool's and of `[runners] max`.
    pub max_runners: Option<u32>,
    pub max_runners_per_repository: Option<u32>,
}

/// `None` where one is bad.
pub(super) fn read(pool: &Section, around: &Around) -> Option<Vec<Warm>> {
    let sections = pool.sections("warm", "repositories");
    let per_run = |labels: &[String]| labels.iter().any(|label| label.contains("{run_id}"));
    if !sections.is_empty() && around.labels.is_some_and(per_run) {
        pool.report(
            "warm",
            "is not possible with {run_id} in labels: a runner is then for one run, and that is not known before",
            "remove [[pools.warm]], or keep warm runners in a pool without {run_id}",
        );
        return None;
    }
    if !sections.is_empty() && around.jit {
        pool.warn(
            "warm",
            "GitHub may remove a JIT runner that has been idle for some minutes, and each is then replaced",
            "use credential = \"registration-token\" for runners that wait",
        );
    }
    let warm: Vec<Option<Warm>> = sections.iter().map(|section| one(section, around)).collect();
    warm.into_iter().collect()
}

fn one(section: &Section, around: &Around) -> Option<Warm> {
    let count = match section.given("count") {
        Some(_) => section.number("count", 1),
        None => Some(1),
    };
    let schedule = section.parsed("schedule", schedule::parse);
    let of = names(section, around);
    within_caps(section, around, count?, of.as_deref());
    let schedule_is_good = schedule.is_some() || section.given("schedule").is_none();
    schedule_is_good.then_some(Warm { count: count?, of: of?, schedule })
}

fn names(section: &Section, around: &Around) -> Option<Vec<String>> {
    let (key, other, scope) = match around.scope? {
        ScopeKind::Repository => ("repositories", "owners", "repository"),
        ScopeKind::Organization => ("owners", "repositories", "organization"),
    };
    if section.given(other).is_some() {
        section.report(
            other,
            format!("is not possible with scope = {scope:?}"),
            format!("write {key} = [\"…\"] in its place"),
        );
        return None;
    }
    let names = section.required(key, Section::filled_list)?;
    let good = match around.scope? {
        ScopeKind::Repository => names.iter().all(|name| repository(section, key, name, around)),
        ScopeKind::Organization => names.iter().all(|name| owner(section, key, name, around)),
    };
    good.then_some(names)
}

fn repository(section: &Section, key: &str, name: &str, around: &Around) -> bool {
    if name.contains('*') || name.starts_with('!') {
        section.report(
            key,
            format!("{name:?} is a pattern, and warm runners are kept for names only"),
            "list each repository as owner/name",
        );
        return false;
    }
    if !is_full_name(name) {
        section.refuse(key, format!("{name:?} is not of the form owner/name"));
        return false;
    }
    let served = |patterns: &[String]| RepositoryGlobs::new(patterns).serves(name, &[]);
    if around.repositories.is_some_and(|patterns| !served(patterns)) {
        section.report(
            key,
            format!("the pool does not serve {name:?}"),
            "add it to the pool's repositories, or remove it here",
        );
        return false;
    }
    true
}

fn owner(section: &Section, key: &str, name: &str, around: &Around) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        section.report(
            key,
            format!(
                "{name:?} is not the name of an organization; warm runners are kept for names only"
            ),
            "list each organization by its login",
        );
        return false;
    }
    let of_owner = |pattern: &String| {
        let owner = pattern.split('/').next().unwrap_or_default();
        !owner.starts_with('!') && super::repositories::overlap(owner, name)
    };
    if around.repositories.is_some_and(|patterns| !patterns.iter().any(of_owner)) {
        section.report(
            key,
            format!("the pool serves no repository of {name:?}"),
            "add one to the pool's repositories, or remove it here",
        );
        return false;
    }
    true
}

/// A floor that no cap allows would be lower than it says, always.
fn within_caps(section: &Section, around: &Around, count: u32, of: Option<&[String]>) {
    let all = count.saturating_mul(of.map_or(1, |of| u32::try_from(of.len()).unwrap_or(u32::MAX)));
    if let Some(max) = around.max_runners.filter(|max| all > *max) {
        let what = format!(
            "keeps {all} runners, more than the {max} that max_runners and [runners] max allow"
        );
        section.report("count", what, "lower it, or raise the lower one of these two");
    }
    if let Some(max) = around.max_runners_per_repository.filter(|max| count > *max) {
        let what = format!("is more than max_runners_per_repository, {max}");
        section.report("count", what, "lower it, or raise max_runners_per_repository");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded, pool_with};

    fn with(pool: &str, warm: &str) -> String {
        format!("{}[[pools.warm]]\n{warm}\n", pool_with(pool))
    }

    fn wrong(pool: &str, warm: &str) -> String {
        errors(&with(pool, warm))
    }

    const ORGANIZATION: &str = "scope = \"organization\"\n";

    #[test]
    fn a_floor_is_one_always_where_nothing_else_is_said() {
        let mut settings = loaded(&with("", "repositories = [\"octocat/app\"]")).settings;
        let warm = settings.pools.remove(0).warm;
        assert_eq!((warm[0].count, &warm[0].of[..]), (1, &["octocat/app".to_owned()][..]));
        assert!(warm[0].schedule.is_none());
        let text = with(
            ORGANIZATION,
            "count = 2\nowners = [\"octocat\"]\nschedule = \"mon-fri 08:00-18:00 Europe/Rome\"",
        );
        let warm = loaded(&text).settings.pools.remove(0).warm;
        assert!(warm[0].count == 2 && warm[0].schedule.is_some());
    }

    #[test]
    fn names_are_needed() {
        assert!(wrong("", "count = 1").contains("repositories: missing; write, for example, "));
        assert!(
            wrong("", "repositories = [\"octocat/*\"]")
                .contains("is a pattern, and warm runners are kept for names only")
        );
        assert!(
            wrong("", "repositories = [\"octocat\"]").contains("is not of the form owner/name")
        );
        assert!(wrong("", "repositories = [\"else/app\"]").contains("the pool does not serve"));
        assert!(wrong(ORGANIZATION, "owners = [\"*\"]").contains("for names only"));
        assert!(wrong(ORGANIZATION, "owners = [\"else\"]").contains("serves no repository of"));
    }

    #[test]
    fn names_keep_to_their_scope() {
        let told = wrong(ORGANIZATION, "repositories = [\"octocat/app\"]");
        assert!(
            told.contains("is not possible with scope = \"organization\"; write owners"),
            "{told}"
        );
        assert!(wrong("", "owners = [\"octocat\"]").contains("write repositories"));
    }

    #[test]
    fn no_floor_is_over_a_cap_or_for_a_run() {
        let one = "repositories = [\"octocat/app\"]\ncount = 3";
        assert!(
            wrong("max_runners = 2", one).contains(
                "keeps 3 runners, more than the 2 that max_runners and [runners] max allow"
            )
        );
        assert!(
            wrong("max_runners_per_repository = 2", one)
                .contains("more than max_runners_per_repository, 2")
        );
        assert!(
            wrong("labels = [\"run-{run_id}\"]", one)
                .contains("is not possible with {run_id} in labels")
        );
        assert!(wrong("", "repositories = [\"octocat/app\"]\ncount = 0").contains("at least 1"));
    }

    #[test]
    fn a_bad_schedule_names_its_pool_and_floor() {
        let told = wrong("", "repositories = [\"octocat/app\"]\nschedule = \"office hours\"");
        assert_eq!(
            told,
            "f.toml: pools[x64].warm[#1].schedule: \"office hours\" is not of the form DAYS HH:MM-HH:MM TIMEZONE, with a time zone such as Europe/Rome or UTC; write, for example, schedule = \"mon-fri 08:00-18:00 Europe/Rome\""
        );
    }
}
