//! The image as bytes: what the specification asks of a layout, and that it is the same each time. An engine
//! runs it in `release`.

use super::{kit, release_of};

use std::collections::BTreeMap;
use std::io::Read;

use packaging::{Architecture, image};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    fn read(tar: &[u8]) -> Self {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(Result::unwrap);
        let files = entries.map(|mut entry| {
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, content)
        });
        Self(files.collect())
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.0[path]).unwrap()
    }

    /// The blob of a descriptor, which says its size and its digest.
    fn blob(&self, descriptor: &Value) -> &[u8] {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let blob = &self.0[&format!("blobs/sha256/{digest}")];
        assert_eq!(hex::encode(Sha256::digest(blob)), digest);
        assert_eq!(descriptor["size"], blob.len());
        blob
    }

    fn object(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(self.blob(descriptor)).unwrap()
    }
}

fn made(architectures: &[Architecture]) -> Vec<u8> {
    let binaries: Vec<_> = architectures.iter().map(|one| (*one, one.name().into())).collect();
    image::make(&release_of("9.1~git.c0"), &binaries, &kit("9.1")).unwrap()
}

/// The file system of a manifest, by path: mode, owner, content.
fn root(layout: &Layout, manifest: &Value) -> BTreeMap<String, (u32, u64, String)> {
    let mut tar = Vec::new();
    let packed = layout.blob(&manifest["layers"][0]);
    flate2::read::GzDecoder::new(packed).read_to_end(&mut tar).unwrap();
    let config = layout.object(&manifest["config"]);
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&tar)));
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest]));
    let mut archive = tar::Archive::new(tar.as_slice());
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let files = entries.map(|mut entry| {
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let (mode, owner) = (entry.header().mode().unwrap(), entry.header().uid().unwrap());
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        (path, (mode, owner, content))
    });
    files.collect()
}

#[test]
fn an_image_is_a_layout_that_old_engines_read_too() {
    let tar = made(&[Architecture::Amd64]);
    assert_eq!(tar, made(&[Architecture::Amd64]), "the same input gives the same bytes");
    let layout = Layout::read(&tar);
    assert_eq!(layout.json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let top = layout.json("index.json")["manifests"][0].clone();
    assert_eq!(top["annotations"]["org.opencontainers.image.ref.name"], "9.1-git.c0");
    let manifest = layout.object(&top);
    let config = layout.object(&manifest["config"]);
    assert_eq!((&config["os"], &config["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(config["config"]["Entrypoint"], json!(["/usr/local/bin/roustabout"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    let root = root(&layout, &manifest);
    assert_eq!(root["usr/local/bin/roustabout"], (0o755, 0, "amd64".to_owned()));
    assert_eq!(root["var/lib/roustabout/"], (0o700, 65532, String::new()));
    assert!(root["etc/passwd"].2.contains("roustabout:x:65532:65532:"));

    // Of `docker load`, the same blobs.
    let docker = &layout.json("manifest.json")[0];
    assert_eq!(docker["RepoTags"], json!(["roustabout:9.1-git.c0"]));
    let path = |descriptor: &Value| {
        format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"))
    };
    assert_eq!(docker["Config"], path(&manifest["config"]));
    assert_eq!(docker["Layers"], json!([path(&manifest["layers"][0])]));
}

#[test]
fn an_image_of_several_architectures_has_an_index() {
    let layout = Layout::read(&made(&[Architecture::Amd64, Architecture::Arm64]));
    let index = layout.object(&layout.json("index.json")["manifests"][0]);
    let platforms = index["manifests"].as_array().unwrap().iter().map(|manifest| {
        let content = root(&layout, &layout.object(manifest))["usr/local/bin/roustabout"].2.clone();
        assert_eq!(manifest["platform"]["architecture"], json!(content));
        content
    });
    assert_eq!(platforms.collect::<Vec<_>>(), ["amd64", "arm64"]);
    assert!(!layout.0.contains_key("manifest.json"));
}
