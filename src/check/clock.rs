//! Whether this machine's clock agrees with the forge's.
//!
//! From half a minute on, times from different machines can no longer be read side by side, so
//! it is a warning (GitHub tells whole seconds, and an answer is some time on its way). Five
//! minutes are what lies between the hour that a registration token lives and the 55 minutes that
//! a runner may take to use it; where the clock is further off, what is reckoned from Nomad's and
//! GitHub's times after a restart is wrong by more than that margin, so it is a failure.

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
    let mend = "synchronize it by NTP (timedatectl set-ntp true)";
    if off > FAIL {
        Finding::fail("clock", message, mend)
    } else if off > WARN {
        Finding::warn("clock", message, mend)
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
