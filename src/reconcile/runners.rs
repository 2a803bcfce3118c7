//! Lists the runners of every scope, those whose names are of our form. An unchanged list
//! costs no rate limit.

use std::collections::BTreeMap;

use tracing::debug;

use super::Reconciler;
use crate::engine::runners_of;
use crate::github::{Conditional, Runner};
use crate::ledger::effect::Target;
use crate::ledger::observation::{Observation, Registered};
use crate::ledger::runner_name;

/// The last listing of each scope, by its name, and its tag.
pub type Memory = BTreeMap<String, (Option<String>, Vec<Runner>)>;

impl Reconciler {
    pub(super) async fn list_runners(&self, targets: Vec<Target>, memory: &mut Memory) {
        for target in targets {
            let Ok(client) = self.forges.client(target.owner()) else { continue };
            let key = format!("{target:?}");
            let etag = memory.get(&key).and_then(|(etag, _)| etag.clone());
            match client.runners_if_changed(runners_of(&target), etag.as_deref()).await {
                Ok(Conditional::Unchanged) => {}
                Ok(Conditional::Fresh { value, etag }) => {
                    memory.insert(key.clone(), (etag, value));
                }
                Err(error) => {
                    debug!(scope = target.name(), %error, "runners not listed");
                    continue;
                }
            }
            let prefix = &self.settings.runners.name_prefix;
            let listed = memory.get(&key).into_iter().flat_map(|(_, runners)| runners.iter());
            let ours = listed.filter(|runner| runner_name::pool_of(prefix, &runner.name).is_some());
            let runners = ours
                .map(|runner| Registered {
                    id: runner.id,
                    name: runner.name.clone(),
                    busy: runner.busy,
                })
                .collect();
            self.tell(Observation::Runners { target, runners });
        }
    }
}
