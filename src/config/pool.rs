//! `[[pools]]`: what a pool serves, which parameterized job it dispatches, how many runners at once, and
//! its policy. The rules for single values are in `pool_rules.rs`, those for combinations are here.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ::config::ValueKind;

use super::causes;
use super::github::{ForgeKind, GitHub};
use super::labels;
use super::placeholders;
use super::pool_rules as rules;
use super::report::{self, HostedRunner};
use super::repositories;
use super::runners::Runners;
use super::section::Section;
use super::topics;
use super::warm;
use crate::ledger::{Patterns, Warm};

/// `[[pools]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Of `a-z`, `0-9` and `-`; unique, and short enough for runner names.
    pub name: String,
    /// The parameterized job.
    pub nomad_job: String,
    /// Else `[nomad]`'s.
    pub namespace: Option<String>,
    /// Else `[nomad]`'s.
    pub region: Option<String>,
    /// At least one; `{run_id}` may occur.
    pub labels: Vec<String>,
    /// Patterns `owner/name` with `*`, at least one of them without a leading `!` (which excludes).
    pub repositories: Vec<String>,
    /// Of `repositories` only those that carry one of these; all, where there are none.
    pub topics: Vec<String>,
    pub delivery: Delivery,
    pub credential: CredentialKind,
    pub scope: ScopeKind,
    /// Organization scope only.
    pub runner_group: Option<String>,
    /// Runners alive at a time, at least 1; default `runners.max`.
    pub max_runners: u32,
    /// Repository scope only, at least 1.
    pub max_runners_per_repository: Option<u32>,
    /// Repository scope only, at least 1.
    pub robots_per_repository: Option<u32>,
    /// Runs of robots that a newer push has made pointless are cancelled. GitHub only.
    pub cancel_superseded: bool,
    /// With [`Delivery::None`] only; `{placeholders}` of [`placeholders::META_KEYS`] may occur.
    pub payload: Option<String>,
    pub public_repositories: bool,
    pub forks: bool,
    /// Patterns of the events that cause runs, at least one of them without a leading `!`.
    pub events: Vec<String>,
    /// The same of the logins that cause runs.
    pub actors: Vec<String>,
    /// Dispatched and not placed. With `boot_timeout` at most 55 minutes, except with
    /// [`Delivery::Claim`], [`Delivery::None`] or at a Gitea, whose tokens do not expire.
    pub placement_timeout: Duration,
    /// Placed and not registered.
    pub boot_timeout: Duration,
    /// Registered and given no job although jobs wait.
    pub idle_timeout: Duration,
    /// Time to exit after its registration was deleted at GitHub. May be zero.
    pub release_grace: Duration,
    pub max_lifetime: Duration,
    /// Idle runners that wait for jobs.
    pub warm: Vec<Warm>,
    /// Dispatch meta besides ours; values may hold placeholders, as `payload` may.
    pub meta: BTreeMap<String, String>,
    /// What its minutes are priced as; else `[report]`'s.
    pub compare_with: Option<HostedRunner>,
}

/// What a runner registers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// One for all runners of a scope, for an hour.
    RegistrationToken,
    /// GitHub's configuration for one runner, which needs no registration step.
    Jit,
}

/// How the credential reaches the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The running task asks for it, by its Nomad workload identity.
    Claim,
    /// In a Nomad Variable of its own, which its task's template reads.
    Variable,
    /// In an entry of Vault of its own, which its task's template reads.
    Vault,
    /// As the dispatch's payload.
    Payload,
    /// As dispatch meta.
    Meta,
    /// Not at all: the operator's job obtains its own.
    None,
}

/// Where a runner registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKind {
    Repository,
    Organization,
}

/// GitHub's registration token expires after 60 minutes; five are the margin.
const CREDENTIAL_LIFE: Duration = Duration::from_secs(55 * 60);

