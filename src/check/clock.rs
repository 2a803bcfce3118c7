//! Whether this machine's clock agrees with the forge's.
//!
//! A difference of half a minute is a warning: times of different machines can no longer be compared
//! (GitHub's are in whole seconds, and an answer takes a moment to arrive). Five minutes are a failure:
//! that is the margin between the lifetime of a registration token (an hour) and the 55 minutes that a
//! runner may take to use it, and after a restart deadlines are computed from Nomad's and GitHub's times.

use jiff::{SignedDuration, Timestamp};

use super::finding::Finding;

const WARN: SignedDuration = SignedDuration::from_secs(30);
const FAIL: SignedDuration = SignedDuration::from_mins(5);

/// `server` and `local` are the same moment by the two clocks; `forge` is what people call it.
pub fn judge(forge: &str, server: Timestamp, local: Timestamp) -> Finding {
    let skew = local.duration_since(server);
    let off = skew.abs();
    let side = if skew.is_negative() { "behind" } else { "ahead of" };
    let message = format!("this machine's clock is {} s {side} {forge}'s", off.as_secs());
    let fix = "synchronize it by NTP (timedatectl set-ntp true)";
    if off > FAIL {
        Finding::fail("clock", message, fix)
    } else if off > WARN {
        Finding::warn("clock", message, fix)
    } else {
        Finding::ok("clock", format!("agrees with {forge}'s within half a minute"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;
    use rstest::rstest;

    #[rstest]
    #[case(0, Level::Ok)]
    #[case(30, Level::Ok)]
    #[case(-31, Level::Warn)]
    #[case(300, Level::Warn)]
    #[case(301, Level::Fail)]
    #[case(-86_400, Level::Fail)]
    fn levels(#[case] ahead: i64, #[case] level: Level) {
        let server = Timestamp::from_second(1_800_000_000).unwrap();
        let local = Timestamp::from_second(1_800_000_000 + ahead).unwrap();
        assert_eq!(judge("GitHub", server, local).level, level);
    }

    #[test]
    fn it_is_said_who_is_behind() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(
            judge("GitHub", at(100), at(60)).message,
            "this machine's clock is 40 s behind GitHub's"
        );
        assert_eq!(
            judge("GitHub", at(60), at(100)).message,
            "this machine's clock is 40 s ahead of GitHub's"
        );
    }
}
