//! Which pool has a job: the first whose repositories and labels match. Pure text matching;
//! what the pool's policy then says is in `policy`.

use std::collections::BTreeSet;
use std::fmt;

use super::{Patterns, Pool, RunId, Topics};

/// `owner/name` patterns.
#[derive(Debug, Clone)]
pub struct RepositoryGlobs(Patterns);

impl RepositoryGlobs {
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        Self(Patterns::new(patterns))
    }

    pub fn matches(&self, full_name: &str) -> bool {
        self.0.matches(full_name)
    }

    /// As it is called now, or by a former name that is written out: a repository that was renamed
    /// or transferred is the same one. What a pattern matched by its owner, or by how it was called,
    /// it matches no more.
    pub fn serves(&self, full_name: &str, former: &[String]) -> bool {
        self.matches(full_name)
            || (!self.0.excludes(full_name) && self.named_before(former).is_some())
    }

    /// The former name that is written out.
    pub fn named_before<'a>(&self, former: &'a [String]) -> Option<&'a str> {
        let outright = |name: &&String| self.matches(name) && self.0.names(name);
        former.iter().rev().find(outright).map(String::as_str)
    }
}

/// Why no pool has a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPool {
    /// `runs-on: {group: …}` without labels: nothing to match.
    NoLabels,
    Repository(String),
    /// Pools name it, and pick by topic.
    Topics {
        repository: String,
        wanted: Vec<String>,
        /// What topics the repository has.
        known: bool,
    },
    Labels(Vec<String>),
}

impl fmt::Display for NoPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPool::NoLabels => f.write_str(
                "the job has no labels (runs-on names only a group); jobs without labels are not \
                 served",
            ),
            NoPool::Repository(name) => write!(f, "no pool serves the repository {name}"),
            NoPool::Topics { repository, wanted, known: true } => write!(
                f,
                "no pool serves the repository {repository}: it has none of the topics {}",
                labels_in_words(wanted)
            ),
            NoPool::Topics { repository, wanted, known: false } => write!(
                f,
                "no pool serves the repository {repository}: whether it has one of the topics {} is not known yet",
                labels_in_words(wanted)
            ),
            NoPool::Labels(labels) => {
                write!(
                    f,
                    "no pool that serves the repository has all labels of the job ({})",
                    labels_in_words(labels)
                )
            }
        }
    }
}

/// Labels that a sentence names; a job may have a hundred of 256 bytes.
const NAMED_LABELS: usize = 10;

/// A job's labels, as a sentence has them.
pub fn labels_in_words(labels: &[String]) -> String {
    let named = labels[..labels.len().min(NAMED_LABELS)].join(", ");
    match labels.len().saturating_sub(NAMED_LABELS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What decides whether a repository is among a pool's.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// `owner/name`.
    pub full_name: &'a str,
    /// Names that it had before.
    pub former: &'a [String],
    /// `None`: not known. Then no pool has it that picks by topic.
    pub topics: Option<&'a Topics>,
}

impl<'a> Candidate<'a> {
    /// Of which nothing is known but its name.
    pub fn named(full_name: &'a str) -> Self {
        Self { full_name, former: &[], topics: None }
    }
}

/// Why no pool has the repository, whatever the job's labels.
pub fn unpicked(pools: &[Pool], candidate: Candidate<'_>) -> NoPool {
    let Candidate { full_name, former, topics } = candidate;
    let named = pools.iter().filter(|pool| pool.repositories.serves(full_name, former));
    let wanted: BTreeSet<&str> =
        named.flat_map(|pool| pool.topics.iter()).map(String::as_str).collect();
    match wanted.is_empty() {
        true => NoPool::Repository(full_name.to_owned()),
        false => NoPool::Topics {
            repository: full_name.to_owned(),
            wanted: wanted.into_iter().map(str::to_owned).collect(),
            known: topics.is_some(),
        },
    }
}

/// The first pool that serves the repository and whose labels cover the job's.
pub fn pool_for<'a>(
    pools: &'a [Pool],
    candidate: Candidate<'_>,
    labels: &[String],
    run: RunId,
) -> Result<&'a Pool, NoPool> {
    if labels.is_empty() {
        return Err(NoPool::NoLabels);
    }
    let mut serving = pools.iter().filter(|pool| pool.serves(candidate)).peekable();
    if serving.peek().is_none() {
        return Err(unpicked(pools, candidate));
    }
    serving.find(|pool| covers(pool, labels, run)).ok_or_else(|| NoPool::Labels(labels.to_vec()))
}

