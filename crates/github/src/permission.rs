//! Which permission each group of calls needs, in the words of GitHub's token pages, so that a
//! refusal can be followed by what to grant.
//!
//! Source: each call's page under docs.github.com/en/rest, "Fine-grained access tokens"; the
//! classic scopes from "Managing self-hosted runners".

use super::registration::RunnersOf;

/// A group of calls that one permission allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Registration tokens, and listing and deleting runners.
    Runners(RunnersOf<'a>),
    /// Runs and jobs.
    Runs,
    CancelRuns,
    /// A repository's own data.
    Repository,
    /// A repository's webhooks, read.
    Hooks,
    /// Webhooks, changed; of an organization also read.
    ChangeHooks(RunnersOf<'a>),
}

/// What a token must have: the fine-grained permission, then the classic scope.
pub fn permission_for(operation: Operation<'_>) -> &'static str {
    match operation {
        Operation::Runners(RunnersOf::Repository(_)) => {
            "\"Administration: write\" on the repository (classic token: scope repo)"
        }
        Operation::Runners(RunnersOf::Organization(_)) => {
            "\"Self-hosted runners: write\" on the organization (classic token: scope admin:org)"
        }
        Operation::Runs => "\"Actions: read\" on the repository (classic token: scope repo)",
        Operation::CancelRuns => "\"Actions: write\" on the repository (classic token: scope repo)",
        Operation::Repository => "\"Metadata: read\" on the repository (classic token: scope repo)",
        Operation::Hooks => {
            "\"Webhooks: read\" on the repository (classic token: scope read:repo_hook)"
        }
        Operation::ChangeHooks(RunnersOf::Repository(_)) => {
            "\"Webhooks: write\" on the repository (classic token: scope admin:repo_hook)"
        }
        Operation::ChangeHooks(RunnersOf::Organization(_)) => {
            "\"Webhooks: write\" on the organization (classic token: scope admin:org_hook)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_need_different_things() {
        let of = |scope| permission_for(Operation::Runners(scope));
        assert!(of(RunnersOf::Repository("o/r")).contains("Administration: write"));
        assert!(of(RunnersOf::Organization("o")).contains("admin:org"));
    }
}
