//! How a runner is named, at GitHub and in Nomad, and how to tell that one is ours.
//!
//! Name: `<prefix>-<pool>-<id>`; idempotency token: `<name>@<scope>`, with `#<run id>` where
//! the class has one. The prefix has no dash, so what stands before the first dash decides.

use rand::Rng;

use super::{PoolName, RunId, RunnerName};

/// Base 32 without the letters that are read for others.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Whether a byte is one of these. A report asks it of each letter of a million names.
const IN_ALPHABET: [bool; 256] = {
    let (mut is, mut at) = ([false; 256], 0);
    while at < ALPHABET.len() {
        is[ALPHABET[at] as usize] = true;
        at += 1;
    }
    is
};
/// 65 bits: two runners never share one.
const ID_LENGTH: usize = 13;

/// A name for a new runner of `pool`.
pub fn draw(prefix: &str, pool: &PoolName, rng: &mut impl Rng) -> RunnerName {
    let id: String =
        (0..ID_LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    RunnerName(format!("{prefix}-{pool}-{id}"))
}

/// The pool that a name tells of, if the name is of our form under exactly this prefix.
pub fn pool_of<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    let (pool, id) = name.strip_prefix(prefix)?.strip_prefix('-')?.rsplit_once('-')?;
    let ours = id.len() == ID_LENGTH && id.bytes().all(|byte| IN_ALPHABET[usize::from(byte)]);
    (ours && !pool.is_empty()).then_some(pool)
}

/// What Nomad keeps as `DispatchIdempotencyToken`: whose child it is and where it registers.
pub fn idempotency_token(name: &RunnerName, scope: &str, run: Option<RunId>) -> String {
    match run {
        Some(run) => format!("{name}@{scope}#{run}"),
        None => format!("{name}@{scope}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    proptest! {
        #[test]
        fn every_drawn_name_is_ours_and_names_its_pool(seed: u64, pool in "[a-z0-9][a-z0-9-]{0,20}") {
            let name = draw("roustabout", &PoolName(pool.clone()), &mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(pool_of("roustabout", name.as_str()), Some(pool.as_str()));
            prop_assert_eq!(pool_of("roust", name.as_str()), None);
        }
    }

    #[test]
    fn names_of_others_are_not_ours() {
        for name in [
            "roustabout-x64",
            "roustabout2-x64-0123456789abc",
            "runner-1",
            "roustabout-x64-0123456789abi",
            "roustabout--0123456789abc",
        ] {
            assert_eq!(pool_of("roustabout", name), None, "{name}");
        }
    }

    #[test]
    fn token_says_where_it_registers() {
        let name = RunnerName::from("roustabout-x64-0123456789abc");
        assert_eq!(
            idempotency_token(&name, "octo/app", None),
            "roustabout-x64-0123456789abc@octo/app"
        );
        assert_eq!(
            idempotency_token(&name, "octo", Some(RunId(7))),
            "roustabout-x64-0123456789abc@octo#7"
        );
    }
}
