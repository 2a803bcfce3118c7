//! What is to be done with the webhooks of one repository or organization. Pure, but for the question
//! which there are.

use url::Url;

use super::patience::patiently;
use super::picked::Place;
use crate::forge::Forges;
use crate::forge::hooks::{EVENTS, Hook};
use crate::ledger::effect::Target;

/// What the command is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// One right webhook everywhere. With `set_secret` ours is sent to those that are right too: no forge
    /// shows which they have.
    Sync {
        set_secret: bool,
    },
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Repository,
    Organization,
    App,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Create,
    Update,
    Ok,
    Remove,
    NotNeeded,
    Failed,
}

/// A webhook that is there or is to be, and what is or was to be done with it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `owner/name`, or an organization.
    pub scope: String,
    pub kind: Kind,
    pub hook: Option<Hook>,
    /// Known also of one that was made.
    pub hook_id: Option<u64>,
    pub state: State,
    /// The fields that are wrong; `secret` where ours is to be set.
    pub differs: Vec<&'static str>,
    pub error: Option<String>,
}

impl Entry {
    pub fn new(scope: &str, kind: Kind, state: State) -> Self {
        let scope = scope.to_owned();
        Self { scope, kind, hook: None, hook_id: None, state, differs: Vec::new(), error: None }
    }

    fn of(target: &Target, state: State) -> Self {
        let kind = match target {
            Target::Repository(_) => Kind::Repository,
            Target::Organization(_) => Kind::Organization,
        };
        Self::new(target.name(), kind, state)
    }

    /// Where the forge is asked to change something; `None` where nothing is to be done.
    pub fn target(&self) -> Option<Target> {
        let acts = matches!(self.state, State::Create | State::Update | State::Remove);
        match self.kind {
            _ if !acts => None,
            Kind::Repository => Some(Target::Repository(self.scope.clone())),
            Kind::Organization => Some(Target::Organization(self.scope.clone())),
            Kind::App => None,
        }
    }
}

pub async fn of_place(forges: &Forges, place: Place, url: &Url, aim: Aim) -> Vec<Entry> {
    let target = match place {
        Place::App(owner) => return vec![Entry::new(&owner, Kind::App, State::NotNeeded)],
        Place::At(target) => target,
    };
    let found = match forges.of(target.owner()) {
        Ok(forge) => {
            let hooks = patiently(|| forge.hooks(&target)).await;
            hooks.map(|hooks| (hooks, forge.can_set_secrets()))
        }
        Err(error) => Err(error),
    };
    match found {
        Ok((hooks, can_set_secrets)) => entries(&target, hooks, url, aim, can_set_secrets),
        Err(error) => {
            let error = Some(error.to_string());
            vec![Entry { error, ..Entry::of(&target, State::Failed) }]
        }
    }
}

/// One for each webhook of ours that is there; where there is none, one for that which is to be.
fn entries(
    target: &Target,
    hooks: Vec<Hook>,
    url: &Url,
    aim: Aim,
    can_set_secrets: bool,
) -> Vec<Entry> {
    let mut ours: Vec<Hook> = hooks.into_iter().filter(|hook| is_ours(hook, url)).collect();
    // The one that needs least is kept right.
    ours.sort_by_key(|hook| (wrong(hook).len(), hook.id));
    let entry = |state, hook: Hook, differs| Entry {
        hook_id: Some(hook.id),
        hook: Some(hook),
        differs,
        ..Entry::of(target, state)
    };
    let set_secret = match aim {
        Aim::Remove => {
            return ours.into_iter().map(|hook| entry(State::Remove, hook, Vec::new())).collect();
        }
        Aim::Sync { set_secret } => set_secret,
    };
    let mut ours = ours.into_iter();
    let Some(first) = ours.next() else { return vec![Entry::of(target, State::Create)] };
    let mut differs = wrong(&first);
    let mut planned = Vec::new();
    if set_secret && !can_set_secrets {
        let why = "the API of this Gitea cannot change a webhook's secret; change it on the webhook's page";
        let error = Some(why.to_owned());
        planned.push(Entry { error, ..entry(State::Failed, first, differs) });
    } else {
        differs.extend(set_secret.then_some("secret"));
        let state = if differs.is_empty() { State::Ok } else { State::Update };
        planned.push(entry(state, first, differs));
    }
    // The door knows what it was told already.
    planned.extend(ours.map(|hook| entry(State::Ok, hook, vec!["duplicate"])));
    planned
}

fn is_ours(hook: &Hook, url: &Url) -> bool {
    Url::parse(&hook.url).is_ok_and(|its| its == *url)
}

/// The fields that are not as they are to be.
fn wrong(hook: &Hook) -> Vec<&'static str> {
    let fields = [
        (hook.events != EVENTS, "events"),
        (hook.content_type.as_deref() != Some("json"), "content_type"),
        (!hook.active, "active"),
    ];
    fields.into_iter().filter_map(|(differs, field)| differs.then_some(field)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(id: u64, url: &str, change: impl FnOnce(&mut Hook)) -> Hook {
        let mut hook = Hook::for_tests(id, url);
        change(&mut hook);
        hook
    }

    fn planned(hooks: Vec<Hook>, aim: Aim) -> Vec<(State, Option<u64>, String)> {
        let target = Target::Repository("o/r".to_owned());
        let url = Url::parse("https://Door.example:443/webhook").unwrap();
        let entries = entries(&target, hooks, &url, aim, true);
        entries.into_iter().map(|it| (it.state, it.hook_id, it.differs.join(" "))).collect()
    }

    const OURS: &str = "https://door.example/webhook";
    const SYNC: Aim = Aim::Sync { set_secret: false };

    #[test]
    fn others_webhooks_are_not_touched() {
        let others = || vec![hook(1, "https://else/webhook", |_| {}), hook(2, "no url", |_| {})];
        assert_eq!(planned(others(), SYNC), [(State::Create, None, String::new())]);
        assert_eq!(planned(others(), Aim::Remove), []);
        let both = others().into_iter().chain([hook(3, OURS, |_| {})]).collect();
        assert_eq!(planned(both, Aim::Remove), [(State::Remove, Some(3), String::new())]);
    }

    #[test]
    fn what_differs_is_named() {
        let wrong = |change: fn(&mut Hook)| planned(vec![hook(1, OURS, change)], SYNC).remove(0);
        assert_eq!(wrong(|_| {}), (State::Ok, Some(1), String::new()));
        let all = wrong(|hook| {
            hook.events = vec!["workflow_job".to_owned(), "push".to_owned()];
            hook.content_type = None;
            hook.active = false;
        });
        assert_eq!(all, (State::Update, Some(1), "events content_type active".to_owned()));
    }

    #[test]
    fn a_secret_is_set_where_it_is_asked_for() {
        let right = || vec![hook(1, OURS, |_| {})];
        let aim = Aim::Sync { set_secret: true };
        assert_eq!(planned(right(), aim), [(State::Update, Some(1), "secret".to_owned())]);
        let url = Url::parse(OURS).unwrap();
        let target = Target::Organization("o".to_owned());
        let refused = entries(&target, right(), &url, aim, false).remove(0);
        assert_eq!((refused.state, refused.kind), (State::Failed, Kind::Organization));
    }

    #[test]
    fn of_two_the_better_one_is_made_right() {
        let form = |hook: &mut Hook| hook.content_type = Some("form".to_owned());
        let two = vec![hook(1, OURS, form), hook(2, OURS, |_| {})];
        assert_eq!(
            planned(two, SYNC),
            [(State::Ok, Some(2), String::new()), (State::Ok, Some(1), "duplicate".to_owned())]
        );
    }
}
