//! Which jobs a pool's policy accepts. Looked at again with every event of the repository and
//! every answer about it, so that what turned public or forkable yesterday is not served today.

use super::{Job, Patterns, Pool, Repository, RunCause, ScopeKind, Visibility};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Allowed,
    /// Only the forge can say, by one GET of the run.
    AskRun,
    Refused(String),
}

/// What is known of a job's run, as far as policies depend on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Whether its head is a fork.
    pub fork: Option<bool>,
    pub cause: Option<&'a RunCause>,
}

impl<'a> Known<'a> {
    pub fn of(job: &'a Job) -> Self {
        Self { fork: job.fork, cause: job.cause.as_ref() }
    }
}

/// What `pool` says of a job of `repository` whose run is known so far.
pub fn judge(pool: &Pool, repository: &Repository, run: Known<'_>) -> Judgement {
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
    // What is known comes first: a fork whose repository was deleted since is a fork all the same,
    // and no longer counted among the forks. Anybody may fork a public repository at any moment.
    let may_be_fork = repository.forkable || repository.visibility == Visibility::Public;
    let ask_fork = match run.fork {
        _ if pool.forks => false,
        None => may_be_fork,
        Some(false) => false,
        Some(true) => {
            return Judgement::Refused(format!(
                "the run comes from a fork of {of}, and pool {name} does not allow forks \
                 (forks = true allows them)"
            ));
        }
    };
    let asks_cause = match run.cause {
        None => !pool.events.is_any() || !pool.actors.is_any(),
        Some(cause) => match refused_cause(pool, cause) {
            Some(why) => return Judgement::Refused(why),
            None => false,
        },
    };
    if ask_fork || asks_cause { Judgement::AskRun } else { Judgement::Allowed }
}

/// What the forge does not say, no pattern allows.
fn refused_cause(pool: &Pool, cause: &RunCause) -> Option<String> {
    let name = &pool.name;
    let allows = |patterns: &Patterns, said: &Option<String>| {
        patterns.is_any() || said.as_ref().is_some_and(|said| patterns.matches(said))
    };
    let said = |said: &Option<String>| said.clone().unwrap_or_else(|| "unknown".to_owned());
    if !allows(&pool.events, &cause.event) {
        return Some(format!(
            "the run's event is {}, which events of pool {name} does not allow",
            said(&cause.event)
        ));
    }
    (!allows(&pool.actors, &cause.actor)).then(|| {
        format!(
            "the run's actor is {}, whom actors of pool {name} does not allow",
            said(&cause.actor)
        )
    })
}

