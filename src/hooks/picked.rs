//! Where webhooks belong: on the repositories that some pool serves, or on their organization where a
//! pool registers its runners there. Narrowed by what the command line says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::many;
use super::plan::{Aim, Entry, Kind, State};
use crate::config::{ScopeKind, Settings};
use crate::forge::{Error, Forges, Listed, owner_of};
use crate::ledger::effect::Target;
use crate::ledger::matching::RepositoryGlobs;
use crate::ledger::{self, Repository};
use crate::reconcile::{Served, ServedRepository};

/// `internal` counts as private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Visibility {
    Public,
    Private,
}

/// What the command line narrows; an empty list narrows nothing.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub owners: Vec<String>,
    /// Patterns `owner/name`.
    pub repositories: Vec<String>,
    pub topics: Vec<String>,
    pub visibilities: Vec<Visibility>,
}

/// Where a webhook belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    At(Target),
    /// The GitHub App of this owner has one for all.
    App(String),
}

#[derive(Debug, Default)]
pub struct Picked {
    pub places: Vec<Place>,
    /// What could not be found out.
    pub failed: Vec<Entry>,
}

impl Selection {
    fn takes_name(&self, full_name: &str) -> bool {
        let owner = owner_of(full_name);
        let owned = self.owners.iter().any(|wanted| wanted.eq_ignore_ascii_case(owner));
        (self.owners.is_empty() || owned)
            && (self.repositories.is_empty()
                || RepositoryGlobs::new(&self.repositories).matches(full_name))
    }

    fn takes(&self, listed: Option<&Listed>) -> bool {
        if !self.asks() {
            return true;
        }
        let Some(listed) = listed else { return false };
        let visibility = match listed.public {
            true => Visibility::Public,
            false => Visibility::Private,
        };
        let topics = listed.topics.as_ref();
        (self.visibilities.is_empty() || self.visibilities.contains(&visibility))
            && (self.topics.is_empty()
                || topics.is_some_and(|topics| topics.has_one_of(&self.topics)))
    }

    /// Whether more than the name counts.
    fn asks(&self) -> bool {
        !self.topics.is_empty() || !self.visibilities.is_empty()
    }
}

pub async fn pick(
    settings: &Arc<Settings>,
    forges: &Forges,
    served: &Served,
    selection: &Selection,
    aim: Aim,
) -> Picked {
    let failed =
        served.trouble().map(|(owners, error)| Entry::failed(owners, Kind::Repository, error));
    let mut picked = Picked { failed: failed.collect(), ..Picked::default() };
    let mut all = served.repositories();
    all.retain(|one| !one.listed.as_ref().is_some_and(|listed| listed.archived));
    for (name, answer) in look_at_unlisted(settings, forges, &all, selection).await {
        match answer {
            Ok(found) => know(&mut all, settings, &name, found),
            Err(error) => {
                all.retain(|one| one.full_name != name);
                if selection.takes_name(&name) {
                    picked.failed.push(Entry::failed(&name, Kind::Repository, &error.to_string()));
                }
            }
        }
    }
    picked.places = places(settings, &all, selection, aim);
    picked
}

/// Those named outright of which no listing says what counts here.
async fn look_at_unlisted(
    settings: &Arc<Settings>,
    forges: &Forges,
    all: &[ServedRepository],
    selection: &Selection,
) -> Vec<(String, Result<Repository, Error>)> {
    let by_topic = |one: &&ServedRepository| {
        one.pools.iter().any(|pool| !settings.pools[*pool].topics.is_empty())
    };
    let unlisted = all.iter().filter(|one| one.listed.is_none());
    let unlisted = unlisted.filter(|one| selection.asks() || by_topic(one));
    let names: Vec<String> = unlisted.map(|one| one.full_name.clone()).collect();
    many::each(
        names,
        |_, _| {},
        |name| {
            let forges = forges.clone();
            async move {
                let found = match forges.of_repository(&name) {
                    Ok(forge) => forge.repository(&name).await,
                    Err(error) => Err(error),
                };
                (name, found)
            }
        },
    )
    .await
}

fn know(all: &mut [ServedRepository], settings: &Settings, name: &str, found: Repository) {
    let Some(one) = all.iter_mut().find(|one| one.full_name == name) else { return };
    let topics = found.topics.unwrap_or_default();
    one.pools.retain(|pool| {
        let wanted = &settings.pools[*pool].topics;
        wanted.is_empty() || topics.has_one_of(wanted)
    });
    one.listed = Some(Listed {
        full_name: found.full_name,
        owned_by_organization: found.owned_by_organization,
        public: found.visibility == ledger::Visibility::Public,
        archived: false,
        topics: Some(topics),
    });
}

