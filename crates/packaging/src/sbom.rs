//! The bill of materials, in CycloneDX 1.5: every package that is compiled into the binary of an architecture,
//! as cargo resolves it, with checksums of `Cargo.lock`; and the two libraries in C that come inside packages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{Architecture, Release, checksums};

pub fn name(release: &Release, architecture: Architecture) -> String {
    format!("roustabout-{}-linux-{architecture}.cdx.json", release.version)
}

/// A package of cargo's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

impl Package {
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

#[derive(Debug, Default)]
struct Tree {
    licences: BTreeMap<Package, String>,
    /// What each uses itself.
    uses: BTreeMap<Package, BTreeSet<Package>>,
}

/// Libraries in C inside a package: where its sources say their version.
const INNER: [(&str, &str, &str, &str); 2] = [
    ("libsqlite3-sys", "sqlite3/sqlite3.h", "#define SQLITE_VERSION ", "sqlite"),
    (
        "aws-lc-sys",
        "aws-lc/include/openssl/base.h",
        "#define AWSLC_VERSION_NUMBER_STRING ",
        "aws-lc",
    ),
];

/// `root` is the repository; cargo is asked, without the network.
pub fn make(release: &Release, architecture: Architecture, root: &Path) -> anyhow::Result<Vec<u8>> {
    let listed = cargo(
        root,
        &[
            "tree",
            "--package",
            "roustabout",
            "--edges",
            "normal",
            "--target",
            architecture.target(),
            "--prefix",
            "depth",
            "--format",
            "\t{p}\t{l}",
            "--locked",
        ],
    )?;
    let tree = tree(&listed)?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock"))?;
    let sums = sums(&lock)?;
    let known = cargo(root, &["metadata", "--format-version", "1", "--locked"])?;
    let known: Value = serde_json::from_str(&known)?;
    let folder = |package: &Package| {
        let mut all = known["packages"].as_array()?.iter();
        let found =
            all.find(|one| one["name"] == package.name && one["version"] == package.version)?;
        Path::new(found["manifest_path"].as_str()?).parent().map(Path::to_owned)
    };
    let mut inner = Vec::new();
    for package in tree.licences.keys() {
        let Some((_, header, before, name)) = INNER.iter().find(|(of, ..)| *of == package.name)
        else {
            continue;
        };
        let header = folder(package).context("cargo does not say where a package is")?.join(header);
        let text =
            std::fs::read_to_string(&header).with_context(|| header.display().to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix(before));
        let version = line.and_then(|rest| rest.split('"').nth(1));
        let version = version.with_context(|| format!("{} says no version", header.display()))?;
        inner.push((package.clone(), (*name).to_owned(), version.to_owned()));
    }
    let bill = bill(release, &tree, &sums, &inner);
    Ok(format!("{bill:#}\n").into_bytes())
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let output = command.args(arguments).current_dir(root).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Of lines such as `2⇥serde v1.0.0 (proc-macro)⇥MIT OR Apache-2.0 (*)`, of which the number is the depth. A
/// package that was shown is shown again without what it uses.
fn tree(listed: &str) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    let mut above: Vec<Package> = Vec::new();
    for line in listed.lines().filter(|line| !line.is_empty()) {
        let mut fields = line.split('\t');
        let mut next = || fields.next().with_context(|| format!("cargo tree says {line:?}"));
        let (depth, named, licence) = (next()?.parse::<usize>()?, next()?, next()?);
        let mut words = named.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let package =
            Package { name: name.to_owned(), version: version.trim_start_matches('v').to_owned() };
        // Old packages have a slash for OR.
        let licence = licence.trim_end_matches("(*)").trim().replace('/', " OR ");
        above.truncate(depth);
        if let Some(user) = above.last() {
            tree.uses.entry(user.clone()).or_default().insert(package.clone());
        }
        tree.licences.insert(package.clone(), licence);
        above.push(package);
    }
    ensure!(!tree.licences.is_empty(), "cargo tree lists nothing");
    Ok(tree)
}

/// The checksums of the packages that come from a registry.
fn sums(lock: &str) -> anyhow::Result<BTreeMap<Package, String>> {
    let lock: toml::Table = lock.parse()?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("an empty Cargo.lock")?;
    let text = |one: &toml::Value, key: &str| Some(one.get(key)?.as_str()?.to_owned());
    let found = packages.iter().filter_map(|one| {
        let package = Package { name: text(one, "name")?, version: text(one, "version")? };
        Some((package, text(one, "checksum")?))
    });
    Ok(found.collect())
}

fn bill(
    release: &Release,
    tree: &Tree,
    sums: &BTreeMap<Package, String>,
    inner: &[(Package, String, String)],
) -> Value {
    let (mut components, mut dependencies) = (Vec::new(), Vec::new());
    let mut main = Value::Null;
    for (package, licence) in &tree.licences {
        let purl = package.purl();
        let mut component = json!({
            "type": "library", "bom-ref": purl, "name": package.name, "version": package.version,
            "purl": purl,
        });
        if !licence.is_empty() {
            component["licenses"] = json!([{ "expression": licence }]);
        }
        if let Some(sum) = sums.get(package) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        let uses = tree.uses.get(package).into_iter().flatten().map(Package::purl);
        let within = inner
            .iter()
            .filter(|(of, ..)| of == package)
            .map(|(_, name, version)| generic(name, version));
        let uses: Vec<String> = uses.chain(within).collect();
        dependencies.push(json!({ "ref": purl, "dependsOn": uses }));
        if package.name == "roustabout" {
            component["type"] = json!("application");
            component["version"] = json!(release.version);
            main = component;
        } else {
            components.push(component);
        }
    }
    for (_, name, version) in inner {
        let purl = generic(name, version);
        components.push(json!({
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
        }));
        dependencies.push(json!({ "ref": purl, "dependsOn": [] }));
    }
    let mut bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "timestamp": release.time(), "component": main },
        "components": components, "dependencies": dependencies,
    });
    bill["serialNumber"] = json!(format!("urn:uuid:{}", uuid(&bill.to_string())));
    bill
}

