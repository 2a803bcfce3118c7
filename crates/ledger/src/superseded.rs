//! Robots' runs that a newer push to the same branch has made pointless: which may be, as far as webhooks
//! tell (`Superseded`), and whether one is, by what the forge says of both (`judge`). What follows is in
//! `step::superseding`.
//!
//! Nothing of it is stored. After a start the open jobs tell the same again, and a run that was cancelled
//! already is over when it is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::{Job, JobId, RepositoryId, RunId};

/// What runs have in common that can supersede each other, as far as webhooks tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Branch {
    pub repository: RepositoryId,
    pub name: String,
    /// The workflow's name.
    pub workflow: String,
}

/// Open jobs of pools with `cancel_superseded`, by branch and run, and what is done about runs.
#[derive(Debug, Default)]
pub struct Superseded {
    of_job: BTreeMap<JobId, (Branch, RunId)>,
    branches: BTreeMap<Branch, OnBranch>,
    pub runs: BTreeMap<RunId, Superseding>,
    /// Where people know that nothing can be cancelled.
    pub told: BTreeSet<RepositoryId>,
}

#[derive(Debug, Default)]
struct OnBranch {
    runs: BTreeMap<RunId, OfRun>,
    /// Robots' runs none of whose jobs has begun, and nothing is being done about.
    idle: BTreeSet<RunId>,
    /// Which pairs the forge was asked about.
    asked: BTreeSet<(RunId, RunId)>,
}

#[derive(Debug, Default)]
struct OfRun {
    jobs: BTreeSet<JobId>,
    begun: bool,
    head_sha: Option<String>,
}

/// What is being done about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseding {
    pub repository: RepositoryId,
    /// One of its jobs, whose story it belongs to.
    pub job: JobId,
    /// The run that has made it pointless.
    pub newer: RunId,
    pub phase: Phase,
    /// Questions and requests that failed in a row.
    pub tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The forge is asked about both runs.
    Looking,
    Cancelling,
    /// The forge has taken the request, which may do nothing (gjsify#1548): looked at once more later.
    Cancelled,
    LookingAgain,
    /// By force, once.
    Forcing,
    /// Nothing more is done.
    Settled,
}

impl Superseded {
    /// An open job of a pool that cancels; says on which branch.
    pub fn put(&mut self, job: &Job) -> Option<Branch> {
        let (id, run) = (job.id(), job.report.run);
        let (Some(name), Some(workflow)) = (&job.report.head_branch, &job.report.workflow) else {
            self.remove(id);
            return None;
        };
        let (name, workflow) = (name.clone(), workflow.clone());
        let branch = Branch { repository: job.repository, name, workflow };
        if self.of_job.get(&id).is_some_and(|known| *known != (branch.clone(), run)) {
            self.remove(id);
        }
        self.of_job.insert(id, (branch.clone(), run));
        let on = self.branches.entry(branch.clone()).or_default();
        let of = on.runs.entry(run).or_default();
        of.jobs.insert(id);
        of.begun |= job.report.status.has_begun();
        let head_sha = job.report.details.as_ref().and_then(|details| details.head_sha.clone());
        of.head_sha = of.head_sha.take().or(head_sha);
        if of.begun {
            on.idle.remove(&run);
        } else if job.robot && !self.runs.contains_key(&run) {
            on.idle.insert(run);
        }
        Some(branch)
    }

    pub fn remove(&mut self, job: JobId) {
        let Some((branch, run)) = self.of_job.remove(&job) else { return };
        let Some(on) = self.branches.get_mut(&branch) else { return };
        let Some(of) = on.runs.get_mut(&run) else { return };
        of.jobs.remove(&job);
        if !of.jobs.is_empty() {
            return;
        }
        on.runs.remove(&run);
        on.idle.remove(&run);
        on.asked.retain(|(older, newer)| *older != run && *newer != run);
        // The answer to a request may come after the end that it brought about.
        let asked = self.runs.get(&run).map(|it| it.phase);
        if !matches!(asked, Some(Phase::Cancelling | Phase::Forcing)) {
            self.runs.remove(&run);
        }
        if on.runs.is_empty() {
            self.branches.remove(&branch);
        }
    }

