//! Runners that are registered before they start: `generate-jitconfig`.
//!
//! What is known of them: next.md 2 of the facts is GitHub's description (body, answers), runs-on#30
//! (409), actions/runner#4726 (idle ones vanish after 2 to 6 minutes), actions/runner#2920
//! (`config.sh remove` does not work for them). Read next: `../runner/jit.rs`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use serde_json::json;

use super::model::{GitHub, MINUTE, Millis};
use super::runners::{NewRunner, Refusal};
use super::tokens::Scope;
use crate::runner::jit::Config;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct JitRequest {
    pub name: String,
    pub labels: Vec<String>,
    pub group: u64,
}

/// How long a listening one may be idle, at least and at most.
const IDLE: std::ops::Range<Millis> = 2 * MINUTE..6 * MINUTE;

impl GitHub {
    /// Registers a runner and makes its configuration; the id, and what `run.sh --jitconfig` wants.
    ///
    /// # Errors
    /// A name that is taken answers 409, a group that is not there 404, values that are out of
    /// bounds 422, and a repository that may not have runners of its own 403.
    pub fn jit_config(
        &mut self,
        scope: Scope,
        asked: &JitRequest,
        now: Millis,
    ) -> Result<(u64, String), Refusal> {
        let refuse = |status, message: &str| Err(Refusal { status, message: message.to_owned() });
        if asked.name.is_empty() || asked.name.chars().count() > 64 {
            return refuse(422, "Validation Failed: name is too long");
        }
        if asked.labels.is_empty() || asked.labels.len() > 100 {
            return refuse(422, "Validation Failed: between 1 and 100 labels are required");
        }
        let bad = |label: &String| label.is_empty() || label.chars().count() > 256;
        if asked.labels.iter().any(bad) {
            return refuse(422, "Validation Failed: a label is too long");
        }
        let Some(group) = self.group_for(scope, |group| group.id == asked.group) else {
            return refuse(404, "Not Found");
        };
        let runner = NewRunner {
            name: asked.name.clone(),
            labels: asked.labels.clone(),
            group,
            ephemeral: true,
            replace: false,
        };
        let registered = self.add_runner(scope, runner, now)?;
        let idle_limit = self.rng.random_range(IDLE);
        // A 2048 bit key in base64 makes the real ones about 4.4 kB.
        let key = self.draw_text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 2_280);
        let url = format!("{}/{}", self.base, self.scope_name(scope));
        if let Some(runner) = self.runners.get_mut(&registered.id) {
            runner.jit_idle_limit = Some(idle_limit);
        }
        let id = registered.id;
        let config = Config { url, name: asked.name.clone(), registered, key };
        Ok((id, config.encoded()))
    }

    /// Removes JIT runners that have listened for too long without a job.
    pub(super) fn expire_idle_jit_runners(&mut self, now: Millis) {
        let idle = self.runners.values().filter(|runner| {
            let limit = runner.jit_idle_limit.zip(runner.listening_since);
            runner.job.is_none() && limit.is_some_and(|(limit, since)| since + limit <= now)
        });
        for id in idle.map(|runner| runner.id).collect::<Vec<_>>() {
            self.drop_runner(id, "a JIT runner that was idle", now);
        }
    }
}

/// The files of a configuration, as the real one has them.
#[must_use]
pub fn packed(files: &[(&str, String)]) -> String {
    let files: serde_json::Map<String, serde_json::Value> = files
        .iter()
        .map(|(name, content)| ((*name).to_owned(), json!(STANDARD.encode(content))))
        .collect();
    STANDARD.encode(serde_json::Value::Object(files).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::World;
    use super::*;
    use crate::protocol::Poll;

    fn asked(name: &str) -> JitRequest {
        JitRequest { name: name.to_owned(), labels: vec!["x64".to_owned()], group: 1 }
    }

    /// Registered, and the secret that is in its configuration.
    fn made(world: &mut World, name: &str, now: Millis) -> crate::protocol::Registered {
        let (id, text) = world.gh.jit_config(world.scope, &asked(name), now).unwrap();
        let config = Config::decoded(&text).unwrap();
        assert!((4_000..5_000).contains(&text.len()), "{}", text.len());
        assert_eq!(config.registered.id, id);
        config.registered
    }

    #[test]
    fn it_is_registered_before_it_starts_and_runs_one_job() {
        let mut world = World::new();
        let runner = made(&mut world, "r-1", 0);
        let job = world.job("build", &["x64"], 0);
        assert_eq!(world.gh.runners_of(world.scope).count(), 1);
        world.gh.assign(1);
        assert!(world.gh.runner(runner.id).unwrap().job.is_none(), "it has not connected");
        let _ = world.poll(&runner, 2);
        assert_eq!(world.start(&runner, 3), Some(job));
        assert!(world.gh.finished(
            runner.id,
            &runner.secret,
            job,
            super::super::Conclusion::Success,
            4
        ));
        assert!(world.gh.leftovers().is_empty());
    }

    #[test]
    fn a_name_is_taken_once() {
        let mut world = World::new();
        let _ = made(&mut world, "r-1", 0);
        let refusal = world.gh.jit_config(world.scope, &asked("r-1"), 1).unwrap_err();
        assert_eq!(refusal.status, 409);
        assert!(refusal.message.contains("r-1 already exists"));
    }

    #[test]
    fn one_that_listens_in_vain_is_removed_after_some_minutes_and_one_that_never_started_is_not() {
        let mut world = World::new();
        let listens = made(&mut world, "r-1", 0);
        let _ = made(&mut world, "r-2", 0);
        assert_eq!(world.poll(&listens, 0), Poll::Wait);
        world.gh.tick(MINUTE);
        assert_eq!(world.gh.runners_of(world.scope).count(), 2);
        world.gh.tick(6 * MINUTE);
        assert_eq!(world.poll(&listens, 6 * MINUTE), Poll::Gone);
        assert_eq!(world.gh.runners_of(world.scope).count(), 1);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let mut world = World::new();
        let scope = world.scope;
        let mut status =
            |asked: JitRequest| world.gh.jit_config(scope, &asked, 0).unwrap_err().status;
        assert_eq!(status(JitRequest { group: 7, ..asked("r") }), 404);
        assert_eq!(status(JitRequest { labels: Vec::new(), ..asked("r") }), 422);
        assert_eq!(status(JitRequest { labels: vec!["x".repeat(257)], ..asked("r") }), 422);
        assert_eq!(status(asked(&"r".repeat(65))), 422);
    }
}
