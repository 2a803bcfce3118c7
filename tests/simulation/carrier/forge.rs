//! Questions and commands to GitHub, as `engine::forge` puts them.

use std::time::Duration;

use roustabout::ledger::effect::{RunJobs, Target};
use roustabout::ledger::event::{Answer, AtForge, Deletion, Failure, JobsOfRuns};
use roustabout::ledger::{
    Event, JobId, JobReport, JobStatus, RepositoryId, RunId, RunnerName, ScopeKey, Time,
};
use serde_json::Value;

use super::{Landing, Stage};
use crate::gitea::{Taken, Taking};
use crate::reconciler::looks::page;
use crate::world::World;

/// How long Gitea's registration token is believed beyond its need.
const BELIEVED: Duration = Duration::from_secs(3600);

impl World {
    pub(super) fn mint(
        &mut self,
        scope: &ScopeKey,
        target: &Target,
        life: Duration,
        orphan: bool,
    ) -> Event {
        let path = format!("{}/actions/runners/registration-token", page(target));
        let answer = self.github("POST", &path).and_then(|(status, body)| match status {
            // Gitea's has no end, and is asked for anew now and then.
            200 if self.is_gitea() => {
                let secret = body["token"].as_str().unwrap_or_default().to_owned();
                Ok((secret, self.time() + life + BELIEVED))
            }
            201 => {
                let at = body["expires_at"].as_str().and_then(|at| at.parse().ok());
                let ends = at.map_or(Time(0), |at: jiff::Timestamp| at.into());
                // Each answer tells how GitHub's clock differs from ours.
                let ends = ends.moved(self.skew);
                let secret = body["token"].as_str().unwrap_or_default().to_owned();
                Ok((secret, ends))
            }
            status => Err(Failure { reason: format!("{status} for {path}"), retry_after: None }),
        });
        let answer = answer.and_then(|(secret, ends)| {
            if ends < self.time() + life {
                let reason = "the token ends too soon".to_owned();
                return Err(Failure { reason, retry_after: None });
            }
            if let Some(daemon) = self.daemon.as_mut().filter(|_| !orphan) {
                daemon.tokens.insert(scope.clone(), (secret, ends.0));
            }
            Ok(ends)
        });
        Event::CredentialMinted { scope: scope.clone(), answer }
    }

    pub(super) fn find_at_forge(
        &mut self,
        runner: &RunnerName,
        target: &Target,
        repositories: &[String],
        runs: &[RunJobs],
        stage: Stage,
    ) -> Landing {
        let answer = match stage {
            Stage::First => match self.registered(runner, target) {
                Ok(None) => return Landing::Next(Stage::Jobs),
                Ok(Some(found)) => Ok(found),
                Err(failure) => Err(failure),
            },
            _ => self.named(runner, repositories, runs),
        };
        if answer == Ok(AtForge::Nowhere) {
            self.watching.looked(runner, self.now);
        }
        Landing::Answer(Event::LookedForAtForge { runner: runner.clone(), answer })
    }

    fn registered(&mut self, runner: &RunnerName, target: &Target) -> Answer<Option<AtForge>> {
        let path = format!("{}/actions/runners?name={runner}&per_page=100", page(target));
        let body = self.get(&path)?;
        let mut listed = body["runners"].as_array().into_iter().flatten();
        let found = listed.find(|one| one["name"] == runner.as_str());
        Ok(found.map(|one| AtForge::Registered {
            id: one["id"].as_u64().unwrap_or_default(),
            busy: one["busy"] == true,
            online: one["status"] != "offline",
        }))
    }

    fn named(
        &mut self,
        runner: &RunnerName,
        repositories: &[String],
        runs: &[RunJobs],
    ) -> Answer<AtForge> {
        let names = |report: &JobReport| report.runner_name.as_deref() == Some(runner.as_str());
        for repository in repositories {
            if self.is_gitea() {
                let path =
                    format!("/repos/{repository}/actions/jobs?status=in_progress&per_page=100");
                let body = self.get(&path)?;
                if let Some(report) = self.reports(&body["jobs"]).into_iter().find(names) {
                    return Ok(AtForge::Named(Box::new(report)));
                }
                continue;
            }
            let path = format!("/repos/{repository}/actions/runs?status=in_progress&per_page=100");
            let body = self.get(&path)?;
            let ids: Vec<u64> = ids_of(&body["workflow_runs"]);
            for run in ids {
                let jobs = self.jobs_of_run(repository, RunId(run))?;
                if let Some(report) = jobs.into_iter().find(names) {
                    return Ok(AtForge::Named(Box::new(report)));
                }
            }
        }
        for run in runs {
            let jobs =
                self.jobs_of_runs(std::slice::from_ref(run), std::slice::from_ref(runner))?;
            if let Some(report) = jobs.reports.into_iter().find(names) {
                return Ok(AtForge::Named(Box::new(report)));
            }
        }
        Ok(AtForge::Nowhere)
    }

