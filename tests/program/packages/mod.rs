//! What a release consists of: the Debian package in a clean root and under a running systemd (`deb`,
//! `deb_service`), the archive (`by_hand`), the image (`image`), and `scripts/release` with all of it (`release`). The packages of the
//! first contain the program that cargo built for the tests; those of `release` the static one for arm64.

mod by_hand;
mod clean_root;
mod deb;
mod deb_service;
mod image;
mod release;
mod workflows;

use std::path::Path;
use std::process::Command;

use packaging::kit::{Completions, Kit};
use packaging::{Architecture, Release, deb as package};
use roustabout::cli::{Shell, command};

const HOST: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::Amd64 };

fn release_of(version: &str) -> Release {
    Release {
        version: version.to_owned(),
        moment: 1_700_000_000,
        commit: "c0ffee".to_owned(),
        effort: 1,
    }
}

fn kit(version: &str) -> Kit {
    let completions = Completions {
        bash: Shell::Bash.script(command()),
        fish: Shell::Fish.script(command()),
        zsh: Shell::Zsh.script(command()),
    };
    Kit::read(Path::new(env!("CARGO_MANIFEST_DIR")), command(), completions, version).unwrap()
}

/// The program that is tested.
fn program(folder: &Path) -> Vec<u8> {
    // Most of it is for debuggers.
    let small = folder.join("small");
    let built = env!("CARGO_BIN_EXE_roustabout");
    let stripped = Command::new("strip").arg("-o").arg(&small).arg(built).status();
    if !stripped.is_ok_and(|status| status.success()) {
        std::fs::copy(built, &small).unwrap();
    }
    std::fs::read(small).unwrap()
}

/// A Debian package of that version for this machine, in this folder.
fn package(folder: &Path, version: &str) -> std::path::PathBuf {
    let release = release_of(version);
    let made = package::make(&release, HOST, program(folder), &kit(version)).unwrap();
    let file = folder.join(package::name(&release, HOST));
    std::fs::write(&file, made).unwrap();
    file
}
