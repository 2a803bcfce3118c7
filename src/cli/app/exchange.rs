//! The code that GitHub gives when the App is confirmed, from the browser or pasted, and its exchange
//! for the App's key. The key comes once and nowhere else, so the exchange is tried again for as long
//! as the code lives, and the browser hears how it went.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::super::Failed;
use super::create::tell;
use super::page::{self, Given, Told};
use crate::github::{Created, Error, Stranger};

/// How long GitHub takes a code.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Between two tries, at first and at most.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(60);
/// For the browser to get its last page.
const GOODBYE: Duration = Duration::from_secs(2);

/// Waits for a code from the browser or from standard input, and exchanges it.
pub async fn exchange(
    github: &Stranger,
    listener: TcpListener,
    served: page::Page,
    state: &str,
) -> Result<Created, Failed> {
    let (codes, came) = mpsc::channel(1);
    let (goes_on, end) = oneshot::channel::<()>();
    let page = tokio::spawn(page::serve(listener, served, codes, end));
    let asked = tokio::time::timeout(PATIENCE, first_good(github, came, state)).await;
    drop(goes_on);
    // A browser that takes longer has the terminal.
    let _ = tokio::time::timeout(GOODBYE, page).await;
    asked.unwrap_or_else(|_| {
        let why = "nobody confirmed the App within an hour, after which GitHub accepts no code; start again";
        Err(anyhow::anyhow!(why).into())
    })
}

async fn first_good(
    github: &Stranger,
    mut came: mpsc::Receiver<Given>,
    state: &str,
) -> Result<Created, Failed> {
    let mut lines = lines_of_standard_input();
    let mut reads = true;
    loop {
        let (code, answer) = tokio::select! {
            given = came.recv() => match given {
                Some(Given { code, answer }) => (code, Some(answer)),
                None => return Err(anyhow::anyhow!("the page on loopback ended").into()),
            },
            line = lines.recv(), if reads => match line {
                Some(line) if line.trim().is_empty() => continue,
                Some(line) => match code_in(line.trim(), state) {
                    Ok(code) => (code, None),
                    Err(why) => { tell(why)?; continue }
                },
                // Nobody types here: the browser is waited for.
                None => { reads = false; continue }
            },
        };
        let (told, created) = match patiently(github, &code).await? {
            Ok(created) => (Told::Created, Some(created)),
            Err(why) => {
                tell(&why)?;
                (Told::Refused(why), None)
            }
        };
        // A browser that has gone needs no answer.
        let _ = answer.map(|answer| answer.send(told));
        if let Some(created) = created {
            return Ok(created);
        }
    }
}

/// Tries until GitHub answers; the inner error says why it does not take the code.
async fn patiently(github: &Stranger, code: &str) -> anyhow::Result<Result<Created, String>> {
    let end = Instant::now() + PATIENCE;
    let mut pause = SOON;
    let mut last: Option<Error> = None;
    loop {
        let error = match github.exchange(code).await {
            Ok(created) => return Ok(Ok(created)),
            Err(error) => error,
        };
        let wait = match &error {
            Error::NotFound { .. } | Error::Unprocessable { .. } => {
                return Ok(Err(refused(last.is_some())));
            }
            Error::RateLimited { wait, .. }
            | Error::HeldBack { wait, .. }
            | Error::TooFast { wait, .. } => (*wait).max(SOON),
            Error::Unavailable { .. } => pause,
            _ => {
                return Ok(Err(format!(
                    "Cannot exchange the code: {error}. It is valid for an hour: reload the page in the browser, or paste the code here."
                )));
            }
        };
        if Instant::now() + wait > end {
            return Ok(Err(format!("Cannot exchange the code: {error}.")));
        }
        if last.as_ref() != Some(&error) {
            tell(&format!(
                "GitHub does not exchange the code yet: {error}. Trying again; the code is valid for an hour."
            ))?;
        }
        last = Some(error);
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LATER);
    }
}

/// `again`: an earlier try got no answer, and may have succeeded.
fn refused(again: bool) -> String {
    let refused = "GitHub does not accept this code: it was used before, is older than an hour, or is incomplete.";
    match again {
        false => format!("{refused} Open the page again to get a new one."),
        true => format!(
            "{refused} If the App exists now, an answer of GitHub was lost, and the key with it: \
             generate a private key and set a webhook secret in the App's settings, or delete the App \
             there and open the page again."
        ),
    }
}

/// A thread reads them, which ends with the input or the process.
fn lines_of_standard_input() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The code in what was pasted: the address of the browser, or the code alone.
fn code_in(pasted: &str, state: &str) -> Result<String, &'static str> {
    if !pasted.contains("code=") {
        return match page::is_code(pasted) {
            true => Ok(pasted.to_owned()),
            false => Err("This is neither a code nor an address with code=; paste it once more."),
        };
    }
    let query = pasted.split_once('?').map_or(pasted, |(_, query)| query);
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if value("state").is_some_and(|given| given != state) {
        return Err("This address belongs to another run of this command.");
    }
    match value("code").filter(|code| page::is_code(code)) {
        Some(code) => Ok(code.clone()),
        None => Err("There is no code in this address; paste it once more."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_what_is_pasted() {
        let found = |text| code_in(text, "s1").ok();
        assert_eq!(found("abc123").as_deref(), Some("abc123"));
        let address = "http://127.0.0.1:5/created?code=abc123&state=s1";
        assert_eq!(found(address).as_deref(), Some("abc123"));
        assert_eq!(found("code=abc123").as_deref(), Some("abc123"));
        for wrong in ["http://127.0.0.1:5/created?code=abc123&state=s2", "code=", "a b", "code=a/b"]
        {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }
}
