//! Lists Nomad's children that are ours by their token, and tells of those that live and that
//! nobody follows: after the database was lost, or an answer was.

use std::collections::BTreeSet;

use tracing::warn;

use super::{Reconciler, repository};
use crate::engine::phase_of;
use crate::ledger::event::ChildPhase;
use crate::ledger::observation::{Found, Observation};
use crate::ledger::{Repository, Time, runner_name};
use crate::nomad::{Error, JobStatus, Place};

impl Reconciler {
    /// Whether every namespace has answered.
    pub(super) async fn list_children(&self) -> bool {
        let mut found = Vec::new();
        for place in self.places() {
            match self.children_at(&place).await {
                Ok(children) => found.extend(children),
                Err(error) => {
                    warn!(%error, namespace = place.namespace, "children not listed");
                    return false;
                }
            }
        }
        self.tell(Observation::Children(found));
        true
    }

    fn places(&self) -> Vec<Place> {
        let own = self.nomad.place();
        let places = self.settings.pools.iter().map(|pool| {
            let namespace = pool.namespace.clone().unwrap_or_else(|| own.namespace.clone());
            (namespace, pool.region.clone().or_else(|| own.region.clone()))
        });
        let distinct: BTreeSet<_> = places.collect();
        distinct.into_iter().map(|(namespace, region)| Place { namespace, region }).collect()
    }

    async fn children_at(&self, place: &Place) -> Result<Vec<Found>, Error> {
        let prefix = &self.settings.runners.name_prefix;
        let listed = self.nomad.children_by_token_prefix(place, &format!("{prefix}-")).await?;
        let followed = self.known.borrow().children.clone();
        let mut found = Vec::new();
        for stub in listed.into_iter().filter(|stub| !followed.contains(&stub.id)) {
            let counts = &stub.counts;
            let at_work = counts.starting + counts.running + counts.unknown > 0;
            if stub.status == JobStatus::Dead && !at_work {
                continue;
            }
            let job = match self.nomad.job(place, &stub.id).await {
                Ok(job) => job,
                Err(Error::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let Some(token) = job.dispatch_idempotency_token else { continue };
            let Some((name, scope)) = token.split_once('@') else { continue };
            if runner_name::pool_of(prefix, name).is_none() {
                continue;
            }
            let phase = phase_of(&self.nomad, place, &stub.id).await?;
            if let ChildPhase::Ended { .. } = phase {
                continue;
            }
            let scope = scope.split_once('#').map_or(scope, |(scope, _)| scope);
            found.push(Found {
                repository: self.repository_of(scope).await.map(Box::new),
                nameless: !job.meta.contains_key("runner_name"),
                parent: stub.parent_id.unwrap_or_default(),
                namespace: Some(place.namespace.clone()),
                region: place.region.clone(),
                submitted_at: Time::from(job.submit_time),
                child: stub.id,
                token,
                phase,
            });
        }
        Ok(found)
    }

    /// The repository that a token's scope names; `None` for an organization, or where GitHub
    /// does not know it any more.
    async fn repository_of(&self, scope: &str) -> Option<Repository> {
        let (owner, _) = scope.split_once('/')?;
        let client = self.forges.client(owner).ok()?;
        client.repository(scope).await.ok().map(|wire| repository(&wire))
    }
}
