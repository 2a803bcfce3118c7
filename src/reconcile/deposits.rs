//! Lists the credentials that lie somewhere under names of ours: after a crash one may be left that nobody
//! needs. What is to be removed is the ledger's to say.

use std::collections::BTreeSet;

use tracing::warn;

use super::Reconciler;
use crate::deposit::{Below, Deposits};
use crate::engine;
use crate::ledger::NomadPlace;
use crate::ledger::deposit::Keeper;
use crate::ledger::observation::Observation;

impl Reconciler {
    /// After the children, so that what one of them is about to read is not taken for left.
    pub(super) async fn list_deposits(&self) {
        let rules = engine::rules(&self.settings);
        let kept: BTreeSet<(Keeper, NomadPlace, Below)> = rules
            .pools
            .iter()
            .filter_map(|pool| {
                let (rule, place) = (pool.deposit_rule()?, rules.place_of(pool));
                let below = Below::of(rule, place.clone(), &rules.name_prefix);
                Some((rule.keeper, place, below))
            })
            .collect();
        let deposits = Deposits::new(self.nomad.clone(), self.vault.clone());
        for (keeper, place, below) in kept {
            match deposits.list(&below).await {
                Ok(found) => self.tell(Observation::Deposits { keeper, place, found }),
                Err(failure) => {
                    let NomadPlace { namespace, region } = &place;
                    warn!(reason = failure.reason, namespace, region, "listing credentials failed");
                }
            }
        }
    }
}
