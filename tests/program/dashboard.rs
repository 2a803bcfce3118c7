//! The Grafana dashboard names metrics, labels and values that there are: a panel that asks for others stays
//! empty, and nobody is told why. What there is says `docs/metrics.md`, which is held to what the daemon answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::metrics::{daemon_with_a_job, families, scraped};
use crate::support::daemon::here;

/// What the dashboard's expressions use of PromQL; add what a new panel needs.
const FUNCTIONS: [&str; 6] = ["histogram_quantile", "increase", "max", "min", "rate", "sum"];

/// What can be asked for.
#[derive(Default)]
struct Known {
    /// By metric.
    labels: BTreeMap<String, BTreeSet<String>>,
    /// By metric, what its row says of its labels' values.
    values: BTreeMap<String, BTreeSet<String>>,
    reasons: BTreeSet<String>,
}

/// The words in backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

impl Known {
    fn documented() -> Self {
        let mut known = Self::default();
        let document = std::fs::read_to_string(here("docs/metrics.md")).unwrap();
        for line in document.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            match cells.as_slice() {
                [name, labels, meaning] if name.contains("roustabout_") => {
                    let name = quoted(name).into_iter().next().unwrap();
                    known.labels.insert(name.clone(), quoted(labels));
                    known.values.insert(name, quoted(meaning));
                }
                [reasons, _] => known.reasons.extend(quoted(reasons)),
                _ => {}
            }
        }
        known
    }

    fn labels_of(&self, metric: &str) -> Result<BTreeSet<String>, String> {
        let ends = ["_bucket", "_sum", "_count"];
        let family = ends.iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric);
        let labels = self.labels.get(family);
        let mut labels = labels.ok_or_else(|| format!("there is no metric {metric}"))?.clone();
        // Prometheus' own.
        labels.insert("job".to_owned());
        if metric.ends_with("_bucket") {
            labels.insert("le".to_owned());
        }
        Ok(labels)
    }

    /// `matcher` is `label="value"` or of another operator.
    fn check_matcher(&self, metric: &str, matcher: &str) -> Result<(), String> {
        let end = matcher.find(['=', '!']).ok_or_else(|| format!("{matcher}?"))?;
        let (label, value) = matcher.split_at(end);
        let value = value.trim_start_matches(['=', '!', '~']).trim_matches('"');
        if !self.labels_of(metric)?.contains(label) {
            return Err(format!("{metric} has no label {label}"));
        }
        let is_known = |value: &str| match label {
            "pool" | "job" => value == format!("${label}"),
            "status" => value == "error" || value.starts_with(['2', '3', '4', '5']),
            "reason" => self.reasons.contains(value),
            _ => self.values[metric].contains(value),
        };
        match value.split('|').find(|value| !is_known(value)) {
            Some(wrong) => Err(format!("{label} of {metric} is never {wrong}")),
            None => Ok(()),
        }
    }

    /// Gives the labels that the answer has.
    fn check(&self, expression: &str) -> Result<BTreeSet<String>, String> {
        let mut metrics = Vec::new();
        let mut grouped = BTreeSet::new();
        let mut rest = expression;
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '[') {
            rest = &rest[at..];
            if let Some(range) = rest.strip_prefix('[') {
                rest = range.split_once(']').ok_or("a range without end")?.1;
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after.trim_start();
            if word == "by" {
                let (labels, after) = rest[1..].split_once(')').ok_or("by without end")?;
                grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
                rest = after;
            } else if !FUNCTIONS.contains(&word) {
                self.labels_of(word)?;
                metrics.push(word);
                if let Some(selector) = rest.strip_prefix('{') {
                    let (matchers, after) = selector.split_once('}').ok_or("{ without }")?;
                    matchers.split(',').try_for_each(|one| self.check_matcher(word, one))?;
                    rest = after;
                }
            }
        }
        if metrics.is_empty() {
            return Err("asks for no metric".to_owned());
        }
        for metric in metrics {
            let labels = self.labels_of(metric)?;
            if let Some(wrong) = grouped.difference(&labels).next() {
                return Err(format!("{metric} has no label {wrong}"));
            }
        }
        Ok(grouped)
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

/// The names in `{{…}}`.
fn named_in(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).map(str::trim)
}

#[tokio::test]
async fn each_panel_asks_for_metrics_labels_and_values_that_there_are() {
    let daemon = daemon_with_a_job().await;
    let (_, answer) = scraped(&daemon, "text/plain").await;
    let mut known = Known::documented();
    for line in answer.lines().filter(|line| line.starts_with("roustabout_")) {
        let name = line.split(['{', ' ']).next().unwrap();
        let has = known.labels_of(name).unwrap();
        let labels = line.split_once('{').map_or("", |(_, labels)| labels);
        for label in labels.split("=\"").filter_map(|before| before.rsplit([',', '{']).next()) {
            let is_label = label.bytes().all(|c| c.is_ascii_lowercase()) && !label.is_empty();
            assert!(!is_label || has.contains(label), "docs/metrics.md lacks {label}: {line}");
        }
    }
    for name in families(&answer).into_iter().filter(|name| name.starts_with("process_")) {
        known.labels.insert(name.to_owned(), BTreeSet::new());
    }

    let json = std::fs::read_to_string(here("deploy/grafana/roustabout.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&json).unwrap();
    let mut asked = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id: {panel}");
        if panel["type"] == "row" {
            continue;
        }
        let title = text(panel, "title");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(text(&target["datasource"], "uid"), "${datasource}", "{title}");
            let expression = text(target, "expr");
            let has = known.check(expression);
            let has = has.unwrap_or_else(|wrong| panic!("{title}: {wrong}: {expression}"));
            let legend = text(target, "legendFormat");
            let wrong = named_in(legend).find(|label| !has.contains(*label));
            assert_eq!(wrong, None, "{title}: the answer has no such label: {legend}");
            asked.insert(expression);
        }
    }
    assert!(asked.len() > 20, "{asked:?}");
    for name in known.labels.keys().filter(|name| name.starts_with("roustabout_")) {
        let is_shown = json.contains(name.as_str());
        assert!(is_shown, "no panel shows {name}");
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["definition"].as_str() else { continue };
        let of = query.trim_start_matches("label_values(").trim_end_matches(')');
        let (metric, label) = of.split_once(", ").unwrap();
        assert!(known.labels_of(metric).unwrap().contains(label), "{query}");
    }
}

#[test]
fn a_wrong_metric_label_or_value_is_found() {
    let known = Known::documented();
    let right =
        "sum by (reason) (roustabout_jobs_waiting{pool=~\"$pool\",reason=~\"nomad|policy\"})";
    assert_eq!(known.check(right).unwrap(), BTreeSet::from(["reason".to_owned()]));
    for (wrong, says) in [
        ("rate(roustabout_webhook_total[5m])", "there is no metric roustabout_webhook_total"),
        ("roustabout_runners{node=\"a\"}", "roustabout_runners has no label node"),
        ("sum by (repository) (roustabout_runners)", "roustabout_runners has no label repository"),
        ("roustabout_jobs_waiting{reason=~\"nomad|luck\"}", "is never luck"),
        ("roustabout_runners_ended_total{end=\"done\"}", "is never done"),
        ("rate(1)", "asks for no metric"),
    ] {
        let said = known.check(wrong).unwrap_err();
        assert!(said.contains(says), "{wrong}: {said}");
    }
}
