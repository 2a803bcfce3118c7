//! The single looks: at a repository, at the children, at the runners, at failed deliveries.

use std::collections::BTreeSet;

use roustabout::ledger::effect::Target;
use roustabout::ledger::event::{Answer, ChildPhase, Failure};
use roustabout::ledger::observation::{Found, Observation, Registered};
use roustabout::ledger::{
    JobId, JobReport, JobStatus, Repository, RepositoryId, RunId, ScopeKind, Time, Visibility,
    runner_name,
};
use roustabout::store;
use roustabout::webhook::read_workflow_job;
use serde_json::Value;
use simulated::github::{Conclusion, RunSpec, Status, runs};
use simulated::nomad::JobKey;

use super::Listed;
use crate::calls::{Luck, Side};
use crate::daemon::Handed;
use crate::follower::{NAMESPACE, phase_of, place};
use crate::troubles::Trouble;
use crate::world::World;

/// How many looks a repository's own data is believed for.
const BELIEVED: u32 = 30;

impl World {
    /// Repositories that the credential can see and a pool serves.
    pub(super) fn served(&mut self) -> Vec<String> {
        let listed = self.get_cached("/user/repos?per_page=100").unwrap_or_default();
        let names = listed.as_array().into_iter().flatten();
        let names: Vec<String> =
            names.filter_map(|one| Some(one["full_name"].as_str()?.to_owned())).collect();
        let pools = self.daemon.as_ref().map(|daemon| &daemon.state.rules.pools);
        let pools = pools.into_iter().flatten();
        let globs: Vec<_> = pools.map(|pool| pool.repositories.clone()).collect();
        names.into_iter().filter(|name| globs.iter().any(|globs| globs.matches(name))).collect()
    }

    /// None: not answered. A refusal is an answer.
    pub fn look_at_repository(&mut self, name: &str) -> Option<Observation> {
        match self.whole_repository(name) {
            Ok((repository, reports, began)) => {
                let (repository, unseen) = (Box::new(repository), BTreeSet::new());
                Some(Observation::Swept { repository, reports, began, unseen, cut: false })
            }
            Err(failure) if failure.reason.starts_with("404") => Some(Observation::SweepRefused {
                repository: None,
                full_name: name.to_owned(),
                reason: failure.reason,
            }),
            Err(_) => None,
        }
    }

    /// The jobs of its unfinished runs. They are read from the model itself, for there are many
    /// such looks: what has not changed costs nothing at GitHub either.
    fn whole_repository(&mut self, name: &str) -> Answer<(Repository, Vec<JobReport>, Time)> {
        let began = self.time();
        let repository = self.believed_repository(name)?;
        if self.is_gitea() {
            let (began, reports) = self.open_jobs_at_gitea(&repository)?;
            return Ok((repository, reports, began));
        }
        let luck = self.luck(Side::GitHub);
        let user = self.github.account("octocat").map_or(0, |account| account.id);
        let exhausted = self.github.standing(user, self.now).remaining() == 0;
        if luck != Luck::Fine || exhausted {
            return Err(self.failure(luck));
        }
        let lags = self.strikes(Trouble::GitHubLags, 0.5);
        let github = self.lagging.as_deref().filter(|_| lags).unwrap_or(&self.github);
        let runs: BTreeSet<u64> = github.jobs().map(|job| job.run).collect();
        let runs = runs.into_iter().filter_map(|id| github.run(id));
        let mut reports = Vec::new();
        for run in runs.filter(|run| run.repository == repository.id.0) {
            if github.run_status(run).0 != Status::Completed {
                let jobs = github.jobs_of(run, run.attempt).into_iter();
                reports.extend(jobs.map(|job| report(job, &run.spec)));
            }
        }
        Ok((repository, reports, began))
    }

    fn believed_repository(&mut self, name: &str) -> Answer<Repository> {
        let Some(daemon) = &mut self.daemon else { return Err(self.failure(Luck::NotSent)) };
        if let Some((known, looks)) = daemon.reconciler.repositories.get_mut(name) {
            *looks += 1;
            if !looks.is_multiple_of(BELIEVED) {
                return Ok(known.clone());
            }
        }
        let wire = self.get(&format!("/repos/{name}"))?;
        let known = self.repository(&wire);
        if let Some(daemon) = &mut self.daemon {
            let looks = daemon.reconciler.repositories.get(name).map_or(1, |(_, looks)| *looks);
            daemon.reconciler.repositories.insert(name.to_owned(), (known.clone(), looks));
        }
        Ok(known)
    }

