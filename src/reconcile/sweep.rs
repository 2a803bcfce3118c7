//! Looks at one repository, and says what was seen of it or that it is refused.

use tokio::sync::Mutex;

use super::lanes::Answered;
use crate::forge::{Error, Forges, Look, LookMemory, Round};
use crate::ledger::observation::Observation;
use crate::ledger::{Repository, RepositoryId};

/// What was seen of a repository the last time.
#[derive(Default)]
pub struct Cached {
    look: LookMemory,
    repository: Option<RepositoryId>,
}

/// The whole picture of a repository, or why there is none.
pub async fn look(
    forges: &Forges,
    name: &str,
    cached: &Mutex<Cached>,
    round: &Round,
) -> Result<(Observation, Answered), Error> {
    let mut cached = cached.lock().await;
    match forges.of_repository(name) {
        Err(error) => Ok((refused(&cached, name, &error), Answered::All)),
        Ok(forge) => match forge.look(name, &mut cached.look, round).await {
            Ok(Look { repository, reports, began, unseen, cut }) => {
                cached.repository = Some(repository.id);
                let repository = Box::new(called_before(repository, name));
                let swept = Observation::Swept { repository, reports, began, unseen, cut };
                Ok((swept, Answered::All))
            }
            Err(error) if error.refuses() => {
                Ok((refused(&cached, name, &error), Answered::by_refusal(&error)))
            }
            Err(error) => Err(error),
        },
    }
}

/// Asked for by one name, and found by another: the config has not followed.
fn called_before(mut repository: Repository, name: &str) -> Repository {
    if !repository.full_name.eq_ignore_ascii_case(name) {
        repository.former.push(name.to_owned());
    }
    repository
}

fn refused(cached: &Cached, name: &str, error: &Error) -> Observation {
    Observation::SweepRefused {
        repository: cached.repository,
        full_name: name.to_owned(),
        reason: error.to_string(),
    }
}
