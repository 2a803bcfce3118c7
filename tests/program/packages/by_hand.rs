//! The static archive in a clean root, installed, started and removed by the commands of docs/install.md.

use super::clean_root::CleanRoot;
use super::{HOST, kit, program, release_of};
use crate::support;

use packaging::archive;
use support::daemon::here;
use support::parts::{self, Part};

const VERSION: &str = "0.1.0";

/// The first commands after those words.
fn commands(document: &str, after: &str) -> String {
    let (_, rest) = document.split_once(after).unwrap_or_else(|| panic!("{after} is not there"));
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    let lines = rest.lines().take_while(|line| line.trim() != "```").map(str::trim_start);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_installed_by_hand_runs_and_is_removed_as_the_document_says() {
    if parts::is_missing(Part::DebianRoot, "the archive in a clean root") {
        return;
    }
    let root = CleanRoot::unpack();
    let folder = tempfile::tempdir().unwrap();
    let release = release_of(VERSION);
    let made = archive::make(&release, HOST, program(folder.path()), &kit(VERSION)).unwrap();
    std::fs::write(root.path("/run").join(archive::name(&release, HOST)), made).unwrap();
    let document = std::fs::read_to_string(here("docs/install.md")).unwrap();
    let document = document.replace("VERSION", VERSION).replace("ARCH", &HOST.to_string());
    // There is no systemd in it.
    let run = |lines: &str| {
        let shell = "systemctl() { echo \"systemctl $*\"; }\nPATH=/usr/local/bin:$PATH\ncd /run";
        root.run(&format!("{shell}\n{lines}"))
    };
    run("mkdir -p /etc/systemd/system");
    let before = root.listing();

    let said = run(&commands(&document, "## Any Linux with systemd"));
    assert!(said.ends_with("systemctl daemon-reload\n"), "{said}");
    assert_eq!(run("roustabout --version"), "roustabout 0.1.0\n");
    assert_eq!(root.mode_of("/etc/roustabout/webhook-secret"), (0o600, 65));
    for file in [
        "/usr/local/share/man/man1/roustabout.1",
        "/usr/local/share/man/man5/roustabout.toml.5",
        "/usr/local/share/bash-completion/completions/roustabout",
        "/usr/local/share/zsh/site-functions/_roustabout",
        "/etc/systemd/system/roustabout.socket",
    ] {
        assert!(root.path(file).is_file(), "{file}");
    }

    let pool = "[[pools]]\nname = \"x64\"\nnomad_job = \"r\"\nlabels = [\"self-hosted\"]\n\
                repositories = [\"octocat/app\"]\ndelivery = \"payload\"\n";
    std::fs::write(root.path("/etc/roustabout/roustabout.toml"), pool).unwrap();
    std::fs::write(root.path("/etc/roustabout/github-token"), "ghp_token\n").unwrap();
    let start = commands(&document, "## Without systemd");
    assert!(start.contains("roustabout serve --config"), "{start}");
    let said = run(&start.replace("roustabout serve", "roustabout check --config-only"));
    assert!(said.contains("0 fail"), "{said}");

    run(&commands(&document, "**Installed by hand**"));
    let after = root.listing();
    let is_file = |(path, _): &(&std::path::PathBuf, &String)| {
        !before.contains_key(*path) && !root.path(path.to_str().unwrap()).is_dir()
    };
    let left: Vec<_> = after.iter().filter(is_file).collect();
    assert!(left.is_empty(), "{left:?}");
    for gone in ["/etc/roustabout", "/var/lib/roustabout"] {
        assert!(!root.path(gone).exists(), "{gone}");
    }
}
