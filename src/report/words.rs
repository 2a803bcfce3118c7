//! The report as a table for people, and its rows as CSV. Both are made from the JSON that the daemon answers.

use std::fmt::Write;

use serde_json::Value;

/// Columns of numbers, by their keys.
const NUMBERS: [&str; 7] =
    ["jobs", "failed", "minutes", "robot_minutes", "wait_p50_s", "wait_p90_s", "hosted_cost_usd"];
/// Where more rows than these would say less.
const LONGEST_NAME: usize = 60;

/// In the workflow, so that GitHub cancels what a newer push has made pointless.
pub const CONCURRENCY: &str = "concurrency:
  group: ${{ github.workflow }}-${{ github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}";

/// In Renovate's config, so that a branch is rebased only if it has to be.
pub const REBASE: &str = r#""rebaseWhen": "conflicted""#;

fn remedies() -> String {
    let indented =
        |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "\nHow to have fewer:\n\n  In the workflow, so that GitHub cancels what a newer push has made pointless:\n\n{}\n  \
         In Renovate's config, so that a branch is rebased only if it has to be:\n\n{}",
        indented(CONCURRENCY),
        indented(REBASE)
    )
}

pub fn text(report: &Value) -> String {
    let by = report["by"].as_str().unwrap_or_default();
    let name = |row: &Value| shortened(row[by].as_str().unwrap_or_default());
    let rows: Vec<&Value> = report["rows"].as_array().into_iter().flatten().collect();
    let widest = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(0);
    let width = widest.max(by.len()).max("total".len());
    let mut text = format!(
        "{} to {} (UTC), by {by}\n\n{:<width$}",
        report["from"].as_str().unwrap_or_default(),
        report["to"].as_str().unwrap_or_default(),
        by.to_uppercase(),
    );
    for key in NUMBERS {
        let _ = write!(text, "  {:>7}", key.to_uppercase());
    }
    text.push('\n');
    let mut line = |name: &str, row: &Value| {
        let _ = write!(text, "{name:<width$}");
        for key in NUMBERS {
            let _ = write!(text, "  {:>1$}", shown(key, &row[key]), key.len().max(7));
        }
        text.push('\n');
    };
    rows.iter().for_each(|row| line(&name(row), row));
    let totals = &report["totals"];
    if rows.len() > 1 {
        // The money of all rows, for the totals have what is left of it.
        let mut all = totals.clone();
        let gross: f64 = rows.iter().filter_map(|row| row["hosted_cost_usd"].as_f64()).sum();
        all["hosted_cost_usd"] = gross.into();
        line("total", &all);
    }
    if rows.is_empty() {
        text += "\nNo job was run by these runners.\n";
        return text;
    }
    text += &money(report);
    text + &storms(report)
}

fn money(report: &Value) -> String {
    let totals = &report["totals"];
    format!(
        "\nOn GitHub-hosted runners (rates {}): {} after {} included minutes; {} included minutes left.\n",
        match report["prices"]["from"].as_str() {
            Some(from) => format!("from {from}"),
            None => "until 2025".to_owned(),
        },
        dollars(&totals["hosted_cost_usd"]),
        number(&totals["included_minutes_used"]),
        number(&totals["included_minutes_left"]),
    )
}

fn storms(report: &Value) -> String {
    let totals = &report["totals"];
    let runs = number(&totals["superseded_runs"]);
    if runs == 0 {
        return String::new();
    }
    let mut text = format!(
        "\nSuperseded bot runs: {runs}, which took {} minutes ({}). Of these, {} minutes were of runs that had not begun when they were superseded.\n",
        number(&totals["superseded_minutes"]),
        dollars(&totals["superseded_cost_usd"]),
        number(&totals["avoidable_minutes"]),
    );
    let cancelled = number(&totals["cancelled_runs"]);
    if cancelled > 0 {
        let _ = writeln!(
            text,
            "No runner began {cancelled} of them, which saved about {} minutes.",
            number(&totals["saved_minutes"]),
        );
    }
    let storms: Vec<&Value> = report["storms"].as_array().into_iter().flatten().collect();
    if storms.is_empty() {
        return text;
    }
    text += "\nStorms, the worst first:\n";
    for storm in storms {
        let merge = match (storm["merge_run"].as_u64(), storm["merged_at"].as_str()) {
            (Some(run), Some(at)) => format!("the merge at {at} (run {run})"),
            _ => format!("rebases from {}", storm["at"].as_str().unwrap_or_default()),
        };
        let _ = writeln!(
            text,
            "  {}: {merge} superseded {} runs on {} branches: {} minutes, {}",
            storm["repository"].as_str().unwrap_or_default(),
            number(&storm["superseded_runs"]),
            number(&storm["branches"]),
            number(&storm["superseded_minutes"]),
            dollars(&storm["superseded_cost_usd"]),
        );
    }
    text + &remedies()
}

/// The rows, with their keys as heads.
pub fn csv(report: &Value) -> String {
    let by = report["by"].as_str().unwrap_or_default();
    let mut text = format!("{by},{}\n", NUMBERS.join(","));
    for row in report["rows"].as_array().into_iter().flatten() {
        text += &cell(row[by].as_str().unwrap_or_default());
        for key in NUMBERS {
            // What is not known is empty.
            let value = &row[key];
            let _ = match value.is_null() {
                true => write!(text, ","),
                false => write!(text, ",{value}"),
            };
        }
        text.push('\n');
    }
    text
}

/// Strangers choose names of branches, and a spreadsheet takes what begins so for a formula.
fn cell(name: &str) -> String {
    let name = match name.starts_with(['=', '+', '-', '@']) {
        true => format!("'{name}"),
        false => name.to_owned(),
    };
    match name.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name,
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        value if key.ends_with("_usd") => format!("{:.2}", value.as_f64().unwrap_or_default()),
        value => value.to_string(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn dollars(value: &Value) -> String {
    format!("${:.2}", value.as_f64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_named_is_one_cell_and_no_formula() {
        assert_eq!(cell("octo/app"), "octo/app");
        assert_eq!(cell("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
