//! Short settings for the tests of `check`: what a test does not set is valid.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::{Environment, Loaded, Pool, from_text, load};

pub const POOL: &str = "[[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
                    repositories = [\"octo/*\"]\ndelivery = \"payload\"\n";

fn env() -> Environment {
    let secrets =
        [("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef"), ("ROUSTABOUT_GITHUB_TOKEN", "ghp_t")];
    Environment::from_iter(secrets)
}

fn whole(text: &str) -> String {
    if text.contains("[[pools]]") { text.to_owned() } else { format!("{text}{POOL}") }
}

pub fn loaded(text: &str) -> Loaded {
    from_text(&whole(text), "f.toml", &env()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// From a file in the folder that its owner alone can read.
pub fn loaded_in(folder: &Path, text: &str) -> Loaded {
    let file = folder.join("f.toml");
    std::fs::write(&file, whole(text)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    load(Some(&file), &env()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Pools, each from the lines in which it differs from `x64`; the first line is its name.
pub fn pools(differing: &[&str]) -> Vec<Pool> {
    let mut text = String::new();
    for lines in differing {
        let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        let said: Vec<String> = lines.lines().map(key).collect();
        let kept = POOL.lines().filter(|line| !said.contains(&key(line)));
        text += &kept.chain(lines.lines()).collect::<Vec<_>>().join("\n");
        text.push('\n');
    }
    loaded(&text).settings.pools
}

pub fn pool(lines: &str) -> Pool {
    pools(&[lines]).remove(0)
}
