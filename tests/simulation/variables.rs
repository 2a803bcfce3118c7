//! Credentials that lie in Nomad Variables: their runners read them there, each is in its runner's row before it is
//! written, and none is left at the end.

use std::collections::BTreeSet;

use ledger::deposit::{DepositRule, Keeper};
use reqwest::Method;
use roustabout::deposit::variable_path;
use simulated::nomad::Started;
use transport::Request;

use crate::world::World;

/// One seed in four plays with them: in all pools, or in the second. Nothing is drawn for it, so the others
/// play as they did.
pub fn pools(seed: u64) -> BTreeSet<usize> {
    match seed % 8 {
        3 => (0..3).collect(),
        6 => BTreeSet::from([1]),
        _ => BTreeSet::new(),
    }
}

pub fn rule(pool: &str) -> DepositRule {
    DepositRule { keeper: Keeper::Variable, path: variable_path("roustabout", pool) }
}

impl World {
    /// What a task finds; `None`: its template waits for a variable that is not there.
    pub fn credential_of(&self, started: &Started) -> Option<String> {
        if let Some(path) = started.meta.get("vault_path").filter(|path| !path.is_empty()) {
            return self.entry(path);
        }
        let path = started.meta.get("credential_path").filter(|path| !path.is_empty());
        let Some(path) = path else {
            return Some(String::from_utf8(started.payload.clone().unwrap_or_default()).unwrap());
        };
        let nomad = self.nomad.lock();
        let mut all = nomad.variables().iter();
        let (_, variable) =
            all.find(|(key, _)| key.namespace == started.child.namespace && key.path == *path)?;
        let items = &variable.items;
        items.get("token").or_else(|| items.get("jit_config")).cloned()
    }

    pub fn variables_left(&self) -> Vec<String> {
        let nomad = self.nomad.lock();
        nomad
            .variables()
            .iter()
            .map(|(key, _)| format!("variable {} lies there", key.path))
            .collect()
    }

    /// The row says so first.
    pub fn before_a_variable_is_written(&mut self, request: &Request) {
        let Some(path) = request.url.path().strip_prefix("/v1/var/") else { return };
        if request.method == Method::PUT {
            self.is_in_its_row(path);
        }
    }

    /// A row says of it that it may be written.
    pub fn is_in_its_row(&mut self, path: &str) {
        // A request that acts late may be of a runner that is gone.
        if self.weather.has(crate::troubles::Trouble::RequestsActLate) {
            return;
        }
        let rows = self.rows();
        let said = rows.runners.iter().any(|runner| {
            runner.deposit.as_ref().is_some_and(|deposit| deposit.tried && deposit.path == path)
        });
        if !said {
            let path = path.to_owned();
            self.watching.broken(|| format!("no row says that {path} is written"));
        }
    }
}
