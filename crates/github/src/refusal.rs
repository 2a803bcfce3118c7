//! Why GitHub refuses with 403, told by its message: only one of the causes is a missing permission.
//!
//! The messages are GitHub's own, as users report them (NixOS/org#247, NPSP#7247, cli/cli#2661,
//! r-universe-org/help#247, renovate on classic tokens), and for runners that are disabled as an
//! Enterprise Server says it. Where the message is another one the permission is the likeliest cause.

/// What stands behind a 403 that is no rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The organization enforces SAML single sign-on, and the token is not authorized for it.
    SamlSso,
    /// The organization or enterprise has a list of addresses, and ours is not among them.
    IpAllowList,
    /// The token lives longer than the organization allows.
    TokenLifetime,
    /// The organization allows no classic tokens.
    ClassicToken,
    /// The organization allows no OAuth app that it has not approved.
    OauthApp,
    /// The repository is archived, and so read-only.
    Archived,
    /// The organization does not allow runners of this repository.
    RunnersDisabled,
    /// The account is suspended or flagged.
    Suspended,
    Permission,
}

impl Refusal {
    pub fn from_message(message: &str) -> Refusal {
        let message = message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().all(|word| message.contains(word));
        match () {
            () if says(&["saml"]) => Refusal::SamlSso,
            () if says(&["ip allow list"]) => Refusal::IpAllowList,
            () if says(&["forbids access", "lifetime"]) => Refusal::TokenLifetime,
            () if says(&["forbids access", "(classic)"]) => Refusal::ClassicToken,
            () if says(&["oauth app access restrictions"]) => Refusal::OauthApp,
            () if says(&["archived", "read-only"]) => Refusal::Archived,
            () if says(&["self-hosted runners", "disabled"]) => Refusal::RunnersDisabled,
            () if says(&["account", "suspended"]) => Refusal::Suspended,
            () => Refusal::Permission,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.",
        Refusal::SamlSso
    )]
    #[case(
        "Although you appear to have the correct authorization credentials, the `octo` organization has an IP allow list enabled, and your IP address is not permitted to access this resource.",
        Refusal::IpAllowList
    )]
    #[case(
        "The 'octo' organization forbids access via a fine-grained personal access tokens if the token's lifetime is greater than 366 days. Please adjust your token's lifetime at the following URL: https://github.com/settings/personal-access-tokens/1",
        Refusal::TokenLifetime
    )]
    #[case(
        "`octo` forbids access via a personal access token (classic). Please use a GitHub App, OAuth App, or a personal access token with fine-grained permissions.",
        Refusal::ClassicToken
    )]
    #[case(
        "Although you appear to have the correct authorization credentials, the `octo` organization has enabled OAuth App access restrictions, meaning that data access to third-parties is limited.",
        Refusal::OauthApp
    )]
    #[case("Repository was archived so is read-only.", Refusal::Archived)]
    #[case(
        "Forbidden: Repository level self-hosted runners are disabled on this repository",
        Refusal::RunnersDisabled
    )]
    #[case("Sorry. Your account was suspended.", Refusal::Suspended)]
    #[case("Resource not accessible by personal access token", Refusal::Permission)]
    #[case("Must have admin rights to Repository.", Refusal::Permission)]
    fn githubs_messages_are_known(#[case] message: &str, #[case] is: Refusal) {
        assert_eq!(Refusal::from_message(message), is);
    }
}
