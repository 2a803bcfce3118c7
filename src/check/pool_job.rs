//! Whether a pool's parameterized job can be dispatched, and whether it uses what we send.
//! Pure: `nomad` has read the job.

use super::finding::Finding;
use crate::config::{self, CREDENTIAL_KEYS, CredentialKind, Delivery, META_KEYS, placeholders};
use crate::nomad::{Group, Job, Parameterized, PayloadRule};

/// One finding for each thing that is wrong; one `ok` if nothing fails.
pub fn judge(
    pool: &config::Pool,
    claims: Option<&config::Claims>,
    namespace: &str,
    job: &Job,
) -> Vec<Finding> {
    let subject = format!("pool {}", pool.name);
    let name = format!("the job \"{}\" in namespace \"{namespace}\"", job.id);
    let fail = |message: String, fix: String| Finding::fail(&subject, message, fix);
    let Some(takes) = &job.parameterized else {
        let message = match job.kind.as_str() {
            "batch" => format!("{name} is not parameterized"),
            kind => format!("{name} is a {kind} job, not a parameterized one"),
        };
        let fix = "make it type = \"batch\" with a parameterized block (deploy/nomad has one), or correct nomad_job of the pool";
        return vec![fail(message, fix.to_owned())];
    };
    let mut found = Vec::new();
    if job.kind != "batch" {
        found.push(fail(
            format!("{name} is a {} job: a dispatch would start a runner on every node", job.kind),
            "register it with type = \"batch\"".to_owned(),
        ));
    }
    if job.stop {
        found.push(fail(
            format!("{name} is stopped and cannot be dispatched"),
            "start it again with nomad job run".to_owned(),
        ));
    }
    found.extend(payload(pool, takes).map(|(what, fix)| fail(format!("{name} {what}"), fix)));
    for key in &takes.meta_required {
        found.extend(
            unfillable(pool, key).map(|(what, fix)| {
                fail(format!("{name} requires the meta key {key}, {what}"), fix)
            }),
        );
    }
    found.extend(groups(pool, job).map(|(what, fix)| fail(format!("{name} {what}"), fix)));
    let claimed = claims.filter(|_| pool.delivery == Delivery::Claim);
    let unclaimable = claimed.and_then(|claims| identity(job, &claims.audience));
    found.extend(unclaimable.map(|(what, fix)| fail(format!("{name} {what}"), fix)));
    let carrier = carrier(pool);
    if pool.delivery == Delivery::Meta && !declares(takes, carrier) {
        found.push(fail(
            format!(
                "{name} does not declare the meta key {carrier}, which delivery = \"meta\" needs"
            ),
            "add it to meta_required of the job, or choose another delivery".to_owned(),
        ));
    }
    if found.is_empty() {
        let message = format!("{name} exists and accepts what roustabout dispatches");
        found.push(Finding::ok(&subject, message));
    }
    found.extend(
        remarks(pool, takes)
            .into_iter()
            .chain(repeats(job))
            .chain(reads_no_deposit(pool, job))
            .chain(shows_an_identity(pool, job))
            .map(|(what, fix)| Finding::warn(&subject, format!("{name} {what}"), fix)),
    );
    found
}

type Trouble = (String, String);

/// The meta key of the pool's credential.
fn carrier(pool: &config::Pool) -> &'static str {
    match pool.credential {
        CredentialKind::RegistrationToken => "runner_token",
        CredentialKind::Jit => "runner_jit_config",
    }
}

fn declares(takes: &Parameterized, key: &str) -> bool {
    takes.meta_required.iter().chain(&takes.meta_optional).any(|declared| declared == key)
}

