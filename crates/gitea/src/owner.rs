//! What lists and runners belong to, as path segments.

/// Where runners, runs and jobs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// `owner/name`.
    Repository(&'a str),
    Organization(&'a str),
    /// The token's own account, with all repositories of its own.
    Me,
}

impl<'a> Owner<'a> {
    pub(super) fn path(self) -> Vec<&'a str> {
        match self {
            Owner::Repository(name) => repository(name),
            Owner::Organization(name) => vec!["orgs", name],
            Owner::Me => vec!["user"],
        }
    }

    /// `…/actions/<what>`.
    pub(super) fn actions(self, what: &[&'a str]) -> Vec<&'a str> {
        let mut path = self.path();
        path.push("actions");
        path.extend(what);
        path
    }
}

/// `repos/owner/name`. A name without exactly one slash leaves an empty segment, which the
/// transport answers with "not found".
pub(super) fn repository(full_name: &str) -> Vec<&str> {
    match full_name.split_once('/') {
        Some((owner, name)) if !name.contains('/') => vec!["repos", owner, name],
        _ => vec!["repos", full_name, ""],
    }
}
