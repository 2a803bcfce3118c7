//! What an agent is started from: a Nomad binary, or `roustabout-demo` with its stand-in for Nomad.
//!
//! Both take the same command line from `agent` on. Read next: `../agent.rs`.

use std::path::{Path, PathBuf};

use simulated_nomad::command::WHILE_STDIN_IS_OPEN;

/// The hidden command of `roustabout-demo` that is the stand-in.
pub const COMMAND: &str = "simulated-nomad";

/// A program that takes Nomad's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A real Nomad.
    Nomad(PathBuf),
    /// The stand-in, in the `roustabout-demo` that lies there.
    StandIn(PathBuf),
}

impl Program {
    /// What is executed.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Nomad(file) | Self::StandIn(file) => file,
        }
    }

    /// What stands before Nomad's own arguments. Unlike a real agent the stand-in ends when its
    /// parent does, however that ended.
    #[must_use]
    pub fn leading_arguments(&self) -> &'static [&'static str] {
        match self {
            Self::Nomad(_) => &[],
            Self::StandIn(_) => &[COMMAND, WHILE_STDIN_IS_OPEN],
        }
    }

    /// The same, executed from elsewhere.
    pub(super) fn at(&self, file: PathBuf) -> Self {
        match self {
            Self::Nomad(_) => Self::Nomad(file),
            Self::StandIn(_) => Self::StandIn(file),
        }
    }
}
