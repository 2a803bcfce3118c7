//! Constraints of jobs, groups and tasks: whether a node meets them, and how they are called in the
//! metrics of a placement.
//!
//! Which nodes are asked, and in which order, is not decided here. (Nomad
//! `scheduler/feasible/feasible.go`, `checkConstraint`.) Read next: `placing.rs`.

use std::cmp::Ordering;

use regex::Regex;

use super::nodes::Node;

/// One `constraint` block, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    pub left: String,
    pub right: String,
    pub operand: String,
}

impl Constraint {
    #[must_use]
    pub fn new(left: &str, operand: &str, right: &str) -> Self {
        Self { left: left.to_owned(), right: right.to_owned(), operand: operand.to_owned() }
    }

    /// `distinct_hosts`, unless it is switched off.
    pub(super) fn is_distinct_hosts(&self) -> bool {
        self.operand == "distinct_hosts" && !matches!(self.right.as_str(), "false" | "0")
    }

    /// Whether the node meets it. What is about other allocations (`distinct_hosts`,
    /// `distinct_property`) is judged where those are known.
    pub(super) fn is_met_by(&self, node: &Node) -> bool {
        let (left, right) = (resolve(&self.left, node), resolve(&self.right, node));
        let both = |holds: fn(&str, &str) -> bool| match (&left, &right) {
            (Some(left), Some(right)) => holds(left, right),
            _ => false,
        };
        match self.operand.as_str() {
            "distinct_hosts" | "distinct_property" => true,
            "=" | "==" | "is" => both(|left, right| left == right),
            "!=" | "not" => left != right,
            "<" => both(|left, right| order(left, right) == Ordering::Less),
            "<=" => both(|left, right| order(left, right) != Ordering::Greater),
            ">" => both(|left, right| order(left, right) == Ordering::Greater),
            ">=" => both(|left, right| order(left, right) != Ordering::Less),
            "is_set" => left.is_some(),
            "is_not_set" => left.is_none(),
            "version" => both(|left, right| version_matches(left, right, false)),
            "semver" => both(|left, right| version_matches(left, right, true)),
            "regexp" => both(|left, right| {
                Regex::new(right).is_ok_and(|expression| expression.is_match(left))
            }),
            "set_contains" | "set_contains_all" => {
                both(|left, right| set(right).all(|wanted| set(left).any(|one| one == wanted)))
            }
            "set_contains_any" => {
                both(|left, right| set(right).any(|wanted| set(left).any(|one| one == wanted)))
            }
            _ => false,
        }
    }
}

/// As `ConstraintFiltered` calls it.
impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.left, self.operand, self.right)
    }
}

/// `${…}` of a node, or the text itself; None: the node has no such attribute.
fn resolve(target: &str, node: &Node) -> Option<String> {
    let Some(name) = target.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return Some(target.to_owned());
    };
    match name {
        "node.unique.id" => Some(node.id.clone()),
        "node.unique.name" => Some(node.spec.name.clone()),
        "node.datacenter" => Some(node.spec.datacenter.clone()),
        "node.class" => Some(node.spec.class.clone()),
        "node.pool" => Some(node.spec.pool.clone()),
        "node.region" => Some("global".to_owned()),
        _ => match name.strip_prefix("meta.") {
            Some(key) => node.spec.meta.get(key).cloned(),
            None => node.spec.attributes.get(name).cloned(),
        },
    }
}

fn set(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

/// As whole numbers, as numbers, or as texts: whatever both can be read as.
fn order(left: &str, right: &str) -> Ordering {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return left.cmp(&right);
    }
    if let (Ok(left), Ok(right)) = (left.parse::<f64>(), right.parse::<f64>()) {
        return left.partial_cmp(&right).unwrap_or(Ordering::Equal);
    }
    left.cmp(right)
}

/// A version, of as many numbers as are written. A pre-release comes before its release.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    numbers: Vec<u64>,
    prerelease: semver::Prerelease,
}