fn payload(pool: &config::Pool, takes: &Parameterized) -> Option<Trouble> {
    let sends = match pool.delivery {
        Delivery::Payload => true,
        Delivery::Claim | Delivery::Variable | Delivery::Vault | Delivery::Meta => false,
        Delivery::None => pool.payload.is_some(),
    };
    let delivery = match pool.delivery {
        Delivery::Claim => "claim",
        Delivery::Variable => "variable",
        Delivery::Vault => "vault",
        Delivery::Payload => "payload",
        Delivery::Meta => "meta",
        Delivery::None => "none",
    };
    match (takes.payload, sends) {
        (PayloadRule::Forbidden, true) => Some((
            format!("forbids a payload, but delivery = \"{delivery}\" sends one"),
            "set payload = \"required\" in its parameterized block, or choose another delivery".to_owned(),
        )),
        (PayloadRule::Required, false) => Some((
            format!("requires a payload, but delivery = \"{delivery}\" sends none"),
            match pool.delivery {
                Delivery::None => "set payload of the pool, or set payload = \"optional\" in its parameterized block".to_owned(),
                _ => "set payload = \"forbidden\" in its parameterized block, or choose delivery = \"payload\"".to_owned(),
            },
        )),
        _ => None,
    }
}

/// It may still read it by other means than a template.
fn reads_no_deposit(pool: &config::Pool, job: &Job) -> Option<Trouble> {
    let (reads, what, fix): (fn(&Group) -> bool, _, _) = match pool.delivery {
        Delivery::Variable => (
            |group| group.reads_variables,
            "has no task with a template that reads a Nomad Variable, so the credential probably reaches no task",
            "register the current jobspec of roustabout, or add a template with nomadVar (env \"NOMAD_META_credential_path\")",
        ),
        Delivery::Vault => (
            |group| group.has_vault,
            "has no task with a vault block, so the credential probably reaches no task",
            "register the current jobspec of roustabout with -var vault_role=ROLE, or add a vault block and a template with secret (env \"NOMAD_META_vault_path\")",
        ),
        _ => return None,
    };
    let none = !job.groups.is_empty() && !job.groups.iter().any(reads);
    none.then(|| (what.to_owned(), fix.to_owned()))
}

/// A policy for Variables belongs to the parameterized job, so to every child of it, and Nomad asks no
/// identity for its audience.
fn shows_an_identity(pool: &config::Pool, job: &Job) -> Option<Trouble> {
    let shows = job.groups.iter().any(|group| !group.identities.is_empty());
    (pool.delivery == Delivery::Variable && shows).then(|| {
        (
            "gives its task an identity in a variable or file, with which a workflow can read the Variables of all runners of this job".to_owned(),
            "register it with claim_audience = \"\" (the jobspecs of roustabout), or remove env and file from its identity block".to_owned(),
        )
    })
}

/// Why no task could claim the credential.
fn identity(job: &Job, audience: &str) -> Option<Trouble> {
    let all = job.groups.iter().flat_map(|group| &group.identities);
    let mut ours = all.filter(|it| it.audience.iter().any(|aud| aud == audience)).peekable();
    if job.groups.is_empty() {
        return None;
    }
    if ours.peek().is_none() {
        return Some((
            format!(
                "has no task with an identity for the audience \"{audience}\", so none can claim the credential"
            ),
            format!(
                "add identity {{ name = \"roustabout\", aud = [\"{audience}\"], env = true, ttl = \"1h\" }} to the task that registers the runner"
            ),
        ));
    }
    (!ours.any(|identity| identity.ends)).then(|| {
        (
            format!("has an identity for the audience \"{audience}\" that never expires, which roustabout refuses"),
            "set ttl = \"1h\" in its identity block".to_owned(),
        )
    })
}

/// Why a dispatch would start no runner, or one that cannot register.
fn groups(pool: &config::Pool, job: &Job) -> Option<Trouble> {
    if job.groups.is_empty() {
        return None;
    }
    if job.groups.iter().all(|group| group.count == 0) {
        let what = "starts nothing: the count of its groups is 0";
        return Some((what.to_owned(), "set count = 1 in its group".to_owned()));
    }
    let taken = job.groups.iter().any(|group| group.takes_payload);
    (pool.delivery == Delivery::Payload && !taken).then(|| {
        (
            "has no task with a dispatch_payload block, so the credential reaches no task".to_owned(),
            "add dispatch_payload { file = \"token\" } to the task that registers the runner; it reads it from local/token".to_owned(),
        )
    })
}

