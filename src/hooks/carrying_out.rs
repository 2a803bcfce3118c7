//! Carries a plan out, one change after the other: GitHub asks those who make many changes not to make
//! them at once (docs, "Best practices for using the REST API"). What fails is told, and the rest done.

use std::time::Duration;

use super::plan::{Entry, State};
use crate::forge::hooks::WantedHook;
use crate::forge::{Error, Forge, Forges, Kind};
use crate::ledger::effect::Target;

/// A forge that asks to wait longer is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Times that one change is tried again.
pub(super) const TRIES: u32 = 3;

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
    let mut tries = 0;
    loop {
        match once(forge, target, entry, wanted).await {
            Err(error) if tries < TRIES && waited_for(&error).await => tries += 1,
            // It may have been made although no answer came: then it is there.
            Err(error) if entry.state == State::Create && error.kind == Kind::Away => {
                let wanted = wanted.map(|wanted| wanted.url.as_str());
                let hooks = forge.hooks(target).await.map_err(|_| error.clone())?;
                let made = hooks.into_iter().find(|hook| Some(hook.url.as_str()) == wanted);
                return made.map(|hook| Some(hook.id)).ok_or(error);
            }
            answer => return answer,
        }
    }
}

/// Waits until the limit lets requests through again, if that is what failed; false: it is not, or takes
/// too long.
pub(super) async fn waited_for(error: &Error) -> bool {
    let limited = matches!(error.kind, Kind::Wait | Kind::Share);
    match error.retry_after.filter(|wait| limited && *wait <= LONGEST_WAIT) {
        Some(wait) => {
            tokio::time::sleep(wait).await;
            true
        }
        None => false,
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
