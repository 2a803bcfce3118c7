//! What a person calls a job by: its id, its page's address, its run's, or `owner/repo#run`.

use crate::ledger::{JobId, RunId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A bare id: no word of where it is.
    Job(JobId),
    JobAt {
        repository: String,
        job: JobId,
    },
    Run {
        repository: String,
        run: RunId,
    },
}

impl Asked {
    /// The error says what can be given.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(id) = text.parse() {
            return Ok(Asked::Job(JobId(id)));
        }
        Self::page(text).or_else(|| Self::short(text)).ok_or_else(|| {
            format!(
                "{text:?} names no job: give its id, the address of its page or of its run's \
                 (https://HOST/OWNER/REPO/actions/runs/RUN/job/JOB), or OWNER/REPO#RUN"
            )
        })
    }

    /// As a sentence has it.
    pub fn in_words(&self) -> String {
        match self {
            Asked::Job(job) => format!("job {job}"),
            Asked::JobAt { repository, job } => format!("job {job} of {repository}"),
            Asked::Run { repository, run } => format!("run {run} of {repository}"),
        }
    }

    /// `owner/repo#run`.
    fn short(text: &str) -> Option<Self> {
        let (repository, run) = text.split_once('#')?;
        let (owner, name) = repository.split_once('/')?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fit = |part: &str| part.chars().all(fits) && !matches!(part, "" | "." | "..");
        (fit(owner) && fit(name)).then_some(())?;
        Some(Asked::Run { repository: repository.to_owned(), run: RunId(run.parse().ok()?) })
    }

    /// Whatever comes after (an attempt, a step, a pull request) is GitHub's business.
    fn page(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url?;
        let parts: Vec<&str> = url.path_segments()?.collect();
        // A forge may live below a path of its host.
        let at = parts.windows(2).position(|two| two == ["actions", "runs"]).filter(|at| *at >= 2);
        let at = at?;
        let repository = format!("{}/{}", parts[at - 2], parts[at - 1]);
        let number = |at: usize| parts.get(at)?.parse::<u64>().ok();
        let run = RunId(number(at + 2)?);
        let job = parts[at + 3..].iter().position(|part| matches!(*part, "job" | "jobs"));
        match job.and_then(|after| number(at + 3 + after + 1)) {
            Some(job) => Some(Asked::JobAt { repository, job: JobId(job) }),
            None => Some(Asked::Run { repository, run }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_name_a_job() {
        let run = |run| Asked::Run { repository: "octo/app".to_owned(), run: RunId(run) };
        let job = Asked::JobAt { repository: "octo/app".to_owned(), job: JobId(7) };
        let page = "https://github.com/octo/app/actions/runs/9";
        for (text, asked) in [
            ("7".to_owned(), Asked::Job(JobId(7))),
            ("octo/app#9".to_owned(), run(9)),
            (page.to_owned(), run(9)),
            (format!("{page}/"), run(9)),
            (format!("{page}/attempts/2"), run(9)),
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
