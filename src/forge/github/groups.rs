//! Runner groups by name: found once, believed for some minutes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{GitHub, about};
use crate::forge::{Error, Kind};
use crate::github::{Operation, RunnerGroup, RunnersOf};
use crate::ledger::effect::Target;

/// A repository has no other.
pub(super) const THE_ONE_OF_A_REPOSITORY: u64 = 1;

const BELIEVED: Duration = Duration::from_secs(10 * 60);

/// What each organization's were when it was last asked. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Groups(Arc<Mutex<BTreeMap<String, (Instant, Arc<Vec<RunnerGroup>>)>>>);

impl Groups {
    fn get(&self, organization: &str) -> Option<Arc<Vec<RunnerGroup>>> {
        let known = self.lock();
        let (since, groups) = known.get(&organization.to_ascii_lowercase())?;
        (since.elapsed() < BELIEVED).then(|| groups.clone())
    }

    fn put(&self, organization: &str, groups: Arc<Vec<RunnerGroup>>) {
        self.lock().insert(organization.to_ascii_lowercase(), (Instant::now(), groups));
    }

    pub(super) fn forget(&self, organization: &str) {
        self.lock().remove(&organization.to_ascii_lowercase());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Instant, Arc<Vec<RunnerGroup>>)>> {
        // Every entry is whole whatever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GitHub {
    /// The id of an organization's group; `None`: of its default one.
    pub(super) async fn group_id(
        &self,
        organization: &str,
        name: Option<&str>,
    ) -> Result<u64, Error> {
        let wanted = |group: &&RunnerGroup| match name {
            Some(name) => group.name.eq_ignore_ascii_case(name),
            None => group.default,
        };
        let known = self.groups.get(organization);
        let known = known.and_then(|groups| groups.iter().find(wanted).map(|group| group.id));
        if let Some(id) = known {
            return Ok(id);
        }
        let groups = self.groups_of(organization).await?;
        let found = groups.iter().find(wanted).map(|group| group.id);
        self.groups.put(organization, groups.clone());
        found.ok_or_else(|| no_such(organization, name, &groups))
    }

    async fn groups_of(&self, organization: &str) -> Result<Arc<Vec<RunnerGroup>>, Error> {
        let client = self.asks.runners(&Target::Organization(organization.to_owned()));
        let groups = client.runner_groups(organization, None).await;
        let of = Operation::Runners(RunnersOf::Organization(organization));
        Ok(Arc::new(groups.map_err(|error| about(&error, of, organization))?))
    }
}

fn no_such(organization: &str, name: Option<&str>, groups: &[RunnerGroup]) -> Error {
    let (what, mend) = match name {
        Some(name) => {
            let names: Vec<String> =
                groups.iter().map(|group| format!("{:?}", group.name)).collect();
            let has = format!("set runner_group to one of {}", names.join(", "));
            (format!("the organization {organization} has no runner group named {name:?}"), has)
        }
        None => (
            format!("the organization {organization} shows no default runner group"),
            "set runner_group".to_owned(),
        ),
    };
    Error { kind: Kind::NotFound, what, mend: Some(mend), retry_after: None }
}
