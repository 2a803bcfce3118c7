//! The programs that tests start. The daemon's cargo builds for them. The demo's, which holds the stand-in
//! for Nomad and that for the runner, is of another package, and cargo leaves it as it is: so it is built
//! here, once a process, and a test never runs with an old one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const ROUSTABOUT: &str = env!("CARGO_BIN_EXE_roustabout");

/// `roustabout-demo`, which lies beside the daemon's program.
pub fn roustabout_demo() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = Path::new(ROUSTABOUT).with_file_name("roustabout-demo");
        // Without cargo, as when a test's program is started by hand, it is there or it is not.
        if let Some(cargo) = std::env::var_os("CARGO") {
            build(Command::new(cargo));
        }
        assert!(program.exists(), "{} is missing", program.display());
        program
    })
}

/// The program that makes the files of a release: an example of the daemon's package.
pub fn package_tool() -> PathBuf {
    if let Some(cargo) = std::env::var_os("CARGO") {
        build_as_tests_are(Command::new(cargo), &["-p", "roustabout", "--example", "package"]);
    }
    let program = Path::new(ROUSTABOUT).with_file_name("examples").join("package");
    assert!(program.exists(), "{} is missing", program.display());
    program
}

/// With a test of its package, not by `cargo build`: that would choose other features of what both
/// depend on, and build all of it once more.
fn build(cargo: Command) {
    build_as_tests_are(cargo, &["-p", "roustabout", "-p", "roustabout-demo", "--test", "commands"]);
}

fn build_as_tests_are(mut cargo: Command, what: &[&str]) {
    cargo.args(["test", "--quiet", "--locked", "--offline", "--no-run"]).args(what);
    if cfg!(feature = "otel") {
        cargo.args(["--features", "roustabout/otel"]);
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // TARGET/debug/roustabout, or TARGET/TRIPLE/debug/roustabout.
    let profile = Path::new(ROUSTABOUT).parent().unwrap();
    let mut target = profile.parent().unwrap();
    if !target.join("CACHEDIR.TAG").exists() {
        cargo.arg("--target").arg(target.file_name().unwrap());
        target = target.parent().unwrap();
    }
    match profile.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => {}
        profile => drop(cargo.args(["--profile", profile])),
    }
    cargo.arg("--target-dir").arg(target);
    let built = cargo.output().unwrap();
    assert!(
        built.status.success(),
        "cannot build {what:?}: {}",
        String::from_utf8_lossy(&built.stderr)
    );
}
