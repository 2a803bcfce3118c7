//! A plan, or what came of it, for people and for programs.

use serde_json::{Value, json};

use super::plan::{Entry, Kind, State};
use strangers_text::harmless;

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Create => "create",
            State::Update => "update",
            State::Ok => "ok",
            State::Remove => "remove",
            State::NotNeeded => "not-needed",
            State::Failed => "failed",
        }
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Repository => "repository",
            Kind::Organization => "organization",
            Kind::App => "app",
        }
    }
}

/// One line a webhook.
pub fn text(entries: &[Entry]) -> String {
    entries.iter().map(|entry| format!("{}\n", line(entry))).collect()
}

fn line(entry: &Entry) -> String {
    let mut parts = Vec::new();
    match entry.kind {
        Kind::App => parts.push("its GitHub App has one webhook for all repositories".to_owned()),
        Kind::Organization => parts.push("organization".to_owned()),
        Kind::Repository => {}
    }
    parts.extend(entry.hook_id.map(|id| format!("webhook {id}")));
    match entry.differs.as_slice() {
        [] => {}
        ["duplicate"] => parts.push("a second one with this URL, left as it is".to_owned()),
        differs => parts.push(format!("differs in {}", differs.join(", "))),
    }
    parts.extend(entry.error.as_deref().map(harmless));
    let head = format!("{:<10}  {}", entry.state.as_str(), harmless(&entry.scope));
    if parts.is_empty() { head } else { format!("{head}  {}", parts.join("; ")) }
}

pub fn json(entries: &[Entry]) -> Value {
    let one = |entry: &Entry| {
        json!({
            "scope": entry.scope,
            "kind": entry.kind.as_str(),
            "hook_id": entry.hook_id,
            "state": entry.state.as_str(),
            "differs": entry.differs,
            "error": entry.error,
        })
    };
    entries.iter().map(one).collect()
}

/// How many of each state there are: `2 create, 5 ok`.
pub fn summary(entries: &[Entry]) -> String {
    let states =
        [State::Create, State::Update, State::Remove, State::Ok, State::NotNeeded, State::Failed];
    let counted = states
        .map(|state| (entries.iter().filter(|entry| entry.state == state).count(), state.as_str()));
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    counted.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_the_state() {
        let new = Entry::new;
        let entries = [
            new("octo/app", Kind::Repository, State::Create),
            Entry {
                hook_id: Some(7),
                differs: vec!["events", "active"],
                ..new("octo", Kind::Organization, State::Update)
            },
            Entry {
                hook_id: Some(8),
                differs: vec!["duplicate"],
                ..new("octo/lib", Kind::Repository, State::Ok)
            },
            new("me", Kind::App, State::NotNeeded),
            Entry {
                error: Some("403 no\u{7}".into()),
                ..new("x/y", Kind::Repository, State::Failed)
            },
        ];
        insta::assert_snapshot!(text(&entries), @r"
        create      octo/app
        update      octo  organization; webhook 7; differs in events, active
        ok          octo/lib  webhook 8; a second one with this URL, left as it is
        not-needed  me  its GitHub App has one webhook for all repositories
        failed      x/y  403 no 
        ");
        assert_eq!(summary(&entries), "1 create, 1 update, 1 ok, 1 not-needed, 1 failed");
        assert_eq!(
            json(&entries[1..2]).to_string(),
            r#"[{"differs":["events","active"],"error":null,"hook_id":7,"kind":"organization","scope":"octo","state":"update"}]"#
        );
    }
}
