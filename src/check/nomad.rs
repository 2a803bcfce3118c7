//! Nomad: whether it is reachable, its version, whether the token is valid and has the capabilities
//! that dispatching needs; then each pool's parameterized job (`pool_job`), and whether a node could run
//! it (`placing`).
//!
//! The tests change nothing: they read, list, and dispatch and stop a job that does not exist, for
//! which Nomad checks the capability first (`nomad/job_endpoint.go`, `Job.Dispatch` and
//! `Job.Deregister`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};

use super::at_once::AtOnce;
use super::finding::Finding;
use super::{architecture, claims, delivery, placing, pool_job};
use crate::config::{Pool, Settings};
use crate::nomad::{AclToken, Client, DispatchError, DispatchRequest, Error, Node, Place, Refusal};

pub(super) const SUBJECT: &str = "nomad";
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// From this version on, the daemon asks for many children in one call.
const STATUSES: (u32, u32, u32) = (1, 8, 0);
/// From this version on, of two simultaneous dispatches with one idempotency token only one has effect.
const ONE_OF_TWO: (u32, u32, u32) = (1, 11, 2);
/// Needed only to stop jobs: without it runners are still launched.
const STOPPING: &str = "deregister-job";
/// How Nomad answers a valid workload identity, when asked which ACL token that is. A token that is
/// expired, damaged or from another cluster gets another text.
const NO_ACL_TOKEN: &str = "ACL token not found";
const FIX: &str = "check nomad.address, and whether Nomad is up";

pub async fn check(settings: Arc<Settings>, client: anyhow::Result<Client>) -> Vec<Finding> {
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            return vec![Finding::fail(SUBJECT, format!("{error:#}"), "correct [nomad]")];
        }
    };
    let mut findings = match client.leader().await {
        Ok(_) => Vec::new(),
        Err(error) => return vec![away(&error, settings.pools.len())],
    };
    let mut at_once = AtOnce::new();
    let asked = client.clone();
    at_once.add(SUBJECT, FIX, async move { vec![version(asked.agent_version().await)] });
    let (asked, has_token) = (client.clone(), settings.nomad.token.is_some());
    at_once.add(SUBJECT, FIX, async move {
        vec![token(asked.acl_token_self().await, has_token, Timestamp::now())]
    });
    if settings.claims.is_some() {
        let asked = client.clone();
        at_once.add(claims::SUBJECT, FIX, async move {
            vec![claims::keys(asked.signing_keys(None).await)]
        });
    }
    for place in places(&settings, &client) {
        let asked = client.clone();
        at_once.add(SUBJECT, FIX, async move { capabilities(&asked, &place).await });
    }
    let nodes = nodes(&settings, &client).await;
    let forge = settings.github.kind;
    findings.extend(nodes.values().filter_map(|told| match told {
        Ok(nodes) => architecture::nodes(forge, nodes),
        Err(finding) => finding.clone(),
    }));
    let nodes = Arc::new(nodes);
    for pool in settings.pools.clone() {
        let (asked, nodes, claims) = (client.clone(), nodes.clone(), settings.claims.clone());
        let prefix = settings.runners.name_prefix.clone();
        at_once.add(format!("pool {}", pool.name), FIX, async move {
            let place = place(&asked, &pool);
            let mut found = match asked.job(&place, &pool.nomad_job).await {
                Ok(job) => pool_job::judge(&pool, claims.as_ref(), &place.namespace, &job),
                Err(error) => return vec![no_job(&pool, &place, &error)],
            };
            found.extend(delivery::readers(&pool, &place.namespace));
            found.extend(delivery::variables(&asked, &place, &prefix, &pool).await);
            let needs = asked.needs(&place, &pool.nomad_job).await;
            if let (Ok(needs), Some(Ok(nodes))) = (needs, nodes.get(&place.region)) {
                found.extend(placing::judge(forge, &pool.name, &pool.nomad_job, &needs, nodes));
            }
            found
        });
    }
    findings.extend(at_once.findings().await);
    findings
}

