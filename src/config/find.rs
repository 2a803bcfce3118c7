//! Which file is the config: the one that is named, else the first that exists.
//! `mod.rs` reads it.

use std::path::{Path, PathBuf};

use super::Environment;
use super::error::{ConfigError, ConfigErrors};

/// Where to look if no file is named, in this order.
const PLACES: [&str; 2] = ["roustabout.toml", "/etc/roustabout/roustabout.toml"];

/// The config file: `explicit` (`--config`), `$ROUSTABOUT_CONFIG`, `./roustabout.toml`,
/// `/etc/roustabout/roustabout.toml`. A file that is named is returned even if it does not
/// exist: then reading it fails, instead of another file being used silently.
pub fn find_file(explicit: Option<&Path>, env: &Environment) -> Result<PathBuf, ConfigErrors> {
    find_among(explicit, env, &PLACES)
}

fn find_among(
    explicit: Option<&Path>,
    env: &Environment,
    places: &[&str],
) -> Result<PathBuf, ConfigErrors> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    if let Some(path) = env.get("ROUSTABOUT_CONFIG") {
        return Ok(PathBuf::from(path));
    }
    if let Some(place) = places.iter().find(|place| Path::new(place).exists()) {
        return Ok(PathBuf::from(place));
    }
    Err(ConfigError::whole_file(
        "config".to_owned(),
        format!("no config file at {}", places.join(" or ")),
        "create one (start from config.example.toml), or name another with --config or ROUSTABOUT_CONFIG",
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_wins_then_the_variable_then_the_first_that_is_there() {
        let env = Environment::from_iter([("ROUSTABOUT_CONFIG", "/from/env.toml")]);
        let found = |explicit, env: &Environment, places: &[&str]| {
            find_among(explicit, env, places).map_err(|error| error.to_string())
        };
        assert_eq!(found(Some(Path::new("/named.toml")), &env, &[]), Ok("/named.toml".into()));
        assert_eq!(found(None, &env, &[]), Ok("/from/env.toml".into()));

        let none = Environment::default();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let here = folder.path().join("roustabout.toml");
        std::fs::write(&here, "").expect("the temporary folder is writable");
        let here = here.to_str().expect("the temporary path is UTF-8");
        assert_eq!(found(None, &none, &["/nowhere/a.toml", here]), Ok(here.into()));
        let error = found(None, &none, &["a.toml", "/nowhere/b.toml"]).expect_err("none is there");
        assert!(error.contains("a.toml or /nowhere/b.toml"), "{error}");
    }
}