/// All pools; `None` where one is bad or none is given.
pub(super) fn read(
    root: &Section,
    runners: Option<&Runners>,
    github: Option<&GitHub>,
    claims: bool,
) -> Option<Vec<Pool>> {
    let sections = root.sections("pools", "name");
    if sections.is_empty() {
        // If `pools` exists and does not consist of sections, that is reported already.
        if root
            .given("pools")
            .is_none_or(|pools| pools.clone().into_array().is_ok_and(|items| items.is_empty()))
        {
            root.report(
                "pools",
                "missing",
                "add [[pools]] with name, nomad_job, labels, repositories and delivery",
            );
        }
        return None;
    }
    let pools: Vec<Option<Pool>> =
        sections.iter().map(|section| pool(section, runners, github, claims)).collect();
    refuse_doubles(&sections);
    let pools: Option<Vec<Pool>> = pools.into_iter().collect();
    let max = runners.map(|runners| runners.max);
    warm::all_within(root, pools.as_deref().unwrap_or_default(), max);
    pools
}

/// Also checked for pools with other errors.
fn refuse_doubles(sections: &[Section]) {
    let mut first_of: HashMap<&str, usize> = HashMap::new();
    for (index, section) in sections.iter().enumerate() {
        let Some(ValueKind::String(name)) = section.given("name").map(|name| &name.kind) else {
            continue;
        };
        let first = *first_of.entry(name).or_insert(index);
        if first != index {
            let what = format!("pool {} has the same name", first + 1);
            section.report("name", what, format!("give pool {} another name", index + 1));
        }
    }
}

fn pool(
    section: &Section,
    runners: Option<&Runners>,
    github: Option<&GitHub>,
    claims: bool,
) -> Option<Pool> {
    let name = section.required("name", |section, key| section.parsed(key, rules::name));
    if let (Some(name), Some(runners)) = (&name, runners)
        && let Err(what) = rules::name_fits(&runners.name_prefix, name)
    {
        section.report("name", what, "shorten it or runners.name_prefix");
    }
    let nomad_job =
        section.required("nomad_job", |section, key| section.parsed(key, rules::nomad_name));
    let namespace = section.parsed("namespace", rules::nomad_name);
    let region = section.parsed("region", rules::nomad_name);
    let kind = github.map(|github| github.kind);
    let labels = labels::read(section, kind);
    let repositories = repositories::read(section, github);
    let topics = topics::read(section);
    let deliveries = [
        ("claim", Delivery::Claim),
        ("variable", Delivery::Variable),
        ("vault", Delivery::Vault),
        ("payload", Delivery::Payload),
        ("meta", Delivery::Meta),
        ("none", Delivery::None),
    ];
    let delivery = section.required("delivery", |section, key| section.choice(key, &deliveries));
    if delivery == Some(Delivery::Claim) && !claims {
        section.report(
            "delivery",
            "\"claim\" needs [claims], which says where tasks ask for their credential",
            "add [claims] with listen and url",
        );
    }
    let scopes = [("repository", ScopeKind::Repository), ("organization", ScopeKind::Organization)];
    let scope = section.choice("scope", &scopes);
    only_with_their_scope(section, scope);
    if kind == Some(ForgeKind::Gitea) {
        not_with_gitea(section);
        if scope == Some(ScopeKind::Organization) {
            allows_all(section, repositories.as_deref());
        }
    }
    let credentials =
        [("registration-token", CredentialKind::RegistrationToken), ("jit", CredentialKind::Jit)];
    let credential = section.choice("credential", &credentials);
    let jit = credential == Some(CredentialKind::Jit);
    if jit && delivery == Some(Delivery::None) {
        section.report(
            "credential",
            "\"jit\" is not possible with delivery = \"none\": the configuration of a runner is made for its dispatch",
            "choose another delivery, or remove credential",
        );
    }
    let max_runners = match section.given("max_runners") {
        Some(_) => section.number("max_runners", 1),
        None => runners.map(|runners| runners.max),
    };
    let runner_group = section.parsed("runner_group", rules::group);
    let max_runners_per_repository = section.number("max_runners_per_repository", 1);
    let robots_per_repository = section.number("robots_per_repository", 1);
    let payload = payload(section, delivery);
    let placement_timeout = section.interval("placement_timeout");
    let boot_timeout = section.interval("boot_timeout");
    let expires = !jit && kind != Some(ForgeKind::Gitea);
    if delivery == Some(Delivery::Claim)
        && expires
        && boot_timeout.is_some_and(|boot| boot > CREDENTIAL_LIFE)
    {
        section.report(
            "boot_timeout",
            "is more than 55m, but a registration token expires after 60m",
            "shorten it to at most 55m",
        );
    }
    if let (Some(placement), Some(boot), Some(delivery)) =
        (placement_timeout, boot_timeout, delivery)
        && !matches!(delivery, Delivery::Claim | Delivery::None)
        && expires
        && placement + boot > CREDENTIAL_LIFE
    {
        section.report(
            "placement_timeout",
            "is more than 55m together with boot_timeout, but a registration token expires after 60m",
            "shorten one of them so that their sum is at most 55m",
        );
    }
    let idle_timeout = section.interval("idle_timeout");
    let release_grace = section.duration("release_grace");
    let max_lifetime = section.interval("max_lifetime");
    let cancel_superseded = section.flag("cancel_superseded");
    let (public_repositories, forks) = (section.flag("public_repositories"), section.flag("forks"));
    let (events, actors) = causes::read(section);
    let meta = rules::meta(section);
    let warm = warm::read(
        section,
        &warm::Around {
            scope,
            jit,
            labels: labels.as_deref(),
            repositories: repositories.as_deref(),
            github,
            max_runners: max_runners.zip(runners).map(|(own, all)| own.min(all.max)),
            max_runners_per_repository,
        },
    );
    let compare_with = report::compare_with(&section.section("report"));
    Some(Pool {
        name: name?,
        nomad_job: nomad_job?,
        namespace,
        region,
        labels: labels?,
        repositories: repositories?,
        topics: topics?,
        delivery: delivery?,
        credential: credential?,
        scope: scope?,
        runner_group,
        max_runners: max_runners?,
        max_runners_per_repository,
        robots_per_repository,
        payload,
        public_repositories: public_repositories?,
        forks: forks?,
        cancel_superseded: cancel_superseded?,
        events: events?,
        actors: actors?,
        placement_timeout: placement_timeout?,
        boot_timeout: boot_timeout?,
        idle_timeout: idle_timeout?,
        release_grace: release_grace?,
        max_lifetime: max_lifetime?,
        warm: warm?,
        meta: meta?,
        compare_with,
    })
}

