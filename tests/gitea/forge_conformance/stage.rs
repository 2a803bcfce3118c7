//! What a forge must let be done to it, so that the seam can be asked about it afterwards.

use std::sync::Arc;

use roustabout::config::{self, Environment, Settings};
use roustabout::forge::{Forge, Forges};
use roustabout::ledger::{JobId, RunId};

/// A private repository of the organization `octo`.
pub const APP: &str = "octo/app";
/// A public repository of a person.
pub const OWN: &str = "owner/own";
pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];

/// A forge with `octo/app` and `owner/own` in it, whose jobs are waited for until they are there.
pub trait Stage {
    /// The one that everything is asked of, with a credential that may do everything.
    fn forge(&self) -> &Forge;
    /// A credential that the forge does not know.
    fn with_a_wrong_token(&self) -> Forge;
    /// A login and the number of people's words that cause runs.
    fn actor(&self) -> &str;
    /// Whether a rerun queues the same jobs again.
    fn reruns_keep_ids(&self) -> bool;

    /// A run of one job by a push to `octo/app`, which lasts until [`Stage::finish`].
    async fn push(&mut self) -> (RunId, JobId);
    /// A runner of `octo/app` that is registered for one job and does not work yet.
    async fn register(&mut self, name: &str);
    /// It takes a job and is at work on it.
    async fn work(&mut self);
    /// The job at work ends well, and its runner with it.
    async fn finish(&mut self);
    async fn rerun(&mut self, run: RunId);
    async fn cancel(&mut self, run: RunId);
    /// A run of `owner/own` by a push, and one by a pull request from a fork.
    async fn push_and_pull(&mut self) -> (RunId, RunId);
    /// Has a hook tell `octo/app`'s jobs to this address.
    async fn add_hook(&mut self, url: &str);
}

pub fn settings(github: &str, token: &str) -> Arc<Settings> {
    let text = format!(
        "[github]\n{github}\n[[github.credentials]]\nowners = [\"*\"]\ntoken = \"{token}\"\n\
         [[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
         repositories = [\"octo/*\"]\ndelivery = \"payload\"\n"
    );
    let secrets = Environment::from_iter([("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef")]);
    Arc::new(config::from_text(&text, "test", &secrets).unwrap().settings)
}

pub fn forge(github: &str, token: &str) -> Forge {
    let forges = Forges::new(settings(github, token)).unwrap();
    forges.of("octo").unwrap().clone()
}
