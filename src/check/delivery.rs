//! Who can read the credential on its way, and with `delivery = "variable"` whether the token may do what that
//! takes.
//!
//! Nomad says whether a token may list Variables only by leaving out those it may not. So one is written, listed
//! and deleted, where the token has been found to be able to delete it.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use secrecy::SecretString;

use super::finding::Finding;
use crate::config::{Delivery, Pool};
use crate::deposit::variable_path;
use crate::nomad::{Client, Error, Place};

const FIX: &str = "check nomad.address, and whether Nomad is up";

/// What is no secret to whoever may look at jobs.
pub fn readers(pool: &Pool, namespace: &str) -> Option<Finding> {
    let who = match pool.delivery {
        Delivery::Payload => "everyone with read-job",
        Delivery::Meta => {
            "everyone with read-job or list-jobs, every step of a job, and whoever sees Nomad's metrics"
        }
        Delivery::Claim | Delivery::Variable | Delivery::Vault | Delivery::None => return None,
    };
    let message = format!(
        "{who} in namespace \"{namespace}\" can read the credential; delivery = \"claim\", \
         \"variable\" and \"vault\" put none into the job"
    );
    Some(Finding::ok(format!("pool {}", pool.name), message))
}

/// Whether the token may write, delete and list the Variables of the pool's runners.
pub async fn variables(
    client: &Client,
    place: &Place,
    name_prefix: &str,
    pool: &Pool,
) -> Vec<Finding> {
    if pool.delivery != Delivery::Variable {
        return Vec::new();
    }
    let drawn = rand::rngs::StdRng::from_os_rng().random::<u64>();
    let path = variable_path(name_prefix, &pool.name)
        .replace("{runner_name}", &format!("check-{drawn:016x}"));
    let probe = SecretString::from("written by roustabout check");
    let items = BTreeMap::from([("probe", &probe)]);
    // Of one that does not exist: Nomad looks at the rights first, and then changes nothing.
    let destroy = client.delete_variable(place, &path).await;
    let write = client.put_variable(place, &path, &items, 1).await.map(|_| ());
    let mut tried = vec![("write", write), ("destroy", destroy)];
    if tried.iter().all(|(_, tried)| tried.is_ok()) {
        tried.push(("list", listed(client, place, &path, &items).await));
    }
    judged(&format!("pool {}", pool.name), name_prefix, &place.namespace, &pool.name, tried)
}

/// Writes it, looks for it and deletes it.
async fn listed(
    client: &Client,
    place: &Place,
    path: &str,
    items: &BTreeMap<&str, &SecretString>,
) -> Result<(), Error> {
    client.put_variable(place, path, items, 0).await?;
    let seen = client.variable_paths(place, path).await;
    client.delete_variable(place, path).await?;
    match seen?.iter().any(|seen| seen == path) {
        true => Ok(()),
        false => Err(Error::Forbidden {
            request: "GET /v1/vars".to_owned(),
            text: "the list is empty".to_owned(),
        }),
    }
}

fn judged(
    subject: &str,
    name_prefix: &str,
    namespace: &str,
    pool: &str,
    tried: Vec<(&str, Result<(), Error>)>,
) -> Vec<Finding> {
    let at = format!("{name_prefix}/{pool}/ in namespace \"{namespace}\"");
    let fix = format!(
        "its policy needs, in namespace \"{namespace}\", variables {{ path \"{name_prefix}/*\" {{ \
         capabilities = [\"write\", \"destroy\", \"list\"] }} }} (deploy/nomad/acl has it)"
    );
    let lacks = |name: &str| {
        tried
            .iter()
            .any(|(tried, answer)| *tried == name && matches!(answer, Err(Error::Forbidden { .. })))
    };
    let mut found = Vec::new();
    let denied: Vec<&str> = ["write", "destroy"].into_iter().filter(|name| lacks(name)).collect();
    if !denied.is_empty() {
        let message = format!("the token lacks {} on the Variables {at}", denied.join(" and "));
        found.push(Finding::fail(subject, message, fix));
    } else if lacks("list") {
        let message = format!(
            "the token lacks list on the Variables {at}, so those that a crash leaves behind are not found"
        );
        found.push(Finding::warn(subject, message, fix));
    }
    for (name, answer) in &tried {
        if let Err(error) = answer
            && !matches!(error, Error::Forbidden { .. })
        {
            let message = format!("{name} on the Variables {at} could not be tested: {error}");
            found.push(Finding::warn(subject, message, FIX));
        }
    }
    if found.is_empty() {
        let message = format!("the token may write, list and delete the Variables {at}");
        found.push(Finding::ok(subject, message));
    }
    found
}