/// Some keys make sense in one scope only: GitHub gives an organization's runners to any of its
/// repositories, and repositories have no runner groups.
fn only_with_their_scope(section: &Section, scope: Option<ScopeKind>) {
    let (wanted, keys): (_, &[&str]) = match scope {
        None => return,
        Some(ScopeKind::Repository) => ("organization", &["runner_group"]),
        Some(ScopeKind::Organization) => {
            ("repository", &["max_runners_per_repository", "robots_per_repository"])
        }
    };
    for key in keys.iter().filter(|key| section.given(key).is_some()) {
        section.report(
            key,
            format!("is only valid with scope = {wanted:?}"),
            "remove it or change scope",
        );
    }
}

/// Gitea has no groups of runners, and no credential but its registration token.
fn not_with_gitea(section: &Section) {
    if section.given("runner_group").is_some() {
        section.report("runner_group", "is only supported for GitHub", "remove it");
    }
    if section.flag("cancel_superseded") == Some(true) {
        section.report("cancel_superseded", "is only supported for GitHub", "remove it");
    }
    let credential = section.given("credential").map(|credential| &credential.kind);
    if let Some(ValueKind::String(credential)) = credential
        && credential == "jit"
    {
        let fix = "remove it or use \"registration-token\"";
        section.report("credential", "\"jit\" is only supported for GitHub", fix);
    }
}

/// A Gitea may give a runner of an organization any of its jobs, and gitea-runner has no hook that could
/// refuse one. So a stricter policy of such a pool could not be enforced.
fn allows_all(section: &Section, repositories: Option<&[String]>) {
    let whole = |pattern: &String| pattern.ends_with("/*") && !pattern.starts_with('!');
    if repositories.is_some_and(|repositories| !repositories.iter().all(whole)) {
        section.report(
            "repositories",
            "cannot narrow an organization at a Gitea, which may give its runners any job of the organization",
            "use repositories = [\"OWNER/*\"], or scope = \"repository\"",
        );
    }
    if section.given("topics").is_some() {
        section.report(
            "topics",
            "cannot narrow an organization at a Gitea, which may give its runners any job of the organization",
            "remove it, or use scope = \"repository\"",
        );
    }
    for key in ["public_repositories", "forks"] {
        if section.flag(key) == Some(false) {
            section.report(
                key,
                "is false, but a Gitea may give runners of an organization such jobs anyway",
                format!("set {key} = true to accept that, or use scope = \"repository\""),
            );
        }
    }
    for key in ["events", "actors"] {
        let listed = section.list(key);
        if listed.is_some_and(|patterns| !Patterns::new(&patterns).is_any()) {
            section.report(
                key,
                "are restricted, but a Gitea may give runners of an organization such jobs anyway",
                format!("remove {key}, or use scope = \"repository\""),
            );
        }
    }
}