    /// One GET, asked with what is known already: unchanged answers are free.
    fn get_cached(&mut self, path: &str) -> Answer<Value> {
        let known = self.daemon.as_ref().and_then(|daemon| daemon.reconciler.answers.get(path));
        let known = known.cloned();
        let tag = known.as_ref().map(|(tag, _)| tag.as_str());
        let (status, body, tag) = self.github_if_changed("GET", path, tag)?;
        match (status, known) {
            (304, Some((_, body))) => Ok(body),
            (200, _) => {
                if let (Some(daemon), Some(tag)) = (&mut self.daemon, tag) {
                    daemon.reconciler.answers.insert(path.to_owned(), (tag, body.clone()));
                }
                Ok(body)
            }
            (status, _) => {
                Err(Failure { reason: format!("{status} for {path}"), retry_after: None })
            }
        }
    }

    /// Children that are ours by their token and that nobody follows.
    pub(super) fn list_children(&mut self) -> (Listed, Option<Observation>) {
        if self.luck(Side::Nomad) != Luck::Fine {
            return (Listed::No, None);
        }
        let Some(daemon) = &self.daemon else { return (Listed::No, None) };
        let prefix = daemon.state.rules.name_prefix.clone();
        let runners = daemon.state.runners.values();
        let followed: BTreeSet<String> = runners.filter_map(|one| one.child.clone()).collect();
        let ours = format!("{prefix}-");
        let listed = self.nomad.children_by_token_prefix(NAMESPACE, &ours);
        let keys: Vec<JobKey> = listed
            .filter(|(key, _)| !followed.contains(&key.id))
            .map(|(key, _)| key.clone())
            .collect();
        let (mut found, mut whole) = (Vec::new(), Listed::Whole);
        for key in keys {
            let phase = phase_of(&self.nomad, &key);
            let Some(child) = self.nomad.child(&key).cloned() else { continue };
            let token = child.token.clone().unwrap_or_default();
            let Some((name, scope)) = token.split_once('@') else { continue };
            let over = matches!(phase, ChildPhase::Ended { .. });
            if over || runner_name::pool_of(&prefix, name).is_none() {
                continue;
            }
            let scope = scope.split_once('#').map_or(scope, |(scope, _)| scope);
            let repository = match scope.contains('/') {
                false => None,
                true => match self.get(&format!("/repos/{scope}")) {
                    Ok(wire) => Some(Box::new(self.repository(&wire))),
                    Err(failure) if failure.reason.starts_with("404") => None,
                    Err(_) => {
                        whole = Listed::Unplaced;
                        continue;
                    }
                },
            };
            found.push(Found {
                repository,
                nameless: !child.meta.contains_key("runner_name"),
                parent: child.parent,
                place: place(),
                submitted_at: Time(child.submit_time),
                child: key.id,
                token,
                phase,
                asked_at: self.time(),
            });
        }
        (whole, Some(Observation::Children(found)))
    }

    pub(super) fn list_runners(&mut self) -> Vec<Observation> {
        let mut seen = Vec::new();
        for target in self.targets() {
            let path = format!("{}/actions/runners?per_page=100", page(&target));
            let Ok(listed) = self.get_cached(&path) else { continue };
            let listed = listed["runners"].as_array().into_iter().flatten();
            let runners = listed.filter_map(|one| {
                let name = one["name"].as_str()?;
                runner_name::pool_of("roustabout", name)?;
                let (id, busy) = (one["id"].as_u64()?, one["busy"] == true);
                let online = one["status"] != "offline";
                Some(Registered { id, name: name.to_owned(), busy, online })
            });
            let mut runners: Vec<_> = runners.collect();
            if self.is_gitea() {
                let busy = runners.iter().filter(|one| one.busy).map(|one| one.id).collect();
                let busy = self.busy_for_two_listings(&path, busy);
                for one in &mut runners {
                    one.busy = busy.contains(&one.id);
                }
            }
            let busy = runners.iter().filter(|runner| runner.busy);
            self.watching.listings += busy.count();
            seen.push(Observation::Runners { target, runners });
        }
        seen
    }

