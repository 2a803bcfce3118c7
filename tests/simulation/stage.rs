//! Sets the stage: an organization with repositories and a hook, a cluster with nodes and
//! parameterized jobs, and the pools that the operator configured.

use std::time::Duration;

use ledger::matching::RepositoryGlobs;
use ledger::pool::{CredentialKind, Delivery};
use ledger::{NomadPlace, Patterns, Pool, PoolName, Rules, ScopeKind};
use simulated::github::hooks::HookSpec;
use simulated::github::model::{MINUTE, SECOND};
use simulated::github::{DeliveryFaults, Scope, Visibility};
use simulated::nomad::nodes::NodeSpec;
use simulated::nomad::{JobKey, JobSpec, jobs::Disconnect};

use crate::door::SECRET;
use crate::settings::TOKEN;
use crate::troubles::Trouble;
use crate::world::World;

/// Whose jobs count as a robot's.
pub const ROBOT: &str = "renovate-bot";

/// Which event and whose runs choosy pools refuse.
pub const REFUSED_EVENT: &str = "workflow_run";
pub const REFUSED_ACTOR: &str = "mallory";

/// Where all children are,
pub const NAMESPACE: &str = "ci";
/// or in some seeds those of one pool.
pub const FAR: &str = "far";

pub fn place() -> NomadPlace {
    NomadPlace { namespace: NAMESPACE.to_owned(), region: None }
}

impl World {
    pub fn set_stage(&mut self) {
        self.set_github();
        self.set_pools();
        self.config = self.rules.clone();
        self.set_cluster();
    }

    fn set_github(&mut self) {
        let now = self.now;
        let user = self.github.add_user("octocat");
        let organization = self.github.add_organization("octo", &[user]);
        self.github.add_full_token(TOKEN, user);
        for name in ["octo/app", "octo/lib", "octo/tool"] {
            let id = self.github.add_repository(name, Visibility::Private, now);
            self.setting.repositories.push(id);
        }
        // RunQuestions of the second may send pull requests.
        let lib = self.setting.repositories[1];
        if let Some(lib) = self.github.repository_mut(lib) {
            (lib.allow_forking, lib.forks_count) = (true, 2);
        }
        self.setting.public = self.github.add_repository("octo/site", Visibility::Public, now);
        self.setting.organization = organization;
        match self.setting.plays_app {
            Some(seed) => self.install_app(seed),
            None => self.hook_up(),
        }
        if self.is_gitea() && self.draw(0, 1) == 0 {
            self.github.knobs.page_at_most = 3;
        }
        if self.weather.has(Trouble::Storms) {
            self.github.knobs.cancel_does_nothing = 0.3;
        }
        if self.weather.has(Trouble::GitHubLimits) {
            self.github.knobs.core_limit = self.draw(20, 200).unsigned_abs();
            if self.draw(0, 1) == 0 {
                self.github.knobs.points_a_minute = self.draw(20, 200).unsigned_abs();
            }
        }
        let mut faults = DeliveryFaults { delay: (50, 2 * SECOND), ..DeliveryFaults::default() };
        if self.weather.has(Trouble::WebhooksLate) {
            let longest = if self.draw(0, 3) == 0 { 20 * MINUTE } else { 4 * MINUTE };
            faults.delay.1 = self.draw(5 * SECOND, longest);
        }
        if self.weather.has(Trouble::WebhooksDoubled) {
            faults.duplicate = 0.3;
        }
        if self.weather.has(Trouble::WebhooksLost) {
            faults.drop = 0.1;
        }
        self.github.delivery_faults = faults;
    }

    fn hook_up(&mut self) {
        let now = self.now;
        let hook = HookSpec::new("http://daemon.test/webhook", SECRET);
        let scope = Scope::Organization(self.setting.organization);
        self.setting.hooks = vec![self.github.add_hook(scope, hook.clone(), now)];
        if self.weather.has(Trouble::WebhooksDoubled) {
            // A repository with a hook of its own tells everything twice, with one id.
            let scope = Scope::Repository(self.setting.repositories[0]);
            self.setting.hooks.push(self.github.add_hook(scope, hook, now));
        }
    }

    fn set_pools(&mut self) {
        self.rules.max = u32::try_from(self.draw(2, 20)).unwrap_or(2);
        let mut pools = vec![("x64", vec!["linux", "x64"]), ("big", vec!["linux", "big"])];
        if self.draw(0, 3) == 0 {
            pools.push(("run", vec!["linux", "run-{run_id}"]));
        }
        if self.weather.has(Trouble::Robots) || self.weather.has(Trouble::Storms) {
            self.rules.robots = vec![ROBOT.to_owned()];
        }
        // A Gitea gives runners of an organization to whom it likes, and the config refuses that.
        let shared = self.draw(0, 2) == 0 && !self.is_gitea();
        for (name, labels) in pools {
            let pool = self.pool(name, &labels, shared);
            self.rules.pools.push(pool);
        }
        if self.draw(0, 2) == 0 {
            self.rules.pools[1].namespace = Some(FAR.to_owned());
        }
        if let Some(seed) = self.setting.plays_warm {
            crate::warm::set(seed, &mut self.rules);
        }
    }

