//! Turns the config's pools into the ledger's: the one place where the two meet.

use crate::config::{self, ForgeKind, Settings};
use crate::deposit::{variable_path, vault_path};
use crate::ledger::deposit::{DepositRule, Keeper};
use crate::ledger::matching::RepositoryGlobs;
use crate::ledger::pool::{CredentialKind, Delivery, Forge};
use crate::ledger::{NomadPlace, Patterns, Pool, PoolName, Rules, ScopeKind};

pub fn rules(settings: &Settings) -> Rules {
    Rules {
        forge: forge(&settings.github),
        name_prefix: settings.runners.name_prefix.clone(),
        nomad: NomadPlace {
            namespace: settings.nomad.namespace.clone(),
            region: settings.nomad.region.clone(),
        },
        max: settings.runners.max,
        robots: settings.runners.robots.clone(),
        pools: settings.pools.iter().map(|it| pool(settings, it)).collect(),
    }
}

fn forge(github: &config::GitHub) -> Forge {
    match github.kind {
        ForgeKind::GitHub => Forge::default(),
        ForgeKind::Gitea => Forge {
            name: github.kind.name(),
            runner_url: Some(github.root().to_owned()),
            ends_are_final: false,
        },
    }
}

fn pool(settings: &Settings, pool: &config::Pool) -> Pool {
    Pool {
        name: PoolName(pool.name.clone()),
        nomad_job: pool.nomad_job.clone(),
        namespace: pool.namespace.clone(),
        region: pool.region.clone(),
        labels: pool.labels.clone(),
        repositories: RepositoryGlobs::new(&pool.repositories),
        topics: pool.topics.clone(),
        delivery: match pool.delivery {
            config::Delivery::Claim => Delivery::Claim,
            config::Delivery::Variable => {
                let path = variable_path(&settings.runners.name_prefix, &pool.name);
                Delivery::Deposit(DepositRule { keeper: Keeper::Variable, path })
            }
            config::Delivery::Vault => {
                let namespace = pool.namespace.as_ref().unwrap_or(&settings.nomad.namespace);
                // A config without [vault] and with such a pool is refused.
                let path = settings.vault.as_ref().map(|vault| vault_path(vault, pool, namespace));
                let path = path.unwrap_or_default();
                Delivery::Deposit(DepositRule { keeper: Keeper::Vault, path })
            }
            config::Delivery::Payload => Delivery::Payload,
            config::Delivery::Meta => Delivery::Meta,
            config::Delivery::None => Delivery::None,
        },
        credential: match pool.credential {
            config::CredentialKind::RegistrationToken => CredentialKind::RegistrationToken,
            config::CredentialKind::Jit => CredentialKind::Jit,
        },
        runner_group: pool.runner_group.clone(),
        scope: match pool.scope {
            config::ScopeKind::Repository => ScopeKind::Repository,
            config::ScopeKind::Organization => ScopeKind::Organization,
        },
        max_runners: pool.max_runners,
        max_runners_per_repository: pool.max_runners_per_repository,
        public_repositories: pool.public_repositories,
        forks: pool.forks,
        events: Patterns::new(&pool.events),
        actors: Patterns::new(&pool.actors),
        placement_timeout: pool.placement_timeout,
        boot_timeout: pool.boot_timeout,
        idle_timeout: pool.idle_timeout,
        release_grace: pool.release_grace,
        max_lifetime: pool.max_lifetime,
        robots_per_repository: pool.robots_per_repository,
        cancel_superseded: pool.cancel_superseded,
        warm: pool.warm.clone(),
    }
}
