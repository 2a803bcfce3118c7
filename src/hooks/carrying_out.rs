//! Carries a plan out, one change after the other: GitHub asks those who make many changes not to make
//! them at once (docs, "Best practices for using the REST API"). What fails is told, and the rest done.

use super::patience::patiently;
use super::plan::{Entry, State};
use crate::forge::hooks::WantedHook;
use crate::forge::{Error, Forge, Forges, Kind};
use crate::ledger::effect::Target;

/// `wanted` is needed by what makes or changes a webhook. `told` hears of progress.
pub async fn carry_out(
    forges: &Forges,
    entries: &mut [Entry],
    wanted: Option<&WantedHook>,
    mut told: impl FnMut(usize, usize),
) {
    let all = entries.iter().filter(|entry| entry.target().is_some()).count();
    let acting = entries.iter_mut().filter_map(|entry| Some((entry.target()?, entry)));
    for (done, (target, entry)) in acting.enumerate() {
        told(done, all);
        match change(forges, &target, entry, wanted).await {
            Ok(id) => entry.hook_id = id,
            Err(error) => {
                entry.state = State::Failed;
                entry.error = Some(error.to_string());
            }
        }
    }
    told(all, all);
}

async fn change(
    forges: &Forges,
    target: &Target,
    entry: &Entry,
    wanted: Option<&WantedHook>,
) -> Result<Option<u64>, Error> {
    let forge = forges.of(target.owner())?;
    match patiently(|| once(forge, target, entry, wanted)).await {
        // It may have been made although no answer came: then it is there.
        Err(error) if entry.state == State::Create && error.kind == Kind::Away => {
            let wanted = wanted.map(|wanted| wanted.url.as_str());
            let hooks = forge.hooks(target).await.map_err(|_| error.clone())?;
            let made = hooks.into_iter().find(|hook| Some(hook.url.as_str()) == wanted);
            made.map(|hook| Some(hook.id)).ok_or(error)
        }
        answer => answer,
    }
}

async fn once(
    forge: &Forge,
    target: &Target,
    entry: &Entry,
    wanted: Option<&WantedHook>,
) -> Result<Option<u64>, Error> {
    match (entry.state, &entry.hook, wanted) {
        (State::Create, _, Some(wanted)) => forge.create_hook(target, wanted).await.map(Some),
        (State::Update, Some(hook), Some(wanted)) => {
            forge.update_hook(target, hook, wanted).await.map(|()| Some(hook.id))
        }
        (State::Remove, Some(hook), _) => {
            forge.delete_hook(target, hook.id).await.map(|()| Some(hook.id))
        }
        _ => Ok(entry.hook_id),
    }
}
