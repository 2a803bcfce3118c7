//! A real OpenBao with a KV version 2 at `kv`, and what an operator does at it. A test asks for
//! `Part::OpenBao` first.

use std::time::Duration;

use local_parts::openbao::{OpenBao, Tls, find_bao};
use roustabout::vault::{Client, Connection, Login, Secret};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::until;

pub struct Vault {
    pub bao: OpenBao,
}

impl Vault {
    pub async fn start() -> Self {
        Self::with(None).await
    }

    pub async fn with(tls: Option<Tls>) -> Self {
        // The daemon's tests need none of their own.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let binary = find_bao(|name| std::env::var_os(name)).expect("the part was asked for");
        let vault = Self { bao: OpenBao::start(&binary, tls).await.unwrap() };
        vault.mount("kv").await;
        vault.ask("POST", "sys/auth/approle", json!({ "type": "approle" })).await;
        vault
    }

    pub async fn mount(&self, path: &str) {
        let kind = json!({ "type": "kv", "options": { "version": "2" } });
        self.ask("POST", &format!("sys/mounts/{path}"), kind).await;
        // It is set up for versions in the background.
        until("the mount can be used", Duration::from_secs(20), async || {
            let probe = json!({ "data": {} });
            let put = self.bao.ask("POST", &format!("{path}/data/probe"), Some(&probe)).await;
            put.is_ok()
        })
        .await;
        self.ask("DELETE", &format!("{path}/metadata/probe"), Value::Null).await;
    }

    /// With the root token.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        self.bao.ask(method, path, body.as_ref()).await.unwrap()
    }

    /// Another version of `kv/PATH`.
    pub async fn put(&self, path: &str, data: Value) {
        self.ask("POST", &format!("kv/data/{path}"), json!({ "data": data })).await;
    }

    pub async fn policy(&self, name: &str, rules: &str) {
        let path = format!("sys/policies/acl/{name}");
        self.ask("PUT", &path, json!({ "policy": rules })).await;
    }

    /// A token that may do what the policy allows.
    pub async fn token(&self, policy: &str, ttl: &str) -> String {
        let body = json!({ "policies": [policy], "ttl": ttl });
        let made = self.ask("POST", "auth/token/create", body).await;
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// A role with that policy: RoleID and SecretID.
    pub async fn approle(&self, name: &str, policy: &str, keys: Value) -> (String, String) {
        let role = format!("auth/approle/role/{name}");
        let mut body = json!({ "token_policies": [policy] });
        body.as_object_mut().unwrap().extend(keys.as_object().cloned().unwrap_or_default());
        self.ask("POST", &role, body).await;
        let id = self.ask("GET", &format!("{role}/role-id"), Value::Null).await;
        let secret = self.ask("POST", &format!("{role}/secret-id"), json!({})).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&id["data"]["role_id"]), text(&secret["data"]["secret_id"]))
    }

    pub fn root(&self) -> String {
        self.bao.root_token().expose_secret().to_owned()
    }

    pub fn client(&self, login: Login) -> Client {
        Client::new(Connection {
            address: self.bao.address(),
            namespace: None,
            ca_cert_pem: None,
            login,
        })
        .unwrap()
    }

    /// `[vault]` that logs in with that token.
    pub fn section(&self, token: &str) -> String {
        format!("[vault]\naddress = \"{}\"\ntoken = \"{token}\"\n", self.bao.address())
    }
}

pub fn by_token(token: &str) -> Login {
    Login::Token(Secret::Value(token.into()))
}