/// The nodes of each region, or the finding that says why they are not visible.
async fn nodes(
    settings: &Settings,
    client: &Client,
) -> BTreeMap<Option<String>, Result<Vec<Node>, Option<Finding>>> {
    let mut regions = BTreeMap::new();
    for place in places(settings, client) {
        if regions.contains_key(&place.region) {
            continue;
        }
        let told = match client.nodes(&place).await {
            Ok(nodes) => Ok(with_architectures(client, &place, nodes).await),
            Err(Error::Forbidden { .. }) => Err(Some(Finding::ok(
                SUBJECT,
                "the nodes are not visible (this requires node { policy = \"read\" }), so whether any can run the pools' jobs is not checked",
            ))),
            // Reading the pool's job fails as well, and reports why.
            Err(_) => Err(None),
        };
        regions.insert(place.region, told);
    }
    regions
}

/// What a node that takes work does not tell in time stays unknown, as it does of nodes beyond the first
/// hundreds.
async fn with_architectures(client: &Client, place: &Place, mut nodes: Vec<Node>) -> Vec<Node> {
    const ASKED: usize = 500;
    const AT_ONCE: usize = 8;
    const LIMIT: Duration = Duration::from_secs(10);
    let asked: Vec<(usize, String)> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.takes_work && !node.id.is_empty())
        .map(|(index, node)| (index, node.id.clone()))
        .take(ASKED)
        .collect();
    let mut answers = futures_util::stream::iter(asked)
        .map(async |(index, id)| (index, client.architecture(place, &id).await))
        .buffer_unordered(AT_ONCE);
    let filling = async {
        while let Some((index, answer)) = answers.next().await {
            nodes[index].architecture = answer.ok().flatten();
        }
    };
    let _ = tokio::time::timeout(LIMIT, filling).await;
    drop(answers);
    nodes
}

/// The pool's namespace and region, else those of the connection.
fn place(client: &Client, pool: &Pool) -> Place {
    let own = client.place();
    Place {
        namespace: pool.namespace.clone().unwrap_or_else(|| own.namespace.clone()),
        region: pool.region.clone().or_else(|| own.region.clone()),
    }
}

fn places(settings: &Settings, client: &Client) -> std::collections::BTreeSet<Place> {
    settings.pools.iter().map(|pool| place(client, pool)).collect()
}

fn away(error: &Error, pools: usize) -> Finding {
    let fix = match error {
        Error::Forbidden { .. } => "set a valid token: [nomad] token_file, or NOMAD_TOKEN",
        _ => {
            "correct nomad.address or start Nomad; `nomad server members` shows whether it has a leader"
        }
    };
    let s = if pools == 1 { "'s job is" } else { "s' jobs are" };
    Finding::fail(SUBJECT, format!("{error}; the pool{s} not checked"), fix)
}

fn version(answer: Result<Option<String>, Error>) -> Finding {
    let (text, known) = match &answer {
        Ok(Some(text)) => (text.as_str(), parsed(text)),
        Ok(None) => {
            let unseen = "it answers and has a leader; its version is not visible (this requires agent { policy = \"read\" })";
            return Finding::ok(SUBJECT, unseen);
        }
        Err(error) => {
            return Finding::warn(SUBJECT, format!("its version cannot be read: {error}"), FIX);
        }
    };
    match known {
        Some(version) if version < STATUSES => Finding::warn(
            SUBJECT,
            format!(
                "version {text} is older than 1.8: runners are queried one by one, which is slow for many"
            ),
            "upgrade Nomad",
        ),
        Some(version) if version < ONE_OF_TWO => Finding::ok(
            SUBJECT,
            format!(
                "version {text}; before 1.11.2 it may act on both of two identical requests sent at the same moment, so roustabout sends one at a time"
            ),
        ),
        _ => Finding::ok(SUBJECT, format!("version {text}")),
    }
}

