//! What a token may do, and what is mounted where: for whoever wants to tell what is missing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use crate::error::Error;
use crate::transport::{Call, Client};

/// What a mount holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountKind {
    /// `kv` for KV.
    pub kind: String,
    /// Of KV, `2` or `1`.
    pub version: Option<String>,
}

impl MountKind {
    #[must_use]
    pub fn is_kv_2(&self) -> bool {
        self.kind == "kv" && self.version.as_deref() == Some("2")
    }
}

impl Client {
    /// What the token may do at each of these paths, as in `secret/data/app`: `read`, `create` and so on.
    /// `root` may do everything.
    ///
    /// # Errors
    /// Where the token may not ask.
    pub async fn capabilities(
        &self,
        paths: &[String],
    ) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
        #[derive(Deserialize)]
        struct Wire {
            data: BTreeMap<String, BTreeSet<String>>,
        }
        let body = json!({ "paths": paths });
        let call = Call::post(&["sys", "capabilities-self"], &body);
        Ok(self.call(&call).await?.read::<Wire>(&call.name())?.data)
    }

    /// What is mounted there.
    ///
    /// # Errors
    /// [`Error::Denied`] where nothing is, or the token may do nothing there.
    pub async fn mounted(&self, mount: &str) -> Result<MountKind, Error> {
        #[derive(Deserialize)]
        struct Wire {
            data: WireMount,
        }
        #[derive(Deserialize)]
        struct WireMount {
            #[serde(rename = "type")]
            kind: String,
            options: Option<BTreeMap<String, String>>,
        }
        let mut path = vec!["sys", "internal", "ui", "mounts"];
        path.extend(mount.split('/'));
        let call = Call::get(&path);
        let WireMount { kind, options } = self.call(&call).await?.read::<Wire>(&call.name())?.data;
        let version = options.and_then(|mut options| options.remove("version"));
        Ok(MountKind { kind, version })
    }
}