fn generic(name: &str, version: &str) -> String {
    format!("pkg:generic/{name}@{version}")
}

/// Of the content, so that the same bill has the same number (RFC 9562, version 8).
fn uuid(text: &str) -> String {
    let sum = checksums::of(text.as_bytes());
    format!("{}-{}-8{}-8{}-{}", &sum[..8], &sum[8..12], &sum[13..16], &sum[17..20], &sum[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "0\troustabout v0.1.0 (/somewhere)\tMIT OR Apache-2.0\n\
        1\tserde v1.0.1\tMIT/Apache-2.0\n\
        2\tserde_derive v1.0.1 (proc-macro)\tMIT\n\
        1\tserde_json v2.0.0\tMIT\n\
        2\tserde v1.0.1\tMIT/Apache-2.0 (*)\n";

    #[test]
    fn a_bill_has_every_package_with_what_it_uses() {
        let tree = tree(LISTED).unwrap();
        let sums = sums("[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nchecksum = \"5e\"\n")
            .unwrap();
        let release = Release { version: "9".into(), moment: 0, commit: String::new(), effort: 1 };
        let json = Package { name: "serde_json".into(), version: "2.0.0".into() };
        let bill = bill(&release, &tree, &sums, &[(json, "c".into(), "3".into())]);
        assert_eq!(bill["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(bill["metadata"]["component"]["version"], "9");
        let names: Vec<_> =
            bill["components"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        assert_eq!(names, ["serde", "serde_derive", "serde_json", "c"]);
        let serde = &bill["components"][0];
        assert_eq!(serde["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(serde["hashes"][0]["content"], "5e");
        let uses = |of: &str| {
            let mut all = bill["dependencies"].as_array().unwrap().iter();
            all.find(|one| one["ref"] == of).unwrap()["dependsOn"].clone()
        };
        assert_eq!(
            uses("pkg:cargo/roustabout@0.1.0"),
            json!(["pkg:cargo/serde@1.0.1", "pkg:cargo/serde_json@2.0.0"])
        );
        assert_eq!(
            uses("pkg:cargo/serde_json@2.0.0"),
            json!(["pkg:cargo/serde@1.0.1", "pkg:generic/c@3"])
        );
        assert_eq!(uses("pkg:cargo/serde@1.0.1"), json!(["pkg:cargo/serde_derive@1.0.1"]));
    }
}
