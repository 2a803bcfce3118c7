//! Signs a payload and posts it to a running daemon, as GitHub would; prints the answer.

use std::path::PathBuf;

use anyhow::Context;
use rand::{Rng, SeedableRng};
use secrecy::SecretString;
use url::Url;

use super::Failed;
use super::output::print;
use crate::admin;
use crate::webhook::signature;

/// The variable that sets the secret, as in the config.
const SECRET_VARIABLE: &str = "ROUSTABOUT_WEBHOOK_SECRET";

#[derive(clap::Args)]
pub struct Options {
    /// JSON file with the payload; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// URL of the daemon's webhook; default: [webhook] listen and path of the config, on this machine.
    #[arg(long)]
    url: Option<Url>,
    /// Value of X-GitHub-Event.
    #[arg(long, default_value = "workflow_job", value_parser = header_value)]
    event: String,
    /// Value of X-GitHub-Delivery; default: a random id.
    #[arg(long, value_name = "ID", value_parser = header_value)]
    delivery: Option<String>,
    /// File with the webhook secret; default: the config's secret, or $ROUSTABOUT_WEBHOOK_SECRET.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Print the answer and its HTTP status as one JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let body = match options.file.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin())
            .context("cannot read standard input")?
            .into_bytes(),
        _ => std::fs::read(&options.file)
            .with_context(|| format!("cannot read the payload {}", options.file.display()))?,
    };
    let job = job_of(&options.event, &body);
    let (url, secret) = target(config, &options).await?;
    let delivery = options.delivery.unwrap_or_else(draw_delivery);
    let answer = admin::http(&url)
        .context("cannot set up a connection")?
        .post(url.clone())
        .timeout(std::time::Duration::from_secs(10))
        .header("content-type", "application/json")
        .header("x-github-event", &options.event)
        .header("x-github-delivery", &delivery)
        .header("x-hub-signature-256", signature::sign(&secret, &body))
        .body(body)
        .send()
        .await
        .map_err(|error| {
            let why = admin::root_cause(&error);
            anyhow::anyhow!(
                "no daemon answers at {url}: {why}; start it (roustabout serve), or set its address (--url, or [webhook] listen)"
            )
        })?;
    let status = answer.status();
    let text = answer.text().await.context("the daemon's answer was cut off")?;
    let shown = if options.json {
        let body: serde_json::Value =
            serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
        serde_json::json!({"status": status.as_u16(), "answer": body}).to_string()
    } else {
        let next = next_step(status.as_u16(), &text, job, &delivery);
        let next = next.map(|next| format!("\n{next}")).unwrap_or_default();
        super::printable(&format!("{status}\n{text}{next}"))
    };
    let printed = print(&format!("{shown}\n"));
    if status.is_success() { printed } else { printed.and(Err(Failed::Said)) }
}

/// The job that a payload is about, without validating the payload.
fn job_of(event: &str, body: &[u8]) -> Option<u64> {
    let payload = serde_json::from_slice::<serde_json::Value>(body).ok()?;
    payload["workflow_job"]["id"].as_u64().filter(|_| event == "workflow_job")
}

/// The command that shows more. A job is known as soon as its delivery is accepted, and not before.
fn next_step(status: u16, answer: &str, job: Option<u64>, delivery: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    match (status, answer["outcome"].as_str()?, job) {
        (202, "accepted" | "duplicate", Some(job)) => {
            Some(format!("roustabout explain {job} shows the state of the job and the reason"))
        }
        (202, "ignored", Some(job)) => Some(format!(
            "no runner is launched for job {job} by this delivery; the reason is in the answer"
        )),
        (400, "unreadable", _) => {
            Some(format!("roustabout explain --delivery '{delivery}' shows what was stored of it"))
        }
        (401, ..) => Some(
            "it was not signed with the daemon's [webhook] secret; pass that one with --secret-file"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The URL and the secret. The config is read only for what the options do not set.
async fn target(config: Option<PathBuf>, options: &Options) -> Result<(Url, SecretString), Failed> {
    if let (Some(url), Some(file)) = (&options.url, &options.secret_file) {
        return Ok((url.clone(), secret_of(file)?));
    }
    let webhook = match (super::load(config).await, &options.url) {
        (Ok(loaded), _) => loaded.settings.webhook,
        (Err(failed), None) => return Err(failed),
        (Err(failed), Some(url)) => {
            let secret = std::env::var(SECRET_VARIABLE).map_err(|_| failed)?;
            return Ok((url.clone(), SecretString::from(secret)));
        }
    };
    let secret = match (&options.secret_file, &webhook.secret) {
        (Some(file), _) => secret_of(file)?,
        (None, Some(secret)) => secret.clone(),
        (None, None) => {
            let what =
                "roustabout send: the config has no webhook secret; pass one with --secret-file";
            return Err(Failed::Wrong(what.to_owned()));
        }
    };
    Ok((options.url.clone().map_or_else(|| door_of(&webhook), Ok)?, secret))
}

fn header_value(text: &str) -> Result<String, String> {
    let fit = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    fit.then(|| text.to_owned()).ok_or_else(|| "not a valid header value".to_owned())
}

fn secret_of(file: &std::path::Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the secret {}", file.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(text.strip_suffix('\r').unwrap_or(text)))
}

pub(super) fn door_of(webhook: &crate::config::Webhook) -> anyhow::Result<Url> {
    let mut address = webhook.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Url::parse(&format!("http://{address}{}", webhook.path))
        .context("the config's webhook.path does not make a valid URL; use --url")
}

/// Like GitHub's ids a random UUID (RFC 9562, version 4).
pub(super) fn draw_delivery() -> String {
    let bits: u128 = rand::rngs::StdRng::from_os_rng().random();
    let bits = bits & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
