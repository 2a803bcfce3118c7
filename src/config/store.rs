//! `[store]`: where the daemon keeps its data, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;

/// `[store]`.
#[derive(Debug, Clone)]
pub struct Store {
    /// The database. A relative `url` is relative to `$STATE_DIRECTORY` if that is set, else to the
    /// working directory.
    pub path: PathBuf,
    /// How long ended jobs and runners are kept.
    pub retention: Duration,
}

pub(super) fn read(section: &Section) -> Option<Store> {
    let path = url(section);
    let retention = section.interval("retention");
    Some(Store { path: path?, retention: retention? })
}

fn url(section: &Section) -> Option<PathBuf> {
    let url = section.text("url")?;
    let (scheme, file) = match url.split_once("://") {
        Some((scheme, file)) => (scheme.replace("postgresql", "postgres"), file),
        None => (String::new(), url.as_str()),
    };
    if scheme == "postgres" && !section.built("url", "postgres") {
        return None;
    }
    if scheme != "sqlite" {
        // Only the scheme is shown: such a URL may carry a password.
        section.refuse("url", "must begin with sqlite://");
        return None;
    }
    if file.is_empty()
        || file.ends_with('/')
        || file.contains(['?', '#'])
        || file.contains(":memory:")
    {
        section.refuse("url", format!("{file:?} is not a file path"));
        return None;
    }
    // systemd may name several folders; the first is ours.
    let folder = section.context.env.get("STATE_DIRECTORY");
    let folder = folder.and_then(|folders| folders.split(':').find(|folder| !folder.is_empty()));
    Some(match folder {
        Some(folder) => PathBuf::from(folder).join(file),
        None => PathBuf::from(file),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::testing::{errors, loaded, loaded_with};

    #[test]
    fn a_relative_path_lies_in_the_state_directory() {
        let path = |text: &str, env: &[(&str, &str)]| loaded_with(text, env).settings.store.path;
        let state = [("STATE_DIRECTORY", "/var/lib/roustabout:/var/lib/other")];
        assert_eq!(path("", &[]), Path::new("roustabout.db"));
        assert_eq!(path("", &state), Path::new("/var/lib/roustabout/roustabout.db"));
        let absolute = "[store]\nurl = \"sqlite:///data/r.db\"\n";
        assert_eq!(path(absolute, &state), Path::new("/data/r.db"));
    }

    #[test]
    fn other_urls_are_refused() {
        let url = |url: &str| errors(&format!("[store]\nurl = \"{url}\"\n"));
        for url in ["postgres://u:hunter2@h/d", "postgresql://u:hunter2@h/d"].map(url) {
            assert!(url.contains("not yet") && !url.contains("hunter2"), "{url}");
        }
        assert!(url("mysql://u:hunter2@h/d").contains("must begin with sqlite://;"));
        for wrong in ["roustabout.db", "sqlite://", "sqlite://a.db?mode=ro", "sqlite://:memory:"] {
            assert!(url(wrong).starts_with("f.toml: store.url: "), "{wrong}");
        }
    }

    #[test]
    fn retention_says_its_unit() {
        assert!(
            errors("[store]\nretention = 90\n")
                .contains("90 has no unit; write retention = \"90s\"")
        );
        assert!(errors("[store]\nretention = \"0d\"\n").contains("greater than zero"));
        assert_eq!(
            loaded("[store]\nretention = \"1d\"\n").settings.store.retention.as_secs(),
            86_400
        );
    }
}
