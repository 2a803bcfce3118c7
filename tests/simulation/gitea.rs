//! One seed in four plays with a Gitea. What cannot trouble one is here; what it does otherwise is the
//! real adapter's business.

use simulated::github::Kind;

use crate::troubles::Trouble;
use crate::world::World;

/// It has no rate limit, no environments and no log of deliveries, and its listings are as new as its
/// database.
pub const NOT_ITS: &[Trouble] =
    &[Trouble::GitHubLimits, Trouble::GitHubLags, Trouble::Environments, Trouble::NobodyRedelivers];

/// What is played in a seed. One Gitea in three is too old to disable a runner.
pub fn kind_of(seed: u64) -> Kind {
    match seed % 4 {
        3 => Kind::Gitea { disables: !seed.is_multiple_of(3) },
        _ => Kind::GitHub,
    }
}

impl World {
    pub fn is_gitea(&self) -> bool {
        self.github.knobs.kind.is_gitea()
    }
}
