//! What would become of a webhook, by the config alone: the door's answer and what follows from
//! it. Asks nobody and does nothing.

use serde::Serialize;

use super::sentence;
use crate::config::GitHub;
use crate::ledger::policy::{Judgement, Known, judge, restricts};
use crate::ledger::{JobReport, JobStatus, Pool, Rules, matching, runner_name};
use crate::webhook::read_workflow_job;

/// A contract with scripts: add, do not rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// As the door would say: `accepted` or `ignored`; `unreadable` where it would answer 400.
    pub outcome: &'static str,
    pub sentence: String,
    pub repository: Option<String>,
    pub job: Option<u64>,
    pub run_id: Option<u64>,
    pub labels: Vec<String>,
    pub status: Option<&'static str>,
    pub pool: Option<String>,
    /// What would keep it from a runner, or would be done first.
    pub notes: Vec<String>,
}

/// `json` is the payload of a `workflow_job` event.
pub fn foresee(json: &[u8], rules: &Rules, github: &GitHub) -> Foreseen {
    let mut foreseen = Foreseen {
        outcome: "ignored",
        sentence: String::new(),
        repository: None,
        job: None,
        run_id: None,
        labels: Vec::new(),
        status: None,
        pool: None,
        notes: Vec::new(),
    };
    let event = match read_workflow_job(json) {
        Ok(event) => event,
        Err(error) => {
            foreseen.outcome = "unreadable";
            foreseen.sentence = format!(
                "the webhook would be answered with 400 and kept for explain --delivery: {error}"
            );
            return foreseen;
        }
    };
    let repository = &event.repository;
    foreseen.repository = Some(repository.full_name.clone());
    let Some(report) = &event.report else {
        if let Some(why) = &event.unreadable {
            foreseen.outcome = "unreadable";
            foreseen.sentence = format!(
                "the webhook would be kept for explain --delivery, and its repository would be looked at: {why}"
            );
            return foreseen;
        }
        foreseen.sentence = format!(
            "the webhook would be ignored: this version does not know action {} with this status",
            event.action
        );
        return foreseen;
    };
    foreseen.job = Some(report.id.0);
    foreseen.run_id = Some(report.run.0);
    foreseen.labels.clone_from(&report.labels);
    foreseen.status = Some(report.status.as_str());
    let name = sentence::name(report.id.0, &report.name, &repository.full_name);
    let runner = report.runner_name.as_deref();
    let ours = runner.is_some_and(|it| runner_name::pool_of(&rules.name_prefix, it).is_some());
    let found =
        matching::pool_for(&rules.pools, repository.candidate(), &report.labels, report.run);
    let refused = match &found {
        Err(why) => Some(why.to_string()),
        Ok(pool) => {
            foreseen.pool = Some(pool.name.0.clone());
            match judge(pool, repository, Known::default()) {
                Judgement::Refused(why) => Some(why),
                Judgement::AskRun => {
                    foreseen.notes.push(format!(
                        "{} is asked for the run, because pool {} restricts {}",
                        rules.forge.name,
                        pool.name,
                        restricts(pool)
                    ));
                    None
                }
                Judgement::Allowed => None,
            }
        }
    };
    match (refused, found) {
        (Some(why), _) if !ours => {
            foreseen.sentence = format!("the webhook would be ignored for {name}: {why}");
        }
        (refused, found) => {
            foreseen.outcome = "accepted";
            foreseen.sentence = format!(
                "the webhook would be accepted; {}",
                match found {
                    Ok(pool) if refused.is_none() =>
                        follows(report, pool, &name, rules.forge.name, foreseen.notes.is_empty()),
                    _ => format!("{name} is on one of our runners, which is updated"),
                }
            );
        }
    }
    let owner = repository.owner();
    if foreseen.outcome == "accepted" && github.credential_for(owner).is_none() {
        let note = format!("no [[github.credentials]] lists {owner} in owners");
        foreseen.sentence = format!("{}, but {note}", foreseen.sentence);
        foreseen.notes.push(note);
    }
    foreseen
}

fn follows(report: &JobReport, pool: &Pool, name: &str, forge: &str, at_once: bool) -> String {
    match report.status {
        JobStatus::Queued if at_once => format!(
            "pool {} would launch a runner for {name} as soon as there is room (Nomad job {})",
            pool.name, pool.nomad_job
        ),
        JobStatus::Queued => format!(
            "pool {} would launch a runner for {name} (Nomad job {}) if {forge} shows that its policy allows the run",
            pool.name, pool.nomad_job
        ),
        JobStatus::Waiting => format!(
            "pool {} would launch no runner for {name} until {forge} lets it run (an environment's approval or timer, or its concurrency group)",
            pool.name
        ),
        JobStatus::InProgress => format!("{name} is already running and needs no new runner"),
        JobStatus::Completed => format!("{name} is done and needs no runner"),
    }
}

impl Foreseen {
    /// As people read it.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.sentence);
        let mut line = |what: &str, value: String| text += &format!("  {what:<11} {value}\n");
        if let Some(repository) = &self.repository {
            line("repository", repository.clone());
        }
        if let (Some(job), Some(run)) = (self.job, self.run_id) {
            line("job", format!("{job} of run {run}"));
            line("labels", self.labels.join(", "));
        }
        if let Some(status) = self.status {
            line("status", status.to_owned());
        }
        if let Some(pool) = &self.pool {
            line("pool", pool.clone());
        }
        for note in &self.notes {
            line("note", note.clone());
        }
        text
    }
}
