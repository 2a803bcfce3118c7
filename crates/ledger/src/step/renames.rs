//! Repositories that are called otherwise than before. They are known by their ids, so a pool that
//! names one outright serves it on, and whoever runs this is told what to write.
//!
//! A name that another repository has taken means that one from then on.

use rand::Rng;

use super::Fold;
use crate::{About, Happened, JobId, Renamed, Repository, RepositoryId, State};

impl State {
    /// What to change in the config, for each repository that a pool serves by a former name only.
    pub fn former_names(&self) -> Vec<(&Repository, Renamed)> {
        let told = self.repositories.values().filter(|repository| !repository.former.is_empty());
        told.filter_map(|repository| {
            let now = &repository.full_name;
            let by_former = self.rules.pools.iter().filter(|pool| {
                !pool.repositories.matches(now) && pool.repositories.serves(now, &repository.former)
            });
            let pools = by_former.clone().map(|pool| pool.name.clone()).collect();
            let before = by_former
                .filter_map(|pool| pool.repositories.named_before(&repository.former))
                .next()?;
            let before = before.to_owned();
            Some((repository, Renamed { before, now: now.clone(), pools }))
        })
        .collect()
    }
}

impl<R: Rng> Fold<'_, R> {
    pub(super) fn name_changed(&mut self, id: RepositoryId) {
        let Some(repository) = self.state.repositories.get(&id) else { return };
        let name = repository.full_name.to_lowercase();
        let others: Vec<RepositoryId> = self
            .state
            .repositories
            .values()
            .filter(|other| {
                other.id != id && other.former.iter().any(|was| was.to_lowercase() == name)
            })
            .map(|other| other.id)
            .collect();
        for other in others {
            self.forget_former_name(other, &name);
        }
        self.tell_of_former_names_of(|repository| repository.id == id);
    }

    /// Former names that another repository has by now mean that one.
    pub(super) fn drop_taken_names(&self, repository: &mut Repository) {
        if repository.former.is_empty() {
            return;
        }
        let id = repository.id;
        let others = || self.state.repositories.values().filter(|other| other.id != id);
        repository.former.retain(|was| !others().any(|it| it.full_name.eq_ignore_ascii_case(was)));
    }

    fn forget_former_name(&mut self, id: RepositoryId, name: &str) {
        let Some(repository) = self.state.repositories.get_mut(&id) else { return };
        repository.former.retain(|was| was.to_lowercase() != name);
        let record = crate::Record::Repository(Box::new(repository.clone()));
        self.effects.records.push(record);
        let jobs: Vec<JobId> =
            self.state.by_repository.get(&id).into_iter().flatten().copied().collect();
        for job in jobs {
            self.judge_again(job);
        }
    }

    /// After a start and with new rules, for it holds until somebody writes it.
    pub(super) fn tell_of_former_names(&mut self) {
        self.tell_of_former_names_of(|_| true);
    }

    fn tell_of_former_names_of(&mut self, whose: impl Fn(&Repository) -> bool) {
        let told = self.state.former_names().into_iter().filter(|(it, _)| whose(it));
        let told: Vec<(About, Renamed)> = told
            .map(|(repository, renamed)| (About::repository(&repository.full_name), renamed))
            .collect();
        for (about, renamed) in told {
            self.happened(Happened::RepositoryRenamed(renamed), about);
        }
    }
}
