//! Which forge is played. A Gitea speaks nearly the same, so it is the same model with other rules
//! in some places; those are in `gitea.rs`.

/// A kind of forge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    GitHub,
    /// A GitHub on a host of its own, with its API below `/api/v3`.
    EnterpriseServer,
    /// Since 1.26 it `disables` runners: such a one is given no more jobs.
    Gitea { disables: bool },
}

impl Kind {
    #[must_use]
    pub fn is_gitea(self) -> bool {
        matches!(self, Self::Gitea { .. })
    }

    /// What `X-GitHub-Api-Version` may say (docs, "API Versions"; of Enterprise Server 3.17 to 3.19).
    #[must_use]
    pub fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["2022-11-28", "2026-03-10"],
            Self::EnterpriseServer | Self::Gitea { .. } => &["2022-11-28"],
        }
    }

    /// Where the API lies below the host. GitHub's own is at the root of a host for it alone.
    #[must_use]
    pub fn api_root(self) -> &'static str {
        match self {
            Self::EnterpriseServer => "/api/v3",
            Self::GitHub | Self::Gitea { .. } => "",
        }
    }
}
