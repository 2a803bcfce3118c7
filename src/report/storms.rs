//! Robots' runs that a newer run of the same repository, workflow, branch and event made pointless before they
//! had ended, and the merges that caused them: a merge has every open update branch rebased, and each of them
//! starts its workflows once more. Pure: it sees jobs in the order in which they ended.

use std::collections::{BTreeSet, HashMap};

use super::period::Period;
use crate::ledger::Time;
use crate::store::Brief;

/// A run is judged when this has passed since its end: by then the run that superseded it has ended too, and
/// was seen. Longer than a job may wait (a day) and take (five days).
const SETTLED: i64 = 7 * DAY;
const DAY: i64 = 86_400_000;
/// Between a merge and the rebases that it causes.
const REBASED_WITHIN: i64 = 30 * MINUTE;
/// Rebases that no merge is known for belong together if there is no longer pause between them.
const PAUSE: i64 = 10 * MINUTE;
const MINUTE: i64 = 60_000;
/// How many jobs are seen before what is old enough is judged.
const AT_ONCE: u32 = 50_000;
/// How many of a branch's newest runs are looked through for that of a job: those that may be unfinished.
const LATEST: usize = 256;
/// Branches that are merged into. A job does not say which is the default branch.
const TRUNKS: [&str; 2] = ["main", "master"];
/// One superseded run is no storm.
const LEAST: u64 = 2;
/// The worst that are shown.
const SHOWN: usize = 20;

/// What counts of a job here.
#[derive(Debug)]
pub struct Seen<'r> {
    repository: u64,
    name: &'r str,
    branch: &'r str,
    workflow: Option<&'r str>,
    event: Option<&'r str>,
    run: u64,
    robot: bool,
    created: i64,
    ended: i64,
    /// When a runner of ours began with it.
    started: Option<Time>,
    minutes: u64,
    cost: u64,
    commit: Option<u64>,
}

impl<'r> Seen<'r> {
    pub fn of(job: &'r Brief<'_>, started: Option<Time>, minutes: u64, cost: u64) -> Option<Self> {
        let branch = job.branch()?;
        let trunk = TRUNKS.contains(&branch);
        if !job.is_of_robot() && !trunk {
            return None;
        }
        Some(Self {
            repository: job.repository,
            name: &job.repository_name,
            branch,
            workflow: job.workflow(),
            event: job.event(),
            run: job.run,
            robot: job.is_of_robot(),
            created: job.created_at?.0,
            ended: job.over_at()?.0,
            started,
            minutes,
            cost,
            commit: job.commit,
        })
    }
}

/// Runs that supersede each other. Names are numbers in `Names`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Branch {
    repository: u64,
    name: u32,
    workflow: u32,
    event: u32,
}

#[derive(Debug)]
struct Run {
    id: u64,
    created: i64,
    ended: i64,
    /// `i64::MAX`: no runner of ours began with a job of it.
    began: i64,
    commit: Option<u64>,
    minutes: u64,
    cost: u64,
    /// It stays for a while, for it may have superseded one that is not over yet.
    judged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Merge {
    created: i64,
    run: u64,
}

#[derive(Debug)]
struct Superseded {
    branch: Branch,
    /// When the newer run was made.
    at: i64,
    merge: Option<Merge>,
    minutes: u64,
    avoidable: u64,
    cost: u64,
}

#[derive(Debug, Default)]
pub struct Storms {
    names: Names,
    branches: HashMap<Branch, Vec<Run>>,
    /// Runs on a trunk, by repository.
    merges: HashMap<u64, Vec<Merge>>,
    /// What each repository was called last.
    called: HashMap<u64, u32>,
    found: Vec<Superseded>,
    /// By repository and workflow: robots' runs that took minutes, and how many.
    usual: HashMap<(u64, u32), (u64, u64)>,
    seen: u32,
}

#[derive(Debug, Default)]
struct Names {
    known: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.known.get(name) {
            return *number;
        }
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.insert(name.to_owned(), number);
        number
    }

