//! The outside parts that a test may need and this machine may not have. A test asks for its part
//! first; where there is none, `NOT RUN: …` is printed past the test runner, which keeps what a
//! test that passes prints, and the test ends. `scripts/test` gets what it can, and counts the lines
//! at its end. What only a real Nomad can show is in `only_nomad`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use local_parts::gitea::find_parts;
use local_parts::openbao::find_bao;

use super::daemon::here;

/// The file that `scripts/test` collects the lines in.
const LINES: &str = "ROUSTABOUT_TEST_NOT_RUN";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A Gitea with its runner, as `scripts/get-gitea` builds them.
    Gitea,
    /// GitHub's examples of its webhooks, which `scripts/get-examples` fetches.
    Examples,
    /// GitHub's descriptions of its API, and what judges by them, which `scripts/get-openapi`
    /// fetches.
    Descriptions,
    /// Octokit's authentication of GitHub Apps, which `scripts/get-octokit` fetches.
    Octokit,
    /// Prometheus' checker of metrics and alert rules, which `scripts/get-promtool` fetches.
    Promtool,
    /// Chromium with its driver.
    Browser,
    /// What judges the accessibility of pages, which `scripts/get-axe` fetches.
    Axe,
    /// An OpenBao, as `scripts/get-openbao` unpacks it.
    OpenBao,
    /// An OpenTofu (`scripts/get-opentofu`), and the providers for it, which
    /// `scripts/get-terraform-providers` makes.
    OpenTofu,
    /// The rights that a systemd of one's own needs.
    Systemd,
    /// systemd's tool that judges units.
    SystemdAnalyze,
    /// The tools that build and run the static binary for arm64.
    StaticArm64,
    /// Root with the right to mount, and busybox.
    Root,
    /// The same, and a Docker engine.
    Docker,
    /// The files of a minimal Debian, which `scripts/get-debian-root` makes, and what enters them.
    DebianRoot,
    /// What judges GitHub workflows, which `scripts/get-actionlint` builds.
    Actionlint,
}

impl Part {
    /// What is missing of it, in words that read after "needs"; None where it is there.
    fn missing(self) -> Option<String> {
        let absent = |there: bool, what: &str| (!there).then(|| what.to_owned());
        match self {
            Self::Gitea => absent(
                find_parts(None, |name| std::env::var_os(name)).is_some(),
                "a Gitea (scripts/get-gitea builds one)",
            ),
            Self::Examples => absent(
                folder("ROUSTABOUT_TEST_EXAMPLES").is_some(),
                "GitHub's webhook examples (scripts/get-examples, with npm)",
            ),
            Self::Descriptions => absent(
                folder("ROUSTABOUT_TEST_OPENAPI").is_some(),
                "GitHub's API descriptions (scripts/get-openapi, with npm)",
            ),
            Self::Octokit => absent(
                folder("ROUSTABOUT_TEST_OCTOKIT").is_some(),
                "Octokit (scripts/get-octokit, with npm)",
            ),
            Self::Promtool => absent(
                folder("ROUSTABOUT_TEST_PROMTOOL").is_some(),
                "promtool (scripts/get-promtool)",
            ),
            Self::Browser => absent(
                runs("chromedriver", "--version") && runs("chromium", "--version"),
                "Chromium and its driver (Debian: chromium, chromium-driver)",
            ),
            Self::Axe => absent(
                folder("ROUSTABOUT_TEST_AXE").is_some(),
                "axe-core (scripts/get-axe, with npm)",
            ),
            Self::OpenBao => absent(
                find_bao(|name| std::env::var_os(name)).is_some(),
                "an OpenBao (scripts/get-openbao fetches one)",
            ),
            Self::OpenTofu => absent(
                std::env::var_os("TOFU_BIN").is_some_and(|tofu| Path::new(&tofu).is_file())
                    && folder("ROUSTABOUT_TEST_TERRAFORM").is_some(),
                "an OpenTofu with providers (scripts/test-terraform builds them)",
            ),
            Self::Systemd => script("scripts/has-systemd", &[]),
            Self::SystemdAnalyze => {
                absent(runs("systemd-analyze", "--version"), "systemd-analyze (Debian: systemd)")
            }
            Self::StaticArm64 => script("scripts/has-static-arm64", &[]),
            Self::Root => script("scripts/has-root-parts", &["exec"]),
            Self::Docker => script("scripts/has-root-parts", &["docker"]),
            Self::DebianRoot => absent(
                std::env::var_os("ROUSTABOUT_TEST_DEBIAN_ROOT").is_some(),
                "a minimal Debian (scripts/get-debian-root makes one, as root on Debian)",
            )
            .or_else(|| script("scripts/has-root-parts", &["exec"])),
            Self::Actionlint => absent(
                std::env::var_os("ACTIONLINT_BIN").is_some(),
                "actionlint (scripts/get-actionlint builds it, with Go)",
            ),
        }
    }
}

/// True where the part is missing, which is then said: `what` is what is not proved.
#[must_use]
pub fn is_missing(part: Part, what: &str) -> bool {
    match part.missing() {
        None => false,
        Some(missing) => {
            not_run(what, &format!("needs {missing}"));
            true
        }
    }
}

/// Says that something was left out, and why.
pub fn not_run(what: &str, why: &str) {
    let line = format!("NOT RUN: {what} {why}\n");
    if let Some(file) = std::env::var_os(LINES) {
        // One short write, so that lines of tests that run at once do not mix.
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    // The stream itself: what `eprintln!` says is shown of tests that fail only.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What a script put somewhere, by the variable that names it.
pub fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_dir())
}

fn runs(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A script that ends with 1 where a part is missing and says on its last line what; here it installs
/// nothing.
fn script(path: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(here(path));
    command.args(arguments).env("ROUSTABOUT_NO_INSTALL", "1").stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().last().and_then(|line| line.split_once(": ")).map(|(_, why)| why);
    (!output.status.success()).then(|| format!("what this machine lacks: {}", why.unwrap_or(&said)))
}
