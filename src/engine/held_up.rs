//! Why children of ours do not get to work although nothing has ended: the scheduler's reason where
//! there is no place, the task's where an image or an archive does not come.
//!
//! The list of children says neither, so both are asked for child by child: a few at a time, and
//! again by and by while they wait. `children` says whom to ask about.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::RunnerName;
use crate::nomad::{Allocation, Client, Error, Place, why_not_placed};

/// The scheduler has looked at a new child by then, and a task has begun to fetch what it needs.
pub const SOON: Duration = Duration::from_secs(1);
/// So often it is asked so soon, then rarely.
const SOON_TIMES: u32 = 5;
const RARELY: Duration = Duration::from_secs(30);
/// Children of one parameterized job wait for the same, most likely.
const OF_ONE_JOB: usize = 4;
/// Of whom it is asked after one look.
const AT_ONCE: usize = 8;

/// A child that does not work yet.
#[derive(Debug, Clone)]
pub struct Idle {
    pub child: String,
    pub runner: RunnerName,
    pub placed: bool,
}

/// Who has been asked about, and when it is time to ask again.
#[derive(Default)]
pub struct HeldUp {
    asked: BTreeMap<RunnerName, Asked>,
}

struct Asked {
    times: u32,
    again: Instant,
    told: Option<String>,
}

impl HeldUp {
    /// When there is something to ask next.
    pub fn next(&self) -> Option<Instant> {
        self.asked.values().map(|asked| asked.again).min()
    }

    /// What has changed since it was told last. `idle` is everybody who does not work at this moment.
    pub async fn ask(
        &mut self,
        nomad: &Client,
        place: &Place,
        idle: &[Idle],
    ) -> Vec<(RunnerName, Option<String>)> {
        let mut news = self.over(idle);
        let due = self.due(idle, Instant::now());
        let mut questions = tokio::task::JoinSet::new();
        for idle in due {
            let (nomad, place) = (nomad.clone(), place.clone());
            questions.spawn(async move {
                let why = match idle.placed {
                    true => {
                        nomad.allocations(&place, &idle.child).await.map(|all| not_started(&all))
                    }
                    false => not_placed(&nomad, &place, &idle.child).await,
                };
                (idle.runner, why)
            });
        }
        for (runner, why) in questions.join_all().await {
            let Some(asked) = self.asked.get_mut(&runner) else { continue };
            asked.times += 1;
            // A reason stays for a while; without one, somebody is about to have it.
            let soon = asked.times < SOON_TIMES && !matches!(why, Ok(Some(_)));
            asked.again = Instant::now() + if soon { SOON } else { RARELY };
            if let Ok(why) = why
                && why != asked.told
            {
                asked.told.clone_from(&why);
                news.push((runner, why));
            }
        }
        news
    }

    /// Whoever had a reason, and works by now.
    fn over(&self, idle: &[Idle]) -> Vec<(RunnerName, Option<String>)> {
        let told = self.asked.iter().filter(|(_, asked)| asked.told.is_some());
        let over = told.filter(|(runner, _)| idle.iter().all(|idle| idle.runner != **runner));
        over.map(|(runner, _)| (runner.clone(), None)).collect()
    }

    /// Whom to ask about now; whoever is not idle any more is forgotten.
    fn due(&mut self, idle: &[Idle], now: Instant) -> Vec<Idle> {
        let mut of_job: BTreeMap<&str, usize> = BTreeMap::new();
        // Ids of one job's children ascend with the time of their dispatch.
        let mut sorted: Vec<&Idle> = idle.iter().collect();
        sorted.sort_by(|one, other| one.child.cmp(&other.child));
        let asked_about: Vec<&Idle> = sorted
            .into_iter()
            .filter(|idle| {
                let job = idle.child.rsplit_once("/dispatch-").map_or("", |(job, _)| job);
                let count = of_job.entry(job).or_default();
                *count += 1;
                idle.placed || *count <= OF_ONE_JOB
            })
            .collect();
        self.asked.retain(|runner, _| asked_about.iter().any(|idle| idle.runner == *runner));
        let mut due: Vec<(Instant, &Idle)> = asked_about
            .into_iter()
            .map(|idle| {
                let asked = self.asked.entry(idle.runner.clone());
                let asked = asked.or_insert(Asked { times: 0, again: now, told: None });
                (asked.again, idle)
            })
            .filter(|(again, _)| *again <= now)
            .collect();
        due.sort_by_key(|(again, _)| *again);
        due.into_iter().take(AT_ONCE).map(|(_, idle)| idle.clone()).collect()
    }
}

async fn not_placed(nomad: &Client, place: &Place, child: &str) -> Result<Option<String>, Error> {
    let evaluations = nomad.evaluations(place, child).await?;
    Ok(why_not_placed(&evaluations).map(|why| format!("Nomad has no room for it: {why}")))
}

/// Of the last allocation, for the ones before have ended.
fn not_started(allocations: &[Allocation]) -> Option<String> {
    let last = allocations.last()?;
    let trouble = last.trouble()?;
    Some(format!("its task does not start on {}: {trouble}", last.node_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(job: &str, number: u32, placed: bool) -> Idle {
        let child = format!("{job}/dispatch-{number}-ab");
        Idle { runner: child.as_str().into(), child, placed }
    }

    #[test]
    fn many_that_wait_for_the_same_are_a_few_questions() {
        let mut held_up = HeldUp::default();
        let now = Instant::now();
        let mut all: Vec<Idle> = (100..400).map(|number| idle("a", number, false)).collect();
        all.extend((100..103).map(|number| idle("b", number, false)));
        let due = held_up.due(&all, now);
        let children: Vec<&str> = due.iter().map(|idle| idle.child.as_str()).collect();
        assert_eq!(children.len(), OF_ONE_JOB + 3, "{children:?}");
        assert!(children.contains(&"a/dispatch-100-ab") && children.contains(&"b/dispatch-102-ab"));
        let images: Vec<Idle> = (100..400).map(|number| idle("a", number, true)).collect();
        assert_eq!(held_up.due(&images, now).len(), AT_ONCE);
        assert!(held_up.due(&[], now).is_empty() && held_up.next().is_none());
    }

    #[test]
    fn who_was_asked_about_waits_for_its_turn() {
        let mut held_up = HeldUp::default();
        let now = Instant::now();
        let all = [idle("a", 1, false), idle("b", 1, true)];
        assert_eq!(held_up.due(&all, now).len(), 2);
        for asked in held_up.asked.values_mut() {
            asked.again = now + SOON;
            asked.told = Some("no place".to_owned());
        }
        assert!(held_up.due(&all, now).is_empty());
        assert_eq!(held_up.next(), Some(now + SOON));
        assert_eq!(held_up.due(&all, now + SOON).len(), 2);
        assert!(held_up.over(&all).is_empty());
        assert_eq!(held_up.over(&all[1..]), [(all[0].runner.clone(), None)], "it works by now");
    }
}
