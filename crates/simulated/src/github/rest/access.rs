//! May this token do that? 404 for what it cannot see, 403 for what it may not do.
//!
//! Permission names as in the docs' "Permissions required for fine-grained personal access tokens".
//! Read next: `mod.rs`.

use super::Answer;
use crate::github::model::GitHub;
use crate::github::tokens::{Level, Scope, Token};

/// A permission that an endpoint asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs(pub &'static str, pub Level);

impl Needs {
    /// For runners: `administration` on a repository, `organization_self_hosted_runners` on an
    /// organization (runs-on#30 shows the header).
    pub(super) fn runners(scope: Scope, level: Level) -> Self {
        match scope {
            Scope::Repository(_) => Self("administration", level),
            Scope::Organization(_) => Self("organization_self_hosted_runners", level),
        }
    }

    pub(super) fn hooks(scope: Scope, level: Level) -> Self {
        match scope {
            Scope::Repository(_) => Self("repository_hooks", level),
            Scope::Organization(_) => Self("organization_hooks", level),
        }
    }
}

impl GitHub {
    /// Refuses where the token does not see the scope or has not the permission.
    pub(super) fn check_access(
        &self,
        token: &Token,
        scope: Scope,
        needs: Needs,
    ) -> Result<(), Answer> {
        let seen = match scope {
            Scope::Repository(id) => self.sees(token, id),
            Scope::Organization(id) => self.belongs(token.owner, id),
        };
        if !seen {
            return Err(Answer::not_found());
        }
        let owns = match scope {
            Scope::Repository(id) => {
                self.repositories
                    .get(&id)
                    .is_some_and(|found| self.belongs(token.owner, found.owner))
                    && self.reaches(token, id)
            }
            Scope::Organization(_) => true,
        };
        // Anybody may look at the runs of a public repository; the rest is its owner's.
        let open = matches!(needs, Needs("actions" | "metadata", Level::Read)) && !owns;
        let has = token.permissions.get(needs.0).is_some_and(|level| *level >= needs.1);
        if open || (has && owns) {
            return Ok(());
        }
        let message = match token.seen {
            None => "Resource not accessible by personal access token",
            Some(_) => "Resource not accessible by integration",
        };
        Err(Answer::error(403, message)
            .header("x-accepted-github-permissions", format!("{}={}", needs.0, needs.1.as_str())))
    }
}
