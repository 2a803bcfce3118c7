//! Entries of KV version 2 as keepers, one a runner: `MOUNT/data/PATH` as `[vault]` says it.
//!
//! Each has an expiry, so that one that nobody can remove dies all the same. What is removed is destroyed with
//! all that is known of it.

use super::{Contents, NotPut};
use crate::config;
use crate::ledger::RunnerName;
use crate::ledger::deposit::{Deposit, DepositAt};
use crate::ledger::event::{Answer, Failure};
use crate::ledger::observation::FoundDeposit;
use crate::vault::{Client, Error};

/// The entry of a pool's runner, as a policy and a template name it; `{runner_name}` stands for its name.
pub fn path_of(vault: &config::Vault, pool: &config::Pool, namespace: &str) -> String {
    format!("{}/data/{}", vault.mount, vault.path_for(pool, namespace))
}

#[derive(Debug, Clone)]
pub(super) struct Entries(pub Client);

impl Entries {
    pub async fn put(&self, deposit: &Deposit, contents: &Contents) -> Result<(), NotPut> {
        let (mount, path) = parts(&deposit.path);
        if deposit.tried {
            // Its own, from a request whose answer was lost: the credential may be another by now.
            let removed = self.0.destroy(mount, path).await;
            removed.map_err(|error| NotPut::Failed(failure(&error)))?;
        }
        let fields = contents.fields().into_iter();
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).collect();
        match self.0.create(mount, path, &fields, contents.lives).await {
            Ok(()) => Ok(()),
            Err(Error::Exists { .. }) => Err(NotPut::Taken(format!(
                "an entry {} that roustabout did not write is in Vault; does another roustabout with the \
                 same name_prefix write there? remove it with vault kv metadata delete",
                deposit.path
            ))),
            Err(error) => Err(NotPut::Failed(failure(&error))),
        }
    }

    pub async fn remove(&self, gone: &DepositAt) -> Answer<()> {
        let (mount, path) = parts(&gone.path);
        self.0.destroy(mount, path).await.map_err(|error| failure(&error))
    }

    /// What lies beside the entries of such a path.
    pub async fn list(&self, path: &str) -> Answer<Vec<FoundDeposit>> {
        let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
        let (mount, below) = parts(folder);
        let names = self.0.list(mount, below).await.map_err(|error| failure(&error))?;
        // What ends with a slash is a folder.
        let entries = names.into_iter().filter(|name| !name.ends_with('/'));
        let found = entries.map(|name| FoundDeposit {
            path: format!("{folder}/{name}"),
            runner: RunnerName(name),
        });
        Ok(found.collect())
    }
}

/// The mount, and the path below it. A mount has no segment `data`.
fn parts(path: &str) -> (&str, &str) {
    match path.split_once("/data/") {
        Some(parts) => parts,
        // The folder of entries that lie right below the mount.
        None => (path.strip_suffix("/data").unwrap_or(path), ""),
    }
}

fn failure(error: &Error) -> Failure {
    let reason = match error {
        Error::Denied { .. } => format!(
            "{error}; the daemon's policy in Vault lacks a right there (deploy/vault/daemon.hcl has all), or its \
             token has ended; roustabout check says which"
        ),
        error => error.to_string(),
    };
    Failure { reason, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_path_has_a_mount_and_what_is_below_it() {
        assert_eq!(parts("kv/data/roustabout/x"), ("kv", "roustabout/x"));
        assert_eq!(parts("team/kv/data/data/x"), ("team/kv", "data/x"));
        assert_eq!(parts("kv/data"), ("kv", ""));
    }
}
