//! Accounts: users and organizations.
//!
//! Only what decides who sees what, and whose runners may run which jobs.
//! Read next: `repositories.rs`.

use std::collections::BTreeSet;

use super::model::GitHub;

/// Who owns repositories.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: u64,
    pub login: String,
    pub kind: AccountKind,
}

#[derive(Clone, Debug)]
pub enum AccountKind {
    /// A personal account has no runners of its own (docs, "Self-hosted runners": repository,
    /// organization, enterprise).
    User,
    Organization {
        members: BTreeSet<u64>,
        /// The default runner group serves public repositories only when this is set; otherwise
        /// their jobs stay queued with no error (elastic-fruit-runner#12, conflux#6).
        allows_public_repositories: bool,
    },
}

impl Account {
    #[must_use]
    pub fn is_organization(&self) -> bool {
        matches!(self.kind, AccountKind::Organization { .. })
    }
}

impl GitHub {
    /// Adds a user; an account of that login that is there already is kept as it is.
    pub fn add_user(&mut self, login: &str) -> u64 {
        self.add_account(login, AccountKind::User)
    }

    /// Adds an organization whose members (users' ids) see its private repositories.
    pub fn add_organization(&mut self, login: &str, members: &[u64]) -> u64 {
        let members = members.iter().copied().collect();
        self.add_account(
            login,
            AccountKind::Organization { members, allows_public_repositories: false },
        )
    }

    /// Sets whether the organization's default runner group serves public repositories.
    pub fn allow_public_repositories(&mut self, organization: u64, allow: bool) {
        if let Some(Account {
            kind: AccountKind::Organization { allows_public_repositories, .. },
            ..
        }) = self.accounts.get_mut(&organization)
        {
            *allows_public_repositories = allow;
        }
    }

    /// The account of that login, whose case does not matter.
    #[must_use]
    pub fn account(&self, login: &str) -> Option<&Account> {
        self.accounts.values().find(|account| account.login.eq_ignore_ascii_case(login))
    }

    /// Whether `user` is `account` or a member of it.
    pub(super) fn belongs(&self, user: u64, account: u64) -> bool {
        user == account
            || self.accounts.get(&account).is_some_and(|account| match &account.kind {
                AccountKind::User => false,
                AccountKind::Organization { members, .. } => members.contains(&user),
            })
    }

    fn add_account(&mut self, login: &str, kind: AccountKind) -> u64 {
        if let Some(account) = self.account(login) {
            return account.id;
        }
        let id = self.new_id(33_000_000);
        self.accounts.insert(id, Account { id, login: login.to_owned(), kind });
        id
    }
}
