//! Which jobs a pool's policy accepts. Looked at again with every event of the repository and
//! every answer about it, so that what turned public or forkable yesterday is not served today.

use super::{Pool, Repository, ScopeKind, Visibility};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Allowed,
    /// Only GitHub can say whether the run's head is a fork: one GET of the run.
    AskFork,
    Refused(String),
}

/// What `pool` says of a job of `repository` whose head is, as far as known, a fork or not.
pub fn judge(pool: &Pool, repository: &Repository, fork: Option<bool>) -> Judgement {
    let name = &pool.name;
    let of = &repository.full_name;
    if pool.scope == ScopeKind::Organization && !repository.owned_by_organization {
        return Judgement::Refused(format!(
            "pool {name} registers runners with organizations, and {of} belongs to a personal \
             account; use a pool with scope = \"repository\""
        ));
    }
    if repository.visibility == Visibility::Public && !pool.public_repositories {
        return Judgement::Refused(format!(
            "{of} is public, and pool {name} does not allow public repositories \
             (public_repositories = true allows them)"
        ));
    }
    if pool.forks {
        return Judgement::Allowed;
    }
    // What is known comes first: a fork whose repository was deleted since is a fork all the same,
    // and no longer counted among the forks. Anybody may fork a public repository at any moment.
    let may_be_fork = repository.forkable || repository.visibility == Visibility::Public;
    match fork {
        None if may_be_fork => Judgement::AskFork,
        None | Some(false) => Judgement::Allowed,
        Some(true) => Judgement::Refused(format!(
            "the run comes from a fork of {of}, and pool {name} does not allow forks \
             (forks = true allows them)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::testing::{pool, repository};
    use super::*;

    #[test]
    fn public_repositories_are_refused_unless_allowed() {
        let mut pool = pool("x64", &["linux"]);
        let mut repo = repository(1, "octo/app");
        repo.visibility = Visibility::Public;
        assert!(
            matches!(judge(&pool, &repo, None), Judgement::Refused(why) if why.contains("public"))
        );
        pool.public_repositories = true;
        assert_eq!(judge(&pool, &repo, Some(false)), Judgement::Allowed);
    }

    #[test]
    fn a_fork_is_asked_about_only_where_there_can_be_one() {
        let mut pool = pool("x64", &["linux"]);
        let mut repo = repository(1, "octo/app");
        assert_eq!(judge(&pool, &repo, None), Judgement::Allowed);
        repo.forkable = true;
        assert_eq!(judge(&pool, &repo, None), Judgement::AskFork);
        assert_eq!(judge(&pool, &repo, Some(false)), Judgement::Allowed);
        assert!(matches!(judge(&pool, &repo, Some(true)), Judgement::Refused(_)));
        pool.forks = true;
        assert_eq!(judge(&pool, &repo, None), Judgement::Allowed);
    }

    #[test]
    fn a_known_fork_is_refused_although_its_repository_counts_no_forks_any_more() {
        let pool = pool("x64", &["linux"]);
        let repo = repository(1, "octo/app");
        assert!(!repo.forkable);
        assert!(matches!(judge(&pool, &repo, Some(true)), Judgement::Refused(_)));
    }

    #[test]
    fn a_public_repository_can_always_have_a_fork() {
        let pool = Pool { public_repositories: true, ..pool("x64", &["linux"]) };
        let mut repo = repository(1, "octo/app");
        repo.visibility = Visibility::Public;
        assert_eq!(judge(&pool, &repo, None), Judgement::AskFork);
    }

    #[test]
    fn a_personal_account_has_no_organization_runners() {
        let mut pool = pool("x64", &["linux"]);
        pool.scope = ScopeKind::Organization;
        let mut repo = repository(1, "octo/app");
        repo.owned_by_organization = false;
        assert!(
            matches!(judge(&pool, &repo, None), Judgement::Refused(why) if why.contains("personal"))
        );
    }
}