    /// Where runners of ours may be registered.
    fn targets(&mut self) -> Vec<Target> {
        let Some(daemon) = &self.daemon else { return Vec::new() };
        let pools = &daemon.state.rules.pools;
        let mut targets = Vec::new();
        for name in &daemon.reconciler.round.served {
            for pool in pools.iter().filter(|pool| pool.repositories.matches(name)) {
                let owner = name.split_once('/').map_or(name.as_str(), |(owner, _)| owner);
                let target = match pool.scope {
                    ScopeKind::Repository => Target::Repository(name.clone()),
                    ScopeKind::Organization => Target::Organization(owner.to_lowercase()),
                };
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        targets
    }

    /// What the organization's hook could not deliver goes into the inbox, of each job the newest.
    pub(super) fn fetch_failed_deliveries(&mut self) {
        if self.is_gitea() || self.luck(Side::GitHub) != Luck::Fine {
            return;
        }
        let Some(hook) = self.setting.hooks.first().copied() else { return };
        let after = self.disk.cursor;
        let log = self.github.deliveries(hook);
        let new: Vec<_> = log.into_iter().filter(|one| one.delivery.id > after).collect();
        let Some(newest) = new.iter().map(|one| one.delivery.id).max() else { return };
        let mut told = BTreeSet::new();
        let mut missed = Vec::new();
        for one in new {
            let failed = one.status() != "OK";
            if !failed || one.delivery.event != "workflow_job" {
                continue;
            }
            let Ok(read) = read_workflow_job(one.delivery.payload.as_bytes()) else { continue };
            if read.report.as_ref().is_none_or(|report| told.insert(report.id)) {
                missed.push((one.delivery.guid.clone(), read));
            }
        }
        for (guid, read) in missed.into_iter().rev() {
            let delivery = store::Delivery {
                id: guid.as_str().into(),
                received_at: self.time(),
                repository: read.repository,
                report: read.report,
                look: read.unreadable.is_some(),
            };
            self.keep_missed(delivery);
        }
        self.disk.cursor = newest;
    }

    /// Gitea's counts of forks say nothing, and its owners are known for organizations.
    fn repository(&self, wire: &Value) -> Repository {
        let known = repository(wire);
        if self.is_gitea() {
            return Repository { forkable: true, owned_by_organization: true, ..known };
        }
        known
    }

    fn keep_missed(&mut self, delivery: store::Delivery) {
        if self.disk.keep(delivery.clone())
            && let Some(daemon) = &mut self.daemon
        {
            daemon.deliveries.push_back(Handed { row: delivery, waiting: None });
        }
    }
}

pub fn page(target: &Target) -> String {
    match target {
        Target::Repository(name) => format!("/repos/{name}"),
        Target::Organization(login) => format!("/orgs/{login}"),
    }
}

fn repository(wire: &Value) -> Repository {
    let public = wire["visibility"].as_str().is_none_or(|visibility| visibility == "public");
    Repository {
        former: Vec::new(),
        id: RepositoryId(wire["id"].as_u64().unwrap_or_default()),
        full_name: wire["full_name"].as_str().unwrap_or_default().to_owned(),
        html_url: wire["html_url"].as_str().unwrap_or_default().to_owned(),
        visibility: if public { Visibility::Public } else { Visibility::Private },
        forkable: wire["forks_count"] != 0 && wire["allow_forking"] != false,
        owned_by_organization: wire["owner"]["type"] == "Organization",
    }
}

pub fn report(job: &runs::Job, run: &RunSpec) -> JobReport {
    let status = match job.status {
        Status::Queued => JobStatus::Queued,
        Status::Waiting => JobStatus::Waiting,
        Status::InProgress => JobStatus::InProgress,
        Status::Completed => JobStatus::Completed,
    };
    JobReport {
        id: JobId(job.id),
        run: RunId(job.run),
        run_attempt: job.attempt.into(),
        name: job.spec.name.clone(),
        workflow: Some(run.workflow_name.clone()),
        head_branch: Some(run.head_branch.clone()),
        labels: job.spec.labels.clone(),
        status,
        conclusion: job.conclusion.map(Conclusion::as_str).map(str::to_owned),
        runner_name: job.runner.as_ref().map(|runner| runner.name.clone()),
        url: None,
        created_at: Some(Time(job.created_at)),
        actor: Some(run.actor.clone()),
        details: None,
    }
}
