//! The state of the simulated GitHub, and what time alone changes in it.
//!
//! The rules live beside their idea: accounts, repositories, tokens, runs, runners, hooks, limits,
//! faults; each adds its methods to [`GitHub`]. No I/O, no clock, no async here.
//! Read next: `runs.rs` and `runners.rs`.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, rngs::StdRng};

use super::accounts::Account;
use super::apps::{App, Installation, Pending};
use super::faults::{FaultRule, RequestRecord};
use super::groups::Groups;
use super::happenings::{Happening, What};
use super::hooks::{Delivery, DeliveryFaults, Hook, Logged};
use super::kind::Kind;
use super::limits::Window;
use super::pace::LastMinute;
use super::repositories::Repository;
use super::runners::Runner;
use super::runs::{Job, Run, Status};
use super::tokens::{RunnerToken, Token};

/// Milliseconds since 1970, or a length of time in them.
pub type Millis = i64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

/// What tests may set. The defaults are GitHub's, as far as they are known.
#[derive(Clone, Debug)]
pub struct Knobs {
    pub kind: Kind,
    /// How long at most `busy` stays false after a job was given: drawn from 0 up to this for each
    /// job. Seen in the wild: 25 to 60 s (terraform-aws-github-runner PR #5228, issue #5085).
    pub busy_lag_max: Millis,
    /// A job that its runner does not pick up is queued again (docs, "Using self-hosted runners in a
    /// workflow": 60 seconds).
    pub pickup_limit: Millis,
    /// A queued job is cancelled after this ("at least 24 h", up to 48 h; docs, "Actions limits").
    pub queue_limit: Millis,
    /// Without a sign of life a running job fails after this. The docs give no figure.
    pub lost_after: Millis,
    /// Without a poll a runner is listed `offline` after this. The docs give no figure.
    pub offline_after: Millis,
    /// Lifetime of registration and removal tokens (docs, REST "self-hosted runners": one hour).
    pub token_lifetime: Millis,
    /// The runner's version is outdated: it gets no jobs (actions/runner#4203, #4305).
    pub runner_deprecated: bool,
    /// Of the jobs that fit a runner this one is given first, where others are drawn.
    pub first_job: Option<u64>,
    /// Whether there are rate limits. An Enterprise Server has none, unless its owner sets some.
    pub limits: bool,
    /// Requests an hour (docs, "Rate limits for the REST API": 5000 a user).
    pub core_limit: u64,
    /// Points a minute (the same page, "About secondary rate limits").
    pub points_a_minute: u64,
    /// Chance that a cancel is accepted and does nothing.
    pub cancel_does_nothing: f64,
    /// Gitea's `[api] MAX_RESPONSE_ITEMS`.
    pub page_at_most: usize,
    /// A new installation token is refused for so long: it is not known everywhere at once
    /// (octokit/auth-app.js#65).
    pub token_lag: Millis,
    /// How far GitHub's clock is ahead of this machine's, where it judges an App's JWT.
    pub clock_ahead: Millis,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            kind: Kind::GitHub,
            busy_lag_max: 60 * SECOND,
            pickup_limit: 60 * SECOND,
            queue_limit: 24 * HOUR,
            lost_after: 10 * MINUTE,
            offline_after: 60 * SECOND,
            token_lifetime: HOUR,
            runner_deprecated: false,
            first_job: None,
            limits: true,
            core_limit: 5_000,
            points_a_minute: 900,
            cancel_does_nothing: 0.0,
            page_at_most: 50,
            token_lag: 0,
            clock_ahead: 0,
        }
    }
}

