//! Lists Nomad's children that are ours by their token, and tells of those that live and that
//! nobody follows: after the database was lost, or an answer was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::warn;

use super::Reconciler;
use crate::engine::{named, phase_of, tell, went_away};
use crate::forge;
use crate::ledger::event::{ChildPhase, NomadTrouble};
use crate::ledger::observation::{Found, Observation};
use crate::ledger::{Event, Repository, Time, runner_name};
use crate::nomad::{Error, JobStatus, Place};

/// Between tries to list a place, for until then nobody is hired there.
const LIST_AGAIN: Duration = Duration::from_secs(2);
/// While the forge does not say where children belong, each is asked about again: at growing distances, up to
/// this.
const LIST_AGAIN_AT_MOST: Duration = Duration::from_secs(30);

impl Reconciler {
    /// Lists what has not been listed since the start, until all has been.
    pub(super) async fn list_what_is_not(self: &Arc<Self>) {
        let listed = self.listed.borrow().clone();
        let left: Vec<Place> = self.places.difference(&listed).cloned().collect();
        let mut tasks = JoinSet::new();
        for place in left {
            let this = self.clone();
            tasks.spawn(async move { this.list_until_it_answers(&place).await });
        }
        tasks.join_all().await;
    }

    async fn list_until_it_answers(&self, place: &Place) {
        let mut told = None;
        let mut distance = LIST_AGAIN;
        loop {
            let mut pause = LIST_AGAIN;
            let trouble = match self.list_children(place).await {
                Ok(None) => break,
                Ok(Some(child)) => {
                    pause = distance;
                    distance = LIST_AGAIN_AT_MOST.min(2 * distance);
                    Event::NomadAway { place: named(place), trouble: NomadTrouble::Unplaced(child) }
                }
                Err(error) => went_away(place, &error),
            };
            if let Event::NomadAway { trouble, .. } = &trouble
                && told.as_ref() != Some(trouble)
            {
                told = Some(trouble.clone());
                let Place { namespace, region } = place;
                warn!(reason = %format_args!("Nomad {trouble}"), namespace, region, "listing children failed");
            }
            // Closed: the daemon is shutting down, and so is this task.
            let _ = self.events.send(trouble);
            tokio::time::sleep(pause).await;
        }
        self.listed.send_if_modified(|listed| listed.insert(place.clone()));
    }

    /// Lists all; where that came to nothing, or not to an end.
    pub(super) async fn list_all_children(self: &Arc<Self>) -> BTreeSet<Place> {
        let mut tasks = JoinSet::new();
        for place in self.places.clone() {
            let this = self.clone();
            tasks.spawn(async move {
                let whole = match this.list_children(&place).await {
                    Ok(unplaced) => unplaced.is_none(),
                    Err(error) => {
                        let Place { namespace, region } = &place;
                        warn!(%error, namespace, region, "listing children failed");
                        false
                    }
                };
                (!whole).then_some(place)
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Tells of what nobody follows there; a child of which the forge does not say yet where it
    /// belongs, with why.
    async fn list_children(&self, place: &Place) -> Result<Option<String>, Error> {
        let mut found = Vec::new();
        let listed = self.children_at(place, &mut found).await;
        tell(&self.health, &self.nomad, place, listed.as_ref().err());
        self.tell(Observation::Children(found));
        listed
    }

    async fn children_at(
        &self,
        place: &Place,
        found: &mut Vec<Found>,
    ) -> Result<Option<String>, Error> {
        let prefix = &self.settings.runners.name_prefix;
        let listed = self.nomad.children_by_token_prefix(place, &format!("{prefix}-")).await?;
        let followed = self.asking.known().await.unwrap_or_default().children;
        let mut unplaced = None;
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
            let asked_at = Time::from(self.clock.now());
            let phase = phase_of(&self.nomad, place, &stub.id).await?;
            if let ChildPhase::Ended { .. } = phase {
                continue;
            }
            let scope = scope.split_once('#').map_or(scope, |(scope, _)| scope);
            let repository = match self.repository_of(scope).await {
                Ok(repository) => repository,
                // Taken up by a later listing, when it is known where it belongs.
                Err(error) => {
                    warn!(%error, child = stub.id, "child of ours not adopted yet");
                    unplaced.get_or_insert(format!("{}: {error}", stub.id));
                    continue;
                }
            };
            found.push(Found {
                repository: repository.map(Box::new),
                nameless: !job.meta.contains_key("runner_name"),
                parent: stub.parent_id.unwrap_or_default(),
                place: named(place),
                submitted_at: Time::from(job.submit_time),
                child: stub.id,
                token,
                phase,
                asked_at,
            });
        }
        Ok(unplaced)
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