fn payload(section: &Section, delivery: Option<Delivery>) -> Option<String> {
    const KEY: &str = "payload";
    let payload = section.text(KEY)?;
    if delivery.is_some_and(|delivery| delivery != Delivery::None) {
        section.report(
            KEY,
            "is only valid with delivery = \"none\": otherwise the payload carries the credential or nothing",
            "remove it; [pools.meta] carries data with every delivery",
        );
    }
    match placeholders::check(&payload) {
        Ok(()) => Some(payload),
        Err((what, fix)) => {
            section.report(KEY, what, fix);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{errors, errors_alone, loaded, pool_with};

    fn wrong(lines: &str) -> String {
        errors(&pool_with(lines))
    }

    fn right(lines: &str) -> Pool {
        loaded(&pool_with(lines)).settings.pools.remove(0)
    }

    #[test]
    fn a_pool_in_few_words_has_the_defaults() {
        let pool = right("");
        assert_eq!((pool.name.as_str(), pool.nomad_job.as_str()), ("x64", "github-runner-x64"));
        assert_eq!((pool.delivery, pool.scope), (Delivery::Payload, ScopeKind::Repository));
        assert_eq!(pool.max_runners, 20);
        assert!(!pool.public_repositories && !pool.forks && pool.meta.is_empty());
        let minutes = |duration: Duration| duration.as_secs() / 60;
        assert_eq!((minutes(pool.placement_timeout), minutes(pool.boot_timeout)), (20, 10));
        assert_eq!((minutes(pool.idle_timeout), minutes(pool.release_grace)), (10, 5));
        assert_eq!(minutes(pool.max_lifetime), 360);
    }

    #[test]
    fn pools_are_required_and_so_are_their_first_keys() {
        assert!(errors_alone("").contains("f.toml: pools: missing; add [[pools]]"));
        assert!(errors_alone("pools = []").contains("f.toml: pools: missing"));
        assert_eq!(errors_alone("pools = 5").matches("pools: ").count(), 1);
        let text = errors_alone("[[pools]]\n");
        for key in ["name", "nomad_job", "labels", "repositories", "delivery"] {
            assert!(
                text.contains(&format!(
                    "f.toml: pools[#1].{key}: missing; write, for example, {key} = "
                )),
                "{text}"
            );
        }
    }

    #[test]
    fn names_are_unique_and_short() {
        let second = format!("{}{}", pool_with(""), pool_with(""));
        assert_eq!(
            errors(&second),
            "f.toml: pools[x64].name: pool 1 has the same name; give pool 2 another name"
        );
        assert!(wrong("name = \"X64\"").contains("may contain only a-z, 0-9 and -"));
        // roustabout is 10, so 39 fit and 40 do not.
        right(&format!("name = {:?}", "a".repeat(39)));
        assert!(
            wrong(&format!("name = {:?}", "a".repeat(40)))
                .contains("shorten it or runners.name_prefix")
        );
    }

    #[test]
    fn a_bad_value_hides_no_other() {
        let text = wrong(
            "name = \"X\"\nnamespace = 1\nregion = 1\nrunner_group = 1\nmax_runners_per_repository = 0\nrobots_per_repository = 0\nmax_lifetime = 1",
        );
        for key in [
            "name",
            "namespace",
            "region",
            "runner_group",
            "max_runners_per_repository",
            "robots_per_repository",
            "max_lifetime",
        ] {
            assert!(text.contains(&format!("pools[X].{key}: ")), "{key} in {text}");
        }
    }

    #[test]
    fn max_runners_follows_the_common_one() {
        let pool =
            loaded(&format!("[runners]\nmax = 3\n{}", pool_with(""))).settings.pools.remove(0);
        assert_eq!(pool.max_runners, 3);
        assert_eq!(right("max_runners = 30").max_runners, 30);
        assert!(wrong("max_runners = 0").contains("at least 1"));
    }

    #[test]
    fn caps_by_repository_and_groups_keep_to_their_scope() {
        assert_eq!(right("max_runners_per_repository = 4").max_runners_per_repository, Some(4));
        let text = wrong("scope = \"organization\"\nmax_runners_per_repository = 4");
        assert!(text.contains("is only valid with scope = \"repository\""), "{text}");
        let text = wrong("scope = \"organization\"\nrobots_per_repository = 4");
        assert!(text.contains("is only valid with scope = \"repository\""), "{text}");
        assert!(
            wrong("runner_group = \"ci\"").contains("is only valid with scope = \"organization\"")
        );
        assert!(wrong("max_runners_per_repository = 0").contains("at least 1"));
    }

    #[test]
    fn a_pool_with_credentials_in_vault_needs_one() {
        let text = wrong("delivery = \"vault\"");
        assert!(text.contains("vault.address: missing"), "{text}");
    }

    #[test]
    fn choices_are_listed() {
        assert!(wrong("delivery = \"post\"").contains(
            "\"post\" is not a valid value; use \"claim\" or \"variable\" or \"vault\" or \"payload\" or \"meta\" or \"none\""
        ));
        assert!(wrong("scope = \"enterprise\"").contains("use \"repository\" or \"organization\""));
        assert!(wrong("credential = \"x\"").contains("use \"registration-token\" or \"jit\""));
    }

    #[test]
    fn a_runner_can_have_a_credential_of_its_own() {
        let pool = right("credential = \"jit\"\nplacement_timeout = \"2h\"");
        assert_eq!(pool.credential, CredentialKind::Jit);
        let text = wrong("credential = \"jit\"\ndelivery = \"none\"");
        assert!(text.contains("is not possible with delivery = \"none\""), "{text}");
        let pool = right("scope = \"organization\"\nrunner_group = \"big boxes\"");
        assert_eq!(pool.runner_group.as_deref(), Some("big boxes"));
    }

    #[test]
    fn a_token_outlives_the_wait_for_it() {
        right("placement_timeout = \"45m\"");
        let long = "placement_timeout = \"45m\"\nboot_timeout = \"10m1s\"";
        assert!(wrong(long).contains("registration token expires after 60m"));
        right(&format!("{long}\ndelivery = \"none\""));
        assert!(wrong("boot_timeout = 10").contains("10 has no unit"));
        right("release_grace = \"0s\"");
        assert!(wrong("max_lifetime = \"0s\"").contains("greater than zero"));
    }

    #[test]
    fn payload_is_for_jobs_that_fetch_their_own_credential() {
        let payload = "payload = '{\"repo\": \"{repository}\"}'";
        assert!(wrong(payload).contains("is only valid with delivery = \"none\""));
        assert!(right(&format!("{payload}\ndelivery = \"none\"")).payload.is_some());
        let secret = "payload = \"{runner_token}\"\ndelivery = \"none\"";
        assert!(wrong(secret).contains("would put a credential into the job's data"));
    }

    #[test]
    fn labels_and_repositories() {
        right("labels = [\"linux\", \"run-{run_id}\"]");
        for labels in ["[]", "[\"\"]", "[\"a,b\"]", "[\"{job}\"]", "[1]", "\"linux\""] {
            let text = wrong(&format!("labels = {labels}"));
            assert!(
                text.starts_with("f.toml: pools[x64].labels: ") && text.lines().count() == 1,
                "{text}"
            );
        }
        for patterns in ["[]", "[\"!a/b\"]", "[\"octocat\"]", "[\"a/b/c\"]"] {
            let text = wrong(&format!("repositories = {patterns}"));
            assert!(text.starts_with("f.toml: pools[x64].repositories: "), "{text}");
        }
    }

    #[test]
    fn every_owner_has_a_credential() {
        let credential = "[[github.credentials]]\nowners = [\"octocat\"]\ntoken = \"t\"\n";
        let with = |patterns: &str| {
            errors_alone(&format!(
                "{credential}{}",
                pool_with(&format!("repositories = {patterns}"))
            ))
        };
        let text = with("[\"Octocat/*\", \"stranger/*\"]");
        assert!(
            text.contains(
                "pools[x64].repositories: no credential for the owner \"stranger\"; add \"stranger\" to"
            ),
            "{text}"
        );
        let text = with("[\"octocat/*\", \"o*/x\", \"!stranger/x\"]");
        assert!(!text.contains("repositories"), "{text}");
    }
}