    pub(super) fn delete_registration(
        &mut self,
        runner: &RunnerName,
        target: &Target,
        id: u64,
        stage: Stage,
    ) -> Landing {
        if self.is_gitea() {
            let taking = match stage {
                Stage::Taking(taking) => taking,
                _ => Taking::Look { disabled: false },
            };
            return match self.take_away(target, id, taking) {
                Taken::Next(taking, pause) => Landing::After(pause, Stage::Taking(taking)),
                Taken::Answer(answer) => self.registration_deleted(runner, answer),
            };
        }
        let path = format!("{}/actions/runners/{id}", page(target));
        let answer = self.github("DELETE", &path).and_then(|(status, _)| match status {
            204 | 404 => Ok(Deletion::NoNewJob),
            422 => Ok(Deletion::Busy),
            _ => Err(Failure { reason: format!("{status} for {path}"), retry_after: None }),
        });
        self.registration_deleted(runner, answer)
    }

    fn registration_deleted(&mut self, runner: &RunnerName, answer: Answer<Deletion>) -> Landing {
        if answer == Ok(Deletion::NoNewJob) {
            self.watching.deleted(runner, self.now);
        }
        Landing::Answer(Event::RegistrationDeleted { runner: runner.clone(), answer })
    }

    pub(super) fn is_fork(
        &mut self,
        repository: RepositoryId,
        full_name: &str,
        run: RunId,
    ) -> Answer<bool> {
        if self.is_gitea() {
            return self.is_fork_at_gitea(repository, full_name, run);
        }
        let run = self.get(&format!("/repos/{full_name}/actions/runs/{run}"))?;
        Ok(run["head_repository"]["id"] != repository.0)
    }

    pub(super) fn job(&mut self, full_name: &str, job: JobId) -> Answer<Option<JobReport>> {
        let path = format!("/repos/{full_name}/actions/jobs/{job}");
        match self.github("GET", &path)? {
            (200, body) => Ok(self.reports(&Value::Array(vec![body])).pop()),
            // The same is said of what the token may not see.
            (404, _) => self.get(&format!("/repos/{full_name}")).map(|_| None),
            (status, _) => {
                Err(Failure { reason: format!("{status} for {path}"), retry_after: None })
            }
        }
    }

    pub(super) fn jobs_of_runs(
        &mut self,
        runs: &[RunJobs],
        names: &[RunnerName],
    ) -> Answer<JobsOfRuns> {
        let JobsOfRuns { mut reports, mut looked_at } = JobsOfRuns::default();
        for asked in runs.iter().take(30) {
            let listed = match self.jobs_of_run(&asked.full_name, asked.run) {
                Ok(listed) => listed,
                Err(failure) if reports.is_empty() => return Err(failure),
                Err(_) => break,
            };
            looked_at.push(asked.run);
            for id in &asked.jobs {
                if !listed.iter().any(|report| report.id == *id)
                    && let Some(report) = self.job(&asked.full_name, *id)?
                {
                    reports.push(report);
                }
            }
            reports.extend(listed);
            let found = |name: &RunnerName| {
                reports.iter().any(|one| one.runner_name.as_deref() == Some(name.as_str()))
            };
            if !names.is_empty() && names.iter().all(found) {
                break;
            }
        }
        Ok(JobsOfRuns { reports, looked_at })
    }

    fn jobs_of_run(&mut self, full_name: &str, run: RunId) -> Answer<Vec<JobReport>> {
        let body = self.get(&format!("/repos/{full_name}/actions/runs/{run}/jobs?per_page=100"))?;
        Ok(self.reports(&body["jobs"]))
    }

    fn reports(&mut self, jobs: &Value) -> Vec<JobReport> {
        let mut reports = Vec::new();
        for job in jobs.as_array().into_iter().flatten() {
            let Some(mut report) = report(job) else { continue };
            if self.is_gitea() {
                self.name_runner(job, &mut report);
            }
            reports.push(report);
        }
        reports
    }
}

fn ids_of(list: &Value) -> Vec<u64> {
    list.as_array().into_iter().flatten().filter_map(|one| one["id"].as_u64()).collect()
}

/// A status that the ledger does not know is a job that cannot run yet.
fn report(job: &Value) -> Option<JobReport> {
    let text = |key: &str| job[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let status = match job["status"].as_str()? {
        "queued" => JobStatus::Queued,
        "in_progress" => JobStatus::InProgress,
        "completed" => JobStatus::Completed,
        _ => JobStatus::Waiting,
    };
    let labels = job["labels"].as_array().into_iter().flatten();
    Some(JobReport {
        id: JobId(job["id"].as_u64()?),
        run: RunId(job["run_id"].as_u64()?),
        run_attempt: job["run_attempt"].as_u64().unwrap_or(1),
        name: text("name").unwrap_or_default(),
        workflow: text("workflow_name"),
        head_branch: text("head_branch"),
        labels: labels.filter_map(|label| Some(label.as_str()?.to_owned())).collect(),
        status,
        conclusion: text("conclusion"),
        runner_name: text("runner_name"),
        url: text("html_url"),
        created_at: text("created_at")
            .and_then(|at| at.parse::<jiff::Timestamp>().ok())
            .filter(|at| at.as_second() > 0)
            .map(Time::from),
        actor: None,
        details: None,
    })
}
