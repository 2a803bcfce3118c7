//! What the sweeps saw the last time, so that asking again costs less. It outlives a reload, unless
//! that changes whom we ask, or as whom.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{deliveries, runners, sweep};
use crate::config::{By, Credential, Settings};
use crate::forge::{ListMemory, Listed};

/// By the repository's name. Shared, so that a look that is cut short loses nothing, and both kinds
/// of sweeps know what either saw.
#[derive(Clone, Default)]
pub(super) struct ByRepository(Arc<std::sync::Mutex<BTreeMap<String, Arc<Mutex<sweep::Cached>>>>>);

impl ByRepository {
    pub fn of(&self, name: &str) -> Arc<Mutex<sweep::Cached>> {
        // A map of cells is whole whatever panicked beside it.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.to_owned()).or_default().clone()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[derive(Default)]
pub struct Cache {
    /// By which settings it was seen.
    settings: Option<Arc<Settings>>,
    /// Repositories that had open demand, and when.
    pub(super) recent: BTreeMap<String, Instant>,
    pub(super) looks: ByRepository,
    /// By credential.
    pub(super) listings: BTreeMap<usize, ListMemory<Listed>>,
    pub(super) runners: runners::Listings,
    pub(super) hooks: deliveries::Logs,
}

impl Cache {
    /// From here on what is seen is seen by these settings.
    pub(super) fn go_on_by(&mut self, settings: &Arc<Settings>) {
        let alike = self.settings.as_ref().is_some_and(|before| ask_alike(before, settings));
        if !alike {
            *self = Self { recent: std::mem::take(&mut self.recent), ..Self::default() };
        }
        self.settings = Some(settings.clone());
    }
}

/// Whether the same is asked of the same by the same.
fn ask_alike(one: &Settings, other: &Settings) -> bool {
    let same = |(a, b): (&Credential, &Credential)| {
        let by = match (&a.by, &b.by) {
            (By::Token(one), By::Token(other)) => one.expose_secret() == other.expose_secret(),
            (By::App(one), By::App(other)) => one.issuer == other.issuer && one.key == other.key,
            _ => false,
        };
        a.owners == b.owners && by
    };
    let (ours, theirs) = (&one.github, &other.github);
    ours.kind == theirs.kind
        && ours.api_url == theirs.api_url
        && ours.credentials.len() == theirs.credentials.len()
        && ours.credentials.iter().zip(&theirs.credentials).all(same)
        // Which hooks' logs are read.
        && one.webhook.path == other.webhook.path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, from_text};

    fn settings(text: &str) -> Arc<Settings> {
        let text = format!(
            "{text}[[pools]]\nname = \"a\"\nnomad_job = \"r\"\nlabels = [\"linux\"]\n\
             repositories = [\"o/r\"]\ndelivery = \"payload\"\n"
        );
        let secret = [("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef")];
        Arc::new(from_text(&text, "f.toml", &Environment::from_iter(secret)).unwrap().settings)
    }

    #[test]
    fn another_token_is_another_view_and_what_was_open_stays_so() {
        let usual = "[[github.credentials]]\nowners = [\"*\"]\ntoken = \"t\"\n";
        let mut cache = Cache::default();
        cache.go_on_by(&settings(usual));
        cache.looks.of("o/r");
        cache.recent.insert("o/r".into(), Instant::now());
        cache.go_on_by(&settings(&format!("[runners]\nmax = 3\n{usual}")));
        assert_eq!(cache.looks.len(), 1);
        for other in [
            usual.replace("\"t\"", "\"u\""),
            usual.replace("\"*\"", "\"o\""),
            format!("[github]\napi_url = \"https://git.test/api/v3\"\n{usual}"),
            format!("[webhook]\npath = \"/other\"\n{usual}"),
        ] {
            cache.go_on_by(&settings(&other));
            assert_eq!(cache.looks.len(), 0, "{other}");
            cache.go_on_by(&settings(usual));
            cache.looks.of("o/r");
        }
        assert_eq!(cache.recent.len(), 1);
    }
}
