//! A small Vault: KV version 2 at `secret`, as far as runners' credentials need it, and a token that never ends. In
//! half of the seeds that would play with Nomad Variables the credentials lie here instead.

use std::collections::{BTreeMap, BTreeSet};

use ledger::deposit::{DepositRule, Keeper};
use reqwest::Method;
use serde_json::{Value, json};
use simulated::github::model::{Millis, SECOND};
use transport::Request;

use crate::world::World;

pub const TOKEN: &str = "hvs.simulated";
pub const SECTION: &str =
    "[vault]\naddress = \"http://vault.test:8200\"\ntoken = \"hvs.simulated\"\n";

/// Of the pools that the seed draws for Variables, those whose credentials lie here.
pub fn pools(seed: u64, variables: &BTreeSet<usize>) -> BTreeSet<usize> {
    match (seed / 8).is_multiple_of(2) {
        true => variables.clone(),
        false => BTreeSet::new(),
    }
}

pub fn rule() -> DepositRule {
    DepositRule { keeper: Keeper::Vault, path: "secret/data/roustabout/{runner_name}".to_owned() }
}

/// By path, without mount and `data`.
#[derive(Debug, Default)]
pub struct Kv(BTreeMap<String, Entry>);

#[derive(Debug, Default)]
struct Entry {
    /// Of versions that are written from now on.
    lives: Option<Millis>,
    version: u64,
    data: Option<Value>,
    dies: Option<Millis>,
}

impl Kv {
    /// The fields of an entry that is there.
    fn read(&self, path: &str, now: Millis) -> Option<&Value> {
        let entry = self.0.get(path)?;
        entry.data.as_ref().filter(|_| entry.dies.is_none_or(|dies| now < dies))
    }

    /// Status and body.
    fn answer(&mut self, request: &Request, now: Millis) -> (u16, Value) {
        let body = request.body.as_deref().and_then(|it| serde_json::from_slice(it).ok());
        let body: Value = body.unwrap_or_default();
        let path = request.url.path().trim_start_matches("/v1/");
        let (kind, path) = match path.strip_prefix("secret/").and_then(|path| path.split_once('/'))
        {
            Some(parts) => parts,
            None if path == "auth/token/lookup-self" => {
                return (200, json!({ "data": { "ttl": 0, "renewable": false } }));
            }
            None => return (404, json!({ "errors": ["no handler for route"] })),
        };
        match (request.method.clone(), kind) {
            (Method::POST, "metadata") => {
                let lives = body["delete_version_after"].as_str().unwrap_or_default();
                let seconds: i64 = lives.trim_end_matches('s').parse().unwrap_or_default();
                self.0.entry(path.to_owned()).or_default().lives = Some(seconds * SECOND);
                (204, Value::Null)
            }
            (Method::POST, "data") => {
                let entry = self.0.entry(path.to_owned()).or_default();
                if body["options"]["cas"] != entry.version {
                    let why = "check-and-set parameter did not match the current version";
                    return (400, json!({ "errors": [why] }));
                }
                entry.version += 1;
                entry.data = Some(body["data"].clone());
                entry.dies = entry.lives.map(|lives| now + lives);
                (200, json!({ "data": { "version": entry.version } }))
            }
            (Method::DELETE, "metadata") => {
                self.0.remove(path);
                (204, Value::Null)
            }
            (Method::GET, "metadata") if request.url.query() == Some("list=true") => {
                let below = format!("{path}/");
                let keys: Vec<&str> =
                    self.0.keys().filter_map(|path| path.strip_prefix(&below)).collect();
                match keys[..] {
                    [] => (404, json!({ "errors": [] })),
                    _ => (200, json!({ "data": { "keys": keys } })),
                }
            }
            _ => (405, json!({ "errors": ["unsupported operation"] })),
        }
    }
}

impl World {
    pub fn ask_vault(&mut self, request: &Request) -> (u16, Value) {
        self.before_an_entry_is_written(request);
        self.vault.answer(request, self.now)
    }

    /// What a task's template finds there.
    pub fn entry(&self, path: &str) -> Option<String> {
        let fields = self.vault.read(path.strip_prefix("secret/data/")?, self.now)?;
        let field = fields["token"].as_str().or_else(|| fields["jit_config"].as_str());
        field.map(str::to_owned)
    }

    pub fn entries_left(&self) -> Vec<String> {
        self.vault.0.keys().map(|path| format!("entry {path} lies there")).collect()
    }

    /// The row says so first.
    fn before_an_entry_is_written(&mut self, request: &Request) {
        let path = request.url.path().trim_start_matches("/v1/");
        if request.method == Method::POST && path.starts_with("secret/data/") {
            self.is_in_its_row(path);
        }
    }
}
