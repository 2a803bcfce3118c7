//! The Debian package, as deb(5) has it: an `ar` of three members. Its maintainer scripts and its config are
//! in `deploy/debian`; its units are those of `deploy/systemd`, with the paths of a package and a user of
//! its own that stays.

use anyhow::{Context, ensure};

use crate::files::{Files, gzip};
use crate::kit::Kit;
use crate::{Architecture, Release};

/// Of the repository's folders, those that are for machines and not for reading.
const SHARED: &str = "deploy/";
const CONFIG: &str = "etc/roustabout/roustabout.toml";

pub fn name(release: &Release, architecture: Architecture) -> String {
    format!("roustabout_{}_{architecture}.deb", release.version)
}

pub fn make(
    release: &Release,
    architecture: Architecture,
    binary: Vec<u8>,
    kit: &Kit,
) -> anyhow::Result<Vec<u8>> {
    let data = data(release, binary, kit)?;
    let control = control(release, architecture, &data, kit)?;
    let mut package = b"!<arch>\n".to_vec();
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&control.tar("./", release.moment)?, release.effort)?),
        ("data.tar.gz", gzip(&data.tar("./", release.moment)?, release.effort)?),
    ];
    for (name, content) in members {
        let head = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            release.moment,
            0,
            0,
            100_644,
            content.len()
        );
        ensure!(head.len() == 60, "{name} is too large for a package");
        package.extend_from_slice(head.as_bytes());
        package.extend_from_slice(&content);
        if content.len() % 2 == 1 {
            package.push(b'\n');
        }
    }
    Ok(package)
}

fn data(release: &Release, binary: Vec<u8>, kit: &Kit) -> anyhow::Result<Files> {
    let mut files = Files::default();
    files.file("usr/bin/roustabout", 0o755, binary);
    files.file(CONFIG, 0o644, kit.debian("roustabout.toml")?);
    for unit in ["roustabout.service", "roustabout.socket"] {
        let text = unit_of_package(kit.file(&format!("deploy/systemd/{unit}"))?)
            .with_context(|| unit.to_owned())?;
        files.file(format!("usr/lib/systemd/system/{unit}"), 0o644, text);
    }
    for (name, content) in &kit.pages {
        let section = name.rsplit('.').next().unwrap_or("1");
        files.file(
            format!("usr/share/man/man{section}/{name}.gz"),
            0o644,
            gzip(content, release.effort)?,
        );
    }
    let completions = &kit.completions;
    for (path, script) in [
        ("bash-completion/completions/roustabout", &completions.bash),
        ("fish/vendor_completions.d/roustabout.fish", &completions.fish),
        ("zsh/vendor-completions/_roustabout", &completions.zsh),
    ] {
        files.file(format!("usr/share/{path}"), 0o644, script.clone());
    }
    let documents = "usr/share/doc/roustabout";
    for (path, content) in &kit.files {
        match path.as_str() {
            "CHANGELOG.md" => {
                files.file(
                    format!("{documents}/changelog.gz"),
                    0o644,
                    gzip(content, release.effort)?,
                );
            }
            // The units are in their place, and `copyright` has the licences.
            path if path.starts_with("deploy/systemd/") || path.starts_with("LICENSE") => {}
            path if path.starts_with(SHARED) => {
                let path = &path[SHARED.len()..];
                files.file(format!("usr/share/roustabout/{path}"), 0o644, content.clone());
            }
            path => files.file(format!("{documents}/{path}"), 0o644, content.clone()),
        }
    }
    let copyright = [kit.debian("copyright")?, kit.file("LICENSE-MIT")?].concat();
    files.file(format!("{documents}/copyright"), 0o644, copyright);
    let native = changelog_of_debian(release);
    files.file(
        format!("{documents}/changelog.Debian.gz"),
        0o644,
        gzip(native.as_bytes(), release.effort)?,
    );
    Ok(files)
}

/// The program in `/usr/bin`, a user that the package makes in place of one for each start.
fn unit_of_package(text: &[u8]) -> anyhow::Result<String> {
    let text =
        std::str::from_utf8(text)?.replace("/usr/local/bin/roustabout", "/usr/bin/roustabout");
    let own = "User=roustabout\nGroup=roustabout\n";
    let text = text.replace("DynamicUser=yes\n", own);
    ensure!(!text.contains("/usr/local/") && !text.contains("DynamicUser"), "is not as expected");
    ensure!(!text.contains("[Service]") || text.contains(own), "has no line DynamicUser=yes");
    Ok(text)
}

fn control(
    release: &Release,
    architecture: Architecture,
    data: &Files,
    kit: &Kit,
) -> anyhow::Result<Files> {
    let template = std::str::from_utf8(kit.debian("control")?)?;
    let bytes: usize = data.contents().map(|(_, content)| content.len()).sum();
    let filled = template
        .replace("@VERSION@", &release.version)
        .replace("@ARCHITECTURE@", architecture.name())
        .replace("@SIZE@", &bytes.div_ceil(1024).to_string());
    ensure!(
        !filled.contains('@') || filled.matches('@').count() == 1,
        "control has a place to fill"
    );
    let mut files = Files::default();
    files.file("control", 0o644, filled);
    files.file("conffiles", 0o644, format!("/{CONFIG}\n"));
    let sums = data.contents().filter(|(path, _)| *path != CONFIG);
    let sums: String = sums.map(|(path, content)| format!("{}  {path}\n", md5(content))).collect();
    files.file("md5sums", 0o644, sums);
    for script in ["postinst", "prerm", "postrm"] {
        files.file(script, 0o755, kit.debian(script)?);
    }
    Ok(files)
}

/// What `dpkg --verify` compares; not for security, for which there are checksums and provenance.
fn md5(content: &[u8]) -> String {
    use md5::{Digest, Md5};
    hex::encode(Md5::digest(content))
}

fn changelog_of_debian(release: &Release) -> String {
    let when = i64::try_from(release.moment)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or_default()
        .strftime("%a, %d %b %Y %H:%M:%S +0000");
    format!(
        "roustabout ({}) stable; urgency=medium\n\n  * See changelog.gz.\n\n -- roustabout authors <roustabout@localhost>  {when}\n",
        release.version
    )
}
