//! Placeholder: this room is built next.