    /// Pairs of a robot's run and the newest of another commit that was not asked about, which may
    /// have made it pointless. From here on something is being done about them.
    pub fn take_pairs(&mut self, branch: &Branch) -> Vec<(RunId, RunId)> {
        let Some(on) = self.branches.get_mut(branch) else { return Vec::new() };
        let OnBranch { runs, idle, asked } = on;
        let newer_than = |older: RunId| {
            let sha = runs.get(&older).and_then(|of| of.head_sha.as_ref());
            let mut newer = runs.range((Bound::Excluded(older), Bound::Unbounded)).rev();
            let other = |of: &OfRun| sha.is_none() || of.head_sha.as_ref() != sha;
            newer
                .find(|(newer, of)| other(of) && !asked.contains(&(older, **newer)))
                .map(|(newer, _)| (older, *newer))
        };
        let pairs: Vec<(RunId, RunId)> = idle.iter().copied().filter_map(newer_than).collect();
        for (older, newer) in &pairs {
            idle.remove(older);
            asked.insert((*older, *newer));
            let Some(job) = runs.get(older).and_then(|of| of.jobs.first()) else { continue };
            let superseding = Superseding {
                repository: branch.repository,
                job: *job,
                newer: *newer,
                phase: Phase::Looking,
                tries: 0,
            };
            self.runs.insert(*older, superseding);
        }
        pairs
    }

    /// Another run may have made it pointless all the same, now or later; says on which branch.
    pub fn give_back(&mut self, run: RunId, job: JobId) -> Option<Branch> {
        self.runs.remove(&run);
        let (branch, _) = self.of_job.get(&job)?.clone();
        self.branches.get_mut(&branch)?.idle.insert(run);
        Some(branch)
    }
}

/// A run as the forge shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOnBranch {
    pub id: RunId,
    /// Counted by workflow.
    pub number: Option<u64>,
    pub workflow: Option<u64>,
    pub event: String,
    pub branch: Option<String>,
    /// A pull request comes from the branch of this name, so it is no tag.
    pub has_pull_request: bool,
    pub head_repository: Option<RepositoryId>,
    pub head_sha: Option<String>,
    /// Who caused it, and who its latest attempt.
    pub actors: Vec<String>,
    pub over: bool,
}

/// All that decides whether the older run may be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub older: RunOnBranch,
    pub newer: RunOnBranch,
    pub default_branch: Option<String>,
    /// A runner has begun with a job of the older one, or has done one.
    pub begun: bool,
    /// The most runs that wait in one of its concurrency groups, itself among them.
    pub pending: usize,
}

/// Why a run is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Over,
    Begun,
    NotNewer,
    OtherHead,
    Event,
    DefaultBranch,
    NotARobots,
    /// Its concurrency group has a queue, whose order may matter.
    Queue,
}

impl Kept {
    /// Another newer run may say otherwise.
    pub fn is_of_the_pair(self) -> bool {
        matches!(self, Kept::NotNewer | Kept::OtherHead | Kept::Queue)
    }
}

