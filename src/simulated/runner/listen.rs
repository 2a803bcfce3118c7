//! `run.sh`: listen, run a job by sleeping, end.
//!
//! Exit codes as run.sh gives them on: 0 for nearly everything, and 7 for an outdated version where
//! `ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE` asks for it (actions/runner#4203).
//! Read next: `client.rs`.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::client::Client;
use super::files;
use super::{Environment, Failure, VERSION};
use crate::simulated::protocol::{Beat, JobMessage, Poll, Registered, Report};

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
    let listener = Listener { client, registered, root, ephemeral: settings.ephemeral };
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
        match self.report("started", job, None).await {
            Ok(true) => {}
            // Cancelled, or given to another in the meantime.
            Ok(false) => return Next::Listen,
            Err(failure) => {
                eprintln!("An error occurred: {failure}");
                return Next::End;
            }
        }
        log(&format!("Running job: {}", job.name));
        // The job-started hook (ACTIONS_RUNNER_HOOK_JOB_STARTED) belongs here, before any step.
        let ended = tokio::select! {
            ended = self.steps(job) => ended,
            () = stop => Ended::Stopped,
        };
        let (conclusion, stopped) = match ended {
            Ended::With(conclusion) => (conclusion, false),
            Ended::Stopped => ("failure", true),
            Ended::TakenAway => return Next::End,
        };
        let finished: Result<bool, _> = self.report("finished", job, Some(conclusion)).await;
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

    /// Sleeps as long as the job takes, with a sign of life now and then.
    async fn steps(&self, job: &JobMessage) -> Ended {
        let duration = u64::try_from(job.duration_ms).unwrap_or(0);
        let end = Instant::now() + Duration::from_millis(duration);
        loop {
            let now = Instant::now();
            if now >= end {
                return Ended::With(match job.conclusion.as_str() {
                    "success" => "success",
                    "cancelled" => "cancelled",
                    _ => "failure",
                });
            }
            tokio::time::sleep(BEAT.min(end - now)).await;
            if Instant::now() < end {
                match self.report("beat", job, None).await {
                    Ok(Beat::Cancelled) => return Ended::With("cancelled"),
                    Ok(Beat::NotYours) => return Ended::TakenAway,
                    // Without a server the job goes on; its end will be reported.
                    Ok(Beat::GoOn) | Err(_) => {}
                }
            }
        }
    }

    async fn report<R: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        job: &JobMessage,
        conclusion: Option<&str>,
    ) -> Result<R, Failure> {
        let report = Report {
            secret: self.registered.secret.clone(),
            job: job.id,
            conclusion: conclusion.map(str::to_owned),
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