/// The whole simulated GitHub.
#[derive(Clone, Debug)]
pub struct GitHub {
    pub knobs: Knobs,
    /// What goes wrong with webhooks from now on.
    pub delivery_faults: DeliveryFaults,
    pub(super) base: String,
    pub(super) rng: StdRng,
    pub(super) next_id: u64,
    pub(super) accounts: BTreeMap<u64, Account>,
    pub(super) repositories: BTreeMap<u64, Repository>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) apps: BTreeMap<u64, App>,
    pub(super) installations: BTreeMap<u64, Installation>,
    /// Manifest codes that have not been exchanged.
    pub(super) manifests: BTreeMap<String, Pending>,
    pub(super) runner_tokens: BTreeMap<String, RunnerToken>,
    pub(super) windows: BTreeMap<u64, Window>,
    pub(super) minutes: BTreeMap<u64, LastMinute>,
    pub(super) runs: BTreeMap<u64, Run>,
    pub(super) jobs: BTreeMap<u64, Job>,
    /// Jobs that a runner could be given now.
    pub(super) queue: BTreeSet<u64>,
    pub(super) runners: BTreeMap<u64, Runner>,
    pub(super) groups: Groups,
    /// Jobs whose runner was deleted at work, and when: Gitea's.
    pub(super) zombies: BTreeMap<u64, Millis>,
    pub(super) hooks: BTreeMap<u64, Hook>,
    pub(super) outbox: Vec<Delivery>,
    pub(super) delivery_log: BTreeMap<u64, Logged>,
    pub(super) faults: Vec<FaultRule>,
    pub(super) requests: Vec<RequestRecord>,
    pub(super) happenings: Vec<Happening>,
}

impl GitHub {
    /// A copy as it is now, but for what happened and was asked and delivered so far: that is long, and nothing
    /// that is listed.
    pub fn without_logs(&mut self) -> Self {
        let logs = (
            std::mem::take(&mut self.happenings),
            std::mem::take(&mut self.requests),
            std::mem::take(&mut self.delivery_log),
            std::mem::take(&mut self.outbox),
        );
        let copy = self.clone();
        (self.happenings, self.requests, self.delivery_log, self.outbox) = logs;
        copy
    }

    /// An empty GitHub whose pages and API live at `base` (`http://127.0.0.1:PORT`). All its draws
    /// come from `rng`, which makes it replay from a seed.
    #[must_use]
    pub fn new(base: impl Into<String>, rng: StdRng) -> Self {
        Self {
            knobs: Knobs::default(),
            delivery_faults: DeliveryFaults::default(),
            base: base.into().trim_end_matches('/').to_owned(),
            rng,
            next_id: 0,
            accounts: BTreeMap::new(),
            repositories: BTreeMap::new(),
            tokens: BTreeMap::new(),
            apps: BTreeMap::new(),
            installations: BTreeMap::new(),
            manifests: BTreeMap::new(),
            runner_tokens: BTreeMap::new(),
            windows: BTreeMap::new(),
            minutes: BTreeMap::new(),
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            queue: BTreeSet::new(),
            runners: BTreeMap::new(),
            groups: Groups::default(),
            zombies: BTreeMap::new(),
            hooks: BTreeMap::new(),
            outbox: Vec::new(),
            delivery_log: BTreeMap::new(),
            faults: Vec::new(),
            requests: Vec::new(),
            happenings: Vec::new(),
        }
    }

    /// Says where its pages and API are to be found, where that is not the address it listens on
    /// (a runner in a container, say).
    pub fn set_base(&mut self, base: &str) {
        base.trim_end_matches('/').clone_into(&mut self.base);
    }

    /// Where resources are, for their `url`; pages are at the base itself.
    pub(super) fn api(&self) -> String {
        format!("{}{}", self.base, self.knobs.kind.api_root())
    }

    /// What time alone does: jobs that were not picked up are queued again, lost ones fail, old
    /// queued ones are cancelled, dead registrations end, old log entries go; then idle runners get
    /// the jobs that wait.
    pub fn tick(&mut self, now: Millis) {
        self.expire_jobs(now);
        self.expire_runners(now);
        self.expire_idle_jit_runners(now);
        self.fail_zombies(now);
        self.prune_delivery_log(now);
        self.assign(now);
    }

    /// Everything that happened so far, in order.
    #[must_use]
    pub fn events(&self) -> &[Happening] {
        &self.happenings
    }