    fn name(&self, number: u32) -> Option<&str> {
        self.known.iter().find(|(_, known)| **known == number).map(|(name, _)| name.as_str())
    }
}

/// What one merge caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storm {
    pub repository: String,
    /// When its first rebase started a run.
    pub at: Time,
    /// The run of the merge on `main` or `master`, and when it was made.
    pub merge: Option<(u64, Time)>,
    pub branches: u64,
    pub runs: SupersededRuns,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SupersededRuns {
    pub runs: u64,
    pub minutes: u64,
    /// Of these: of runs that no runner had begun when they were superseded.
    pub avoidable_minutes: u64,
    /// Runs that no runner began at all.
    pub cancelled: u64,
    /// What those would have taken, if they were like the others of their workflow.
    pub saved_minutes: u64,
    pub cost: u64,
}

impl Storms {
    pub fn see(&mut self, job: Seen<'_>, period: &Period) {
        let called = self.names.number(job.name);
        self.called.insert(job.repository, called);
        if TRUNKS.contains(&job.branch) {
            if !matches!(job.event, Some("schedule" | "workflow_dispatch")) {
                let merges = self.merges.entry(job.repository).or_default();
                match merges.iter_mut().rev().take(LATEST).find(|merge| merge.run == job.run) {
                    Some(merge) => merge.created = merge.created.min(job.created),
                    None => merges.push(Merge { created: job.created, run: job.run }),
                }
            }
        } else {
            let branch = Branch {
                repository: job.repository,
                name: self.names.number(job.branch),
                workflow: self.names.number(job.workflow.unwrap_or_default()),
                event: self.names.number(job.event.unwrap_or_default()),
            };
            debug_assert!(job.robot, "others are not seen");
            let runs = self.branches.entry(branch).or_default();
            let began = job.started.map_or(i64::MAX, |started| started.0);
            match runs.iter_mut().rev().take(LATEST).find(|run| run.id == job.run) {
                Some(run) => {
                    run.created = run.created.min(job.created);
                    run.ended = run.ended.max(job.ended);
                    run.began = run.began.min(began);
                    run.commit = run.commit.or(job.commit);
                    run.minutes += job.minutes;
                    run.cost += job.cost;
                }
                None => runs.push(Run {
                    id: job.run,
                    created: job.created,
                    ended: job.ended,
                    began,
                    commit: job.commit,
                    minutes: job.minutes,
                    cost: job.cost,
                    judged: false,
                }),
            }
        }
        self.seen += 1;
        if self.seen.is_multiple_of(AT_ONCE) {
            self.settle(job.ended.saturating_sub(SETTLED), period);
        }
    }

    /// Judges the runs that ended before then, and forgets those that ended long before.
    fn settle(&mut self, before: i64, period: &Period) {
        for (branch, runs) in &mut self.branches {
            runs.sort_unstable_by_key(|run| (run.created, run.id));
            for (index, run) in
                runs.iter().enumerate().filter(|(_, run)| run.ended < before && !run.judged)
            {
                if run.minutes > 0 {
                    let usual = self.usual.entry((branch.repository, branch.workflow)).or_default();
                    *usual = (usual.0 + 1, usual.1 + run.minutes);
                }
                let other = |newer: &&Run| run.commit.is_none() || newer.commit != run.commit;
                let newer = runs[index + 1..].iter().find(other).map(|newer| newer.created);
                let Some(at) = newer.filter(|at| *at < run.ended) else { continue };
                if period.index_of(Time(at)).is_none() {
                    continue;
                }
                let merges = self.merges.get(&branch.repository).map_or(&[][..], Vec::as_slice);
                let just_before =
                    |merge: &&Merge| (at - REBASED_WITHIN..=at).contains(&merge.created);
                self.found.push(Superseded {
                    branch: *branch,
                    at,
                    merge: merges
                        .iter()
                        .filter(just_before)
                        .max_by_key(|merge| merge.created)
                        .copied(),
                    minutes: run.minutes,
                    avoidable: if run.began >= at { run.minutes } else { 0 },
                    cost: run.cost,
                });
            }
            runs.retain(|run| run.ended >= before.saturating_sub(SETTLED));
            runs.iter_mut().for_each(|run| run.judged |= run.ended < before);
        }
        self.branches.retain(|_, runs| !runs.is_empty());
        for merges in self.merges.values_mut() {
            merges.retain(|merge| merge.created >= before.saturating_sub(SETTLED));
        }
    }

