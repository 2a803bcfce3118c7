//! What a dispatch carries (`interface.md`): the facts we know by name, of which a
//! parameterized job gets those it declares, and what the operator adds in `[pools.meta]`.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::config::{self, Delivery};
use crate::ledger::Repository;
use crate::ledger::deposit::Keeper;
use crate::ledger::effect::{DispatchOrder, Target};
use crate::ledger::matching::RepositoryGlobs;
use crate::ledger::pool::CredentialKind;
use crate::nomad::Parameterized;

/// Every fact of a dispatch, by the name of its meta key. What is not known is empty.
pub fn facts(order: &DispatchOrder, pool: &config::Pool) -> BTreeMap<&'static str, String> {
    let cause = order.cause.as_ref();
    let report = cause.map(|job| &job.report);
    let repository = order.repository.as_ref();
    let owner = repository.map_or_else(|| order.target.owner(), |r| r.owner());
    let text = |value: Option<String>| value.unwrap_or_default();
    BTreeMap::from([
        ("runner_name", order.runner.0.clone()),
        ("runner_labels", order.labels.join(",")),
        ("runner_url", order.runner_url.clone()),
        (
            "runner_scope",
            match order.target {
                Target::Repository(_) => "repository".to_owned(),
                Target::Organization(_) => "organization".to_owned(),
            },
        ),
        ("runner_group", text(pool.runner_group.clone())),
        (
            "credential",
            match order.credential {
                CredentialKind::RegistrationToken => "registration-token".to_owned(),
                CredentialKind::Jit => "jit".to_owned(),
            },
        ),
        ("repository", text(repository.map(|r| r.full_name.clone()))),
        ("owner", owner.to_owned()),
        ("repository_name", text(repository.map(|r| r.name().to_owned()))),
        ("workflow_job_id", text(report.map(|r| r.id.to_string()))),
        ("run_id", text(report.map(|r| r.run.to_string()))),
        ("run_attempt", text(report.map(|r| r.run_attempt.to_string()))),
        ("workflow_job_name", text(report.map(|r| r.name.clone()))),
        ("workflow_name", text(report.and_then(|r| r.workflow.clone()))),
        ("head_branch", text(report.and_then(|r| r.head_branch.clone()))),
        ("delivery_id", text(cause.and_then(|job| Some(job.delivery.as_ref()?.0.clone())))),
        ("allow_repositories", allowed(pool, repository)),
        ("allow_public", pool.public_repositories.to_string()),
        ("allow_forks", pool.forks.to_string()),
        ("allow_events", pool.events.join(",")),
        ("allow_actors", pool.actors.join(",")),
    ])
}

/// The pool's patterns, for the job-started hook; with today's name of a repository that the pool
/// names by a former one.
fn allowed(pool: &config::Pool, repository: Option<&Repository>) -> String {
    let mut allowed = pool.repositories.clone();
    let globs = RepositoryGlobs::new(&pool.repositories);
    let renamed = repository
        .filter(|it| !globs.matches(&it.full_name) && globs.serves(&it.full_name, &it.former));
    allowed.extend(renamed.map(|repository| repository.full_name.clone()));
    allowed.join(",")
}

/// Nomad's, of a payload (`DispatchPayloadSizeLimit`); meta has none.
const PAYLOAD_LIMIT: usize = 16_384;

/// What is sent: keys and payload.
#[derive(Debug)]
pub struct Cargo {
    pub meta: BTreeMap<String, SecretString>,
    pub payload: Option<SecretString>,
}

