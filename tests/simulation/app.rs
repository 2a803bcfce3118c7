//! Seeds in which the daemon is a GitHub App, with one webhook and no token of its own. It is suspended
//! and installed anew while work is under way, and its tokens are not known everywhere at once.
//!
//! Nothing is drawn for it, so that the other seeds play as they did.

use simulated::github::model::{MINUTE, Millis};
use simulated::github::{AppSpec, HookSpec, Scope};

use crate::agenda::Act;
use crate::gitea;
use crate::scenario::Plan;
use crate::troubles::Trouble;
use crate::world::World;

/// What the App's webhook signs with.
pub const SECRET: &str = "the secret of the App's webhook";

/// One seed in three of those that are GitHub's.
pub fn is_played(seed: u64) -> bool {
    seed.is_multiple_of(3) && !gitea::kind_of(seed).is_gitea()
}

impl World {
    /// In place of the organization's hook.
    pub fn install_app(&mut self, seed: u64) {
        let now = self.now;
        let organization = self.setting.organization;
        let spec = AppSpec::new("runners", organization);
        let app = self.github.add_app(spec.hook("http://daemon.test/webhook", SECRET), now);
        self.github.install(app, organization, None, now);
        self.setting.app = Some(app);
        self.setting.hooks = self.github.app(app).and_then(|app| app.hook).into_iter().collect();
        self.github.knobs.token_lag = i64::try_from(seed % 4).unwrap_or(0) * 700;
        if self.weather.has(Trouble::WebhooksDoubled) {
            let scope = Scope::Repository(self.setting.repositories[0]);
            let hook = HookSpec::new("http://daemon.test/webhook", crate::door::SECRET);
            self.setting.hooks.push(self.github.add_hook(scope, hook, now));
        }
        if self.weather.is_fair() {
            return;
        }
        let minutes = |least: u64, among: u64| -> Millis {
            i64::try_from(least + seed % among).unwrap_or(0) * MINUTE
        };
        for (at, plan) in [
            (minutes(2, 11), Plan::SuspendApp),
            (minutes(5, 11), Plan::UnsuspendApp),
            (minutes(8, 13), Plan::ReinstallApp),
        ] {
            self.agenda.enter(now + at, Act::Plan(plan));
        }
    }

    pub fn suspend_app(&mut self, suspended: bool) {
        if let Some(id) = self.installation() {
            self.github.suspend(id, suspended, self.now);
        }
    }

    pub fn reinstall_app(&mut self) {
        let (Some(id), Some(app)) = (self.installation(), self.setting.app) else { return };
        self.github.uninstall(id, self.now);
        self.github.install(app, self.setting.organization, None, self.now);
    }

    fn installation(&self) -> Option<u64> {
        let app = self.setting.app?;
        self.github.installation_on(app, self.setting.organization).map(|found| found.id)
    }
}