    /// The worst first, and what all superseded runs come to. `named` is what a repository is called now.
    pub fn finish(
        mut self,
        period: &Period,
        named: impl Fn(u64) -> Option<String>,
    ) -> (Vec<Storm>, SupersededRuns) {
        self.settle(i64::MAX, period);
        let mut all = SupersededRuns::default();
        let mut found = std::mem::take(&mut self.found);
        // Those of one repository together, and of one merge.
        found.sort_by_key(|one| (one.branch.repository, one.at));
        let mut gathered: Vec<Gathered> = Vec::new();
        for one in &found {
            all.add(one, &self.usual);
            if !gathered.last().is_some_and(|storm| storm.goes_on_with(one)) {
                let called = self.called.get(&one.branch.repository);
                let called = || self.names.name(*called?).map(str::to_owned);
                let repository = named(one.branch.repository).or_else(called).unwrap_or_default();
                gathered.push(Gathered::begin(repository, one));
            }
            if let Some(storm) = gathered.last_mut() {
                storm.last = one.at;
                storm.branches.insert(one.branch.name);
                storm.told.runs.add(one, &self.usual);
            }
        }
        let told = gathered
            .into_iter()
            .map(|storm| Storm { branches: storm.branches.len() as u64, ..storm.told });
        let mut storms: Vec<Storm> = told.filter(|storm| storm.runs.runs >= LEAST).collect();
        storms.sort_by_key(|storm| {
            std::cmp::Reverse((storm.runs.minutes, storm.runs.runs, storm.at))
        });
        storms.truncate(SHOWN);
        (storms, all)
    }
}

/// A storm while its runs are gathered.
struct Gathered {
    told: Storm,
    repository: u64,
    merge: Option<Merge>,
    branches: BTreeSet<u32>,
    last: i64,
}

impl Gathered {
    fn begin(repository: String, first: &Superseded) -> Self {
        let told = Storm {
            repository,
            at: Time(first.at),
            merge: first.merge.map(|merge| (merge.run, Time(merge.created))),
            branches: 0,
            runs: SupersededRuns::default(),
        };
        Self {
            told,
            repository: first.branch.repository,
            merge: first.merge,
            branches: BTreeSet::new(),
            last: first.at,
        }
    }

    /// The next one, by its time, belongs to it too.
    fn goes_on_with(&self, one: &Superseded) -> bool {
        self.repository == one.branch.repository
            && self.merge == one.merge
            && (self.merge.is_some() || one.at - self.last <= PAUSE)
    }
}