/// Only keys that the job declares are sent, for Nomad refuses others. Fails, in words, where
/// it requires a key that nobody can fill, or has no place for the credential.
pub fn load(
    order: &DispatchOrder,
    pool: &config::Pool,
    takes: &Parameterized,
    credential: Option<&SecretString>,
    claim_url: Option<&str>,
) -> Result<Cargo, String> {
    let facts = facts(order, pool);
    let carries = match order.credential {
        CredentialKind::RegistrationToken => "runner_token",
        CredentialKind::Jit => "runner_jit_config",
    };
    let place = order.deposit.as_ref().map(|deposit| match deposit.keeper {
        Keeper::Variable => ("credential_path", deposit.path.as_str()),
        Keeper::Vault => ("vault_path", deposit.path.as_str()),
    });
    let parent = &order.parent;
    let mut meta: BTreeMap<String, SecretString> = BTreeMap::new();
    let declared = takes.meta_required.iter().map(|key| (key, true));
    for (key, required) in declared.chain(takes.meta_optional.iter().map(|key| (key, false))) {
        let value = match pool.meta.get(key) {
            Some(text) => Some(SecretString::from(fill(text, &facts))),
            None if key == carries => match pool.delivery {
                Delivery::Meta => credential.cloned(),
                Delivery::Claim
                | Delivery::Variable
                | Delivery::Vault
                | Delivery::Payload
                | Delivery::None => None,
            },
            None if key == "claim_url" && pool.delivery == Delivery::Claim => {
                claim_url.map(SecretString::from)
            }
            None if Some(key.as_str()) == place.map(|(key, _)| key) => {
                place.map(|(_, path)| SecretString::from(path))
            }
            None => facts.get(key.as_str()).map(|fact| SecretString::from(fact.as_str())),
        };
        match value {
            Some(value) => {
                meta.insert(key.clone(), value);
            }
            None if required => {
                return Err(format!(
                    "the parameterized job \"{parent}\" requires the meta key {key}, which is neither \
                     one of roustabout's nor in [pools.meta] of pool {}; add it there, or make it \
                     optional in the job",
                    pool.name
                ));
            }
            None => {}
        }
    }
    if pool.delivery == Delivery::Meta && !meta.contains_key(carries) {
        return Err(format!(
            "pool {} delivers by meta, and the parameterized job \"{parent}\" takes no meta key \
             {carries}; declare it there, or choose another delivery",
            pool.name
        ));
    }
    if let (Delivery::Payload, Some(credential)) = (pool.delivery, credential)
        && credential.expose_secret().len() > PAYLOAD_LIMIT
    {
        return Err(format!(
            "the credential of the runner has {} bytes, over Nomad's limit of {PAYLOAD_LIMIT} for a \
             payload; use delivery = \"meta\" in pool {}",
            credential.expose_secret().len(),
            pool.name
        ));
    }
    let payload = match pool.delivery {
        Delivery::Payload => credential.cloned(),
        Delivery::Claim | Delivery::Variable | Delivery::Vault | Delivery::Meta => None,
        Delivery::None => pool.payload.as_ref().map(|text| SecretString::from(fill(text, &facts))),
    };
    Ok(Cargo { meta, payload })
}

