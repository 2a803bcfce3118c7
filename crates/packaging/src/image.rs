//! An image for container engines, without one: an OCI image layout in a tar. One for a single architecture
//! is also what `docker load` of any version and `podman load` read (`manifest.json`); one for several has an
//! index, for `skopeo copy --all` into a registry.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::checksums;
use crate::files::{Files, gzip};
use crate::kit::Kit;
use crate::{Architecture, Release};

/// Of the user in the image; the number that images without a distribution commonly use for it.
pub const USER: u64 = 65532;
const PROGRAM: &str = "usr/local/bin/roustabout";
const STATE: &str = "var/lib/roustabout";

pub fn name(release: &Release, architectures: &[Architecture]) -> String {
    match architectures {
        [one] => format!("roustabout-{}-image-{one}.tar", release.version),
        _ => format!("roustabout-{}-image.tar", release.version),
    }
}

/// What a registry and an engine call it.
pub fn tag(release: &Release) -> String {
    // A tag has no tilde and no plus.
    let version = release.version.replace(['~', '+'], "-");
    format!("roustabout:{version}")
}

pub fn make(
    release: &Release,
    binaries: &[(Architecture, Vec<u8>)],
    kit: &Kit,
) -> anyhow::Result<Vec<u8>> {
    let mut layout = Layout::default();
    let mut manifests = Vec::new();
    for (architecture, binary) in binaries {
        manifests.push(layout.image(release, *architecture, binary, kit)?);
    }
    let tag = tag(release);
    let annotations = json!({
        "org.opencontainers.image.ref.name": tag.rsplit(':').next(),
        "io.containerd.image.name": format!("docker.io/library/{tag}"),
    });
    let top = match &manifests[..] {
        [one] => one.descriptor.clone(),
        _ => {
            let inner: Vec<&Value> = manifests.iter().map(|one| &one.descriptor).collect();
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": inner });
            layout.blob(INDEX, index.to_string().into_bytes())
        }
    };
    let mut top = top;
    top["annotations"] = annotations;
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [top] });
    let files = &mut layout.files;
    files.file("oci-layout", 0o644, json!({ "imageLayoutVersion": "1.0.0" }).to_string());
    files.file("index.json", 0o644, index.to_string());
    if let [one] = &manifests[..] {
        let docker = json!([{ "Config": one.config, "RepoTags": [tag], "Layers": [one.layer] }]);
        files.file("manifest.json", 0o644, docker.to_string());
    }
    files.tar("", release.moment)
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[derive(Default)]
struct Layout {
    files: Files,
    known: BTreeSet<String>,
}

/// An image of one architecture; the paths are those of its blobs.
struct Manifest {
    descriptor: Value,
    config: String,
    layer: String,
}

impl Layout {
    fn image(
        &mut self,
        release: &Release,
        architecture: Architecture,
        binary: &[u8],
        kit: &Kit,
    ) -> anyhow::Result<Manifest> {
        let root = root(binary, kit)?.tar("", release.moment)?;
        let unpacked = format!("sha256:{}", checksums::of(&root));
        let layer = self.blob(LAYER, gzip(&root, release.effort)?);
        let labels = json!({
            "org.opencontainers.image.title": "roustabout",
            "org.opencontainers.image.description": "Ephemeral GitHub and Gitea runners on Nomad",
            "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
            "org.opencontainers.image.version": release.version,
            "org.opencontainers.image.revision": release.commit,
            "org.opencontainers.image.created": release.time(),
        });
        let config = json!({
            "created": release.time(),
            "architecture": architecture.name(),
            "os": "linux",
            "config": {
                "User": format!("{USER}:{USER}"),
                "Entrypoint": [format!("/{PROGRAM}")],
                "Cmd": ["serve"],
                "Env": ["PATH=/usr/local/bin"],
                // A relative path of the database lies here.
                "WorkingDir": format!("/{STATE}"),
                "Volumes": { format!("/{STATE}"): {} },
                "ExposedPorts": { "8080/tcp": {}, "9090/tcp": {} },
                "StopSignal": "SIGTERM",
                "Labels": labels,
            },
            "rootfs": { "type": "layers", "diff_ids": [unpacked] },
            "history": [{ "created": release.time(), "created_by": "scripts/release" }],
        });
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let paths = (path(&config), path(&layer));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
            "annotations": labels,
        });
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().into_bytes());
        descriptor["platform"] = platform(architecture);
        Ok(Manifest { descriptor, config: paths.0, layer: paths.1 })
    }

    /// Its descriptor.
    fn blob(&mut self, kind: &str, content: Vec<u8>) -> Value {
        let digest = checksums::of(&content);
        let descriptor = json!({
            "mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len(),
        });
        if self.known.insert(digest.clone()) {
            self.files.file(format!("blobs/sha256/{digest}"), 0o644, content);
        }
        descriptor
    }
}

fn platform(architecture: Architecture) -> Value {
    match architecture {
        Architecture::Amd64 => json!({ "os": "linux", "architecture": "amd64" }),
        Architecture::Arm64 => json!({ "os": "linux", "architecture": "arm64", "variant": "v8" }),
    }
}

fn path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The file system: the program, its user, the folders of config and database. Certificates are in the
/// program.
fn root(binary: &[u8], kit: &Kit) -> anyhow::Result<Files> {
    let mut files = Files::default();
    files.file(PROGRAM, 0o755, binary);
    files.folder("etc/roustabout", 0o755, 0);
    files.folder(STATE, 0o700, USER);
    files.folder("tmp", 0o1777, 0);
    let user = format!(
        "root:x:0:0::/:/sbin/nologin\nroustabout:x:{USER}:{USER}::/{STATE}:/sbin/nologin\n"
    );
    files.file("etc/passwd", 0o644, user);
    files.file("etc/group", 0o644, format!("root:x:0:\nroustabout:x:{USER}:\n"));
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        files.file(format!("usr/share/doc/roustabout/{licence}"), 0o644, kit.file(licence)?);
    }
    Ok(files)
}
