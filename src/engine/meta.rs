//! What a dispatch carries (`interface.md`): the facts we know by name, of which a
//! parameterized job gets those it declares, and what the operator adds in `[pools.meta]`.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::config::{self, Delivery, placeholders};
use crate::ledger::effect::{DispatchOrder, Target};
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
        ("allow_repositories", pool.repositories.join(",")),
        ("allow_public", pool.public_repositories.to_string()),
        ("allow_forks", pool.forks.to_string()),
    ])
}

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
) -> Result<Cargo, String> {
    let facts = facts(order, pool);
    let parent = &order.parent;
    let mut meta: BTreeMap<String, SecretString> = BTreeMap::new();
    let declared = takes.meta_required.iter().map(|key| (key, true));
    for (key, required) in declared.chain(takes.meta_optional.iter().map(|key| (key, false))) {
        let value = match pool.meta.get(key) {
            Some(text) => Some(SecretString::from(fill(text, &facts))),
            None if key == "runner_token" => match pool.delivery {
                Delivery::Meta => credential.cloned(),
                Delivery::Payload | Delivery::None => None,
            },
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
    if pool.delivery == Delivery::Meta && !meta.contains_key("runner_token") {
        return Err(format!(
            "pool {} delivers by meta, and the parameterized job \"{parent}\" takes no meta key \
             runner_token; declare it there, or choose another delivery",
            pool.name
        ));
    }
    let payload = match pool.delivery {
        Delivery::Payload => credential.cloned(),
        Delivery::Meta => None,
        Delivery::None => pool.payload.as_ref().map(|text| SecretString::from(fill(text, &facts))),
    };
    Ok(Cargo { meta, payload })
}

/// Puts facts in the place of their `{placeholders}`; other braces stay as they are.
fn fill(text: &str, facts: &BTreeMap<&str, String>) -> String {
    let names: Vec<&str> = placeholders(text).collect();
    let mut filled = text.to_owned();
    for name in names {
        if let Some(fact) = facts.get(name) {
            filled = filled.replace(&format!("{{{name}}}"), fact);
        }
    }
    filled
}