/// What starts a runner twice. Only the daemon may launch another one, under a new name.
fn repeats(job: &Job) -> Vec<Trouble> {
    let mut repeats = Vec::new();
    let starts: u64 = job.groups.iter().map(|group| group.count).sum();
    if starts > 1 {
        repeats.push((
            format!("has {starts} allocations, but roustabout counts them as one runner"),
            "set count = 1, unless only one of them is a runner".to_owned(),
        ));
    }
    if job.groups.iter().any(|group| group.reschedules) {
        repeats.push((
            "reschedules a failed allocation, under a runner name that cannot be used twice"
                .to_owned(),
            "set attempts = 0 and unlimited = false in its reschedule block".to_owned(),
        ));
    }
    if job.groups.iter().any(|group| group.restarts) {
        repeats.push((
            "restarts a failed runner, under a runner name that cannot be used twice".to_owned(),
            "set attempts = 0 and mode = \"fail\" in its restart block".to_owned(),
        ));
    }
    repeats
}

/// Why a key that the job requires is not set.
fn unfillable(pool: &config::Pool, key: &str) -> Option<Trouble> {
    if pool.meta.contains_key(key) || META_KEYS.contains(&key) {
        return None;
    }
    if !CREDENTIAL_KEYS.contains(&key) {
        return Some((
            "which is neither set by roustabout nor in [pools.meta]".to_owned(),
            format!(
                "add {key} = \"…\" to [pools.meta] of the pool, or make it optional in the job"
            ),
        ));
    }
    match (key, pool.delivery) {
        ("claim_url", Delivery::Claim)
        | ("credential_path", Delivery::Variable)
        | ("vault_path", Delivery::Vault) => None,
        (key, Delivery::Meta) if key == carrier(pool) => None,
        ("runner_token" | "runner_jit_config", Delivery::Meta) => Some((
            format!("which is not set: the credential of the pool is in {}", carrier(pool)),
            "make it optional in the job, or change credential of the pool".to_owned(),
        )),
        (key, _) => {
            let delivery = match key {
                "claim_url" => "claim",
                "credential_path" => "variable",
                "vault_path" => "vault",
                _ => "meta",
            };
            Some((
                format!("which only delivery = \"{delivery}\" sets"),
                "make it optional in the job, or choose that delivery".to_owned(),
            ))
        }
    }
}

