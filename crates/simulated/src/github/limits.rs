//! The primary rate limit: so many requests an hour for each user.
//!
//! That of a minute is in `pace`. Read next: `rest/mod.rs`.

use super::model::{GitHub, HOUR, Millis, SECOND};

/// One user's current hour.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub used: u64,
    pub reset_at: Millis,
}

/// What the `x-ratelimit-*` headers say (docs, "Rate limits for the REST API", "Checking the status
/// of your rate limit").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    pub used: u64,
    /// UTC epoch seconds.
    pub reset: Millis,
}

impl Standing {
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl GitHub {
    /// Where the user stands now.
    pub fn standing(&mut self, user: u64, now: Millis) -> Standing {
        let limit = self.knobs.core_limit;
        let window = self.windows.entry(user).or_insert(Window { used: 0, reset_at: now + HOUR });
        if window.reset_at <= now {
            *window = Window { used: 0, reset_at: now + HOUR };
        }
        Standing { limit, used: window.used, reset: window.reset_at.div_euclid(SECOND) }
    }

    /// Counts one request; a 304 is never counted (docs, "Best practices for using the REST API").
    pub(super) fn spend(&mut self, user: u64, now: Millis) {
        self.standing(user, now);
        if let Some(window) = self.windows.get_mut(&user) {
            window.used += 1;
        }
    }

    /// Leaves the user so many requests until the window ends.
    pub fn set_remaining(&mut self, user: u64, remaining: u64, now: Millis) {
        self.standing(user, now);
        let limit = self.knobs.core_limit;
        if let Some(window) = self.windows.get_mut(&user) {
            window.used = limit.saturating_sub(remaining);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::github;
    use super::*;

    #[test]
    fn the_window_begins_anew_after_an_hour() {
        let mut gh = github();
        let user = gh.add_user("octocat");
        gh.spend(user, 0);
        assert_eq!(gh.standing(user, 1).remaining(), 4_999);
        assert_eq!(gh.standing(user, HOUR).remaining(), 5_000);
    }
}
