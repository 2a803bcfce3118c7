//! KV version 2: entries with versions, below the path of a mount. A path has its segments between
//! slashes, and neither a leading nor a trailing one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Error;
use crate::transport::{Call, Client, success};

/// A version of an entry.
#[derive(Clone, Debug)]
pub struct Entry {
    pub version: u64,
    pub created: Timestamp,
    pub fields: Fields,
}

/// The fields of an entry that are texts. Debug shows no value.
#[derive(Clone, Debug, Default)]
pub struct Fields(BTreeMap<String, SecretString>);

impl Fields {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<(String, SecretString)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, SecretString)>>(fields: I) -> Fields {
        Fields(fields.into_iter().collect())
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value.expose_secret())?;
        }
        map.end()
    }
}

/// What is known of an entry without its values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// Zero before the first version.
    pub current_version: u64,
}

#[derive(Deserialize)]
struct Wire<T> {
    data: T,
}

#[derive(Deserialize)]
struct WireEntry {
    data: Option<BTreeMap<String, WireField>>,
    metadata: WireVersion,
}

#[derive(Deserialize)]
struct WireVersion {
    version: u64,
    #[serde(deserialize_with = "time")]
    created_time: Timestamp,
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
struct WireKeys {
    keys: Vec<String>,
}

/// A value that is a text goes into a type that does not print; others are not for us.
enum WireField {
    Text(SecretString),
    Other,
}

impl<'de> Deserialize<'de> for WireField {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = WireField;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<WireField, E> {
        Ok(WireField::Text(text.into()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<WireField, E> {
        Ok(WireField::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<WireField, E> {
        Ok(WireField::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<WireField, E> {
        Ok(WireField::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<WireField, E> {
        Ok(WireField::Other)
    }

    fn visit_unit<E>(self) -> Result<WireField, E> {
        Ok(WireField::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<WireField, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(WireField::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireField, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(WireField::Other)
    }
}

/// The segments of an entry's address: `kind` is `data` or `metadata`.
fn address<'a>(mount: &'a str, kind: &'a str, path: &'a str) -> Vec<&'a str> {
    mount.split('/').chain([kind]).chain(path.split('/')).collect()
}

/// What version 2 says of a version that was written.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "version")]
    _version: u64,
}

impl Client {
    /// The newest version, or that one.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none, [`Error::Deleted`] where it was.
    pub async fn read(
        &self,
        mount: &str,
        path: &str,
        version: Option<u64>,
    ) -> Result<Entry, Error> {
        let mut call = Call::get(&address(mount, "data", path));
        if let Some(version) = version {
            call = call.query("version", version.to_string());
        }
        let request = call.name();
        let answer = self.answer(&call).await?;
        // Of a deleted version the metadata is answered, with a 404.
        if answer.status == 404
            && let Ok(Wire { data }) = answer.read::<Wire<WireEntry>>(&request)
        {
            return Err(Error::Deleted { request, version: data.metadata.version });
        }
        let Wire { data } = success(&call, answer)?.read::<Wire<WireEntry>>(&request)?;
        let version = data.metadata.version;
        let Some(fields) = data.data else { return Err(Error::Deleted { request, version }) };
        let fields = fields.into_iter().filter_map(|(name, value)| match value {
            WireField::Text(text) => Some((name, text)),
            WireField::Other => None,
        });
        Ok(Entry { version, created: data.metadata.created_time, fields: fields.collect() })
    }

    /// What is known of an entry without its values.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none.
    pub async fn metadata(&self, mount: &str, path: &str) -> Result<Metadata, Error> {
        let call = Call::get(&address(mount, "metadata", path));
        Ok(self.call(&call).await?.read::<Wire<Metadata>>(&call.name())?.data)
    }

    /// Writes the first version of an entry, which is deleted after that time: by itself, should nobody
    /// [`destroy`](Self::destroy) it before.
    ///
    /// # Errors
    /// [`Error::Exists`] where there is a version already.
    pub async fn create(
        &self,
        mount: &str,
        path: &str,
        fields: &Fields,
        lives: Duration,
    ) -> Result<(), Error> {
        // First, for what it says holds for versions that are written after it.
        let lives = format!("{}s", lives.as_secs().max(1));
        let expiry = json!({ "delete_version_after": lives, "max_versions": 1 });
        self.call(&Call::post(&address(mount, "metadata", path), &expiry)).await?;
        #[derive(Serialize)]
        struct Write<'a> {
            options: serde_json::Value,
            data: &'a Fields,
        }
        let write = Write { options: json!({ "cas": 0 }), data: fields };
        let call = Call::post(&address(mount, "data", path), &write);
        let answer = self.answer(&call).await?;
        if answer.status == 400 && answer.message().contains("check-and-set") {
            return Err(Error::Exists { request: call.name() });
        }
        let answer = success(&call, answer)?;
        if answer.read::<Wire<Written>>(&call.name()).is_ok() {
            return Ok(());
        }
        // Version 1 takes any path, and keeps what lies there for ever.
        for kind in ["data", "metadata"] {
            let call = Call::new(Method::DELETE, &address(mount, kind, path));
            // What matters is told below.
            let _ = self.call(&call).await;
        }
        let reason = format!(
            "the engine at {mount} is not KV version 2; vault kv enable-versioning {mount} makes it one"
        );
        Err(Error::Protocol { request: call.name(), reason })
    }

    /// Destroys all versions of an entry, and what is known of it. One that is not there is destroyed already.
    ///
    /// # Errors
    /// Where the server does not.
    pub async fn destroy(&self, mount: &str, path: &str) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, &address(mount, "metadata", path));
        match self.call(&call).await {
            Err(Error::Missing { .. }) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// The names below a path (`""`: of the mount); those that end with a slash have names below them.
    ///
    /// # Errors
    /// Where the server does not answer with a list; that there is nothing is no error.
    pub async fn list(&self, mount: &str, path: &str) -> Result<Vec<String>, Error> {
        let segments = address(mount, "metadata", path);
        let segments: Vec<&str> = segments.into_iter().filter(|it| !it.is_empty()).collect();
        let call = Call::get(&segments).query("list", "true");
        match self.call(&call).await {
            Ok(answer) => Ok(answer.read::<Wire<WireKeys>>(&call.name())?.data.keys),
            Err(Error::Missing { message, .. }) if message.is_empty() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
