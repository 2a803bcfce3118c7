//! A request that GitHub refused, as a finding: what the token lacks, or what to do.

use super::finding::Finding;
use crate::github::permission_for;
use crate::github::{Error, Operation};

pub fn refused(subject: &str, error: &Error, operation: Operation<'_>, on: &str) -> Finding {
    let needs = permission_for(operation);
    let message = error.to_string();
    match error {
        Error::Forbidden { .. } => {
            let fix = crate::forge::mend(error, operation, on).unwrap_or_default();
            Finding::fail(subject, message, fix)
        }
        Error::Unauthorized { .. } => {
            Finding::fail(subject, message, format!("the token for {on} needs {needs}"))
        }
        Error::NotFound { .. } => Finding::fail(
            subject,
            message,
            format!("check that {on} exists; if it does, its token needs {needs}"),
        ),
        Error::HeldBack { .. }
        | Error::RateLimited { .. }
        | Error::OverShare { .. }
        | Error::TooFast { .. } => {
            Finding::warn(subject, message, "run check again after that time")
        }
        Error::AppRefused { .. }
        | Error::AppUnknown { .. }
        | Error::NotInstalled { .. }
        | Error::Suspended { .. }
        | Error::NotGranted { .. } => {
            let fix = crate::forge::mend(error, operation, on).unwrap_or_default();
            Finding::fail(subject, message, fix)
        }
        _ => Finding::fail(subject, message, "run check again; see githubstatus.com for outages"),
    }
}
