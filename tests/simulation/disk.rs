//! The disk under the daemon's real database: slow or full now and then, and the moments around a
//! commit in which the daemon can die.

use std::pin::Pin;
use std::time::Duration;

use roustabout::store::{Commits, StoreError};
use simulated::github::model::SECOND;

use crate::life::Shared;
use crate::troubles::Trouble;

pub struct Disk(pub Shared);

impl Commits for Disk {
    fn before(&self) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(async {
            let (takes, full) = self.0.with(|world| {
                let takes = match world.strikes(Trouble::DiskSlow, 0.2) {
                    true => world.draw(100, 5 * SECOND),
                    false => world.draw(0, 20),
                };
                (takes.unsigned_abs(), world.strikes(Trouble::DiskFull, 0.4))
            });
            tokio::time::sleep(Duration::from_millis(takes)).await;
            self.0.may_die("dies before its commit", 0.01).await;
            match full {
                true => {
                    self.0.with(|world| world.rows_are_refused());
                    Err(StoreError::Write("database or disk is full".to_owned()))
                }
                false => {
                    // What has come by now goes into this commit.
                    self.0.with(|world| world.rows_are_handed_in());
                    Ok(())
                }
            }
        })
    }

    fn after(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.0.with(|world| world.check_rows());
            self.0.may_die("dies after its commit, before anything is told or sent", 0.02).await;
        })
    }
}
