//! How findings are shown: an aligned line each for people, an object for programs.

use serde_json::{Value, json};

use super::finding::{Level, Report};

/// Longer subjects push their own line only.
const WIDEST: usize = 28;

/// One line a finding, then how many of each level.
pub fn text(report: &Report, colour: bool) -> String {
    let widths = report.0.iter().map(|finding| finding.subject.chars().count());
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    for finding in &report.0 {
        let level = painted(finding.level, colour);
        text += &format!("{level}  {:<width$}  {}", finding.subject, finding.message);
        if let Some(fix) = &finding.fix {
            text += &format!("; {fix}");
        }
        text.push('\n');
    }
    let [ok, warn, fail] = [Level::Ok, Level::Warn, Level::Fail].map(|level| report.count(level));
    text + &format!("{ok} ok, {warn} warn, {fail} fail\n")
}

fn painted(level: Level, colour: bool) -> String {
    let word = format!("{:<4}", level.as_str());
    let number = match level {
        Level::Ok => 32,
        Level::Warn => 33,
        Level::Fail => 31,
    };
    if colour { format!("\x1b[{number}m{word}\x1b[0m") } else { word }
}

pub fn json(report: &Report) -> Value {
    json!({ "findings": report.0, "failed": report.failed() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Finding;

    fn report() -> Report {
        Report(vec![
            Finding::ok("config", "/etc/roustabout/roustabout.toml, 1 pool"),
            Finding::warn("github octo", "the token ends in 3 days", "make a new one"),
            Finding::fail("pool x64", "the job \"x\" is stopped", "start it with nomad job run"),
            Finding::ok("a subject that is longer than all others", "and so"),
        ])
    }

    #[test]
    fn people_read_a_line_a_finding() {
        insta::assert_snapshot!(text(&report(), false), @r#"
        ok    config       /etc/roustabout/roustabout.toml, 1 pool
        warn  github octo  the token ends in 3 days; make a new one
        fail  pool x64     the job "x" is stopped; start it with nomad job run
        ok    a subject that is longer than all others  and so
        2 ok, 1 warn, 1 fail
        "#);
    }

    #[test]
    fn colour_is_for_the_level_alone() {
        let coloured = text(&report(), true);
        assert!(coloured.starts_with("\x1b[32mok  \x1b[0m  config"), "{coloured}");
        assert_eq!(coloured.matches("\x1b[0m").count(), 4);
    }

    #[test]
    fn programs_read_an_object() {
        let shown = json(&report());
        assert_eq!(shown["failed"], true);
        assert_eq!(shown["findings"][0]["mend"], Value::Null);
        assert_eq!(
            shown["findings"][2],
            json!({"level": "fail", "subject": "pool x64", "message": "the job \"x\" is stopped",
                "mend": "start it with nomad job run"})
        );
        assert_eq!(json(&Report::default())["failed"], false);
    }
}
