//! Reading what a config wants of Vault: each entry once, and of secrets that others sign with the value
//! before too, for what they have sent with it is still on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::config::{VaultField, VaultSecret, Wish};
use crate::vault::{Client, Entry, Error};

/// How long the value before is accepted after a newer version was written. At GitHub a secret is changed by
/// hand, or by a pipeline, before or after it is changed in Vault.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// How many versions back the value before is looked for: each of them may have changed another field.
const VERSIONS_BACK: usize = 8;

/// Why a secret could not be read.
#[derive(Debug, Clone)]
pub enum Unread {
    /// It may pass by itself.
    Away(String),
    /// It is not shown to us: the token has ended, or a right was taken away.
    Refused(String),
    Wrong(String),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        match error {
            error if error.is_away() => Unread::Away(error.to_string()),
            error if is_refusal(&error) => Unread::Refused(told(&error)),
            error => Unread::Wrong(told(&error)),
        }
    }
}

/// Which says nothing of what is there.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::Denied { .. } | Error::Ended { .. } | Error::Login { .. } | Error::File { .. }
    )
}

fn told(error: &Error) -> String {
    match error {
        Error::Denied { .. } => format!("{error} (the token has ended, or no policy allows it)"),
        Error::Missing { message, .. } if message.is_empty() => {
            format!("{error} (there is no such entry)")
        }
        error => error.to_string(),
    }
}

/// What was read, and from which versions.
pub struct Reading {
    pub secrets: BTreeMap<VaultField, Result<VaultSecret, Unread>>,
    /// By mount and path.
    pub versions: BTreeMap<(String, String), Option<u64>>,
    /// When the first of the values before is not to be accepted any more.
    pub until: Option<Instant>,
}

impl Reading {
    pub async fn of(client: &Client, wishes: &BTreeSet<Wish>) -> Self {
        let mut reading = Self { secrets: BTreeMap::new(), versions: BTreeMap::new(), until: None };
        let mut entries: BTreeMap<(String, String), Vec<&Wish>> = BTreeMap::new();
        for wish in wishes {
            let place = (wish.field.mount.clone(), wish.field.path.clone());
            entries.entry(place).or_default().push(wish);
        }
        for ((mount, path), wishes) in entries {
            let entry = client.read(&mount, &path, None).await;
            let version = match &entry {
                Ok(entry) => Some(entry.version),
                Err(Error::Deleted { version, .. }) => Some(*version),
                Err(_) => None,
            };
            let entry = entry.map_err(Unread::from);
            for wish in wishes {
                let secret = match &entry {
                    Ok(entry) => reading.secret(client, wish, entry).await,
                    Err(unread) => Err(unread.clone()),
                };
                // Wished for by two keys, it is wished for with what was before by one of them.
                let before = reading.secrets.get(&wish.field);
                let has_more = |it: &Result<VaultSecret, Unread>| {
                    it.as_ref().is_ok_and(|it| it.previous.is_some())
                };
                if !before.is_some_and(has_more) {
                    reading.secrets.insert(wish.field.clone(), secret);
                }
            }
            reading.versions.insert((mount, path), version);
        }
        reading
    }

    async fn secret(
        &mut self,
        client: &Client,
        wish: &Wish,
        entry: &Entry,
    ) -> Result<VaultSecret, Unread> {
        let value = value(entry, &wish.field.field).map_err(Unread::Wrong)?;
        let mut previous = None;
        if wish.with_previous
            && let Some((before, ends)) = before(client, wish, entry, &value).await
        {
            self.until = Some(self.until.map_or(ends, |until| until.min(ends)));
            previous = Some(before);
        }
        Ok(VaultSecret { value, previous })
    }
}

/// The value that a field had before, and until when it is to be accepted. What cannot be read is none: it is of
/// use, and not necessary.
async fn before(
    client: &Client,
    wish: &Wish,
    entry: &Entry,
    now_valid: &SecretString,
) -> Option<(SecretString, Instant)> {
    let VaultField { mount, path, field } = &wish.field;
    let (mut replaced, mut version) = (entry.created, entry.version);
    for _ in 0..VERSIONS_BACK {
        let left = OVERLAP.checked_sub(Timestamp::now().duration_since(replaced))?;
        let left = Duration::try_from(left).ok().filter(|left| !left.is_zero())?;
        version = version.checked_sub(1).filter(|version| *version > 0)?;
        let older = client.read(mount, path, Some(version)).await.ok()?;
        let was = value(&older, field).ok()?;
        if was.expose_secret() != now_valid.expose_secret() {
            return Some((was, Instant::now() + left));
        }
        replaced = older.created;
    }
    None
}

/// A field's value, without the newline that a file has at its end.
fn value(entry: &Entry, field: &str) -> Result<SecretString, String> {
    let Some(value) = entry.fields.get(field) else {
        let names: Vec<&str> = entry.fields.names().collect();
        return Err(match names[..] {
            [] => format!("version {} has no field that is a text", entry.version),
            _ => format!(
                "version {} has no field {field:?} that is a text; it has {}",
                entry.version,
                names.join(", ")
            ),
        });
    };
    let text = value.expose_secret();
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    match text {
        "" => Err(format!("field {field:?} is empty")),
        text => Ok(text.into()),
    }
}

/// Whether another version than these is there; else why that cannot be told.
pub async fn look(
    client: &Client,
    versions: &BTreeMap<(String, String), Option<u64>>,
) -> Result<bool, String> {
    for ((mount, path), read) in versions {
        let newest = match client.metadata(mount, path).await {
            Ok(metadata) => Some(metadata.current_version),
            Err(error) if error.is_away() => return Err(error.to_string()),
            // Without that right the entry itself tells its version.
            Err(_) => match client.read(mount, path, None).await {
                Ok(entry) => Some(entry.version),
                Err(Error::Deleted { version, .. }) => Some(version),
                Err(error) if error.is_away() || is_refusal(&error) => return Err(told(&error)),
                Err(_) => None,
            },
        };
        if newest != *read {
            return Ok(true);
        }
    }
    Ok(false)
}