/// What works, but is probably not meant.
fn remarks(pool: &config::Pool, takes: &Parameterized) -> Vec<Trouble> {
    let mut remarks = Vec::new();
    let optional = |key: &str| format!("add \"{key}\" to its meta_optional");
    let by_payload = pool.delivery == Delivery::Payload;
    if pool.credential == CredentialKind::Jit && by_payload && !declares(takes, "credential") {
        remarks.push((
            "does not declare credential, so it must itself take its payload for a JIT configuration; a job that runs config.sh with it fails".to_owned(),
            format!("register the current jobspec of roustabout, or {}", optional("credential")),
        ));
    }
    // A JIT runner is registered by the daemon, whatever its job takes.
    let registers = pool.credential == CredentialKind::RegistrationToken;
    // Under exactly this name: by it the daemon knows whether it can identify the runner.
    if registers && !declares(takes, "runner_name") {
        remarks.push((
            "does not declare runner_name, so roustabout cannot identify its runners: one that never gets a job is stopped only before it is placed".to_owned(),
            format!("{} and register the runner under that name; otherwise its jobspec must limit a runner's lifetime", optional("runner_name")),
        ));
    }
    for (key, loss) in [
        ("runner_url", "so it must itself know where to register, and can serve one scope only"),
        ("runner_labels", "so it must itself register with exactly the pool's labels"),
    ] {
        if registers && !reaches(pool, takes, key) {
            remarks.push((format!("does not declare {key}, {loss}"), optional(key)));
        }
    }
    if pool.delivery == Delivery::Claim && !declares(takes, "claim_url") {
        let what =
            "does not declare claim_url, so it must itself know where to claim the credential";
        remarks.push((what.to_owned(), optional("claim_url")));
    }
    if pool.delivery == Delivery::Variable && !declares(takes, "credential_path") {
        let what = "does not declare credential_path, so it must itself know where the Variable of its runner lies";
        remarks.push((what.to_owned(), optional("credential_path")));
    }
    if pool.delivery == Delivery::Vault && !declares(takes, "vault_path") {
        let what = "does not declare vault_path, so it must itself know where the credential of its runner lies in Vault";
        remarks.push((what.to_owned(), optional("vault_path")));
    }
    if registers && pool.runner_group.is_some() && !reaches(pool, takes, "runner_group") {
        let what = "does not declare runner_group, so the pool's runner_group has no effect";
        remarks.push((what.to_owned(), optional("runner_group")));
    }
    let everybody = |patterns: &[String]| patterns == ["*"];
    for (key, chosen) in
        [("allow_events", !everybody(&pool.events)), ("allow_actors", !everybody(&pool.actors))]
    {
        // GitHub, not the daemon, decides which job a runner gets.
        if chosen && !reaches(pool, takes, key) {
            let of = key.trim_start_matches("allow_");
            let what = format!(
                "does not declare {key}, so its runners take jobs of other {of} than the pool's"
            );
            let fix = format!("register the current jobspec of roustabout, or {}", optional(key));
            remarks.push((what, fix));
        }
    }
    for key in pool.meta.keys().filter(|key| !declares(takes, key)) {
        let what = format!("does not declare {key} of [pools.meta], so it is not sent");
        remarks.push((what, format!("{}, or remove it from [pools.meta]", optional(key))));
    }
    remarks
}