/// Whether all of the job's labels are among the pool's.
pub fn covers(pool: &Pool, labels: &[String], run: RunId) -> bool {
    let run_id = run.to_string();
    labels.iter().all(|wanted| {
        pool.labels.iter().any(|label| {
            if label.contains("{run_id}") {
                label.replace("{run_id}", &run_id).eq_ignore_ascii_case(wanted)
            } else {
                label.eq_ignore_ascii_case(wanted)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::step::testing::pool;
    use super::*;

    fn labels(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn a_star_stays_on_its_side_of_the_slash() {
        let globs = RepositoryGlobs::new(&["octo*/app-*"]);
        assert!(globs.matches("Octocat/App-1"));
        assert!(!globs.matches("octocat/other"));
        assert!(!RepositoryGlobs::new(&["octo*"]).matches("octo/app"));
        assert!(RepositoryGlobs::new(&["*/*"]).matches("a/b"));
        assert!(RepositoryGlobs::new(&["o/a?c"]).matches("o/abc"));
    }

    #[test]
    fn an_exclamation_mark_excludes_wherever_it_stands() {
        let globs = RepositoryGlobs::new(&["!octo/secret", "octo/*"]);
        assert!(globs.matches("octo/app"));
        assert!(!globs.matches("octo/SECRET"));
    }

    #[test]
    fn every_label_of_the_job_must_be_among_the_pools() {
        let pools = [
            pool("small", &["self-hosted", "linux"]),
            pool("big", &["self-hosted", "linux", "gpu"]),
        ];
        let pick = |text: &str| {
            pool_for(&pools, Candidate::named("octo/app"), &labels(text), RunId(1))
                .map(|p| p.name.0.clone())
        };
        assert_eq!(pick("Self-Hosted,LINUX"), Ok("small".into()));
        assert_eq!(pick("gpu"), Ok("big".into()));
        assert_eq!(pick("windows"), Err(NoPool::Labels(labels("windows"))));
        assert_eq!(
            pool_for(&pools, Candidate::named("octo/app"), &[], RunId(1)).err(),
            Some(NoPool::NoLabels)
        );
        assert_eq!(
            pool_for(&pools, Candidate::named("else/app"), &labels("linux"), RunId(1)).err(),
            Some(NoPool::Repository("else/app".into()))
        );
    }

    #[test]
    fn a_pool_with_topics_has_only_repositories_that_carry_one() {
        let mut pools = [pool("picky", &["linux"]), pool("rest", &["linux"])];
        pools[0].topics = vec!["CI".to_owned(), "nomad".to_owned()];
        let picked = |pools: &[Pool], topics: Option<&[&str]>| {
            let topics =
                topics.map(|all| Topics::from_outside(all.iter().map(|one| (*one).into())));
            let candidate = Candidate { topics: topics.as_ref(), ..Candidate::named("octo/app") };
            pool_for(pools, candidate, &labels("linux"), RunId(1))
                .map(|pool| pool.name.0.clone())
                .map_err(|why| why.to_string())
        };
        assert_eq!(picked(&pools, Some(&["ci"])), Ok("picky".into()));
        assert_eq!(picked(&pools, Some(&["other"])), Ok("rest".into()));
        assert_eq!(picked(&pools, None), Ok("rest".into()));
        let why = picked(&pools[..1], Some(&[])).unwrap_err();
        assert!(why.ends_with("it has none of the topics CI, nomad"), "{why}");
        assert!(picked(&pools[..1], None).unwrap_err().ends_with("is not known yet"));
    }

    #[test]
    fn a_label_with_run_id_matches_only_its_run() {
        let pools = [pool("per-run", &["run-{run_id}"])];
        assert!(
            pool_for(&pools, Candidate::named("octo/app"), &labels("run-42"), RunId(42)).is_ok()
        );
        assert!(
            pool_for(&pools, Candidate::named("octo/app"), &labels("run-41"), RunId(42)).is_err()
        );
    }

    proptest! {
        #[test]
        fn a_glob_of_the_name_itself_matches(name in "[a-z]{1,8}/[a-z.-]{1,12}") {
            prop_assert!(RepositoryGlobs::new(&[&name]).matches(&name));
        }

        #[test]
        fn no_pattern_panics(pattern in "[a*?/]{0,12}", name in "[a/]{0,12}") {
            let _ = RepositoryGlobs::new(&[pattern]).matches(&name);
        }
    }
}
