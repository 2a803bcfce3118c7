//! Nomad Variables as keepers: `<name_prefix>/<pool>/<runner>` in the namespace of the runner's child.
//!
//! No job reads such a path by itself, for what Nomad lets every job read lies under `nomad/jobs`; it takes a
//! policy that is attached to the parameterized job, and one for `<name_prefix>/<pool>/*` shows no other pool's.

use std::collections::BTreeMap;

use super::{Contents, NotPut};
use crate::ledger::deposit::{Deposit, DepositAt};
use crate::ledger::event::{Answer, Failure};
use crate::ledger::observation::FoundDeposit;
use crate::ledger::{NomadPlace, RunnerName};
use crate::nomad::{Client, Error, Place, Written};

/// The variable of a pool's runner; `{runner_name}` stands for its name.
pub fn path_of(name_prefix: &str, pool: &str) -> String {
    format!("{name_prefix}/{pool}/{{runner_name}}")
}

#[derive(Debug, Clone)]
pub(super) struct Variables(pub Client);

impl Variables {
    pub async fn put(
        &self,
        deposit: &Deposit,
        place: &NomadPlace,
        contents: &Contents,
    ) -> Result<(), NotPut> {
        let (place, path) = (at(place), &deposit.path);
        let fields = contents.fields();
        let items = fields.iter().map(|(name, value)| (*name, value)).collect::<BTreeMap<_, _>>();
        let put = |expected| self.0.put_variable(&place, path, &items, expected);
        let written = put(0).await.map_err(|error| not_put(error, path, &place))?;
        let Written::Conflict { modify_index } = written else { return Ok(()) };
        if !deposit.tried {
            return Err(NotPut::Taken(format!(
                "a variable {path} that roustabout did not write is in namespace {:?}; does another \
                 roustabout with the same name_prefix write there? remove it with nomad var purge",
                place.namespace
            )));
        }
        // Its own, from a request whose answer was lost: the credential may be another by now.
        match put(modify_index).await.map_err(|error| not_put(error, path, &place))? {
            Written::Done => Ok(()),
            Written::Conflict { .. } => {
                let reason = format!("the variable {path} changed while it was written");
                Err(NotPut::Failed(Failure { reason, retry_after: None }))
            }
        }
    }

    pub async fn remove(&self, gone: &DepositAt) -> Answer<()> {
        let place = at(&gone.way.place);
        let removed = self.0.delete_variable(&place, &gone.path).await;
        removed.map_err(|error| Failure {
            reason: in_words(&error, &gone.path, &place),
            retry_after: None,
        })
    }

    pub async fn list(&self, place: &NomadPlace, name_prefix: &str) -> Answer<Vec<FoundDeposit>> {
        let (place, prefix) = (at(place), format!("{name_prefix}/"));
        let paths = self.0.variable_paths(&place, &prefix).await.map_err(|error| Failure {
            reason: in_words(&error, &prefix, &place),
            retry_after: None,
        })?;
        let found = paths.into_iter().filter_map(|path| {
            let runner = RunnerName::from(path.rsplit_once('/')?.1);
            Some(FoundDeposit { runner, path })
        });
        Ok(found.collect())
    }
}

fn at(place: &NomadPlace) -> Place {
    Place { namespace: place.namespace.clone(), region: place.region.clone() }
}

fn not_put(error: Error, path: &str, place: &Place) -> NotPut {
    match error {
        Error::Unavailable { .. } => NotPut::NomadAway(error.to_string()),
        _ => NotPut::Failed(Failure { reason: in_words(&error, path, place), retry_after: None }),
    }
}

/// With what the token needs there.
fn in_words(error: &Error, path: &str, place: &Place) -> String {
    let Error::Forbidden { .. } = error else { return error.to_string() };
    let prefix = path.split_once('/').map_or(path, |(prefix, _)| prefix);
    format!(
        "{error}; in namespace {:?} its policy needs variables {{ path \"{prefix}/*\" {{ capabilities \
         = [\"write\", \"destroy\", \"list\"] }} }}",
        place.namespace
    )
}