/// Whether the job gets that value, under its own name or inside one of the operator's keys.
fn reaches(pool: &config::Pool, takes: &Parameterized, fact: &str) -> bool {
    let within = |text: &str| placeholders(text).any(|name| name == fact);
    declares(takes, fact)
        || pool.meta.iter().any(|(key, text)| declares(takes, key) && within(text))
        || pool.payload.as_deref().is_some_and(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::pool;
    use crate::check::{Level, Report, render};
    use crate::nomad::{Identity, JobStatus};
    use rstest::rstest;

    const GOOD: Group = Group {
        count: 1,
        reschedules: false,
        restarts: false,
        takes_payload: true,
        reads_variables: true,
        has_vault: true,
        identities: Vec::new(),
    };

    fn job(payload: PayloadRule, required: &[&str], optional: &[&str]) -> Job {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        Job {
            id: "runner".into(),
            parent_id: None,
            kind: "batch".into(),
            status: JobStatus::Running,
            stop: false,
            job_modify_index: 1,
            version: 0,
            submit_time: jiff::Timestamp::UNIX_EPOCH,
            parameterized: Some(Parameterized {
                payload,
                meta_required: owned(required),
                meta_optional: owned(optional),
            }),
            groups: vec![GOOD],
            dispatch_idempotency_token: None,
            meta: std::collections::BTreeMap::new(),
        }
    }

    const USUAL: [&str; 3] = ["runner_name", "runner_url", "runner_labels"];

    fn text(pool_: &str, job: &Job) -> String {
        let found = judge(&pool(pool_), None, "ci", job);
        render::text(&Report(found), false)
    }

    #[test]
    fn the_job_that_we_ship_is_right() {
        let found = judge(&pool(""), None, "ci", &job(PayloadRule::Required, &USUAL, &["run_id"]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, Level::Ok, "{found:?}");
    }

    #[test]
    fn what_cannot_be_dispatched_at_all() {
        let mut wrong = job(PayloadRule::Optional, &USUAL, &[]);
        wrong.kind = "sysbatch".into();
        wrong.stop = true;
        let both = text("", &wrong);
        wrong.parameterized = None;
        wrong.kind = "service".into();
        let service = text("", &wrong);
        insta::assert_snapshot!(format!("{both}{service}"), @r#"
        fail  pool x64  the job "runner" in namespace "ci" is a sysbatch job: a dispatch would start a runner on every node; register it with type = "batch"
        fail  pool x64  the job "runner" in namespace "ci" is stopped and cannot be dispatched; start it again with nomad job run
        0 ok, 0 warn, 2 fail
        fail  pool x64  the job "runner" in namespace "ci" is a service job, not a parameterized one; make it type = "batch" with a parameterized block (deploy/nomad has one), or correct nomad_job of the pool
        0 ok, 0 warn, 1 fail
        "#);
    }

    #[rstest]
    #[case("", PayloadRule::Forbidden, &[], "forbids a payload, but delivery = \"payload\" sends one")]
    #[case("delivery = \"none\"\npayload = \"x\"", PayloadRule::Forbidden, &[], "delivery = \"none\" sends")]
    #[case("delivery = \"none\"", PayloadRule::Required, &[], "requires a payload, but delivery = \"none\" sends none")]
    #[case("delivery = \"meta\"", PayloadRule::Required, &["runner_token"], "delivery = \"meta\" sends none")]
    #[case("delivery = \"meta\"", PayloadRule::Forbidden, &[], "does not declare the meta key runner_token")]
    #[case("", PayloadRule::Required, &["colour"], "requires the meta key colour, which is neither")]
    #[case("", PayloadRule::Required, &["runner_token"], "which only delivery = \"meta\" sets")]
    #[case("", PayloadRule::Required, &["runner_jit_config"], "which only delivery = \"meta\" sets")]
    #[case("delivery = \"meta\"", PayloadRule::Forbidden, &["runner_token", "runner_jit_config"], "the credential of the pool is in runner_token")]
    #[case("delivery = \"meta\"\ncredential = \"jit\"", PayloadRule::Forbidden, &[], "does not declare the meta key runner_jit_config")]
    #[case("", PayloadRule::Required, &["claim_url"], "which only delivery = \"claim\" sets")]
    fn what_a_dispatch_would_be_refused_for(
        #[case] pool_: &str,
        #[case] payload: PayloadRule,
        #[case] required: &[&str],
        #[case] told: &str,
    ) {
        let required = [&USUAL, required].concat();
        let found = judge(&pool(pool_), None, "ci", &job(payload, &required, &[]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].level, Level::Fail);
        assert!(found[0].message.contains(told), "{found:?}");
        assert!(found[0].fix.is_some());
    }

    #[rstest]
    #[case("", PayloadRule::Optional, &[])]
    #[case("delivery = \"meta\"", PayloadRule::Forbidden, &["runner_token"])]
    #[case("delivery = \"meta\"\ncredential = \"jit\"", PayloadRule::Forbidden, &["runner_jit_config"])]
    #[case("credential = \"jit\"", PayloadRule::Required, &["credential"])]
    #[case("delivery = \"none\"", PayloadRule::Optional, &[])]
    #[case("delivery = \"none\"\npayload = \"x\"", PayloadRule::Required, &["run_id"])]
    #[case("[pools.meta]\ncolour = \"red\"", PayloadRule::Required, &["colour"])]
    fn what_fits(#[case] pool_: &str, #[case] payload: PayloadRule, #[case] required: &[&str]) {
        let required = [&USUAL, required].concat();
        let found = judge(&pool(pool_), None, "ci", &job(payload, &required, &[]));
        assert!(found.iter().all(|f| f.level == Level::Ok), "{found:?}");
    }

    #[test]
    fn a_job_that_may_take_a_configuration_for_a_token_is_told() {
        let found = judge(
            &pool("credential = \"jit\""),
            None,
            "ci",
            &job(PayloadRule::Required, &USUAL, &[]),
        );
        assert!(found[1].message.contains("does not declare credential"), "{found:?}");
        assert_eq!(found[1].level, Level::Warn);
    }

    #[test]
    fn a_job_whose_hook_does_not_know_the_pools_policy_is_told() {
        let pool = pool("events = [\"push\"]\nactors = [\"*\", \"!stranger\"]");
        let told = |optional: &[&str]| {
            let found = judge(&pool, None, "ci", &job(PayloadRule::Required, &USUAL, optional));
            found.into_iter().skip(1).map(|it| it.message).collect::<Vec<_>>()
        };
        let both = told(&[]);
        assert!(both[0].ends_with("jobs of other events than the pool's"), "{both:?}");
        assert!(both[1].ends_with("jobs of other actors than the pool's"), "{both:?}");
        assert_eq!(told(&["allow_events", "allow_actors"]), [""; 0]);
    }

    #[test]
    fn what_is_probably_not_meant() {
        let mut pool = pool("[pools.meta]\nCOLOUR = \"red\"");
        pool.runner_group = Some("big".to_owned());
        let found = judge(&pool, None, "ci", &job(PayloadRule::Required, &[], &[]));
        let text = render::text(&Report(found), false);
        insta::assert_snapshot!(text, @r#"
        ok    pool x64  the job "runner" in namespace "ci" exists and accepts what roustabout dispatches
        warn  pool x64  the job "runner" in namespace "ci" does not declare runner_name, so roustabout cannot identify its runners: one that never gets a job is stopped only before it is placed; add "runner_name" to its meta_optional and register the runner under that name; otherwise its jobspec must limit a runner's lifetime
        warn  pool x64  the job "runner" in namespace "ci" does not declare runner_url, so it must itself know where to register, and can serve one scope only; add "runner_url" to its meta_optional
        warn  pool x64  the job "runner" in namespace "ci" does not declare runner_labels, so it must itself register with exactly the pool's labels; add "runner_labels" to its meta_optional
        warn  pool x64  the job "runner" in namespace "ci" does not declare runner_group, so the pool's runner_group has no effect; add "runner_group" to its meta_optional
        warn  pool x64  the job "runner" in namespace "ci" does not declare COLOUR of [pools.meta], so it is not sent; add "COLOUR" to its meta_optional, or remove it from [pools.meta]
        1 ok, 5 warn, 0 fail
        "#);
    }

    #[test]
    fn one_dispatch_is_one_runner_that_gets_its_credential() {
        let with = |delivery: &str, group: Group| {
            let mut job = job(PayloadRule::Optional, &USUAL, &["runner_token"]);
            job.groups = vec![group];
            text(delivery, &job)
        };
        let nothing = with("", Group { count: 0, ..GOOD });
        let unread = with("", Group { takes_payload: false, ..GOOD });
        let again = with("", Group { count: 2, reschedules: true, restarts: true, ..GOOD });
        insta::assert_snapshot!(format!("{nothing}{unread}{again}"), @r#"
        fail  pool x64  the job "runner" in namespace "ci" starts nothing: the count of its groups is 0; set count = 1 in its group
        0 ok, 0 warn, 1 fail
        fail  pool x64  the job "runner" in namespace "ci" has no task with a dispatch_payload block, so the credential reaches no task; add dispatch_payload { file = "token" } to the task that registers the runner; it reads it from local/token
        0 ok, 0 warn, 1 fail
        ok    pool x64  the job "runner" in namespace "ci" exists and accepts what roustabout dispatches
        warn  pool x64  the job "runner" in namespace "ci" has 2 allocations, but roustabout counts them as one runner; set count = 1, unless only one of them is a runner
        warn  pool x64  the job "runner" in namespace "ci" reschedules a failed allocation, under a runner name that cannot be used twice; set attempts = 0 and unlimited = false in its reschedule block
        warn  pool x64  the job "runner" in namespace "ci" restarts a failed runner, under a runner name that cannot be used twice; set attempts = 0 and mode = "fail" in its restart block
        1 ok, 3 warn, 0 fail
        "#);
        let meta = with("delivery = \"meta\"", Group { takes_payload: false, ..GOOD });
        assert!(meta.starts_with("ok"), "{meta}");
    }

    #[test]
    fn a_fact_may_come_under_the_operators_own_name() {
        let found = judge(
            &pool("[pools.meta]\nURL = \"{runner_url}\"\nLABELS = \"-{runner_labels}-\""),
            None,
            "ci",
            &job(PayloadRule::Required, &["runner_name"], &["URL", "LABELS"]),
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn an_identity_that_a_workflow_sees_is_told_where_it_opens_variables() {
        let told = |delivery: &str, identities| {
            let mut job = job(PayloadRule::Optional, &[], &["credential_path", "claim_url"]);
            job.groups[0].identities = identities;
            job.groups[0].reads_variables = true;
            text(&format!("delivery = \"{delivery}\""), &job)
        };
        let shown = || vec![Identity { audience: vec!["roustabout".into()], ends: true }];
        assert!(told("variable", shown()).contains("of all runners of this job"));
        assert!(!told("variable", Vec::new()).contains("of all runners of this job"));
        assert!(!told("payload", shown()).contains("of all runners of this job"));
    }

    #[test]
    fn a_job_whose_tasks_read_nothing_in_vault_is_told() {
        let vault = "[vault]\naddress = \"https://v\"\ntoken = \"t\"\n";
        let pool = crate::check::testing::POOL.replace("payload", "vault");
        let settings = crate::check::testing::loaded(&format!("{vault}{pool}")).settings;
        let told = |optional: &[&str], has_vault| {
            let mut job = job(PayloadRule::Optional, &USUAL, optional);
            job.groups[0].has_vault = has_vault;
            render::text(&Report(judge(&settings.pools[0], None, "ci", &job)), false)
        };
        let good = told(&["vault_path"], true);
        assert!(good.contains("1 ok, 0 warn, 0 fail"), "{good}");
        let none = told(&["vault_path"], false);
        assert!(none.contains("has no task with a vault block"), "{none}");
        let silent = told(&[], true);
        assert!(silent.contains("does not declare vault_path"), "{silent}");
    }

    #[test]
    fn a_job_whose_tasks_cannot_claim_is_a_failure() {
        let claims = "[claims]\nlisten = \"127.0.0.1:1\"\nurl = \"http://127.0.0.1:1\"\n";
        let pool = crate::check::testing::POOL.replace("payload", "claim");
        let settings = crate::check::testing::loaded(&format!("{claims}{pool}")).settings;
        let told = |optional: &[&str], identities| {
            let mut job = job(PayloadRule::Optional, &USUAL, optional);
            job.groups[0].identities = identities;
            let found = judge(&settings.pools[0], settings.claims.as_ref(), "ci", &job);
            render::text(&Report(found), false)
        };
        let identity = |audience: &str, ends| Identity { audience: vec![audience.into()], ends };
        let good = told(&["claim_url"], vec![identity("roustabout", true)]);
        assert!(good.starts_with("ok") && good.contains("1 ok, 0 warn"), "{good}");
        let other = told(&["claim_url"], vec![identity("vault.io", true)]);
        assert!(other.contains("has no task with an identity for the audience"), "{other}");
        let endless = told(&["claim_url"], vec![identity("roustabout", false)]);
        assert!(endless.contains("never expires, which roustabout refuses"), "{endless}");
        let silent = told(&[], vec![identity("roustabout", true)]);
        assert!(silent.contains("does not declare claim_url"), "{silent}");
    }
}
