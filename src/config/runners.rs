//! `[runners]`: settings for the runners of all pools.

use super::section::Section;

/// `[runners]`.
#[derive(Debug, Clone)]
pub struct Runners {
    /// 1 to 20 of `a` to `z` and digits. Runners and jobs with this prefix are ours, at GitHub and in Nomad.
    pub name_prefix: String,
    /// Runners alive at a time, over all pools; at least 1.
    pub max: u32,
    /// Logins whose jobs count as bot jobs.
    pub robots: Vec<String>,
}

pub(super) fn read(section: &Section) -> Option<Runners> {
    let name_prefix = section.parsed("name_prefix", name_prefix);
    let max = section.number("max", 1);
    let robots = section.list("robots").filter(|robots| {
        let wrong = robots.iter().find(|login| !is_login(login));
        if let Some(login) = wrong {
            section.refuse(
                "robots",
                format!("{login:?} is not a valid login (patterns are not supported)"),
            );
        }
        wrong.is_none()
    });
    Some(Runners { name_prefix: name_prefix?, max: max?, robots: robots? })
}

fn name_prefix(text: &str) -> Result<String, String> {
    let good = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    match good && (1..=20).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not 1 to 20 characters of a-z and 0-9")),
    }
}

/// As in `dependabot[bot]`.
fn is_login(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.[]".contains(c))
}

#[cfg(test)]
mod tests {
    use super::name_prefix;
    use crate::config::testing::{errors, loaded, loaded_with};

    #[test]
    fn prefixes() {
        for good in ["r", "roustabout", "a2345678901234567890"] {
            assert!(name_prefix(good).is_ok(), "{good}");
        }
        for wrong in ["", "a-b", "Roustabout", "a23456789012345678901", "ä"] {
            assert!(name_prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn at_least_one_runner() {
        assert!(
            errors("[runners]\nmax = 0\n")
                .contains("runners.max: must be a whole number, at least 1")
        );
        assert!(
            errors("[runners]\nmax = \"20\"\n").contains("must be a whole number, not a string")
        );
        assert!(errors("[runners]\nmax = -1\n").contains("at least 1"));
    }

    #[test]
    fn robots_may_be_none_or_come_from_the_environment() {
        assert!(loaded("[runners]\nrobots = []\n").settings.runners.robots.is_empty());
        let env = [("ROUSTABOUT__RUNNERS__ROBOTS", "a[bot], b"), ("ROUSTABOUT__RUNNERS__MAX", "7")];
        let runners = loaded_with("", &env).settings.runners;
        assert_eq!(runners.robots, ["a[bot]", "b"]);
        assert_eq!(runners.max, 7);
        for wrong in ["renovate*", "renovate ", "re novate"] {
            let told = errors(&format!("[runners]\nrobots = [{wrong:?}]\n"));
            assert!(told.contains("is not a valid login"), "{told}");
        }
    }
}