    /// Names what should not be there when all is done: unfinished jobs and registered runners.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let jobs = self.jobs.values().filter(|job| job.status != Status::Completed);
        let jobs = jobs
            .map(|job| format!("job {} {:?} is {}", job.id, job.spec.name, job.status.as_str()));
        let runners = self.runners.values().map(|runner| {
            let state = if runner.registered { "registered" } else { "at work, unregistered" };
            format!("runner {} ({}) is {state}", runner.name, runner.id)
        });
        jobs.chain(runners).collect()
    }

    pub(super) fn note(&mut self, at: Millis, what: What) {
        self.happenings.push(Happening { at, what });
    }

    /// The next id of a kind whose real ids are about as large as `floor`.
    pub(super) fn new_id(&mut self, floor: u64) -> u64 {
        self.next_id += 1;
        // Gitea's are small, of whatever kind.
        if self.is_gitea() { self.next_id } else { floor + self.next_id }
    }

    pub(super) fn draw_text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .map(|_| char::from(alphabet[self.rng.random_range(0..alphabet.len())]))
            .collect()
    }

    /// In the form of a UUID, as delivery GUIDs are.
    pub(super) fn draw_guid(&mut self) -> String {
        let hex = format!("{:032x}", self.rng.random::<u128>());
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        format!("{a}-{b}-{c}-{d}-{e}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rand::SeedableRng;

    use super::super::repositories::Visibility;
    use super::super::runs::{JobSpec, RunSpec};
    use super::super::tokens::{Purpose, Scope};
    use super::*;
    use crate::protocol::{Poll, Registered, Registration};

    pub(in super::super) fn github() -> GitHub {
        GitHub::new("http://github.test", StdRng::seed_from_u64(1))
    }

    /// A GitHub with one private repository of a user, and short ways to do the usual.
    pub(in super::super) struct World {
        pub gh: GitHub,
        pub user: u64,
        pub repository: u64,
        pub scope: Scope,
    }

    impl World {
        pub fn new() -> Self {
            let mut gh = github();
            let user = gh.add_user("octocat");
            let repository = gh.add_repository("octocat/app", Visibility::Private, 0);
            gh.add_full_token("secret", user);
            gh.knobs.busy_lag_max = 0;
            Self { gh, user, repository, scope: Scope::Repository(repository) }
        }

        pub fn job(&mut self, name: &str, labels: &[&str], now: Millis) -> u64 {
            self.jobs(vec![JobSpec::new(name, labels)], now)[0]
        }

        pub fn jobs(&mut self, jobs: Vec<JobSpec>, now: Millis) -> Vec<u64> {
            let run = self.gh.add_run(self.repository, RunSpec::default(), jobs, now);
            self.gh.run(run).unwrap().jobs.clone()
        }

        pub fn registration(&mut self, name: &str, labels: &[&str], now: Millis) -> Registration {
            let (token, _) = self.gh.mint_runner_token(self.scope, Purpose::Register, now);
            Registration {
                url: format!("http://github.test/{}", self.gh.scope_name(self.scope)),
                token,
                name: name.to_owned(),
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                group: None,
                ephemeral: true,
                replace: false,
            }
        }

        /// An ephemeral runner that has polled once.
        pub fn runner(&mut self, name: &str, labels: &[&str], now: Millis) -> Registered {
            let asked = self.registration(name, labels, now);
            let registered = self.gh.register(&asked, now).unwrap();
            assert_eq!(self.poll(&registered, now), Poll::Wait);
            registered
        }

        pub fn poll(&mut self, runner: &Registered, now: Millis) -> Poll {
            self.gh.poll(runner.id, &runner.secret, now)
        }

        /// Gives out jobs; the one that the runner got.
        pub fn take(&mut self, runner: &Registered, now: Millis) -> Option<u64> {
            self.gh.assign(now);
            match self.poll(runner, now) {
                Poll::Job { job } => Some(job.id),
                _ => None,
            }
        }

        pub fn start(&mut self, runner: &Registered, now: Millis) -> Option<u64> {
            let job = self.take(runner, now)?;
            self.gh.started(runner.id, &runner.secret, job, now).then_some(job)
        }
    }

    #[test]
    fn a_seed_replays_exactly() {
        let play = || {
            let mut world = World::new();
            for n in 0..20 {
                world.job(&format!("job {n}"), &["x64"], n);
            }
            for n in 0..5 {
                world.runner(&format!("runner-{n}"), &["x64"], 100);
            }
            world.gh.tick(200);
            world.gh.events().to_vec()
        };
        assert_eq!(play(), play());
    }

    #[test]
    fn leftovers_name_jobs_and_runners() {
        let mut world = World::new();
        world.job("build", &["x64"], 0);
        world.runner("roustabout-x64-1", &["other"], 0);
        let left = world.gh.leftovers();
        assert_eq!(left.len(), 2);
        assert!(left[0].contains("\"build\" is queued"), "{left:?}");
        assert!(left[1].contains("roustabout-x64-1"), "{left:?}");
    }
}
