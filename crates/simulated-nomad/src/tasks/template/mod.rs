//! A task's templates: the part of Go's `text/template` that jobspecs use, with the functions of
//! consul-template that the stand-in can serve.
//!
//! Pure: the environment and the Nomad Variables that are known are arguments, and what is lacking
//! is part of the answer, so that the caller fetches it and renders again. Read next: `parse.rs`,
//! `run.rs`, `functions.rs`.

mod functions;
mod parse;
mod run;
mod values;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use parse::Delimiters;

/// The items of a Nomad Variable.
pub type Items = BTreeMap<String, String>;

/// What a template is rendered with.
#[derive(Clone, Debug, Default)]
pub(super) struct Known<'a> {
    pub environment: Option<&'a BTreeMap<String, String>>,
    /// By path; None: there is none, or it may not be read.
    pub variables: BTreeMap<String, Option<Items>>,
    /// Answers of Vault, by path; None: there is none, or it may not be read.
    pub entries: BTreeMap<String, Option<serde_json::Value>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rendered {
    pub text: String,
    /// Variables that nobody has looked for yet.
    pub wanted: BTreeSet<String>,
    /// Variables that are not there: the text is no good.
    pub missing: BTreeSet<String>,
    /// Variables that the text was made with.
    pub used: BTreeSet<String>,
    /// Entries of Vault that nobody has looked for yet, and those that are not there.
    pub wanted_entries: BTreeSet<String>,
    pub missing_entries: BTreeSet<String>,
}

/// # Errors
/// In the words of a task's event, behind `Template failed: `.
pub(super) fn render(
    text: &str,
    delimiters: &Delimiters,
    known: &Known<'_>,
) -> Result<Rendered, String> {
    let nodes = parse::parse(text, delimiters).map_err(|why| format!("(dynamic): parse: {why}"))?;
    run::run(&nodes, known).map_err(|why| format!("(dynamic): execute: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn with(text: &str, variables: &[(&str, Option<Pairs<'_>>)]) -> Result<Rendered, String> {
        let environment = BTreeMap::from([("A".to_owned(), "it's <b>".to_owned())]);
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let known = variables.iter().map(|(path, items)| {
            ((*path).to_owned(), items.map(|items| items.iter().map(own).collect()))
        });
        let known = Known {
            environment: Some(&environment),
            variables: known.collect(),
            ..Known::default()
        };
        render(text, &Delimiters::default(), &known)
    }

    #[test]
    fn values_are_filled_in() {
        let all = [
            ("x={{ env \"A\" }};", "x=it's <b>;"),
            ("{{ env \"A\" | replaceAll \"'\" \"\" }}{{env `B`}}", "its <b>"),
            ("{{ env \"A\" | toJSON }}", "\"it's \\u003cb\\u003e\""),
            ("{{ printf \"%s-%d%%\" (env \"A\") 3 }}", "it's <b>-3%"),
            ("a {{- /* c */ -}} b", "ab"),
            ("{{ if eq (env \"B\") \"\" }}none{{ else }}some{{ end }}", "none"),
            ("{{ with $x := env \"A\" }}{{ $x | toUpper }}{{ . }}{{ end }}", "IT'S <B>it's <b>"),
            ("{{ range $i, $p := split \",\" \"a,b\" }}{{ $i }}{{ $p }}{{ end }}", "0a1b"),
        ];
        for (text, rendered) in all {
            assert_eq!(with(text, &[]).map(|it| it.text).as_deref(), Ok(rendered), "{text}");
        }
    }

    #[test]
    fn a_variable_is_wanted_then_there_or_missing() {
        let text =
            "{{ with nomadVar (printf \"ghr/%s\" \"a\") }}{{ .jit }}={{ .jit | toJSON }}{{ end }}";
        assert!(with(text, &[]).unwrap().wanted.contains("ghr/a"));
        assert!(with(text, &[("ghr/a", None)]).unwrap().missing.contains("ghr/a"));
        let there = with(text, &[("ghr/a", Some(&[("jit", "x")]))]).unwrap();
        assert_eq!((there.text.as_str(), there.missing.len()), ("x=\"x\"", 0));
        assert!(there.used.contains("ghr/a"));
    }

    #[test]
    fn errors_are_gos() {
        let all = [
            ("{{ nope }}", "(dynamic): parse: template: :1: function \"nope\" not defined"),
            (
                "{{ index nil 1 }}",
                "(dynamic): execute: template: :1:3: executing \"\" at <index nil 1>: error \
                 calling index: index of untyped nil",
            ),
            ("a\n{{ env \"A\"", "(dynamic): parse: template: :2: unclosed action"),
            ("{{ if true }}", "(dynamic): parse: template: :1: unexpected EOF"),
        ];
        for (text, why) in all {
            assert_eq!(with(text, &[]).unwrap_err(), why);
        }
    }
}