    fn pool(&mut self, name: &str, labels: &[&str], shared: bool) -> Pool {
        let cap = self.draw(0, 2);
        let own = self.weather.has(Trouble::OwnJobs) && self.draw(0, 1) == 0;
        if own && self.draw(0, 1) == 0 {
            self.setting.nameless.insert(format!("runner-{name}"));
        }
        let jit = self.setting.jit.contains(&self.rules.pools.len()) && !own;
        let delivery = match () {
            () if own => Delivery::None,
            () if self.setting.vault.contains(&self.rules.pools.len()) => {
                Delivery::Deposit(crate::vault::rule())
            }
            () if self.setting.variables.contains(&self.rules.pools.len()) => {
                Delivery::Deposit(crate::variables::rule(name))
            }
            () if self.setting.claim.contains(&self.rules.pools.len()) => Delivery::Claim,
            () => Delivery::Payload,
        };
        Pool {
            name: PoolName::from(name),
            nomad_job: format!("runner-{name}"),
            namespace: Some(NAMESPACE.to_owned()),
            region: None,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            repositories: RepositoryGlobs::new(&["octo/*"]),
            topics: Vec::new(),
            delivery,
            credential: match jit {
                true => CredentialKind::Jit,
                false => CredentialKind::RegistrationToken,
            },
            runner_group: None,
            scope: if shared { ScopeKind::Organization } else { ScopeKind::Repository },
            max_runners: u32::try_from(self.draw(1, 12)).unwrap_or(1),
            max_runners_per_repository: (cap == 0 && !shared).then_some(2),
            public_repositories: false,
            forks: false,
            events: self.choosy(REFUSED_EVENT),
            actors: self.choosy(REFUSED_ACTOR),
            placement_timeout: Duration::from_secs(1200),
            boot_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(600),
            release_grace: Duration::from_secs(300),
            max_lifetime: Duration::from_secs(6 * 3600),
            warm: Vec::new(),
            cancel_superseded: self.weather.has(Trouble::Storms) && !self.is_gitea(),
            robots_per_repository: (self.weather.has(Trouble::Robots) && !shared).then_some(1),
        }
    }

    /// Everything, or all but that.
    fn choosy(&self, refused: &str) -> Patterns {
        match self.weather.has(Trouble::ChoosyPools) {
            true => Patterns::new(&["*".to_owned(), format!("!{refused}")]),
            false => Patterns::any(),
        }
    }

    /// What the operator means, with a pool gone or smaller, or less in all. Nothing is ever more than
    /// that: what the caps allow at most is known.
    pub fn another_config(&mut self) -> Rules {
        let mut rules = self.rules.clone();
        let which = usize::try_from(self.draw(0, 1)).unwrap_or(0);
        match self.draw(0, 4) {
            0 => drop(rules.pools.remove(which)),
            1 => rules.pools[which].max_runners = 1,
            2 => rules.max = rules.max.min(2),
            3 if rules.pools[which].scope == ScopeKind::Repository => {
                rules.pools[which].max_runners_per_repository = Some(1);
            }
            _ => rules.pools[which].labels.push("other".to_owned()),
        }
        crate::warm::keep_within_caps(&mut rules);
        rules
    }

    fn set_cluster(&mut self) {
        let now = self.now;
        for name in ["n1", "n2", "n3"] {
            let room = self.draw(1, 8);
            self.nomad.lock().add_node(name, NodeSpec::with_room_for(room.unsigned_abs()), now);
        }
        let (poststop, disconnect) = (self.draw(0, 3), self.draw(0, 3));
        let lost_after = self.draw(MINUTE, 30 * MINUTE);
        let replace = self.draw(0, 1) == 0;
        self.setting.spec = JobSpec {
            meta_required: vec!["runner_name".to_owned()],
            meta_optional: [
                "runner_labels",
                "runner_url",
                "credential_path",
                "vault_path",
                "claim_url",
            ]
            .map(str::to_owned)
            .to_vec(),
            poststop: (poststop == 0).then_some(3 * SECOND),
            disconnect: (disconnect == 0).then_some(Disconnect { lost_after, replace }),
            ..JobSpec::default()
        };
        if self.weather.has(Trouble::TasksDoNotStart) {
            self.nomad.lock().knobs.start_failure = 0.2;
        }
        self.nomad.lock().knobs.phantom_within = 2 * SECOND;
        self.register_parents();
    }

    /// Where the children of this parameterized job are.
    pub fn namespace_of(&self, parent: &str) -> &str {
        let pool = self.rules.pools.iter().find(|pool| pool.nomad_job == parent);
        pool.and_then(|pool| pool.namespace.as_deref()).unwrap_or(NAMESPACE)
    }

    /// All parameterized jobs as they should be.
    pub fn register_parents(&mut self) {
        self.nomad.lock().knobs.dispatch_disabled = false;
        for pool in &self.rules.pools {
            let namespace = pool.namespace.as_deref().unwrap_or(NAMESPACE);
            let key = JobKey::new(namespace, &pool.nomad_job);
            let mut spec = self.setting.spec.clone();
            if self.setting.nameless.contains(&pool.nomad_job) {
                spec.meta_required.clear();
            }
            self.nomad.lock().register(key, spec, self.now);
        }
    }
}
