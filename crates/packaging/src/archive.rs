//! An archive for any Linux: one folder with the binary and everything else.

use crate::files::{Files, gzip};
use crate::kit::Kit;
use crate::{Architecture, Release};

pub fn name(release: &Release, architecture: Architecture) -> String {
    format!("{}.tar.gz", folder(release, architecture))
}

fn folder(release: &Release, architecture: Architecture) -> String {
    format!("roustabout-{}-linux-{architecture}", release.version)
}

pub fn make(
    release: &Release,
    architecture: Architecture,
    binary: Vec<u8>,
    kit: &Kit,
) -> anyhow::Result<Vec<u8>> {
    let folder = folder(release, architecture);
    let mut files = Files::default();
    let mut put = |path: &str, mode, content| files.file(format!("{folder}/{path}"), mode, content);
    put("roustabout", 0o755, binary);
    for (path, content) in &kit.files {
        put(path, 0o644, content.clone());
    }
    for (name, content) in &kit.pages {
        put(&format!("man/{name}"), 0o644, content.clone());
    }
    let completions = &kit.completions;
    put("completions/roustabout.bash", 0o644, completions.bash.clone().into());
    put("completions/roustabout.fish", 0o644, completions.fish.clone().into());
    put("completions/_roustabout", 0o644, completions.zsh.clone().into());
    gzip(&files.tar("", release.moment)?, release.effort)
}
