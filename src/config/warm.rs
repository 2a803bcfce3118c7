//! `[[pools.warm]]`: floors of idle runners. They are kept for names, never for patterns: nobody knows
//! how many repositories a pattern matches, and each would have its own runners.

use std::collections::{BTreeMap, BTreeSet};

use super::github::GitHub;
use super::pool::{Pool, ScopeKind};
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
    pub github: Option<&'a GitHub>,
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
    let warm: Option<Vec<Warm>> = warm.into_iter().collect();
    together_within_caps(&sections, around, warm.as_deref().unwrap_or_default());
    warm
}

/// The floors that hold at any time, over all pools: what `[runners] max` must allow. That each pool keeps
/// within it is checked already.
pub(super) fn all_within(root: &Section, pools: &[Pool], max: Option<u32>) {
    let of_pools: Vec<u64> = pools.iter().map(|pool| total(&always(&pool.warm))).collect();
    let all: u64 = of_pools.iter().sum();
    let several = of_pools.iter().filter(|count| **count > 0).count() > 1;
    if let Some(max) = max.filter(|max| several && all > u64::from(*max)) {
        root.section("runners").report(
            "max",
            format!("is {max}, but the pools keep {all} warm runners at any time"),
            "raise it, or lower count in [[pools.warm]]",
        );
    }
}

fn one(section: &Section, around: &Around) -> Option<Warm> {
    let count = match section.given("count") {
        Some(_) => section.number("count", 1),
        None => Some(1),
    };
    let schedule = section.parsed("schedule", schedule::parse);
    let of = names(section, around).map(each_once);
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
    } && names.iter().all(|name| has_credential(section, key, name, around));
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

/// Where only a pattern of the pool matches it, nothing else has checked its owner.
fn has_credential(section: &Section, key: &str, name: &str, around: &Around) -> bool {
    let owner = name.split('/').next().unwrap_or_default();
    let found = around.github.is_none_or(|github| github.credential_for(owner).is_some());
    if !found {
        section.report(
            key,
            format!("no credential for the owner {owner:?}"),
            format!("add {owner:?} to the owners of one of [[github.credentials]]"),
        );
    }
    found
}

/// Case does not matter in names.
fn each_once(mut names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.to_ascii_lowercase()));
    names
}

/// A floor that no cap allows would be lower than it says, always.
fn within_caps(section: &Section, around: &Around, count: u32, of: Option<&[String]>) {
    let all = u64::from(count) * of.map_or(1, |of| of.len() as u64);
    if let Some(max) = around.max_runners.filter(|max| all > u64::from(*max)) {
        over(section, &format!("keeps {all} runners"), max);
    }
    if let Some(max) = around.max_runners_per_repository.filter(|max| count > *max) {
        let what = format!("is more than max_runners_per_repository, {max}");
        section.report("count", what, "lower it, or raise max_runners_per_repository");
    }
}

/// The same of several: those without a schedule hold together, and with each that has one.
fn together_within_caps(sections: &[Section], around: &Around, warm: &[Warm]) {
    let Some(max) = around.max_runners else { return };
    let always = always(warm);
    let fits = |floors: &BTreeMap<String, u32>| total(floors) <= u64::from(max);
    let alone = |warm: &Warm| fits(&with(BTreeMap::new(), warm));
    let told = |index: usize, floors: &BTreeMap<String, u32>| {
        let all = total(floors);
        let what = format!("keeps {all} runners together with the floors that hold at any time");
        over(&sections[index], &what, max);
    };
    if !fits(&always) {
        let last = warm.iter().rposition(|it| it.schedule.is_none());
        if let Some(last) = last.filter(|_| warm.iter().all(alone)) {
            told(last, &always);
        }
        return;
    }
    for (index, one) in warm.iter().enumerate().filter(|(_, one)| alone(one)) {
        let both = with(always.clone(), one);
        if !fits(&both) {
            told(index, &both);
        }
    }
}

fn over(section: &Section, what: &str, max: u32) {
    let what = format!("{what}, more than the {max} that max_runners and [runners] max allow");
    section.report("count", what, "lower it, or raise the lower one of these two");
}