/// The keys of a pool that make its policy depend on the run, for a sentence.
pub fn restricts(pool: &Pool) -> String {
    let keys = [
        (!pool.forks, "forks"),
        (!pool.events.is_any(), "events"),
        (!pool.actors.is_any(), "actors"),
    ];
    let keys: Vec<&str> = keys.into_iter().filter_map(|(does, key)| does.then_some(key)).collect();
    keys.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::super::step::testing::{pool, repository};
    use super::*;

    fn fork(fork: bool) -> Known<'static> {
        Known { fork: Some(fork), cause: None }
    }

    #[test]
    fn public_repositories_are_refused_unless_allowed() {
        let mut pool = pool("x64", &["linux"]);
        let mut repo = repository(1, "octo/app");
        repo.visibility = Visibility::Public;
        assert!(
            matches!(judge(&pool, &repo, Known::default()), Judgement::Refused(why) if why.contains("public"))
        );
        pool.public_repositories = true;
        assert_eq!(judge(&pool, &repo, fork(false)), Judgement::Allowed);
    }

    #[test]
    fn a_fork_is_asked_about_only_where_there_can_be_one() {
        let mut pool = pool("x64", &["linux"]);
        let mut repo = repository(1, "octo/app");
        assert_eq!(judge(&pool, &repo, Known::default()), Judgement::Allowed);
        repo.forkable = true;
        assert_eq!(judge(&pool, &repo, Known::default()), Judgement::AskRun);
        assert_eq!(judge(&pool, &repo, fork(false)), Judgement::Allowed);
        assert!(matches!(judge(&pool, &repo, fork(true)), Judgement::Refused(_)));
        pool.forks = true;
        assert_eq!(judge(&pool, &repo, Known::default()), Judgement::Allowed);
    }

    #[test]
    fn a_known_fork_is_refused_although_its_repository_counts_no_forks_any_more() {
        let pool = pool("x64", &["linux"]);
        let repo = repository(1, "octo/app");
        assert!(!repo.forkable);
        assert!(matches!(judge(&pool, &repo, fork(true)), Judgement::Refused(_)));
    }

    #[test]
    fn a_public_repository_can_always_have_a_fork() {
        let pool = Pool { public_repositories: true, ..pool("x64", &["linux"]) };
        let mut repo = repository(1, "octo/app");
        repo.visibility = Visibility::Public;
        assert_eq!(judge(&pool, &repo, Known::default()), Judgement::AskRun);
    }

    #[test]
    fn a_personal_account_has_no_organization_runners() {
        let mut pool = pool("x64", &["linux"]);
        pool.scope = ScopeKind::Organization;
        let mut repo = repository(1, "octo/app");
        repo.owned_by_organization = false;
        assert!(
            matches!(judge(&pool, &repo, Known::default()), Judgement::Refused(why) if why.contains("personal"))
        );
    }

    fn caused(event: &str, actor: Option<&str>) -> RunCause {
        RunCause { event: Some(event.to_owned()), actor: actor.map(str::to_owned) }
    }

    #[test]
    fn a_run_is_asked_about_only_where_events_or_actors_are_restricted() {
        let mut pool = pool("x64", &["linux"]);
        let repo = repository(1, "octo/app");
        assert_eq!(judge(&pool, &repo, Known::default()), Judgement::Allowed);
        for (events, actors) in [("push", "*"), ("*", "octocat")] {
            (pool.events, pool.actors) = (Patterns::new(&[events]), Patterns::new(&[actors]));
            assert_eq!(judge(&pool, &repo, Known::default()), Judgement::AskRun);
            let cause = caused("push", Some("Octocat"));
            let known = Known { fork: None, cause: Some(&cause) };
            assert_eq!(judge(&pool, &repo, known), Judgement::Allowed);
            // A fork is asked about all the same, where there can be one.
            let forked = Repository { forkable: true, ..repo.clone() };
            assert_eq!(judge(&pool, &forked, known), Judgement::AskRun);
        }
    }

    #[test]
    fn events_and_actors_that_the_pool_does_not_allow_are_refused_by_name() {
        let mut pool = pool("x64", &["linux"]);
        let repo = repository(1, "octo/app");
        pool.events = Patterns::new(&["*", "!pull_request_target"]);
        pool.actors = Patterns::new(&["*", "!mallory"]);
        for (cause, refused) in [
            (caused("push", Some("octocat")), None),
            (caused("pull_request_target", Some("octocat")), Some("event is pull_request_target")),
            (caused("push", Some("Mallory")), Some("actor is Mallory")),
            (caused("push", None), Some("actor is unknown")),
            (RunCause::default(), Some("event is unknown")),
        ] {
            let judged = judge(&pool, &repo, Known { fork: None, cause: Some(&cause) });
            match refused {
                None => assert_eq!(judged, Judgement::Allowed),
                Some(why) => {
                    assert!(matches!(&judged, Judgement::Refused(told) if told.contains(why)));
                }
            }
        }
        pool.actors = Patterns::any();
        let cause = caused("push", None);
        let known = Known { fork: None, cause: Some(&cause) };
        assert_eq!(judge(&pool, &repo, known), Judgement::Allowed, "nobody asks who it was");
    }
}