/// `1.11.3`, `1.10.8+ent`, `2.0.6-dev`.
fn parsed(text: &str) -> Option<(u32, u32, u32)> {
    let plain = text.trim_start_matches('v').split(['-', '+']).next()?;
    let mut numbers = plain.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// What Nomad says about the token. Whether it suffices is tested in `capabilities`.
fn token(answer: Result<Option<AclToken>, Error>, given: bool, now: Timestamp) -> Finding {
    const NEW: &str = "create a new one (nomad acl token create -policy=…) and replace this one in [nomad] or in its file";
    let token = match answer {
        Ok(Some(token)) => token,
        Ok(None) => {
            return Finding::ok(
                SUBJECT,
                "ACLs are disabled: anyone who reaches it may do anything",
            );
        }
        Err(Error::Forbidden { text, .. }) if given && text == NO_ACL_TOKEN => {
            return Finding::ok(
                SUBJECT,
                "the token is not a known ACL token, as expected of a workload identity; what it may do follows",
            );
        }
        Err(Error::Forbidden { text, .. }) if given => {
            let what =
                format!("the token is refused; it is expired or from another cluster: {text}");
            return Finding::fail(SUBJECT, what, NEW);
        }
        Err(error) => {
            return Finding::warn(SUBJECT, format!("the token cannot be checked: {error}"), FIX);
        }
    };
    if !given {
        return Finding::ok(SUBJECT, "no token is set; what anonymous requests may do follows");
    }
    let name = format!("the token \"{}\"", token.name);
    if let Some(ends) = token.expires_at.filter(|ends| ends.duration_since(now) < ENDS_SOON) {
        return Finding::warn(SUBJECT, format!("{name} expires on {ends}"), NEW);
    }
    if token.kind == "management" {
        return Finding::warn(
            SUBJECT,
            format!("{name} is a management token and may do everything"),
            format!("use one with only what is needed: {}", policy("NAMESPACE")),
        );
    }
    Finding::ok(SUBJECT, format!("{name}, with the policies {}", token.policies.join(", ")))
}

fn policy(namespace: &str) -> String {
    format!(
        "namespace \"{namespace}\" {{ capabilities = [\"list-jobs\", \"read-job\", \"dispatch-job\", \"deregister-job\"] }} (before Nomad 1.11.2 submit-job instead of deregister-job)"
    )
}

/// What the token may do in a namespace.
async fn capabilities(client: &Client, place: &Place) -> Vec<Finding> {
    let nobody =
        format!("roustabout-check-{:032x}", rand::rngs::StdRng::from_os_rng().random::<u128>());
    let request =
        DispatchRequest { idempotency_token: &nobody, payload: None, meta: &BTreeMap::new() };
    let ids = [nobody.clone()];
    let (read, list, dispatch, stop) = tokio::join!(
        client.statuses(place, &ids, None, Duration::ZERO),
        client.child_by_token(place, None, &nobody),
        client.dispatch(place, &nobody, &request),
        client.stop(place, &nobody),
    );
    let read = match read {
        // Nomad is older than this call; here a missing job and a forbidden one differ too.
        Err(Error::Unsupported { .. }) => client.job(place, &nobody).await.map(|_| ()),
        other => other.map(|_| ()),
    };
    let tried = |answer: Result<(), Error>| match answer {
        // It does not exist, and the token may know that.
        Err(Error::NotFound { .. }) => Ok(()),
        other => {
            other.map_err(|error| (matches!(error, Error::Forbidden { .. }), error.to_string()))
        }
    };
    let dispatch = match dispatch {
        Ok(_) | Err(DispatchError::Refused { kind: Refusal::NoSuchJob { .. }, .. }) => Ok(()),
        Err(DispatchError::Refused { kind: Refusal::Forbidden { .. }, .. }) => {
            Err((true, "Permission denied".to_owned()))
        }
        Err(error) => Err((false, error.to_string())),
    };
    let tried = [
        ("read-job", tried(read)),
        ("list-jobs", tried(list.map(|_| ()))),
        ("dispatch-job", dispatch),
        (STOPPING, tried(stop)),
    ];
    judged(&place.namespace, tried)
}

/// The result of a test; an error says whether the capability is missing, and Nomad's text.
type Tried = Result<(), (bool, String)>;

fn judged(namespace: &str, tried: [(&str, Tried); 4]) -> Vec<Finding> {
    let denied: Vec<&str> = tried
        .iter()
        .filter(|(_, tried)| matches!(tried, Err((true, _))))
        .map(|(name, _)| *name)
        .collect();
    let fine: Vec<&str> =
        tried.iter().filter(|(_, tried)| tried.is_ok()).map(|(name, _)| *name).collect();
    let mut findings = Vec::new();
    let fix = || format!("check that it is valid; its policy needs {}", policy(namespace));
    let may = |what: &str| format!("in namespace \"{namespace}\" the token lacks {what}");
    if denied == [STOPPING] {
        let message = format!(
            "{}, so runners that no job needs are not stopped and keep counting against the limits",
            may(STOPPING)
        );
        findings.push(Finding::warn(SUBJECT, message, fix()));
    } else if !denied.is_empty() {
        findings.push(Finding::fail(SUBJECT, may(&denied.join(", ")), fix()));
    } else if !fine.is_empty() {
        findings.push(Finding::ok(
            SUBJECT,
            format!("in namespace \"{namespace}\" the token has {}", fine.join(", ")),
        ));
    }
    for (name, tried) in tried {
        if let Err((false, error)) = tried {
            let message =
                format!("{name} in namespace \"{namespace}\" could not be tested: {error}");
            findings.push(Finding::warn(SUBJECT, message, FIX));
        }
    }
    findings
}

fn no_job(pool: &Pool, place: &Place, error: &Error) -> Finding {
    let (job, namespace) = (&pool.nomad_job, &place.namespace);
    let subject = format!("pool {}", pool.name);
    match error {
        Error::NotFound { .. } => Finding::fail(
            subject,
            format!("there is no job \"{job}\" in namespace \"{namespace}\""),
            "register it with nomad job run (deploy/nomad has one), or correct nomad_job or namespace of the pool",
        ),
        Error::Forbidden { .. } => Finding::fail(
            subject,
            format!("the job \"{job}\" in namespace \"{namespace}\" may not be read"),
            format!("check that the token is valid; its policy needs {}", policy(namespace)),
        ),
        // Nomad's text; `refusal` recognizes it in the answer to a dispatch.
        Error::Unavailable { reason, .. } if reason.contains("No path to region") => {
            let region = place.region.as_deref().unwrap_or_default();
            Finding::fail(
                subject,
                format!("Nomad has no path to the region \"{region}\""),
                "correct region of the pool or of [nomad]; nomad server members -detailed lists the regions",
            )
        }
        other => Finding::fail(subject, other.to_string(), FIX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Report, render};
    use rstest::rstest;

    fn text(findings: Vec<Finding>) -> String {
        render::text(&Report(findings), false)
    }

    #[rstest]
    #[case("1.11.3", Some((1, 11, 3)))]
    #[case("v1.10.8+ent", Some((1, 10, 8)))]
    #[case("2.0.6-dev", Some((2, 0, 6)))]
    #[case("two", None)]
    fn versions(#[case] text: &str, #[case] version: Option<(u32, u32, u32)>) {
        assert_eq!(parsed(text), version);
    }

    #[test]
    fn old_ones_are_told() {
        let of = |text: &str| version(Ok(Some(text.to_owned())));
        let unseen = version(Ok(None));
        insta::assert_snapshot!(text(vec![of("1.7.7"), of("1.8.0"), of("1.11.2"), of("odd"), unseen]), @r#"
        warn  nomad  version 1.7.7 is older than 1.8: runners are queried one by one, which is slow for many; upgrade Nomad
        ok    nomad  version 1.8.0; before 1.11.2 it may act on both of two identical requests sent at the same moment, so roustabout sends one at a time
        ok    nomad  version 1.11.2
        ok    nomad  version odd
        ok    nomad  it answers and has a leader; its version is not visible (this requires agent { policy = "read" })
        4 ok, 1 warn, 0 fail
        "#);
    }

    #[test]
    fn tokens() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let known = |kind: &str, days: Option<i64>| {
            let expires_at = days.map(|days| now + SignedDuration::from_hours(24 * days));
            let (kind, policies) = (kind.to_owned(), vec!["runners".to_owned()]);
            let (accessor_id, name) = ("a".to_owned(), "ci".to_owned());
            Ok(Some(AclToken { accessor_id, name, kind, policies, expires_at }))
        };
        let refused =
            |text: &str| Err(Error::Forbidden { request: "GET /v1/x".into(), text: text.into() });
        insta::assert_snapshot!(text(vec![
            token(known("client", Some(15)), true, now),
            token(known("client", Some(13)), true, now),
            token(known("management", None), true, now),
            token(known("client", None), false, now),
            token(Ok(None), true, now),
            token(refused("ACL token not found"), true, now),
            token(refused("ACL token expired"), true, now),
            token(refused("allocation is terminal"), true, now),
            token(refused("Permission denied"), true, now),
        ]), @r#"
        ok    nomad  the token "ci", with the policies runners
        warn  nomad  the token "ci" expires on 2027-01-28T08:00:00Z; create a new one (nomad acl token create -policy=…) and replace this one in [nomad] or in its file
        warn  nomad  the token "ci" is a management token and may do everything; use one with only what is needed: namespace "NAMESPACE" { capabilities = ["list-jobs", "read-job", "dispatch-job", "deregister-job"] } (before Nomad 1.11.2 submit-job instead of deregister-job)
        ok    nomad  no token is set; what anonymous requests may do follows
        ok    nomad  ACLs are disabled: anyone who reaches it may do anything
        ok    nomad  the token is not a known ACL token, as expected of a workload identity; what it may do follows
        fail  nomad  the token is refused; it is expired or from another cluster: ACL token expired; create a new one (nomad acl token create -policy=…) and replace this one in [nomad] or in its file
        fail  nomad  the token is refused; it is expired or from another cluster: allocation is terminal; create a new one (nomad acl token create -policy=…) and replace this one in [nomad] or in its file
        fail  nomad  the token is refused; it is expired or from another cluster: Permission denied; create a new one (nomad acl token create -policy=…) and replace this one in [nomad] or in its file
        4 ok, 2 warn, 3 fail
        "#);
    }

    #[test]
    fn what_may_not_be_done_is_told_together() {
        let denied = || Err((true, String::new()));
        let broken = Err((false, "no answer".to_owned()));
        insta::assert_snapshot!(text(judged("ci", [
            ("read-job", denied()), ("list-jobs", broken), ("dispatch-job", denied()), (STOPPING, Ok(())),
        ])), @r#"
        fail  nomad  in namespace "ci" the token lacks read-job, dispatch-job; check that it is valid; its policy needs namespace "ci" { capabilities = ["list-jobs", "read-job", "dispatch-job", "deregister-job"] } (before Nomad 1.11.2 submit-job instead of deregister-job)
        warn  nomad  list-jobs in namespace "ci" could not be tested: no answer; check nomad.address, and whether Nomad is up
        0 ok, 1 warn, 1 fail
        "#);
        insta::assert_snapshot!(text(judged("ci", [
            ("read-job", Ok(())), ("list-jobs", Ok(())), ("dispatch-job", Ok(())), (STOPPING, denied()),
        ])), @r#"
        warn  nomad  in namespace "ci" the token lacks deregister-job, so runners that no job needs are not stopped and keep counting against the limits; check that it is valid; its policy needs namespace "ci" { capabilities = ["list-jobs", "read-job", "dispatch-job", "deregister-job"] } (before Nomad 1.11.2 submit-job instead of deregister-job)
        0 ok, 1 warn, 0 fail
        "#);
        insta::assert_snapshot!(text(judged("ci", [
            ("read-job", Ok(())), ("list-jobs", Ok(())), ("dispatch-job", Ok(())), (STOPPING, Ok(())),
        ])), @r#"
        ok    nomad  in namespace "ci" the token has read-job, list-jobs, dispatch-job, deregister-job
        1 ok, 0 warn, 0 fail
        "#);
    }
}
