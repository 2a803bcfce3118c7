//! `run.sh`: listen, run the hook, run a job by sleeping, end.
//!
//! Exit codes as run.sh gives them on: 0 for nearly everything, and 7 for an outdated version where
//! `ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE` asks for it (actions/runner#4203).
//! Read next: `hook.rs`, `client.rs`.

use std::path::Path;
use std::time::Duration;

use super::client::Client;
use super::files;
use super::hook;
use super::{Environment, Failure, VERSION};
use crate::protocol::{Beat, JobMessage, Poll, Registered, Report};

/// How often a runner at work shows that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// What run.sh gives on for an outdated version; all else becomes 0.
const DEPRECATED: u8 = 7;

/// How a job ended for the listener.
enum Ended {
    /// Completed, with this conclusion.
    With(&'static str),
    /// Somebody stopped the listener in the middle: the job fails.
    Stopped,
    /// GitHub took the job away.
    TakenAway,
}

/// What a listener does after a job.
enum Next {
    Listen,
    End,
}

struct Listener<'a> {
    client: Client,
    registered: Registered,
    root: &'a Path,
    ephemeral: bool,
    environment: &'a Environment,
}

pub(super) async fn run(root: &Path, environment: &Environment) -> u8 {
    let (settings, registered) = match files::read(root) {
        Ok(found) => found,
        Err(_) => {
            eprintln!("Not configured. Run config.(sh/cmd) to configure the runner.");
            return 0;
        }
    };
    let client = match Client::new(&settings.git_hub_url) {
        Ok(client) => client,
        Err(failure) => {
            eprintln!("{failure}");
            return 0;
        }
    };
    let listener =
        Listener { client, registered, root, ephemeral: settings.ephemeral, environment };
    let tells = environment
        .get("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE")
        .is_some_and(|it| it == "1");
    println!("\n√ Connected to GitHub\n\nCurrent runner version: '{VERSION}'");
    log("Listening for Jobs");
    let mut stop = std::pin::pin!(asked_to_stop());
    loop {
        let news = tokio::select! {
            news = listener.next() => news,
            () = &mut stop => {
                println!("Exiting...");
                return 0;
            }
        };
        match news {
            Ok(Poll::Wait) => {}
            Ok(Poll::Job { job }) => match listener.work(&job, stop.as_mut()).await {
                Next::Listen => {}
                Next::End => return 0,
            },
            Ok(Poll::Gone) => {
                println!(
                    "Failed to create a session. The runner registration has been deleted from the \
                     server, please re-configure. The runner no longer exists on the server."
                );
                return 0;
            }
            Ok(Poll::Deprecated) => {
                eprintln!(
                    "An error occurred: Runner version v{VERSION} is deprecated and cannot receive \
                     messages."
                );
                return if tells { DEPRECATED } else { 0 };
            }
            Err(failure) => {
                eprintln!("An error occurred: {failure}");
                return 0;
            }
        }
    }
}

impl Listener<'_> {
    async fn next(&self) -> Result<Poll, Failure> {
        let path = format!("runners/{}/next", self.registered.id);
        self.client.post(&path, &self.registered.secret).await
    }

    /// Runs the job to its end.
    async fn work(&self, job: &JobMessage, stop: impl Future<Output = ()>) -> Next {
        match self.report("started", job, None, &[]).await {
            Ok(true) => {}
            // Cancelled, or given to another in the meantime.
            Ok(false) => return Next::Listen,
            Err(failure) => {
                eprintln!("An error occurred: {failure}");
                return Next::End;
            }
        }
        log(&format!("Running job: {}", job.name));
        let mut begun = Vec::new();
        let ended = tokio::select! {
            ended = self.hook_and_steps(job, &mut begun) => ended,
            // From now on no step is begun, not even one with `if: always()`.
            () = stop => Ended::Stopped,
        };
        let (conclusion, stopped) = match ended {
            Ended::With(conclusion) => (conclusion, false),
            Ended::Stopped => ("failure", true),
            Ended::TakenAway => return Next::End,
        };
        let finished: Result<bool, _> =
            self.report("finished", job, Some(conclusion), &begun).await;
        if let Err(failure) = finished {
            eprintln!("An error occurred: {failure}");
        }
        let word = match conclusion {
            "success" => "Succeeded",
            "cancelled" => "Canceled",
            _ => "Failed",
        };
        log(&format!("Job {} completed with result: {word}", job.name));
        if self.ephemeral {
            // An ephemeral runner removes its own configuration after its job.
            if let Err(error) = files::remove(self.root) {
                eprintln!("An error occurred: {error}");
            }
        }
        if stopped || self.ephemeral { Next::End } else { Next::Listen }
    }

    /// The job-started hook, if one is configured, then the steps. A hook that fails fails the
    /// job, and nothing more: steps with `if: always()` run all the same (actions/runner#2811).
    async fn hook_and_steps(&self, job: &JobMessage, begun: &mut Vec<String>) -> Ended {
        let mut conclusion = "success";
        if let Some(mut hook) = hook::start(self.root, self.environment, job) {
            match self.while_beating(job, hook.ended()).await {
                Ok(true) => {}
                Ok(false) => conclusion = "failure",
                Err(Ended::With(cancelled)) => conclusion = cancelled,
                Err(ended) => return ended,
            }
        }
        let duration = Duration::from_millis(u64::try_from(job.duration_ms).unwrap_or(0));
        for (number, step) in job.steps.iter().enumerate() {
            if conclusion != "success" && !step.always {
                continue;
            }
            begun.push(step.name.clone());
            let takes = if number == 0 { duration } else { Duration::ZERO };
            match self.while_beating(job, tokio::time::sleep(takes)).await {
                Ok(()) if number > 0 => {}
                Ok(()) => {
                    conclusion = match job.conclusion.as_str() {
                        "success" => "success",
                        "cancelled" => "cancelled",
                        _ => "failure",
                    };
                }
                Err(Ended::With(cancelled)) => conclusion = cancelled,
                Err(ended) => return ended,
            }
        }
        Ended::With(conclusion)
    }

    /// Waits with a sign of life now and then, until GitHub wants something else.
    async fn while_beating<T>(
        &self,
        job: &JobMessage,
        work: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(BEAT) => match self.report("beat", job, None, &[]).await {
                    Ok(Beat::Cancelled) => return Err(Ended::With("cancelled")),
                    Ok(Beat::NotYours) => return Err(Ended::TakenAway),
                    // Without a server the job goes on; its end will be reported.
                    Ok(Beat::GoOn) | Err(_) => {}
                },
            }
        }
    }

    async fn report<R: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        job: &JobMessage,
        conclusion: Option<&str>,
        begun: &[String],
    ) -> Result<R, Failure> {
        let report = Report {
            secret: self.registered.secret.clone(),
            job: job.id,
            conclusion: conclusion.map(str::to_owned),
            steps: begun.to_owned(),
        };
        self.client.post(&format!("runners/{}/{what}", self.registered.id), &report).await
    }
}

/// SIGINT or SIGTERM: the listener shuts down, and a job in the middle fails.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without handlers the signals end the process by themselves.
    std::future::pending::<()>().await;
}

fn log(text: &str) {
    println!("{}: {text}", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ"));
}
