//! Writes metrics as Prometheus' text (version 0.0.4) or as OpenMetrics' (1.0.0): they differ in the
//! name of a counter's family and in the last line.
//!
//! The libraries for it keep a registry of their own and know one of the two formats; most of what is
//! written here is asked for at that moment.

use std::fmt::Write;

use super::histogram::Histogram;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// By the request's `Accept`.
    pub fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    /// Its samples end in `_total`; the family is named without it.
    Counter,
    Histogram,
}

pub struct Exposition {
    format: Format,
    text: String,
    name: String,
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        Self { format, text: String::new(), name: String::new() }
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        name.clone_into(&mut self.name);
        let total = match (kind, self.format) {
            (Kind::Counter, Format::Prometheus) => "_total",
            _ => "",
        };
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name}{total} {help}"));
        self.line(format_args!("# TYPE {name}{total} {kind}"));
    }

    pub fn gauge(&mut self, labels: &[(&str, &str)], value: f64) {
        self.sample("", labels, None, value);
    }

    pub fn counter(&mut self, labels: &[(&str, &str)], count: u64) {
        self.sample("_total", labels, None, count as f64);
    }

    /// A counter that is not whole.
    pub fn counter_of_seconds(&mut self, seconds: f64) {
        self.sample("_total", &[], None, seconds);
    }

    pub fn histogram(&mut self, labels: &[(&str, &str)], times: &Histogram) {
        for (bound, count) in times.cumulative() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            self.sample("_bucket", labels, Some(&bound), count as f64);
        }
        self.sample("_sum", labels, None, times.sum());
        self.sample("_count", labels, None, times.count() as f64);
    }

    fn sample(&mut self, ending: &str, labels: &[(&str, &str)], le: Option<&str>, value: f64) {
        let labels = labels.iter().copied().chain(le.map(|bound| ("le", bound)));
        let labels: Vec<String> =
            labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let name = std::mem::take(&mut self.name);
        match labels.is_empty() {
            true => self.line(format_args!("{name}{ending} {value}")),
            false => self.line(format_args!("{name}{ending}{{{}}} {value}", labels.join(","))),
        }
        self.name = name;
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a text does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(format: Format) -> String {
        let mut to = Exposition::new(format);
        to.family("a_things", Kind::Counter, "Things.");
        to.counter(&[("of", "a \"b\"\\\n")], 3);
        to.family("a_seconds", Kind::Histogram, "Times.");
        let mut times = Histogram::of(&[0.25, 1.0]);
        times.observe(Duration::from_millis(500));
        to.histogram(&[], &times);
        to.finish()
    }

    #[test]
    fn both_formats_name_counters_in_their_way() {
        let prometheus = written(Format::Prometheus);
        insta::assert_snapshot!(prometheus, @r#"
        # HELP a_things_total Things.
        # TYPE a_things_total counter
        a_things_total{of="a \"b\"\\\n"} 3
        # HELP a_seconds Times.
        # TYPE a_seconds histogram
        a_seconds_bucket{le="0.25"} 0
        a_seconds_bucket{le="1"} 1
        a_seconds_bucket{le="+Inf"} 1
        a_seconds_sum 0.5
        a_seconds_count 1
        "#);
        let open = written(Format::OpenMetrics);
        assert!(open.contains("# TYPE a_things counter\na_things_total{"), "{open}");
        assert!(open.ends_with("\n# EOF\n"), "{open}");
    }

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        let wanted = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5";
        assert_eq!(Format::wanted(Some(wanted)), Format::OpenMetrics);
        assert_eq!(Format::wanted(Some("text/html")), Format::Prometheus);
        assert_eq!(Format::wanted(None), Format::Prometheus);
    }
}
