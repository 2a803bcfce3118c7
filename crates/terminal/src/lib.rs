//! A terminal: lines of coloured text (`line`), the whole of it to draw on (`screen`), and the keys that are
//! pressed (`keys`). It knows nothing of what is shown.
//!
//! A terminal library such as ratatui would make the daemon's static binary a quarter of a megabyte larger.

pub mod keys;
mod line;
mod screen;
mod size;

pub use keys::Key;
pub use line::{Line, Tone, columns, fit};
pub use screen::Screen;
pub use size::{Size, size};
