//! Lists Nomad's children that are ours by their token, and tells of those that live and that
//! nobody follows: after the database was lost, or an answer was.

use std::collections::BTreeSet;

use tracing::warn;

use super::Reconciler;
use crate::engine::phase_of;
use crate::forge;
use crate::ledger::event::ChildPhase;
use crate::ledger::observation::{Found, Observation};
use crate::ledger::{Repository, Time, runner_name};
use crate::nomad::{Error, JobStatus, Place};

/// How far a listing of children came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listed {
    Whole,
    /// A namespace refuses.
    InPart,
    /// GitHub does not say yet where a child belongs.
    Unplaced,
    /// Nomad is away.
    No,
}

impl Reconciler {
    /// Tells of what nobody follows, once every namespace has answered, be it by a refusal.
    /// At the start also once it is known of each where it belongs: with the first listing hiring
    /// begins, and who is left out of it would be hired for once more.
    pub(super) async fn list_children(&self, at_start: bool) -> Listed {
        let mut found = Vec::new();
        let mut listed = Listed::Whole;
        for place in self.places() {
            match self.children_at(&place, &mut found).await {
                Ok(less) => listed = listed.max(less),
                Err(error) => {
                    warn!(%error, namespace = place.namespace, "children not listed");
                    if let Error::Unavailable { .. } = error {
                        return Listed::No;
                    }
                    listed = listed.max(Listed::InPart);
                }
            }
        }
        if listed != Listed::Unplaced || !at_start {
            self.tell(Observation::Children(found));
        }
        listed
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

    async fn children_at(&self, place: &Place, found: &mut Vec<Found>) -> Result<Listed, Error> {
        let prefix = &self.settings.runners.name_prefix;
        let listed = self.nomad.children_by_token_prefix(place, &format!("{prefix}-")).await?;
        let followed = self.asking.known().await.unwrap_or_default().children;
        let mut whole = Listed::Whole;
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
            let asked_at = Time::from(jiff::Timestamp::now());
            let phase = phase_of(&self.nomad, place, &stub.id).await?;
            if let ChildPhase::Ended { .. } = phase {
                continue;
            }
            let scope = scope.split_once('#').map_or(scope, |(scope, _)| scope);
            let repository = match self.repository_of(scope).await {
                Ok(repository) => repository,
                // Taken up by a later listing, when it is known where it belongs.
                Err(error) => {
                    warn!(%error, child = stub.id, "child of ours not taken up yet");
                    whole = Listed::Unplaced;
                    continue;
                }
            };
            found.push(Found {
                repository: repository.map(Box::new),
                nameless: !job.meta.contains_key("runner_name"),
                parent: stub.parent_id.unwrap_or_default(),
                namespace: Some(place.namespace.clone()),
                region: place.region.clone(),
                submitted_at: Time::from(job.submit_time),
                child: stub.id,
                token,
                phase,
                asked_at,
            });
        }
        Ok(whole)
    }

    /// The repository that a token's scope names; `None` for an organization, or where GitHub
    /// does not show it any more.
    async fn repository_of(&self, scope: &str) -> Result<Option<Repository>, forge::Error> {
        if !scope.contains('/') {
            return Ok(None);
        }
        let Ok(forge) = self.forges.of_repository(scope) else { return Ok(None) };
        match forge.repository(scope).await {
            Ok(repository) => Ok(Some(repository)),
            Err(error) if error.refuses() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
