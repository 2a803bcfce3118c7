//! What the end-to-end tests stand on: the built binary as a daemon (`daemon`), the whole
//! world around it (`world`), a proxy that holds requests at the moments that matter
//! (`proxy`), both together (`proxied`), parameterized jobs of the tests' own (`parents`), and
//! `check` and what it found (`checking`). Each test starts its own and ends it.

#![allow(dead_code, reason = "every test file uses another part of it")]

pub mod checking;
pub mod daemon;
pub mod parents;
pub mod proxied;
pub mod proxy;
pub mod world;

use std::time::{Duration, Instant};

/// Waits until `holds`; fails with `what` after `limit`.
pub async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
