//! Repositories: known by id, for names and visibility change.
//!
//! No content, only what routing and policy look at. Read next: `runs.rs`.

use super::accounts::Account;
use super::model::{GitHub, Millis};

/// Who sees a repository. `internal` exists in enterprises only; its `private` field says true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Private,
    Public,
    Internal,
}

impl Visibility {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
            Self::Internal => "internal",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Repository {
    pub id: u64,
    /// The owner's id.
    pub owner: u64,
    pub name: String,
    pub visibility: Visibility,
    pub allow_forking: bool,
    /// Whether the repository is itself a fork.
    pub fork: bool,
    pub forks_count: u64,
    pub archived: bool,
    /// `owner/name` of before: GitHub redirects them (docs, "Renaming a repository").
    pub former_names: Vec<String>,
    pub topics: Vec<String>,
    pub created_at: Millis,
}

impl GitHub {
    /// Adds `owner/name`; an owner that is not there becomes a user.
    ///
    /// # Panics
    /// When `full_name` is not of the form `owner/name`.
    pub fn add_repository(&mut self, full_name: &str, visibility: Visibility, now: Millis) -> u64 {
        let Some((owner, name)) = full_name.split_once('/') else {
            panic!("{full_name:?} is not owner/name")
        };
        let owner = self.add_user(owner);
        let id = self.new_id(1_000_000_000);
        self.repositories.insert(
            id,
            Repository {
                id,
                owner,
                name: name.to_owned(),
                visibility,
                allow_forking: visibility == Visibility::Public,
                fork: false,
                forks_count: 0,
                archived: false,
                former_names: Vec::new(),
                topics: Vec::new(),
                created_at: now,
            },
        );
        id
    }

    /// The repository with the id, to change it (visibility, forking, …).
    pub fn repository_mut(&mut self, id: u64) -> Option<&mut Repository> {
        self.repositories.get_mut(&id)
    }

    /// The repository that is called `owner/name` now; case does not matter.
    #[must_use]
    pub fn repository(&self, full_name: &str) -> Option<&Repository> {
        let (owner, name) = full_name.split_once('/')?;
        let owner = self.account(owner)?.id;
        self.repositories
            .values()
            .find(|found| found.owner == owner && found.name.eq_ignore_ascii_case(name))
    }

    /// Gives it another name; the old one redirects from now on.
    pub fn rename_repository(&mut self, id: u64, name: &str) {
        let old = self.full_name(id);
        if let Some(repository) = self.repositories.get_mut(&id) {
            repository.former_names.push(old);
            name.clone_into(&mut repository.name);
        }
    }

    /// `owner/name` of the repository.
    #[must_use]
    pub fn full_name(&self, id: u64) -> String {
        let Some(repository) = self.repositories.get(&id) else { return format!("?/{id}") };
        let owner = self.accounts.get(&repository.owner).map_or("?", |owner| &owner.login);
        format!("{owner}/{}", repository.name)
    }

    /// The repository that was once called so.
    pub fn renamed_repository(&self, former: &str) -> Option<&Repository> {
        self.repositories.values().find(|repository| {
            repository.former_names.iter().any(|name| name.eq_ignore_ascii_case(former))
        })
    }

    pub(super) fn with_owner(&self, id: u64) -> Option<(&Repository, &Account)> {
        let repository = self.repositories.get(&id)?;
        Some((repository, self.accounts.get(&repository.owner)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::github;
    use super::*;

    #[test]
    fn a_renamed_repository_is_found_by_both_names() {
        let mut gh = github();
        let id = gh.add_repository("octo/app", Visibility::Private, 0);
        gh.rename_repository(id, "application");
        assert_eq!(gh.repository("Octo/Application").map(|found| found.id), Some(id));
        assert!(gh.repository("octo/app").is_none());
        assert_eq!(gh.renamed_repository("octo/app").map(|found| found.id), Some(id));
    }
}
