//! What to do about an answer of GitHub's that is no answer, in words. `check` says the same.

use crate::github::{Error, Operation, Refusal, permission_for};

/// With what the token for `on` needs, where it may be that.
pub fn mend(error: &Error, operation: Operation<'_>, on: &str) -> Option<String> {
    let needs = permission_for(operation);
    Some(match error {
        Error::Unauthorized { .. } => format!("give roustabout a token for {on} that has {needs}"),
        Error::Forbidden { message, .. } => match Refusal::from_message(message) {
            Refusal::SamlSso => format!(
                "authorize the token for the single sign-on of the organization of {on} (GitHub → \
                 Settings → Developer settings → the token → Configure SSO)"
            ),
            Refusal::IpAllowList => format!(
                "add the address from which roustabout reaches GitHub to the IP allow list of the \
                 organization of {on}"
            ),
            Refusal::TokenLifetime => format!(
                "give roustabout a token for {on} whose lifetime is within the organization's limit"
            ),
            Refusal::ClassicToken => format!(
                "give roustabout a fine-grained token for {on} that has {needs}; its organization \
                 allows no classic tokens"
            ),
            Refusal::OauthApp => format!(
                "the token for {on} belongs to an OAuth app that the organization has not approved: \
                 approve the app, or give roustabout a fine-grained token that has {needs}"
            ),
            Refusal::Archived => format!(
                "{on} is archived and no job can run in it: unarchive it, or remove it from \
                 repositories of the pool"
            ),
            Refusal::RunnersDisabled => format!(
                "the organization of {on} allows no runners of this repository: allow them (settings \
                 of the organization → Actions → General → Runners), or use a pool with scope = \
                 \"organization\""
            ),
            Refusal::Suspended => {
                format!("the account of the token for {on} is suspended: ask GitHub's support")
            }
            Refusal::Permission => format!("the token for {on} lacks {needs}"),
        },
        Error::AppRefused { .. } => {
            "check private_key_file and client_id of the App, and that github.api_url is the GitHub at which it is registered; its settings page lists the keys that are valid".to_owned()
        }
        Error::AppUnknown { .. } => {
            "check client_id (or id) of the App, and that github.api_url is the GitHub at which it is registered".to_owned()
        }
        Error::NotInstalled { owner } => format!(
            "install the App on {owner} (the App's settings → Install App), or remove {owner} from its owners"
        ),
        Error::Suspended { owner } => format!(
            "unsuspend it (settings of {owner} → GitHub Apps → the App → Unsuspend)"
        ),
        Error::NotGranted { owner, message, .. } if message.contains("repositor") => format!(
            "give the installation on {owner} access to {on} (settings of {owner} → GitHub Apps → the App → Repository access)"
        ),
        Error::NotGranted { owner, .. } => format!(
            "give the App that permission (the App's settings → Permissions & events), then accept it for {owner} (settings of {owner} → GitHub Apps → the App → Review request)"
        ),
        Error::NotFound { .. } => format!("does {on} exist, and does its token have {needs}?"),
        _ => return None,
    })
}