/// Whether the newer run has made the older one pointless.
pub fn judge(pair: &Pair, robots: &[String]) -> Result<(), Kept> {
    let Pair { older, newer, default_branch, begun, pending } = pair;
    if older.over {
        return Err(Kept::Over);
    }
    if *begun {
        return Err(Kept::Begun);
    }
    let is_newer = match (older.number, newer.number) {
        (Some(older), Some(newer)) => older < newer,
        _ => older.id < newer.id,
    };
    if !is_newer || older.head_sha.is_none() || older.head_sha == newer.head_sha {
        return Err(Kept::NotNewer);
    }
    let same = older.workflow.is_some()
        && older.workflow == newer.workflow
        && older.event == newer.event
        && older.branch.is_some()
        && older.branch == newer.branch
        && older.head_repository.is_some()
        && older.head_repository == newer.head_repository;
    if !same {
        return Err(Kept::OtherHead);
    }
    // A push may be that of a tag, which looks the same.
    let of_a_branch = match older.event.as_str() {
        "pull_request" => true,
        "push" => older.has_pull_request,
        _ => false,
    };
    if !of_a_branch {
        return Err(Kept::Event);
    }
    if default_branch.is_none() || *default_branch == older.branch {
        return Err(Kept::DefaultBranch);
    }
    let is_robot = |actor: &String| robots.iter().any(|robot| robot.eq_ignore_ascii_case(actor));
    if older.actors.is_empty() || !older.actors.iter().all(is_robot) {
        return Err(Kept::NotARobots);
    }
    if *pending > 1 { Err(Kept::Queue) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: u64) -> RunOnBranch {
        RunOnBranch {
            id: RunId(id),
            number: Some(id),
            workflow: Some(7),
            event: "pull_request".to_owned(),
            branch: Some("renovate/serde".to_owned()),
            has_pull_request: true,
            head_repository: Some(RepositoryId(1)),
            head_sha: Some(format!("sha {id}")),
            actors: vec!["renovate[bot]".to_owned(), "Renovate[bot]".to_owned()],
            over: false,
        }
    }

    fn judged(change: impl FnOnce(&mut Pair)) -> Result<(), Kept> {
        let mut pair = Pair {
            older: run(1),
            newer: run(2),
            default_branch: Some("main".to_owned()),
            begun: false,
            pending: 1,
        };
        change(&mut pair);
        judge(&pair, &["renovate[bot]".to_owned()])
    }

    fn both(event: &str) -> impl FnOnce(&mut Pair) {
        move |pair| {
            event.clone_into(&mut pair.older.event);
            event.clone_into(&mut pair.newer.event);
        }
    }

    #[test]
    fn a_robots_run_of_an_older_push_is_superseded() {
        assert_eq!(judged(|_| {}), Ok(()));
        assert_eq!(judged(both("push")), Ok(()));
    }

    #[test]
    fn whatever_may_matter_is_kept() {
        let same = |pair: &mut Pair| pair.newer.head_sha.clone_from(&pair.older.head_sha);
        type Change = Box<dyn FnOnce(&mut Pair)>;
        let cases: [(Kept, Change); 18] = [
            (Kept::Over, Box::new(|pair| pair.older.over = true)),
            (Kept::Begun, Box::new(|pair| pair.begun = true)),
            (Kept::NotNewer, Box::new(|pair| pair.newer.number = Some(1))),
            (Kept::NotNewer, Box::new(same)),
            (Kept::NotNewer, Box::new(|pair| pair.older.head_sha = None)),
            (Kept::OtherHead, Box::new(|pair| pair.newer.workflow = Some(8))),
            (Kept::OtherHead, Box::new(|pair| pair.newer.event = "push".to_owned())),
            (Kept::OtherHead, Box::new(|pair| pair.newer.branch = None)),
            (Kept::OtherHead, Box::new(|pair| pair.newer.head_repository = Some(RepositoryId(2)))),
            (Kept::OtherHead, Box::new(|pair| pair.older.head_repository = None)),
            (Kept::Event, Box::new(both("merge_group"))),
            (Kept::Event, Box::new(both("schedule"))),
            (Kept::Event, Box::new(both("workflow_dispatch"))),
            (Kept::DefaultBranch, Box::new(|pair| pair.default_branch = None)),
            (
                Kept::DefaultBranch,
                Box::new(|pair| {
                    pair.default_branch.clone_from(&pair.older.branch);
                }),
            ),
            (Kept::NotARobots, Box::new(|pair| pair.older.actors.push("octocat".to_owned()))),
            (Kept::NotARobots, Box::new(|pair| pair.older.actors.clear())),
            (Kept::Queue, Box::new(|pair| pair.pending = 2)),
        ];
        for (kept, change) in cases {
            assert_eq!(judged(change), Err(kept));
        }
        let tag = |pair: &mut Pair| {
            both("push")(pair);
            pair.older.has_pull_request = false;
        };
        assert_eq!(judged(tag), Err(Kept::Event), "it may be a tag");
    }
}
