//! What a release consists of, made from a built binary and this repository: archives, Debian packages, OCI
//! images, manual pages, checksums, SBOM and provenance. Nothing here needs root, an engine for containers,
//! `dpkg` or the network, and the same input gives the same bytes.
//!
//! `examples/package.rs` of the daemon is the program, for the manual pages are made from the daemon's own
//! command line; `scripts/release` calls it. Begin with `kit`: the files that all of them contain.

pub mod archive;
pub mod checksums;
pub mod cli;
pub mod deb;
mod files;
pub mod image;
pub mod kit;
mod man;
pub mod provenance;
pub mod sbom;

use std::fmt;
use std::str::FromStr;

/// A processor that is released for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    /// In the words of Go, Debian and OCI, which are the same.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// In Rust's words.
    pub fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-musl",
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "amd64" => Ok(Self::Amd64),
            "arm64" => Ok(Self::Arm64),
            other => {
                Err(format!("{other:?} is no architecture that is released for; amd64 or arm64"))
            }
        }
    }
}

/// What all parts of a release say of it.
#[derive(Clone, Debug)]
pub struct Release {
    pub version: String,
    /// Seconds since 1970, in place of the time at which something was made.
    pub moment: u64,
    /// Of git; empty where there is none.
    pub commit: String,
    /// How much time is spent on packing, 1 to 9.
    pub effort: u32,
}

impl Release {
    /// As in RFC 3339.
    pub fn time(&self) -> String {
        let seconds = i64::try_from(self.moment).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
    }
}
