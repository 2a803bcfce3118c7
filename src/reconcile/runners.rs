//! Lists the runners of every scope, those whose names are of our form.

use std::collections::BTreeMap;

use tracing::debug;

use super::Reconciler;
use crate::forge::ListMemory;
use crate::ledger::effect::Target;
use crate::ledger::observation::{Observation, Registered};
use crate::ledger::runner_name;

/// The last listing of each scope, by its name.
pub type Memory = BTreeMap<String, ListMemory<Registered>>;

impl Reconciler {
    pub(super) async fn list_runners(&self, targets: Vec<Target>, memory: &mut Memory) {
        let prefix = &self.settings.runners.name_prefix;
        for target in targets {
            let Ok(forge) = self.forges.of(target.owner()) else { continue };
            let memory = memory.entry(format!("{target:?}")).or_default();
            match forge.runners(&target, memory).await {
                Ok(mut runners) => {
                    runners.retain(|runner| runner_name::pool_of(prefix, &runner.name).is_some());
                    self.tell(Observation::Runners { target, runners });
                }
                Err(error) => debug!(scope = target.name(), %error, "runners not listed"),
            }
        }
    }
}
