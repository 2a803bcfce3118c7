//! `[log]`: the level and the format of the log. `RUST_LOG` takes precedence over the level; that is
//! handled where logging is set up.

use super::section::Section;

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or filters as `RUST_LOG` takes them: `info,roustabout=debug`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn read(section: &Section) -> Option<Log> {
    let level = section.parsed("level", level);
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = section.choice("format", &formats);
    Some(Log { level: level?, format: format? })
}

/// The filter language would accept `inof` as the name of a module, and log nothing.
fn level(text: &str) -> Result<String, String> {
    let good = text.split(',').all(|part| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        LEVELS.contains(&level.trim().to_lowercase().as_str())
    });
    match good {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not a log level ({})", LEVELS.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn levels() {
        for good in ["info", "DEBUG", "info,roustabout=debug", "warn, hyper=off"] {
            assert!(level(good).is_ok(), "{good}");
        }
        for wrong in ["inof", "info,roustabout", "roustabout=loud", ","] {
            assert!(level(wrong).is_err(), "{wrong}");
        }
    }
}
