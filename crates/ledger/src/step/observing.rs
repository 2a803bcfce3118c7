//! Folds what sweeps and listings show: jobs whose webhooks never came, children and runners
//! that are ours and unknown. After a start nobody is let go before all of it was seen once.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::IteratorRandom;

use super::Fold;
use super::deposits::adopted_deposit;
use super::job_events::{Source, merge};
use crate::effect::Target;
use crate::event::ChildPhase;
use crate::observation::{Found, Observation, Registered};
use crate::pool::{CredentialKind, Delivery};
use crate::runner::{Runner, RunnerState, Sending, Took};
use crate::state::NomadState;
use crate::{
    About, ClassKey, Happened, JobId, JobReport, JobStatus, PoolName, Release, Repository,
    RepositoryId, Request, RunId, RunnerName, ScopeKey, Time, runner_name,
};

/// How many jobs that a look lacks are asked for by id at once.
const MISSING_AT_ONCE: usize = 20;

impl<R: Rng> Fold<'_, R> {
    pub(super) fn observed(&mut self, observation: Observation) {
        match observation {
            Observation::Swept { repository, reports, began, unseen, cut } => {
                let missing = self.swept(*repository, reports, began);
                if !cut {
                    self.ask_for_missing(missing, &unseen);
                }
            }
            Observation::SweepRefused { repository, full_name, reason } => {
                self.sweep_refused(repository, &full_name, &reason);
            }
            Observation::SweptAll => {
                self.state.swept.all = true;
            }
            Observation::Deposits { keeper, place, found } => {
                self.deposits_listed(keeper, &place, found);
            }
            Observation::Runners { target, runners } => self.runners_listed(&target, runners),
            Observation::Children(found) => {
                for child in found {
                    self.adopt(child);
                }
            }
        }
    }

    /// Who is open and was not in the look, although it could have been.
    fn swept(
        &mut self,
        repository: Repository,
        reports: Vec<JobReport>,
        began: Time,
    ) -> BTreeSet<JobId> {
        let id = repository.id;
        self.meet_repository(repository);
        if self.state.swept.refused.remove(&id) {
            self.state.floors.outdated = true;
            self.touch_scope(&ScopeKey::Repository(id));
        }
        let mut missing = self.state.by_repository.get(&id).cloned().unwrap_or_default();
        for report in reports {
            missing.remove(&report.id);
            if self.moves_nothing(&report) {
                continue;
            }
            if report.status == JobStatus::Completed && self.state.known_job(report.id).is_none() {
                // History: its row, if it has one, knows better. Who ran it may still be here.
                self.runner_named(&report, false);
                continue;
            }
            self.fold_report(report, id, Source::Asked, None);
        }
        // Who was heard of since the look began could not be in it; the next will tell.
        missing.retain(|id| self.state.jobs.get(id).is_some_and(|job| job.received_at <= began));
        missing
    }

    /// Absence from a listing moves nothing, for listings lag: they are asked for by id. So many at
    /// once, drawn, so that in the end each is.
    fn ask_for_missing(&mut self, mut missing: BTreeSet<JobId>, unseen: &BTreeSet<RunId>) {
        let run = |id: &JobId| self.state.jobs.get(id).map(|job| job.report.run);
        missing.retain(|id| run(id).is_some_and(|run| !unseen.contains(&run)));
        let asked: Vec<JobId> = match missing.len() <= MISSING_AT_ONCE {
            true => missing.into_iter().collect(),
            false => missing.into_iter().choose_multiple(self.rng, MISSING_AT_ONCE),
        };
        for job in asked {
            self.ask_job(job);
        }
    }

    /// Every sweep tells of every open job; most have not changed, and cost no row.
    fn moves_nothing(&self, report: &JobReport) -> bool {
        let known = self.state.known_job(report.id);
        known.is_some_and(|job| {
            !job.unconfirmed && merge(job.clone(), report.clone()).report == job.report
        })
    }

    fn sweep_refused(&mut self, id: Option<RepositoryId>, full_name: &str, reason: &str) {
        let known =
            self.state.repositories.values().find(|r| r.full_name.eq_ignore_ascii_case(full_name));
        let Some(id) = id.or(known.map(|r| r.id)) else { return };
        self.ask_unconfirmed(id);
        let forge = self.state.rules.forge.name;
        if self.state.swept.refused.insert(id) {
            self.state.floors.outdated = true;
            let (forge, reason) = (forge.to_owned(), reason.to_owned());
            let what = Happened::RepositoryDenied { forge, reason };
            self.happened(what, About::repository(full_name));
        }
    }

    /// Whether runners of a class may be let go: everything was seen since the start, its own
    /// repository not refused, and the children where its pool hires have been shown.
    pub(super) fn may_let_go(&self, key: &ClassKey) -> bool {
        self.is_settled(key) && self.denied(key).is_none()
    }

    /// Whether those that are registered and idle may be, although their repository is refused: it has a floor,
    /// so they wait for nobody, and none is kept warm there.
    pub(super) fn may_let_warm_go(&self, key: &ClassKey) -> bool {
        let floor = |id| {
            let repository = self.state.repositories.get(&id)?;
            let pool = self.state.rules.pool(&key.pool)?;
            pool.warm.iter().flat_map(|warm| &warm.of).find(|name| repository.was_called(name))
        };
        self.is_settled(key) && self.denied(key).is_some_and(|id| floor(id).is_some())
    }

    fn is_settled(&self, key: &ClassKey) -> bool {
        self.state.swept.settled && self.is_listed(&key.pool)
    }

    fn denied(&self, key: &ClassKey) -> Option<RepositoryId> {
        let ScopeKey::Repository(id) = key.scope else { return None };
        self.state.swept.refused.contains(&id).then_some(id)
    }

    /// Ours by its form, and not the runner of a child that is yet to be shown.
    pub(super) fn is_stray(&self, name: &RunnerName) -> bool {
        let pool = runner_name::pool_of(&self.state.rules.name_prefix, name.as_str());
        pool.is_some_and(|pool| self.is_listed(&pool.into()))
    }

    fn is_listed(&self, pool: &PoolName) -> bool {
        let rules = &self.state.rules;
        let Some(pool) = rules.pool(pool) else { return true };
        let shown = self.state.nomad.get(&rules.place_of(pool));
        matches!(shown, Some(NomadState::Listed | NomadState::Away(_)))
    }

    fn may_leave(&self, name: &RunnerName) -> bool {
        self.state.runners.get(name).is_some_and(|runner| self.may_let_go(&runner.class))
    }

    /// Notices when everything was seen once since the start, with what it raised.
    pub(super) fn settle_after_start(&mut self) {
        let swept = &mut self.state.swept;
        if swept.all && !swept.settled && self.state.runs_are_known() {
            self.state.swept.settled = true;
            self.touch_all();
        }
    }

    fn runners_listed(&mut self, target: &Target, listed: Vec<Registered>) {
        for registered in listed {
            let name = RunnerName(registered.name);
            self.seen_online(&name, registered.online);
            let known = self.state.runners.get(&name);
            match known.map(|runner| (runner.state.clone(), runner.took)) {
                Some((RunnerState::Dispatched | RunnerState::Registered, None))
                    if registered.busy =>
                {
                    self.change(&name, |runner| runner.github_id = Some(registered.id));
                    self.runner_took(&name, None, false);
                }
                // Its job is done and its registration went with it: Nomad has started it again.
                // It is looked at once more on its way out, for listings are old.
                Some((RunnerState::Dispatched | RunnerState::Registered, Some(took)))
                    if took.done && !registered.busy && self.may_leave(&name) =>
                {
                    self.begin_leaving(&name, Release::RegisteredAgain);
                }
                Some((RunnerState::Dispatched, _))
                    if !self.is_sign_of_life(&name, registered.online || registered.busy) => {}
                Some((RunnerState::Dispatched, _)) => self.registered(&name, registered.id),
                Some(_) => {}
                None if self.state.swept.settled && !registered.busy && self.is_stray(&name) => {
                    let about =
                        About { runner: Some(name.clone()), ..About::repository(target.name()) };
                    self.happened(Happened::StrayRegistration, about);
                    let request = Request::DeleteStray {
                        runner: name,
                        target: target.clone(),
                        id: registered.id,
                    };
                    self.request(request);
                }
                None => {}
            }
        }
    }

    /// One that is registered before it starts is listed before it has connected.
    fn is_sign_of_life(&self, name: &RunnerName, connected: bool) -> bool {
        connected || !self.state.runners.get(name).is_some_and(Runner::is_jit)
    }

    pub(super) fn seen_online(&mut self, name: &RunnerName, online: bool) {
        let known = self.state.runners.get(name);
        // Registered before it starts, it is offline at first.
        let starts = known.is_some_and(|it| it.is_jit() && it.registered_at.is_none() && !online);
        if !starts && known.is_some_and(|runner| runner.offline.is_some() == online) {
            let now = self.now;
            self.change(name, |runner| runner.offline = (!online).then_some(now));
        }
    }

    /// Takes up a child that is ours by its token and that nobody follows.
    fn adopt(&mut self, found: Found) {
        let Some((name, scope)) = found.token.split_once('@') else { return };
        let (scope, run) = match scope.split_once('#') {
            Some((scope, run)) => (scope, run.parse().ok().map(RunId)),
            None => (scope, None),
        };
        let prefix = &self.state.rules.name_prefix;
        let Some(pool) = runner_name::pool_of(prefix, name).map(PoolName::from) else { return };
        let name = RunnerName::from(name);
        if let Some(runner) = self.state.runners.get(&name) {
            // Its dispatch is in doubt: here is the answer.
            if matches!(
                runner.state,
                RunnerState::Dispatching(
                    Sending::LookingUp | Sending::AskingForge | Sending::LookingAgain
                )
            ) {
                self.change(&name, |runner| runner.nameless = found.nameless && !runner.is_jit());
                self.child_known(&name, found.child);
            }
            return;
        }
        if self.state.has_left_since(&found.child, found.asked_at) {
            return;
        }
        let scope_key = match (&found.repository, scope.contains('/')) {
            (Some(repository), _) => ScopeKey::Repository(repository.id),
            (None, false) => ScopeKey::Organization(scope.to_lowercase()),
            // GitHub does not show the repository: who is not known either needs nobody.
            (None, true) => {
                let mut known = self.state.repositories.values();
                let known = known.find(|r| r.full_name.eq_ignore_ascii_case(scope));
                ScopeKey::Repository(known.map_or(RepositoryId(0), |repository| repository.id))
            }
        };
        let rules = self.state.rules.pool(&pool);
        let by_claim = rules.is_some_and(|pool| pool.delivery == Delivery::Claim);
        let life = rules.filter(|_| !by_claim).map(|pool| pool.credential_life());
        let deposit = rules.and_then(|pool| adopted_deposit(pool, &name));
        let credential = rules.map(|pool| pool.credential).unwrap_or_default();
        // By Nomad's clock, which may be ahead of ours.
        let submitted_at = found.submitted_at.min(self.now);
        let scope_name = scope.to_owned();
        if let Some(repository) = found.repository {
            self.meet_repository(*repository);
        }
        let class = ClassKey { pool, scope: scope_key, run };
        let runner = Runner {
            state: RunnerState::Dispatched,
            took: self.job_that_names(&name).map(|job| Took { job: Some(job), done: false }),
            child: Some(found.child.clone()),
            nameless: found.nameless && credential == CredentialKind::RegistrationToken,
            credential,
            by_claim,
            deposit,
            place: Some(found.place),
            parent: found.parent,
            hired_at: submitted_at,
            first_sent_at: Some(submitted_at),
            sends: 1,
            credential_ends: life.map(|life| submitted_at + life),
            placed_at: (found.phase == ChildPhase::Placed).then_some(self.now),
            ..Runner::new(name.clone(), class.clone(), scope_name, self.now)
        };
        self.state.runners.insert(runner);
        self.state.classes.entry(class).or_default().runners.insert(name.clone());
        self.change(&name, |_| {});
        self.happened_to(&name, Happened::RunnerAdopted { child: found.child });
        self.start_clocks(&name);
    }

    /// The open job that GitHub says this runner is at work on.
    fn job_that_names(&self, name: &RunnerName) -> Option<JobId> {
        let named = self.state.jobs.values().find(|job| {
            job.report.status == JobStatus::InProgress
                && job.report.runner_name.as_deref() == Some(name.as_str())
        });
        named.map(|job| job.id())
    }
}
