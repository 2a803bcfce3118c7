//! Gives an App's webhook another secret without a refused delivery. The file gets the new one first,
//! and the previous one keeps the old; when the daemon takes the new one, GitHub is told; when a
//! delivery signed with it has arrived, the previous one is replaced too.
//!
//! It can be stopped at any point and run again: as long as the two files differ, a rotation is under
//! way, and it goes on with what is in them.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::Url;

use super::super::{Failed, send};
use super::{create, kept};
use crate::admin;
use crate::config::{Credential, Secret, Settings};
use crate::github::{App, Conditional, Delivery, LogOf};
use crate::webhook::signature;

/// How long somebody may take to reload the daemon.
const FOR_THE_DAEMON: Duration = Duration::from_secs(600);
/// How long GitHub may take to deliver.
const FOR_GITHUB: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);

pub async fn rotate(settings: &Settings, credential: &Credential) -> Result<(), Failed> {
    let configured = credential.app().context("the credential is an App")?;
    let Some((current, file)) = in_file(configured.webhook.as_ref()) else {
        return Err(Failed::Wrong(
            "roustabout app status: --rotate-secret requires webhook_secret_file in the App's config"
                .to_owned(),
        ));
    };
    let Some((previous, previous_file)) = in_file(configured.previous_webhook.as_ref()) else {
        let file = file.display();
        return Err(Failed::Wrong(format!(
            "roustabout app status: --rotate-secret requires previous_webhook_secret_file in the App's config: copy {file} (cp -p {file} {file}-previous), set previous_webhook_secret_file = \"{file}-previous\", and reload the daemon"
        )));
    };
    if !settings.webhook.enabled {
        return Err(Failed::Wrong(
            "roustabout app status: webhooks are disabled (webhook.enabled), so there is no secret to rotate"
                .to_owned(),
        ));
    }
    let app = App::new(settings.github.server(), &configured.issuer, configured.key.clone())
        .context("cannot set up a connection to GitHub")?;
    // Before anything is changed.
    app.hook_config().await.context("cannot read the App's webhook")?;
    let new = match current.expose_secret() == previous.expose_secret() {
        true => {
            let new = create::draw_secret();
            kept::replace(&file, &new)?;
            tell(&format!("wrote a new secret to {}", file.display()))?;
            new
        }
        false => {
            tell("a rotation is under way; continuing it")?;
            current
        }
    };
    let door = send::door_of(&settings.webhook)?;
    until_taken(&door, &new).await?;
    app.set_hook_secret(&new)
        .await
        .context("GitHub did not take the new secret; run this again")?;
    tell("GitHub signs with the new secret now")?;
    if !arrives(&app).await? {
        tell(
            "the rotation is not over: no delivery could be repeated to test the new secret. Both are accepted; run this again after the next webhook",
        )?;
        return Err(Failed::Said);
    }
    kept::replace(&previous_file, &new)?;
    tell(
        "a delivery signed with the new secret has arrived; the previous secret is replaced. Reload the daemon so that it no longer accepts it",
    )?;
    Ok(())
}

fn in_file(secret: Option<&Secret>) -> Option<(SecretString, PathBuf)> {
    let Secret { secret, file } = secret?;
    Some((secret.clone(), file.clone()?))
}

/// A ping signed with it is answered by the daemon on this machine.
async fn until_taken(door: &Url, secret: &SecretString) -> Result<(), Failed> {
    let client = admin::http(door).context("cannot set up a connection")?;
    let began = Instant::now();
    let mut told = None;
    loop {
        let body = br#"{"zen": "roustabout app status --rotate-secret"}"#;
        let answer = client
            .post(door.clone())
            .timeout(Duration::from_secs(10))
            .header("content-type", "application/json")
            .header("x-github-event", "ping")
            .header("x-github-delivery", send::draw_delivery())
            .header("x-hub-signature-256", signature::sign(secret, body))
            .body(body.to_vec())
            .send()
            .await;
        let why = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if answer.status() == 401 => {
                "the daemon does not accept the new secret yet: reload it (systemctl reload roustabout, or SIGHUP)".to_owned()
            }
            Ok(answer) => format!("the daemon at {door} answers {}", answer.status()),
            Err(error) => {
                format!("no daemon answers at {door}: {}", admin::root_cause(&error))
            }
        };
        if began.elapsed() > FOR_THE_DAEMON {
            return Err(anyhow!("{why}. Nothing was changed at GitHub; run this again").into());
        }
        if told.as_ref() != Some(&why) {
            let minutes = FOR_THE_DAEMON.as_secs() / 60;
            tell(&format!("waiting up to {minutes} minutes: {why}"))?;
            told = Some(why);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Has GitHub repeat its newest delivery, and waits for the answer. `false`: there is none.
async fn arrives(app: &App) -> Result<bool, Failed> {
    let newest = |new: Vec<Delivery>| new.into_iter().max_by_key(|delivery| delivery.id);
    let read = async |after| -> Result<Vec<Delivery>, Failed> {
        let new = app.own().deliveries_after(&LogOf::App, after, None, 1).await;
        match new.context("cannot read the App's deliveries")? {
            Conditional::Fresh { value, .. } => Ok(value.deliveries),
            Conditional::Unchanged => Ok(Vec::new()),
        }
    };
    let Some(last) = newest(read(None).await?) else { return Ok(false) };
    app.deliver_again(last.id).await.context("GitHub does not repeat a delivery")?;
    let began = Instant::now();
    loop {
        let repeated = read(Some(last.id)).await?.into_iter().find(|one| one.guid == last.guid);
        match repeated {
            Some(one) if !one.failed() => return Ok(true),
            Some(one) => {
                return Err(anyhow!(
                    "a delivery signed with the new secret was not accepted: {}. The previous secret stays; run this again when that is fixed",
                    strangers_text::harmless(&one.status)
                )
                .into());
            }
            None if began.elapsed() > FOR_GITHUB => return Ok(false),
            None => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn tell(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{text}").context("cannot write")
}
