//! Which forge is played. A Gitea speaks nearly the same, so it is the same model with other rules
//! in some places; those are in `gitea.rs`.

/// A kind of forge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    GitHub,
    /// Since 1.26 it `disables` runners: such a one is given no more jobs.
    Gitea { disables: bool },
}

impl Kind {
    #[must_use]
    pub fn is_gitea(self) -> bool {
        matches!(self, Self::Gitea { .. })
    }
}
