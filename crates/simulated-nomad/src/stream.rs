//! The event stream: what is kept of the last writes, where a listener begins, and what it hears.
//!
//! The events are shaped before they come here, and sent on elsewhere. (Nomad
//! `nomad/stream/event_buffer.go`, `subscription.go`.) Read next: `changes.rs`,
//! `answers/stream.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// Frames that are kept (`server.event_buffer_size`). The buffer's head is one more ([V]).
const KEPT: usize = 100 + 1;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub topic: &'static str,
    pub kind: &'static str,
    pub key: String,
    /// Empty: it is in none.
    pub namespace: String,
    pub filter_keys: Option<Vec<String>>,
    pub payload: Value,
}

/// The events of one write that are told together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub index: u64,
    pub events: Vec<Event>,
}

/// The last frames.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    frames: VecDeque<Arc<Told>>,
}

impl Buffer {
    pub fn add(&mut self, told: Arc<Told>) {
        self.frames.push_back(told);
        if self.frames.len() > KEPT {
            self.frames.pop_front();
        }
    }

    /// Those from that index on; all where none is asked for. Where that one is lost it begins with
    /// the next, and nothing says so; where it is still to come, with the newest.
    pub fn since(&self, index: u64) -> Vec<Arc<Told>> {
        if index == 0 {
            return self.frames.iter().cloned().collect();
        }
        let newest = self.frames.len().saturating_sub(1);
        let first = self.frames.iter().position(|told| told.index >= index);
        self.frames.iter().skip(first.unwrap_or(newest)).cloned().collect()
    }
}

/// A frame and its events as they are written, which takes no copy of a payload.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Frame<'a> {
    events: &'a [Shown<'a>],
    index: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    filter_keys: Option<&'a [String]>,
    index: u64,
    key: &'a str,
    namespace: &'a str,
    payload: &'a Value,
    topic: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
}

/// What a listener wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Keys by topic; `*` is any of both.
    topics: BTreeMap<String, Vec<String>>,
    /// `*`: all.
    namespace: String,
}

impl Wanted {
    /// `topics`: as they stand in the query, `Topic` or `Topic:key`.
    ///
    /// # Errors
    /// In Nomad's own words.
    pub fn read<'a>(
        topics: impl Iterator<Item = &'a str>,
        namespace: &str,
    ) -> Result<Self, String> {
        let mut wanted = Self { topics: BTreeMap::new(), namespace: namespace.to_owned() };
        for text in topics {
            let mut parts = text.split(':');
            let (topic, key) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("*"));
            if parts.next().is_some() {
                return Err(format!(
                    "Invalid topic query: error parsing topics: Invalid key value pair for topic, \
                     topic: {text}"
                ));
            }
            wanted.topics.entry(topic.to_owned()).or_default().push(key.to_owned());
        }
        if wanted.topics.is_empty() {
            wanted.topics.insert("*".to_owned(), vec!["*".to_owned()]);
        }
        Ok(wanted)
    }

    fn has(&self, event: &Event) -> bool {
        let here = self.namespace == "*"
            || event.namespace.is_empty()
            || event.namespace == self.namespace;
        here && self.keys(event.topic).any(|key| {
            let filter = event.filter_keys.iter().flatten();
            key == "*" || key == &event.key || filter.into_iter().any(|own| key == own)
        })
    }

    fn keys(&self, topic: &str) -> impl Iterator<Item = &String> {
        [topic, "*"].into_iter().filter_map(|topic| self.topics.get(topic)).flatten()
    }

    /// The line that tells the listener of it; None where nothing in it is for it.
    pub fn line(&self, told: &Told) -> Option<String> {
        let events: Vec<Shown> = told
            .events
            .iter()
            .filter(|event| self.has(event))
            .map(|event| Shown {
                filter_keys: event.filter_keys.as_deref(),
                index: told.index,
                key: &event.key,
                namespace: &event.namespace,
                payload: &event.payload,
                topic: event.topic,
                kind: event.kind,
            })
            .collect();
        // A text of what was read as JSON can be written as it.
        let line = || serde_json::to_string(&Frame { events: &events, index: told.index });
        let line = || format!("{}\n", line().unwrap_or_default());
        (!events.is_empty()).then(line)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(index: u64) -> Arc<Told> {
        let event = |topic, key: &str, namespace: &str, filter: Option<&[&str]>| Event {
            topic,
            kind: "PlanResult",
            key: key.to_owned(),
            namespace: namespace.to_owned(),
            filter_keys: filter.map(|keys| keys.iter().map(|&key| key.to_owned()).collect()),
            payload: json!({}),
        };
        Arc::new(Told {
            index,
            events: vec![
                event("Job", "a", "default", None),
                event("Allocation", "b", "default", Some(&["a", ""])),
                event("Node", "n", "", None),
            ],
        })
    }

    fn heard(topics: &[&str], namespace: &str) -> Vec<String> {
        let wanted = Wanted::read(topics.iter().copied(), namespace).unwrap();
        let line = wanted.line(&told(1)).map(|line| serde_json::from_str::<Value>(&line).unwrap());
        let events = line.map(|line| line["Events"].as_array().cloned().unwrap_or_default());
        let key = |event: &Value| event["Key"].as_str().unwrap().to_owned();
        events.unwrap_or_default().iter().map(key).collect()
    }

    #[test]
    fn a_listener_hears_its_topics_keys_and_namespace() {
        assert_eq!(heard(&[], "default"), ["a", "b", "n"]);
        assert_eq!(heard(&["*"], "*"), ["a", "b", "n"]);
        assert_eq!(heard(&["Job"], "default"), ["a"]);
        assert_eq!(heard(&["Job:a", "Node"], "default"), ["a", "n"]);
        assert_eq!(heard(&["Allocation:a"], "default"), ["b"], "by its filter keys");
        assert_eq!(heard(&["Job:b"], "default"), [""; 0]);
        assert_eq!(heard(&["*"], "other"), ["n"], "which is in no namespace");
        assert!(Wanted::read(["Job:a:b"].into_iter(), "default").is_err());
    }

    #[test]
    fn the_buffer_begins_where_it_can() {
        let mut buffer = Buffer::default();
        (1..=150).for_each(|index| buffer.add(told(index)));
        let first = |index| buffer.since(index).first().map(|told| told.index);
        assert_eq!((first(0), first(1), first(120)), (Some(50), Some(50), Some(120)));
        assert_eq!((first(1_000), buffer.since(0).len()), (Some(150), 101));
    }
}
