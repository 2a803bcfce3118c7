//! What policies ask of a run: the forge is asked once a run, when a runner could be launched for
//! it, and again after a failure. What is remembered of it is in `crate::run_questions`.

use std::ops::Bound;

use rand::Rng;

use super::hiring::Obstacle;
use super::{Fold, when_to_retry};
use crate::event::{Answer, RunFacts};
use crate::job::Verdict;
use crate::run_questions::{RunQuestions, Turn};
use crate::state::{Gate, Timer};
use crate::{About, ClassKey, Details, Happened, RepositoryId, Request, RunId, ScopeKey, work};

impl<R: Rng> Fold<'_, R> {
    pub(super) fn run_known(&mut self, run: RunId, answer: Answer<RunFacts>) {
        self.state.run_questions.answered(run);
        let jobs = self.state.by_run.get(&run).cloned().unwrap_or_default();
        let Some(repository) =
            jobs.first().and_then(|id| self.state.jobs.get(id)).map(|job| job.repository)
        else {
            return self.state.run_questions.forget(run);
        };
        match answer {
            Ok(facts) => {
                self.state.run_questions.learn(run, facts.clone());
                if self.state.run_questions.held.remove(&repository).is_some() {
                    self.touch_questions_of(repository);
                }
                for id in jobs {
                    if let Some(job) = self.state.jobs.get_mut(&id) {
                        let said = Details { run: facts.run.clone(), ..Details::default() };
                        job.report.details = Details::or(said.kept(), job.report.details.take());
                    }
                    self.judge_again(id);
                }
            }
            Err(failure) => {
                let before = self.state.run_questions.held.get(&repository);
                // Those that fail together count once.
                let tries = before.map_or(0, |gate| gate.tries + u32::from(gate.until <= self.now));
                let until = when_to_retry(&failure, tries, self.now, self.rng);
                let gate = Gate { reason: failure.reason.clone(), tries, until, probe: None };
                self.state.run_questions.held.insert(repository, gate);
                self.set_timer(until, Timer::RunQuestions(repository));
                for id in jobs {
                    let Some(mut job) = self.state.jobs.get(&id).cloned() else { continue };
                    if matches!(job.verdict, Verdict::AskingRun(_)) {
                        if let Some(key) = self.state.class_of(&job) {
                            self.state.run_questions.want(run, (key, repository));
                        }
                        job.verdict = Verdict::AskingRun(Some(failure.reason.clone()));
                        let reason = failure.reason.clone();
                        self.happened(Happened::RunUnknown { reason }, About::job(&job));
                        self.place(job);
                    }
                }
            }
        }
    }

    /// A repository's questions may be asked again.
    pub(super) fn touch_questions_of(&mut self, repository: RepositoryId) {
        let turns = self.state.run_questions.open();
        let keys: Vec<ClassKey> =
            turns.filter(|(_, of)| *of == repository).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.touch(&key);
        }
    }

    /// Runners that no job needs are there already: whoever could be given them is asked about
    /// before they are let go.
    pub(super) fn ask_about_runs_for_surplus(&mut self) {
        for key in self.classes.clone() {
            let Some(class) = self.state.classes.get(&key) else { continue };
            let supply = self.state.runners.counts(&key).supply;
            let mut surplus = supply.saturating_sub(class.demand());
            let mut from = Bound::Included((key.clone(), RepositoryId(0)));
            while surplus > 0 {
                let next = self.state.run_questions.next(from.clone());
                let Some((turn, run)) = next.filter(|(turn, _)| turn.0 == key) else { break };
                let turn = turn.clone();
                if self.is_held(&turn) {
                    from = Bound::Excluded(turn);
                    continue;
                }
                self.ask_run(&turn, run);
                surplus -= 1;
            }
        }
    }

    /// What room is left goes round those who would use it, as far as is known.
    pub(super) fn ask_about_runs(&mut self) {
        let mut from = self.state.run_questions.after_last();
        let mut wrapped = matches!(from, Bound::Unbounded);
        while self.room_for_questions() {
            let Some((turn, run)) = self.state.run_questions.next(from.clone()) else {
                if std::mem::replace(&mut wrapped, true) {
                    return;
                }
                from = Bound::Unbounded;
                continue;
            };
            let turn = turn.clone();
            let key = &turn.0;
            from = match self.obstacle_but_warm(key) {
                Some(Obstacle::Pool) => {
                    RunQuestions::behind(ClassKey::all_of_pool(&key.pool).into_inner().1)
                }
                None if !self.pool_has_room_for_questions(key) => {
                    RunQuestions::behind(ClassKey::all_of_pool(&key.pool).into_inner().1)
                }
                None if self.is_held(&turn) => match key.scope {
                    ScopeKey::Repository(_) => {
                        RunQuestions::behind(key.runs_of_scope().into_inner().1)
                    }
                    ScopeKey::Organization(_) => Bound::Excluded(turn),
                },
                None if self.would_launch(key) => {
                    self.ask_run(&turn, run);
                    // Whoever was skipped may have room now that it is somebody else's turn.
                    wrapped = false;
                    self.state.run_questions.after_last()
                }
                None | Some(Obstacle::Scope) => {
                    RunQuestions::behind(key.runs_of_scope().into_inner().1)
                }
            };
        }
    }

    fn room_for_questions(&self) -> bool {
        let asking = self.state.run_questions.asking_over_all();
        let taken = self.state.runners.alive() - self.state.warm_of_all();
        taken + asking < self.state.rules.max as usize
    }

    fn pool_has_room_for_questions(&self, key: &ClassKey) -> bool {
        let asking = self.state.run_questions.asking_of(&key.pool);
        let taken = self.state.runners.alive_of_pool(&key.pool) + asking;
        let taken = taken - self.state.warm_of_pool(&key.pool);
        self.state.rules.pool(&key.pool).is_some_and(|pool| taken < pool.max_runners as usize)
    }

    /// Whether a runner would be launched for one more job of the class: its scope has none that
    /// waits in vain.
    fn would_launch(&self, key: &ClassKey) -> bool {
        let mut classes = self.state.classes.range(key.runs_of_scope());
        let waits = classes.any(|(key, class)| {
            work::count(1);
            self.state.runners.counts(key).sent() < class.wanted()
        });
        !waits && self.state.scope_may_try(key, self.now)
    }

    fn is_held(&self, turn: &Turn) -> bool {
        self.state.run_questions.held.get(&turn.1).is_some_and(|gate| gate.until > self.now)
    }

    fn ask_run(&mut self, turn: &Turn, run: RunId) {
        let jobs = self.state.by_run.get(&run).into_iter().flatten();
        let mut jobs = jobs.filter_map(|id| self.state.jobs.get(id));
        let waits = jobs.any(|job| matches!(job.verdict, Verdict::AskingRun(_)));
        let repository = self.state.repositories.get(&turn.1).filter(|_| waits);
        let Some(full_name) = repository.map(|repository| repository.full_name.clone()) else {
            return self.state.run_questions.forget(run);
        };
        self.state.run_questions.ask(run);
        self.request(Request::AskRun { repository: turn.1, full_name, run });
    }
}