impl Version {
    /// `strict`: as semver.org has it, with all three numbers and no `v`.
    fn read(text: &str, strict: bool) -> Option<Self> {
        let text = text.trim();
        let text = if strict { text } else { text.strip_prefix('v').unwrap_or(text) };
        let text = text.split('+').next().unwrap_or_default();
        let (numbers, prerelease) = text.split_once('-').unwrap_or((text, ""));
        let numbers: Option<Vec<u64>> =
            numbers.split('.').map(|number| number.parse().ok()).collect();
        let numbers = numbers.filter(|it| !strict || it.len() == 3)?;
        let prerelease = semver::Prerelease::new(prerelease).ok()?;
        Some(Self { numbers, prerelease })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let at = |version: &Self, place: usize| version.numbers.get(place).copied().unwrap_or(0);
        (0..length)
            .map(|place| at(self, place).cmp(&at(other, place)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.prerelease.cmp(&other.prerelease))
    }
}

/// All of the comma-separated comparisons hold.
fn version_matches(version: &str, wanted: &str, strict: bool) -> bool {
    let Some(version) = Version::read(version, strict) else { return false };
    wanted.split(',').all(|one| {
        let one = one.trim();
        let digits = one.find(|c: char| !"=!<>~".contains(c)).unwrap_or(one.len());
        let (operator, bound) = one.split_at(digits);
        let Some(bound) = Version::read(bound, strict) else { return false };
        // Without strictness a pre-release is only met by a bound that names one.
        let releases = strict || version.prerelease.is_empty() || !bound.prerelease.is_empty();
        let order = version.compare(&bound);
        match operator {
            "" | "=" => order.is_eq(),
            "!=" => order.is_ne(),
            ">" => order.is_gt() && releases,
            ">=" => order.is_ge() && releases,
            "<" => order.is_lt() && releases,
            "<=" => order.is_le() && releases,
            "~>" => order.is_ge() && releases && stays_below_next(&version, &bound),
            _ => false,
        }
    })
}

/// `~> 1.2.3` leaves all numbers but the last as they are.
fn stays_below_next(version: &Version, bound: &Version) -> bool {
    let fixed = bound.numbers.len().saturating_sub(1).max(1);
    (0..fixed).all(|place| version.numbers.get(place) == bound.numbers.get(place))
        || bound.numbers.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::NodeSpec;

    fn met(left: &str, operand: &str, right: &str) -> bool {
        let mut spec = NodeSpec { class: "a,b".to_owned(), ..NodeSpec::with_room_for(1) };
        spec.attributes.insert("attr.nomad.version".to_owned(), "1.11.3".to_owned());
        spec.attributes.insert("attr.cpu.numcores".to_owned(), "12".to_owned());
        spec.meta.insert("rack".to_owned(), "r1".to_owned());
        let node = Node::new("one", spec);
        Constraint::new(left, operand, right).is_met_by(&node)
    }

    #[test]
    fn each_operand_holds_and_does_not() {
        for (left, operand, right) in [
            ("${attr.cpu.arch}", "=", "amd64"),
            ("${meta.rack}", "==", "r1"),
            ("${attr.nowhere}", "!=", "x"),
            ("${attr.cpu.numcores}", ">", "9"),
            ("${attr.cpu.numcores}", "<=", "12.5"),
            ("${attr.nomad.version}", "version", ">= 1.9, < 2"),
            ("${attr.nomad.version}", "version", "~> 1.11.0"),
            ("${attr.nomad.version}", "semver", ">= 1.9.0"),
            ("${attr.cpu.arch}", "regexp", "^amd"),
            ("${node.class}", "set_contains", "b, a"),
            ("${node.class}", "set_contains_any", "c,a"),
            ("${attr.cpu.arch}", "is_set", ""),
            ("${attr.nowhere}", "is_not_set", ""),
        ] {
            assert!(met(left, operand, right), "{left} {operand} {right}");
        }
        for (left, operand, right) in [
            ("${attr.cpu.arch}", "=", "arm64"),
            ("${attr.nowhere}", "=", "${attr.nowhere}"),
            ("${attr.cpu.arch}", "!=", "amd64"),
            ("${attr.cpu.numcores}", ">", "100"),
            ("${attr.nomad.version}", "version", ">= 99.0"),
            ("${attr.nomad.version}", "version", "~> 1.10.0"),
            ("${attr.nomad.version}", "semver", ">= 1.9"),
            ("${attr.cpu.arch}", "regexp", "^plan"),
            ("${node.class}", "set_contains", "a,c"),
            ("${attr.nowhere}", "is_set", ""),
            ("${attr.cpu.arch}", "nonsense", "amd64"),
        ] {
            assert!(!met(left, operand, right), "{left} {operand} {right}");
        }
    }
}