/// What holds whatever the hour, by name.
fn always(warm: &[Warm]) -> BTreeMap<String, u32> {
    warm.iter().filter(|it| it.schedule.is_none()).fold(BTreeMap::new(), with)
}

/// Where several apply to a name, the highest holds.
fn with(mut floors: BTreeMap<String, u32>, warm: &Warm) -> BTreeMap<String, u32> {
    for name in &warm.of {
        let count = floors.entry(name.to_ascii_lowercase()).or_default();
        *count = (*count).max(warm.count);
    }
    floors
}

fn total(floors: &BTreeMap<String, u32>) -> u64 {
    floors.values().map(|count| u64::from(*count)).sum()
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded, no_token, pool_with};

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
    fn the_owner_of_a_name_has_a_credential() {
        let text = with(
            "repositories = [\"oct*/app\", \"octocat/*\"]",
            "repositories = [\"octodog/app\"]",
        );
        let credential = "[[github.credentials]]\nowners = [\"octocat\"]\ntoken = \"ghp_t\"\n";
        let told = no_token(&format!("{credential}{text}"));
        assert!(told.contains("no credential for the owner \"octodog\""), "{told}");
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

    /// Two floors of one pool.
    fn two(pool: &str, first: &str, second: &str) -> String {
        format!("{}[[pools.warm]]\n{second}\n", with(pool, first))
    }

    #[test]
    fn floors_that_hold_together_keep_within_the_cap_together() {
        let one = |name: &str, count: u32| format!("repositories = [{name:?}]\ncount = {count}\n");
        let day = "schedule = \"mon-fri 08:00-18:00 UTC\"\n";
        let (app, lib) = (one("octocat/app", 3), one("octocat/lib", 3));
        let told = errors(&two("max_runners = 5", &app, &lib));
        assert!(
            told.contains(
                "pools[x64].warm[#2].count: keeps 6 runners together with the floors that hold at any time, more than the 5"
            ),
            "{told}"
        );
        let told = errors(&two("max_runners = 5", &format!("{app}{day}"), &lib));
        assert!(told.contains("warm[#1].count: keeps 6 runners together"), "{told}");
        assert!(!told.contains("warm[#2]"), "{told}");
        // One name, whatever its case: the higher floor holds. Two schedules need not meet.
        let _ = loaded(&two("max_runners = 5", &app, &one("Octocat/App", 5)));
        let _ = loaded(&two("max_runners = 5", &format!("{app}{day}"), &format!("{lib}{day}")));
        let _ = loaded(&two("max_runners = 6", &app, &lib));
    }

    #[test]
    fn a_name_counts_once_whatever_its_case() {
        let text =
            with("max_runners = 3", "count = 3\nrepositories = [\"octocat/app\", \"Octocat/App\"]");
        let warm = loaded(&text).settings.pools.remove(0).warm;
        assert_eq!(warm[0].of, ["octocat/app"]);
    }

    #[test]
    fn no_sum_overflows() {
        let many = "count = 4294967295\nrepositories = [\"octocat/app\", \"octocat/lib\"]";
        let told = wrong("max_runners = 4294967295", many);
        assert!(told.contains("keeps 8589934590 runners, more than the 20 that"), "{told}");
        let text = format!("[runners]\nmax = 4294967295\n{}", with("", many));
        assert!(errors(&text).contains("more than the 4294967295 that"));
    }

    #[test]
    fn the_floors_of_all_pools_keep_within_the_common_cap() {
        let pools = |schedule: &str| {
            let floor = format!("count = 12\nrepositories = [\"octocat/app\"]\n{schedule}");
            let other = "[[pools]]\nname = \"arm\"\nnomad_job = \"arm\"\nlabels = [\"arm\"]\nrepositories = [\"octocat/*\"]\ndelivery = \"payload\"\n";
            format!("{}\n{other}[[pools.warm]]\n{floor}\n", with("", &floor))
        };
        let told = errors(&pools(""));
        assert!(
            told.contains("runners.max: is 20, but the pools keep 24 warm runners at any time"),
            "{told}"
        );
        let _ = loaded(&pools("schedule = \"mon 08:00-18:00 UTC\""));
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
