//! Waits where the forge's rate limit, or our own pace, holds a request back: a command has time.

use std::time::Duration;

use crate::forge::{Error, Kind};

/// A forge that asks to wait longer is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Times that one request is tried again.
const TRIES: u32 = 3;

pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..TRIES {
        match ask().await {
            Err(error) if waited_for(&error).await => {}
            answer => return answer,
        }
    }
    ask().await
}

/// Until requests are let through again, if that is what failed; false: it is not, or takes too long.
async fn waited_for(error: &Error) -> bool {
    let limited = matches!(error.kind, Kind::Wait | Kind::Share);
    match error.retry_after.filter(|wait| limited && *wait <= LONGEST_WAIT) {
        Some(wait) => {
            tokio::time::sleep(wait).await;
            true
        }
        None => false,
    }
}
