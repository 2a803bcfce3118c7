//! Lists the runners of every scope, those whose names are of our form.

use std::collections::{BTreeMap, BTreeSet};

use tracing::debug;

use super::Reconciler;
use crate::config::Pool;
use crate::forge::ListMemory;
use crate::ledger::effect::Target;
use crate::ledger::observation::{Observation, Registered};
use crate::ledger::runner_name;
use crate::nomad::Place;

/// The last listing of each scope, by its name.
pub type Listings = BTreeMap<String, ListMemory<Registered>>;

impl Reconciler {
    /// But for those whose children are, or may be, where Nomad did not show them a moment ago:
    /// one that nobody knows is deleted.
    pub(super) async fn list_runners(
        &self,
        targets: Vec<Target>,
        unlisted: &BTreeSet<Place>,
        listings: &mut Listings,
    ) {
        let prefix = &self.settings.runners.name_prefix;
        let told = |name: &str| {
            let Some(pool) = runner_name::pool_of(prefix, name) else { return false };
            match self.settings.pools.iter().find(|known| known.name == pool) {
                Some(pool) => !unlisted.contains(&self.place_of(pool)),
                None => unlisted.is_empty(),
            }
        };
        for target in targets {
            let Ok(forge) = self.forges.of(target.owner()) else { continue };
            let memory = listings.entry(format!("{target:?}")).or_default();
            match forge.runners(&target, memory).await {
                Ok(mut runners) => {
                    runners.retain(|runner| told(&runner.name));
                    self.tell(Observation::Runners { target, runners });
                }
                Err(error) => debug!(scope = target.name(), %error, "runners not listed"),
            }
        }
    }

    fn place_of(&self, pool: &Pool) -> Place {
        let own = self.nomad.place();
        Place {
            namespace: pool.namespace.as_ref().unwrap_or(&own.namespace).clone(),
            region: pool.region.as_ref().or(own.region.as_ref()).cloned(),
        }
    }
}
