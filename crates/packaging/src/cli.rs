//! The program's command line: `package OUT ARCHITECTURE=BINARY...`.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};
use clap::Parser;

use crate::kit::{Completions, Kit};
use crate::provenance::Build;
use crate::{Architecture, Release, archive, checksums, deb, image, provenance, sbom};

/// Makes all files of a release from built binaries: archives, Debian packages, images, bills of materials,
/// provenance, checksums.
#[derive(Parser)]
#[command(name = "package")]
struct Arguments {
    /// The folder for the files; it must be empty or not exist.
    out: PathBuf,
    /// A built binary of each architecture: amd64=target/…/roustabout.
    #[arg(required = true, value_name = "ARCHITECTURE=BINARY")]
    binaries: Vec<Binary>,
    /// The version to write.
    #[arg(long)]
    version: String,
    /// The commit that the binaries are built from.
    #[arg(long, default_value = "")]
    commit: String,
    /// Seconds since 1970: the time of all files, so that the same input gives the same bytes.
    #[arg(long, env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    moment: u64,
    /// The profile that the binaries are built with.
    #[arg(long, default_value = "release")]
    profile: String,
    /// What `rustc --version` said.
    #[arg(long, default_value = "")]
    compiler: String,
    /// The repository.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

#[derive(Clone)]
struct Binary {
    architecture: Architecture,
    path: PathBuf,
}

impl FromStr for Binary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (architecture, path) = text.split_once('=').ok_or("write, for example, amd64=PATH")?;
        Ok(Self { architecture: architecture.parse()?, path: path.into() })
    }
}

/// `command` is the daemon's command line, and `completions` what it prints.
pub fn run(command: clap::Command, completions: Completions) -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let release = Release {
        version: arguments.version,
        moment: arguments.moment,
        commit: arguments.commit,
        effort: 9,
    };
    let kit = Kit::read(&arguments.root, command, completions, &release.version)?;
    let mut binaries = Vec::new();
    for Binary { architecture, path } in &arguments.binaries {
        let binary = fs::read(path).with_context(|| path.display().to_string())?;
        check(*architecture, &binary).with_context(|| path.display().to_string())?;
        binaries.push((*architecture, binary));
    }
    let out = &arguments.out;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    ensure!(fs::read_dir(out)?.next().is_none(), "{} is not empty", out.display());
    write(&release, &binaries, &kit, &arguments.root, out)?;
    let architectures = binaries.iter().map(|(one, _)| *one).collect();
    let build = Build::here(architectures, arguments.profile, arguments.compiler);
    let lock = fs::read(arguments.root.join("Cargo.lock"))?;
    let made = provenance::make(&release, &build, out, &lock)?;
    fs::write(out.join(provenance::name(&release)), made)?;
    checksums::write(out)
}

fn write(
    release: &Release,
    binaries: &[(Architecture, Vec<u8>)],
    kit: &Kit,
    root: &Path,
    out: &Path,
) -> anyhow::Result<()> {
    let put = |name: String, content: Vec<u8>| {
        fs::write(out.join(&name), content).with_context(|| name.clone())
    };
    for (architecture, binary) in binaries {
        let architecture = *architecture;
        put(
            archive::name(release, architecture),
            archive::make(release, architecture, binary.clone(), kit)?,
        )?;
        put(
            deb::name(release, architecture),
            deb::make(release, architecture, binary.clone(), kit)?,
        )?;
        let one = [(architecture, binary.clone())];
        put(image::name(release, &[architecture]), image::make(release, &one, kit)?)?;
        put(sbom::name(release, architecture), sbom::make(release, architecture, root)?)?;
    }
    if binaries.len() > 1 {
        let architectures: Vec<Architecture> = binaries.iter().map(|(one, _)| *one).collect();
        put(image::name(release, &architectures), image::make(release, binaries, kit)?)?;
    }
    Ok(())
}

/// The machine in an ELF file's head: a package with the other's binary would not be noticed before it is
/// installed.
fn check(architecture: Architecture, binary: &[u8]) -> anyhow::Result<()> {
    let wanted: u16 = match architecture {
        Architecture::Amd64 => 62,
        Architecture::Arm64 => 183,
    };
    let machine = binary.get(18..20).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    ensure!(
        binary.starts_with(b"\x7fELF\x02") && machine == Some(wanted),
        "is no program for {architecture}"
    );
    Ok(())
}
