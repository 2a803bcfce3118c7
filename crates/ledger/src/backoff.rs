//! How long to wait before the next try: pure, with the jitter drawn from the generator that
//! is handed in. Who waits for what is decided where it is used.

use std::time::Duration;

use rand::Rng;

/// First wait, in seconds (architecture: "from 10 s to 10 min").
const FIRST: u64 = 10;
/// Longest wait, in seconds.
const LONGEST: u64 = 600;
/// No wait is longer, jitter included.
pub const AT_MOST: Duration = Duration::from_secs(LONGEST + LONGEST / 10);

/// The wait before try number `attempt + 1`: 10 s, doubled each time, at most 10 min, and up
/// to a tenth longer so that many who failed together do not come back together.
pub fn backoff(attempt: u32, rng: &mut impl Rng) -> Duration {
    let base = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST) * 1000;
    Duration::from_millis(base + rng.random_range(0..=base / 10))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    proptest! {
        #[test]
        fn stays_between_ten_seconds_and_eleven_minutes(attempt: u32, seed: u64) {
            let wait = backoff(attempt, &mut StdRng::seed_from_u64(seed));
            prop_assert!(wait >= Duration::from_secs(10));
            prop_assert!(wait <= Duration::from_secs(660));
        }

        #[test]
        fn never_shrinks_by_more_than_the_jitter(attempt in 0u32..40, seed: u64) {
            let mut rng = StdRng::seed_from_u64(seed);
            let (one, next) = (backoff(attempt, &mut rng), backoff(attempt + 1, &mut rng));
            prop_assert!(next * 11 >= one * 10);
        }
    }
}