/// An organization's webhook tells of all its repositories: these need none of their own.
fn places(
    settings: &Settings,
    all: &[ServedRepository],
    selection: &Selection,
    aim: Aim,
) -> Vec<Place> {
    let registers_at_organization = |one: &ServedRepository| {
        let personal = one.listed.as_ref().is_some_and(|listed| !listed.owned_by_organization);
        !personal
            && one.pools.iter().any(|pool| settings.pools[*pool].scope == ScopeKind::Organization)
    };
    let registers_at_repository = |one: &ServedRepository| {
        one.pools.iter().any(|pool| settings.pools[*pool].scope == ScopeKind::Repository)
    };
    let owner = |one: &ServedRepository| owner_of(&one.full_name).to_lowercase();
    let organizations: BTreeSet<String> =
        all.iter().filter(|one| registers_at_organization(one)).map(owner).collect();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for one in all {
        let name = &one.full_name;
        if !selection.takes_name(name) || !selection.takes(one.listed.as_ref()) {
            continue;
        }
        let login = owner_of(name);
        // A webhook from before there was an App can be removed.
        let place = if aim != Aim::Remove && is_served_by_app(settings, login) {
            Place::App(login.to_owned())
        } else if organizations.contains(&owner(one)) {
            Place::At(Target::Organization(login.to_owned()))
        } else if registers_at_repository(one) {
            Place::At(Target::Repository(name.clone()))
        } else {
            continue;
        };
        let key = match &place {
            Place::At(Target::Repository(name)) => name.to_lowercase(),
            Place::At(Target::Organization(login)) | Place::App(login) => login.to_lowercase(),
        };
        places.entry(key).or_insert(place);
    }
    places.into_values().collect()
}

/// Whether the owner's credential is a GitHub App, which has one webhook for all of its repositories.
fn is_served_by_app(settings: &Settings, owner: &str) -> bool {
    settings.github.credential_for(owner).is_some_and(|(_, credential)| credential.app().is_some())
}

impl Entry {
    fn failed(scope: &str, kind: Kind, error: &str) -> Self {
        Self { error: Some(error.to_owned()), ..Self::new(scope, kind, State::Failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{loaded, pools};
    use crate::ledger::Topics;

    fn served(name: &str, pools: &[usize], listed: Option<(bool, &[&str])>) -> ServedRepository {
        let listed = listed.map(|(public, topics)| Listed {
            full_name: name.to_owned(),
            owned_by_organization: !name.starts_with("me/"),
            public,
            archived: false,
            topics: Some(Topics::from_outside(topics.iter().map(|topic| (*topic).to_owned()))),
        });
        ServedRepository { full_name: name.to_owned(), listed, pools: pools.to_vec() }
    }

    fn names(selection: Selection) -> Vec<String> {
        let mut settings = loaded("").settings;
        settings.pools = pools(&["name = \"a\"", "name = \"b\"\nscope = \"organization\""]);
        let all = [
            served("octo/app", &[0, 1], Some((false, &["ci"]))),
            served("octo/lib", &[0], Some((true, &[]))),
            served("me/site", &[0, 1], Some((true, &["ci", "web"]))),
            served("me/notes", &[0], Some((false, &[]))),
            served("else/x", &[0], None),
        ];
        let places = places(&settings, &all, &selection, Aim::Sync { set_secret: false });
        let name = |place: Place| match place {
            Place::At(target) => target.name().to_owned(),
            Place::App(owner) => panic!("no App for {owner}"),
        };
        places.into_iter().map(name).collect()
    }

    #[test]
    fn an_organization_with_a_webhook_needs_none_on_its_repositories() {
        assert_eq!(names(Selection::default()), ["else/x", "me/notes", "me/site", "octo"]);
    }

    #[test]
    fn the_command_line_narrows() {
        let some = |text: &str| vec![text.to_owned()];
        let by = |selection: Selection| names(selection);
        let none = Selection::default;
        assert_eq!(by(Selection { owners: some("ME"), ..none() }), ["me/notes", "me/site"]);
        assert_eq!(by(Selection { repositories: some("*/n*"), ..none() }), ["me/notes"]);
        assert_eq!(by(Selection { topics: some("CI"), ..none() }), ["me/site", "octo"]);
        let public = Selection { visibilities: vec![Visibility::Public], ..none() };
        assert_eq!(by(public.clone()), ["me/site", "octo"]);
        let both = Selection { topics: some("ci"), ..public };
        assert_eq!(by(both), ["me/site"], "one repository has both");
        assert_eq!(by(Selection { repositories: some("octo/lib"), ..none() }), ["octo"]);
    }
}