impl SupersededRuns {
    fn add(&mut self, one: &Superseded, usual: &HashMap<(u64, u32), (u64, u64)>) {
        self.runs += 1;
        self.minutes += one.minutes;
        self.avoidable_minutes += one.avoidable;
        self.cost += one.cost;
        if one.minutes == 0 {
            self.cancelled += 1;
            let of_workflow = usual.get(&(one.branch.repository, one.branch.workflow));
            self.saved_minutes += of_workflow.map_or(0, |(runs, minutes)| minutes / runs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_793_491_200_000; // 2026-11-01

    fn period() -> Period {
        Period::read(&["2026-11".to_owned()], None, Time(START + 5 * DAY)).unwrap()
    }

    fn seen(branch: &'static str, run: u64, minute: i64, ended: i64) -> Seen<'static> {
        Seen {
            repository: 1,
            name: "octo/app",
            branch,
            workflow: Some("CI"),
            event: None,
            run,
            robot: true,
            created: START + minute * MINUTE,
            ended: START + ended * MINUTE,
            started: Some(Time(START + (ended - 3) * MINUTE)),
            minutes: 3,
            cost: 18_000,
            commit: Some(run),
        }
    }

    fn told(mut jobs: Vec<Seen<'static>>) -> (Vec<Storm>, SupersededRuns) {
        let period = period();
        jobs.sort_by_key(|job| job.ended);
        let mut storms = Storms::default();
        jobs.into_iter().for_each(|job| storms.see(job, &period));
        storms.finish(&period, |_| None)
    }

    /// Two branches wait or run, something is merged, and both are rebased.
    fn a_merge() -> Vec<Seen<'static>> {
        vec![
            seen("renovate/a", 1, 0, 12),
            // Has begun already when it is superseded.
            seen("renovate/b", 2, 0, 12),
            seen("main", 3, 9, 20),
            seen("renovate/a", 4, 10, 30),
            seen("renovate/b", 5, 11, 33),
        ]
    }

    #[test]
    fn a_merge_supersedes_the_runs_of_every_branch_that_it_has_rebased() {
        let mut jobs = a_merge();
        jobs[0].started = Some(Time(START + 10 * MINUTE));
        let (storms, all) = told(jobs);
        let runs = SupersededRuns {
            runs: 2,
            minutes: 6,
            avoidable_minutes: 3,
            cancelled: 0,
            saved_minutes: 0,
            cost: 36_000,
        };
        let storm = Storm {
            repository: "octo/app".to_owned(),
            at: Time(START + 10 * MINUTE),
            merge: Some((3, Time(START + 9 * MINUTE))),
            branches: 2,
            runs: runs.clone(),
        };
        assert_eq!((storms, all), (vec![storm], runs));
    }

    #[test]
    fn a_run_that_was_cancelled_while_it_waited_saved_what_others_take() {
        let mut jobs = a_merge();
        (jobs[0].minutes, jobs[0].cost, jobs[0].started) = (0, 0, None);
        let (_, all) = told(jobs);
        assert_eq!((all.runs, all.minutes, all.cancelled, all.saved_minutes), (2, 3, 1, 3));
    }

    #[test]
    fn what_does_not_supersede() {
        let none = |change: fn(&mut Seen<'static>)| {
            let mut jobs = vec![seen("renovate/a", 1, 0, 12), seen("renovate/a", 4, 10, 30)];
            change(&mut jobs[1]);
            told(jobs).1.runs
        };
        assert_eq!(none(|_| {}), 1);
        assert_eq!(none(|job| job.created = START + 12 * MINUTE), 0, "after its end");
        assert_eq!(none(|job| job.commit = Some(1)), 0, "the same commit");
        assert_eq!(none(|job| job.workflow = Some("Lint")), 0);
        assert_eq!(none(|job| job.event = Some("schedule")), 0);
        assert_eq!(none(|job| job.branch = "renovate/b"), 0);
        assert_eq!(none(|job| job.repository = 2), 0);
        assert_eq!(none(|job| job.run = 1), 0, "another job of the run");
    }

    #[test]
    fn without_a_known_merge_what_is_close_together_is_one_storm() {
        let mut jobs = a_merge();
        jobs.remove(2);
        let later = |minute| {
            let mut two = [
                seen("renovate/a", 90, minute, minute + 9),
                seen("renovate/a", 91, minute + 1, minute + 20),
            ];
            two[1].run += minute as u64;
            two[0].run += minute as u64;
            two
        };
        jobs.extend(later(300));
        let (storms, all) = told(jobs);
        assert_eq!((storms.len(), all.runs), (1, 3), "one alone is no storm");
        assert_eq!((storms[0].merge, storms[0].branches), (None, 2));
    }

    #[test]
    fn what_is_judged_early_is_judged_the_same() {
        let whole = told(a_merge());
        let period = period();
        let mut storms = Storms::default();
        for job in a_merge() {
            let ended = job.ended;
            storms.see(job, &period);
            storms.settle(ended - SETTLED, &period);
        }
        storms.settle(START + 2 * SETTLED, &period);
        assert!(storms.branches.is_empty());
        assert_eq!(storms.finish(&period, |_| None), whole);
    }
}
