//! What a person calls a job by: its id, its page's address, its run's, or `owner/repo#run`.

use crate::ledger::{JobId, RunId};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A bare id: no word of where it is.
    Job(JobId),
    JobAt {
        host: String,
        repository: String,
        job: JobId,
    },
    Run {
        host: String,
        repository: String,
        run: RunId,
    },
    /// What stands behind a `#`: the run's number as people see it, or its id.
    Number {
        repository: String,
        number: u64,
    },
}

impl Asked {
    /// Where the page is that was given.
    pub fn host(&self) -> Option<&str> {
        match self {
            Asked::JobAt { host, .. } | Asked::Run { host, .. } => Some(host),
            Asked::Job(_) | Asked::Number { .. } => None,
        }
    }

    pub fn repository(&self) -> Option<&str> {
        match self {
            Asked::JobAt { repository, .. }
            | Asked::Run { repository, .. }
            | Asked::Number { repository, .. } => Some(repository),
            Asked::Job(_) => None,
        }
    }

    /// One job, and not all jobs of a run.
    pub fn is_one(&self) -> bool {
        matches!(self, Asked::Job(_) | Asked::JobAt { .. })
    }

    /// The error says what can be given.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(id) = text.parse() {
            return Ok(Asked::Job(JobId(id)));
        }
        Self::page(text).or_else(|| Self::short(text)).ok_or_else(|| {
            format!(
                "{text:?} is not a job: give its id, the address of its page or of its run's \
                 (https://HOST/OWNER/REPO/actions/runs/RUN/job/JOB), or OWNER/REPO#RUN"
            )
        })
    }

    /// As a sentence has it.
    pub fn in_words(&self) -> String {
        match self {
            Asked::Job(job) => format!("job {job}"),
            Asked::JobAt { repository, job, .. } => format!("job {job} of {repository}"),
            Asked::Run { repository, run, .. } => format!("run {run} of {repository}"),
            Asked::Number { repository, number } => format!("run {number} of {repository}"),
        }
    }

    /// `owner/repo#number`.
    fn short(text: &str) -> Option<Self> {
        let (repository, run) = text.split_once('#')?;
        let (owner, name) = repository.split_once('/')?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fit = |part: &str| part.chars().all(fits) && !matches!(part, "" | "." | "..");
        (fit(owner) && fit(name)).then_some(())?;
        Some(Asked::Number { repository: repository.to_owned(), number: run.parse().ok()? })
    }

    /// Whatever comes after (an attempt, a step, a pull request) is GitHub's business.
    fn page(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url?;
        let host = url.host_str()?.to_lowercase();
        let parts: Vec<&str> = url.path_segments()?.collect();
        // A forge may live below a path of its host.
        let at = parts.windows(2).position(|two| two == ["actions", "runs"]).filter(|at| *at >= 2);
        let at = at?;
        let repository = format!("{}/{}", parts[at - 2], parts[at - 1]);
        let number = |at: usize| parts.get(at)?.parse::<u64>().ok();
        let run = RunId(number(at + 2)?);
        let job = parts[at + 3..].iter().position(|part| matches!(*part, "job" | "jobs"));
        match job.and_then(|after| number(at + 3 + after + 1)) {
            Some(job) => Some(Asked::JobAt { host, repository, job: JobId(job) }),
            None => Some(Asked::Run { host, repository, run }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_name_a_job() {
        let (host, repository) = ("github.com".to_owned(), "octo/app".to_owned());
        let run = Asked::Run { host: host.clone(), repository: repository.clone(), run: RunId(9) };
        let job = Asked::JobAt { host, repository: repository.clone(), job: JobId(7) };
        let page = "https://github.com/octo/app/actions/runs/9";
        for (text, asked) in [
            ("7".to_owned(), Asked::Job(JobId(7))),
            ("octo/app#9".to_owned(), Asked::Number { repository, number: 9 }),
            (page.to_owned(), run.clone()),
            (format!("{page}/"), run.clone()),
            (format!("{page}/attempts/2"), run.clone()),
            (format!("{page}/job/7"), job.clone()),
            (format!("{page}/job/7?pr=3#step:4:1"), job.clone()),
            (format!("{page}/attempts/2/job/7"), job),
        ] {
            assert_eq!(Asked::read(&text), Ok(asked), "{text}");
        }
        for wrong in
            ["", "seven", "octo#9", "octo/app", "a/b/c#9", "../b#9", "octo/app#x", "ftp://h/a/b"]
        {
            assert!(Asked::read(wrong).is_err(), "{wrong}");
        }
    }
}
