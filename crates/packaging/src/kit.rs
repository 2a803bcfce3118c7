//! What people get beside the binary: manual pages, completions, documents, jobspecs, units. Read once from
//! the repository; where each lies is decided by `archive`, `deb` and `image`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::man;

/// Folders of documents and of what is deployed; units are placed by each package itself.
const FOLDERS: [&str; 6] = [
    "docs",
    "deploy/grafana",
    "deploy/nomad",
    "deploy/prometheus",
    "deploy/systemd",
    "deploy/terraform",
];
const FILES: [&str; 5] =
    ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "config.example.toml"];

/// Name and content.
pub(crate) type Named = (String, Vec<u8>);

pub struct Kit {
    /// `roustabout.1` and so on.
    pub(crate) pages: Vec<Named>,
    pub(crate) completions: Completions,
    /// By their paths in the repository.
    pub(crate) files: Vec<Named>,
    /// What only the Debian package has, by name: `deploy/debian`.
    pub(crate) debian: Vec<Named>,
}

/// The scripts that the program prints.
#[derive(Clone)]
pub struct Completions {
    pub bash: String,
    pub fish: String,
    pub zsh: String,
}

impl Kit {
    /// `command` is the program's command line.
    pub fn read(
        root: &Path,
        command: clap::Command,
        completions: Completions,
        version: &str,
    ) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for file in FILES {
            files.push((file.to_owned(), read(&root.join(file))?));
        }
        for folder in FOLDERS {
            add_folder(root, folder, &mut files)?;
        }
        let mut debian = Vec::new();
        add_folder(root, "deploy/debian", &mut debian)?;
        for (name, _) in &mut debian {
            *name = name.trim_start_matches("deploy/debian/").to_owned();
        }
        let example = fs::read_to_string(root.join("config.example.toml"))?;
        let pages = man::pages(command, &example, version)?;
        Ok(Self { pages, completions, files, debian })
    }

    /// A file of the repository.
    pub(crate) fn file(&self, path: &str) -> anyhow::Result<&[u8]> {
        named(&self.files, path)
    }

    pub(crate) fn debian(&self, name: &str) -> anyhow::Result<&[u8]> {
        named(&self.debian, name)
    }
}

fn named<'a>(among: &'a [Named], wanted: &str) -> anyhow::Result<&'a [u8]> {
    let found = among.iter().find(|(name, _)| name == wanted);
    found.map(|(_, content)| content.as_slice()).with_context(|| format!("{wanted} is missing"))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// What git knows of a folder: nothing that lies there besides, such as a state of Terraform.
fn add_folder(root: &Path, folder: &str, files: &mut Vec<Named>) -> anyhow::Result<()> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(["ls-files", "-z", "--", folder]);
    let output = git.output().context("cannot run git")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    let listed = String::from_utf8(output.stdout)?;
    for path in listed.split_terminator('\0') {
        files.push((path.to_owned(), read(&root.join(path))?));
    }
    Ok(())
}
