//! Listens to what the engine says at `info`: the same lines that the daemon's log has.

use std::fmt::Debug;

use simulated::github::Millis;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// One line of the engine.
#[derive(Debug, Clone, Default)]
pub struct Note {
    pub at: Millis,
    pub warn: bool,
    pub message: String,
    pub job: Option<u64>,
    pub repository: Option<String>,
    pub runner: Option<String>,
    pub pool: Option<String>,
    /// Why, where the line has that as a field of its own.
    pub reason: Option<String>,
}

/// The layer that hands the engine's lines on.
pub struct Notes {
    to: mpsc::UnboundedSender<Note>,
}

impl Notes {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (to, notes) = mpsc::unbounded_channel();
        (Self { to }, notes)
    }
}

/// Whether a line is for [`Notes`]: its filter, so that RUST_LOG decides only about the log.
pub fn is_engine(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("roustabout::engine") && *metadata.level() <= Level::INFO
}

impl<S: Subscriber> Layer<S> for Notes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut note = Note {
            at: jiff::Timestamp::now().as_millisecond(),
            warn: *event.metadata().level() <= Level::WARN,
            ..Note::default()
        };
        event.record(&mut note);
        // Fails only when nobody shows anything any more.
        let _ = self.to.send(note);
    }
}

impl Visit for Note {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "job" {
            self.job = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "repository" => self.repository = Some(value.to_owned()),
            "runner" => self.runner = Some(value.to_owned()),
            "pool" => self.pool = Some(value.to_owned()),
            "reason" => self.reason = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::prelude::*;

    use super::*;

    #[test]
    fn the_engines_lines_are_heard_with_their_fields_and_no_others() {
        let (notes, mut heard) = Notes::new();
        let subscriber =
            tracing_subscriber::registry().with(notes.with_filter(filter_fn(is_engine)));
        tracing::subscriber::with_default(subscriber, || {
            let (job, runner) = (Some(7_u64), Some("roustabout-x64-1"));
            tracing::info!(target: "roustabout::engine::fold_loop", job, runner, "{}", "runner placed");
            tracing::debug!(target: "roustabout::engine", "too fine");
            tracing::warn!(target: "roustabout::webhook", "not the engine");
        });
        let note = heard.try_recv().unwrap();
        assert_eq!(note.message, "runner placed");
        assert_eq!((note.job, note.runner.as_deref()), (Some(7), Some("roustabout-x64-1")));
        assert!(!note.warn && heard.try_recv().is_err());
    }
}