/// Puts facts in the place of their `{placeholders}`; other braces stay as they are. In one
/// pass, for facts are text from strangers and may look like placeholders themselves.
fn fill(text: &str, facts: &BTreeMap<&str, String>) -> String {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, tail)| Some((facts.get(name)?, tail)));
        rest = match named {
            Some((fact, tail)) => {
                filled.push_str(fact);
                tail
            }
            None => {
                filled.push('{');
                after
            }
        };
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::META_KEYS;
    use crate::ledger::NomadPlace;
    use crate::ledger::step::testing::{job, report, repository};
    use crate::ledger::{DeliveryId, Job, JobStatus, PoolName, RepositoryId, RunnerName, ScopeKey};
    use crate::nomad::PayloadRule;

    fn pool(more: &str) -> config::Pool {
        let text = format!(
            "[[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
             repositories = [\"octo/*\"]\n{more}"
        );
        let secrets =
            [("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef"), ("ROUSTABOUT_GITHUB_TOKEN", "t")];
        let loaded = config::from_text(&text, "test", &secrets.into_iter().collect()).unwrap();
        loaded.settings.pools.into_iter().next().unwrap()
    }

    fn order() -> DispatchOrder {
        let cause = Job {
            delivery: Some(DeliveryId::from("d-1")),
            pool: Some(PoolName::from("x64")),
            ..job(report(7, JobStatus::Queued))
        };
        DispatchOrder {
            runner: RunnerName::from("roustabout-x64-0123456789abc"),
            pool: PoolName::from("x64"),
            idempotency_token: "roustabout-x64-0123456789abc@octo/app".into(),
            scope: ScopeKey::Repository(RepositoryId(1)),
            credential: CredentialKind::RegistrationToken,
            deposit: None,
            target: Target::Repository("octo/app".into()),
            labels: vec!["self-hosted".into(), "linux".into()],
            runner_url: "https://github.com/octo/app".into(),
            place: NomadPlace::default(),
            parent: "runner".into(),
            cause: Some(cause),
            repository: Some(repository(1, "octo/app")),
            again: false,
        }
    }

    fn takes(required: &[&str], optional: &[&str]) -> Parameterized {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        Parameterized {
            payload: PayloadRule::Optional,
            meta_required: owned(required),
            meta_optional: owned(optional),
        }
    }

    fn sent(cargo: &Cargo) -> BTreeMap<&str, &str> {
        cargo.meta.iter().map(|(key, value)| (key.as_str(), value.expose_secret())).collect()
    }

    #[test]
    fn the_facts_are_the_keys_that_the_config_knows() {
        let pool = pool("delivery = \"payload\"\n");
        let facts = facts(&order(), &pool);
        let mut keys = META_KEYS.to_vec();
        keys.sort_unstable();
        assert_eq!(facts.into_keys().collect::<Vec<_>>(), keys);
    }

    #[test]
    fn only_declared_keys_are_sent_and_the_payload_is_the_credential_alone() {
        let pool = pool("delivery = \"payload\"\n");
        let takes =
            takes(&["runner_name"], &["repository", "delivery_id", "unknown", "runner_token"]);
        let cargo = load(&order(), &pool, &takes, Some(&"s3cr3t".into()), None).unwrap();
        let expected = [
            ("delivery_id", "d-1"),
            ("repository", "octo/app"),
            ("runner_name", "roustabout-x64-0123456789abc"),
        ];
        assert_eq!(sent(&cargo), BTreeMap::from(expected));
        assert_eq!(cargo.payload.unwrap().expose_secret(), "s3cr3t");
        assert!(!format!("{:?}", cargo.meta).contains("s3cr3t"));
    }

    #[test]
    fn meta_carries_the_credential_only_where_the_pool_says_so() {
        let takes = takes(&["runner_token"], &[]);
        let meta = pool("delivery = \"meta\"\n");
        let cargo = load(&order(), &meta, &takes, Some(&"s3cr3t".into()), None).unwrap();
        assert_eq!(sent(&cargo), BTreeMap::from([("runner_token", "s3cr3t")]));
        assert!(cargo.payload.is_none());
        let payload = pool("delivery = \"payload\"\n");
        assert!(
            load(&order(), &payload, &takes, Some(&"s3cr3t".into()), None)
                .unwrap_err()
                .contains("runner_token")
        );
        let nowhere = load(&order(), &meta, &self::takes(&[], &[]), Some(&"s3cr3t".into()), None);
        assert!(nowhere.unwrap_err().contains("takes no meta key"));
    }

    #[test]
    fn a_configuration_of_a_runner_has_a_key_of_its_own_and_its_size_is_looked_at() {
        let order = DispatchOrder { credential: CredentialKind::Jit, ..order() };
        let takes = takes(&["credential", "runner_jit_config"], &["runner_token"]);
        let meta = pool("delivery = \"meta\"\ncredential = \"jit\"\n");
        let cargo = load(&order, &meta, &takes, Some(&"c0nf1g".into()), None).unwrap();
        let expected = [("credential", "jit"), ("runner_jit_config", "c0nf1g")];
        assert_eq!(sent(&cargo), BTreeMap::from(expected));
        let takes = self::takes(&["credential"], &[]);
        let payload = pool("delivery = \"payload\"\ncredential = \"jit\"\n");
        let long = |length| SecretString::from("x".repeat(length));
        assert!(load(&order, &payload, &takes, Some(&long(16_384)), None).is_ok());
        let why = load(&order, &payload, &takes, Some(&long(16_385)), None).unwrap_err();
        assert!(why.contains("16385 bytes, over Nomad's limit of 16384"), "{why}");
    }

    #[test]
    fn a_required_key_that_nobody_can_fill_is_named() {
        let why =
            load(&order(), &pool("delivery = \"none\"\n"), &takes(&["colour"], &[]), None, None);
        let why = why.unwrap_err();
        assert!(why.contains("colour") && why.contains("[pools.meta]"), "{why}");
    }

    #[test]
    fn what_the_operator_adds_has_its_placeholders_filled_and_the_unknown_is_empty() {
        let pool = pool(
            "delivery = \"none\"\npayload = \"{repository} {runner_name} {\\\"json\\\": 1}\"\n\
             [pools.meta]\nREPO = \"on {owner}\"\n",
        );
        let mut order = order();
        order.cause = None;
        let takes = takes(&["REPO", "workflow_job_id"], &[]);
        let cargo = load(&order, &pool, &takes, None, None).unwrap();
        assert_eq!(sent(&cargo), BTreeMap::from([("REPO", "on octo"), ("workflow_job_id", "")]));
        let payload = cargo.payload.unwrap();
        assert_eq!(payload.expose_secret(), "octo/app roustabout-x64-0123456789abc {\"json\": 1}");
    }
}
