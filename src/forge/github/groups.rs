//! Runner groups by name: found once, believed for some minutes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{GitHub, about};
use crate::forge::{Error, Kind};
use crate::github::{Operation, RepositoryRunners, RunnerGroup, RunnersOf};
use crate::ledger::effect::Target;
use crate::ledger::{Repository, ScopeKind, Visibility};
use strangers_text::harmless;

/// A repository has no other.
pub(super) const THE_ONE_OF_A_REPOSITORY: u64 = 1;

const BELIEVED: Duration = Duration::from_secs(10 * 60);

/// What each organization's were when it was last asked. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Groups(Arc<Mutex<Listed>>);

/// By organization: its groups, and when they were listed.
type Listed = BTreeMap<String, (Instant, Arc<Vec<RunnerGroup>>)>;

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

    fn lock(&self) -> MutexGuard<'_, Listed> {
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
        let wanted = |group: &&RunnerGroup| is_meant(group, name);
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

    /// Why jobs of the repository get no runner that is registered in that scope. Nothing where the
    /// credential may not see it.
    pub async fn obstacles(
        &self,
        repository: &Repository,
        scope: ScopeKind,
        group: Option<&str>,
    ) -> Vec<String> {
        if !repository.owned_by_organization {
            return Vec::new();
        }
        let owner = repository.owner();
        let target = Target::Organization(owner.to_owned());
        let client = self.asks.runners(&target);
        let told = match scope {
            ScopeKind::Organization => {
                let visible = client.runner_groups(owner, Some(repository.name())).await;
                let public = repository.visibility == Visibility::Public;
                visible.map(|visible| obstacles(group, &visible, public)).unwrap_or_default()
            }
            ScopeKind::Repository => {
                let allowed = client.repository_runners(owner).await.ok();
                let told = allowed.and_then(|allowed| policy_obstacle(owner, allowed));
                told.into_iter().collect()
            }
        };
        told.into_iter().map(|(what, mend)| format!("{what}; {mend}")).collect()
    }

    async fn groups_of(&self, organization: &str) -> Result<Arc<Vec<RunnerGroup>>, Error> {
        let client = self.asks.runners(&Target::Organization(organization.to_owned()));
        let groups = client.runner_groups(organization, None).await;
        let of = Operation::Runners(RunnersOf::Organization(organization));
        Ok(Arc::new(groups.map_err(|error| about(&error, of, organization))?))
    }
}

/// Why a job of the repository gets no runner of the group although one is there, each with what to
/// do; `visible` are the groups that serve the repository, and `group` is the pool's.
pub fn obstacles(
    group: Option<&str>,
    visible: &[RunnerGroup],
    public: bool,
) -> Vec<(String, String)> {
    const WHERE: &str = "settings of the organization → Actions → Runner groups";
    let named = match group {
        Some(name) => format!("the runner group {name:?}"),
        None => "the default runner group".to_owned(),
    };
    let Some(found) = visible.iter().find(|one| is_meant(one, group)) else {
        return vec![(
            format!("{named} does not serve this repository, so its jobs wait"),
            format!("add the repository to the group ({WHERE}), or set runner_group"),
        )];
    };
    let mut told = Vec::new();
    if public && !found.allows_public_repositories {
        told.push((
            format!("{named} allows no public repositories, so the jobs of this one wait"),
            format!("allow public repositories in the group ({WHERE})"),
        ));
    }
    if found.restricted_to_workflows {
        let workflows = found.selected_workflows.iter().map(|workflow| harmless(workflow));
        told.push((
            format!(
                "{named} runs only jobs of selected workflows ({}); jobs of others wait",
                workflows.collect::<Vec<_>>().join(", ")
            ),
            format!("add the workflows to the group, or allow all ({WHERE})"),
        ));
    }
    told
}

/// The same of an organization's policy, for runners of its repositories.
pub fn policy_obstacle(organization: &str, allowed: RepositoryRunners) -> Option<(String, String)> {
    const WHERE: &str = "settings of the organization → Actions → General → Runners";
    match allowed {
        RepositoryRunners::All => None,
        RepositoryRunners::Selected => Some((
            format!("the organization {organization} allows runners only in selected repositories"),
            format!(
                "make sure that this is one of them ({WHERE}), or use a pool with scope = \"organization\""
            ),
        )),
        RepositoryRunners::None => Some((
            format!("the organization {organization} allows no runners in its repositories"),
            format!("allow them ({WHERE}), or use a pool with scope = \"organization\""),
        )),
    }
}

fn is_meant(group: &RunnerGroup, name: Option<&str>) -> bool {
    match name {
        Some(name) => group.name.eq_ignore_ascii_case(name),
        None => group.default,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, change: impl FnOnce(&mut RunnerGroup)) -> RunnerGroup {
        let mut group = RunnerGroup {
            id: 7,
            name: name.to_owned(),
            default: false,
            allows_public_repositories: false,
            restricted_to_workflows: false,
            selected_workflows: Vec::new(),
        };
        change(&mut group);
        group
    }

    #[test]
    fn a_group_that_serves_the_repository_is_no_obstacle() {
        let groups = [group("big", |_| {}), group("Default", |it| it.default = true)];
        assert!(obstacles(Some("BIG"), &groups, false).is_empty());
        assert!(obstacles(None, &groups, false).is_empty());
    }

    #[test]
    fn what_keeps_jobs_from_the_runners_of_a_group_is_told() {
        let first = |group, groups: &[RunnerGroup], public| {
            let mut told = obstacles(group, groups, public);
            assert_eq!(told.len(), 1);
            told.remove(0).0
        };
        assert_eq!(
            first(Some("big"), &[], false),
            "the runner group \"big\" does not serve this repository, so its jobs wait"
        );
        let big = group("big", |_| {});
        assert!(first(Some("big"), &[big], true).contains("allows no public repositories"));
        let some = group("Default", |it| {
            (it.default, it.restricted_to_workflows) = (true, true);
            it.selected_workflows = vec!["octo/app/ci.yml@main".to_owned()];
        });
        let told = first(None, &[some], false);
        assert!(told.starts_with("the default runner group runs only jobs of"), "{told}");
        assert!(told.contains("(octo/app/ci.yml@main)"), "{told}");
    }

    #[test]
    fn an_organization_that_allows_no_runners_of_repositories_is_told() {
        let told = |allowed| policy_obstacle("octo", allowed);
        assert_eq!(told(RepositoryRunners::All), None);
        assert!(told(RepositoryRunners::None).unwrap().0.contains("allows no runners"));
        assert!(told(RepositoryRunners::Selected).unwrap().0.contains("only in selected"));
    }
}
