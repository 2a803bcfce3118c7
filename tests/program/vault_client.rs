//! The client of Vault against a real OpenBao: entries and their versions, the ways to log in, tokens that end.

use crate::support;

use std::time::Duration;

use local_parts::openbao::Tls;
use roustabout::vault::{Client, Connection, Error, Fields, Login, Secret};
use secrecy::ExposeSecret;
use serde_json::json;
use support::certificates::{Certificates, read};
use support::parts::{Part, is_missing};
use support::vault::{Vault, by_token};

const SOON: Duration = Duration::from_secs(30);
const MAY_READ: &str = r#"path "kv/data/*" { capabilities = ["read"] }"#;

fn fields(value: &str) -> Fields {
    [("token".to_owned(), value.into())].into_iter().collect()
}

fn read_text(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn text(fields: &Fields) -> Option<&str> {
    fields.get("token").map(ExposeSecret::expose_secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_created_once_read_listed_and_destroyed() {
    if is_missing(Part::OpenBao, "Vault's entries") {
        return;
    }
    let vault = Vault::start().await;
    let client = vault.client(by_token(&vault.root()));
    let hour = Duration::from_secs(3600);
    client.create("kv", "runners/a", &fields("one"), hour).await.unwrap();
    let again = client.create("kv", "runners/a", &fields("two"), hour).await;
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    let entry = client.read("kv", "runners/a", None).await.unwrap();
    assert_eq!((entry.version, text(&entry.fields)), (1, Some("one")));
    assert!(!format!("{entry:?}").contains("one"));
    // Whoever forgets it, Vault does not keep it.
    let metadata = vault.ask("GET", "kv/metadata/runners/a", json!(null)).await;
    assert_eq!(metadata["data"]["delete_version_after"], "1h0m0s");
    assert_ne!(metadata["data"]["versions"]["1"]["deletion_time"], "");
    assert_eq!(client.metadata("kv", "runners/a").await.unwrap().current_version, 1);
    assert_eq!(client.list("kv", "").await.unwrap(), ["runners/"]);
    assert_eq!(client.list("kv", "runners").await.unwrap(), ["a"]);
    client.destroy("kv", "runners/a").await.unwrap();
    client.destroy("kv", "runners/a").await.unwrap();
    assert!(matches!(client.read("kv", "runners/a", None).await, Err(Error::Missing { .. })));
    assert_eq!(client.list("kv", "runners").await.unwrap(), [""; 0]);

    // Values that are no texts are not for us, and harm nothing.
    vault
        .put("mixed", json!({ "token": "t", "n": 5, "l": [1], "o": { "a": null }, "b": true }))
        .await;
    let mixed = client.read("kv", "mixed", None).await.unwrap();
    assert_eq!(mixed.fields.names().collect::<Vec<_>>(), ["token"]);
    vault.put("mixed", json!({ "token": "u" })).await;
    assert_eq!(client.read("kv", "mixed", Some(1)).await.unwrap().version, 1);
    vault.ask("DELETE", "kv/data/mixed", json!(null)).await;
    let deleted = client.read("kv", "mixed", None).await;
    assert!(matches!(deleted, Err(Error::Deleted { version: 2, .. })), "{deleted:?}");
    // What is not mounted is not a place where nothing is.
    assert!(matches!(client.list("nowhere", "x").await, Err(Error::Missing { .. })));
    assert!(client.mounted("kv").await.unwrap().is_kv_2());
}

/// Which takes any path, and would keep what is written there for ever.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_at_an_engine_of_version_1() {
    if is_missing(Part::OpenBao, "Vault's entries at version 1") {
        return;
    }
    let vault = Vault::start().await;
    vault
        .ask("POST", "sys/mounts/old", json!({ "type": "kv", "options": { "version": "1" } }))
        .await;
    let client = vault.client(by_token(&vault.root()));
    let hour = Duration::from_secs(3600);
    let written = client.create("old", "runners/a", &fields("one"), hour).await;
    let why = written.unwrap_err().to_string();
    assert!(why.contains("is not KV version 2"), "{why}");
    for folder in ["data/runners", "metadata/runners"] {
        let left = vault.bao.ask("GET", &format!("old/{folder}/a"), None).await;
        assert!(left.is_err(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_logs_in_and_logs_in_anew_when_its_token_has_ended() {
    if is_missing(Part::OpenBao, "logins by AppRole") {
        return;
    }
    let vault = Vault::start().await;
    vault.put("app", json!({ "token": "t" })).await;
    vault.policy("reader", MAY_READ).await;
    let keys = json!({ "token_ttl": "2s", "token_max_ttl": "3s" });
    let (role_id, secret_id) = vault.approle("daemon", "reader", keys).await;
    let login = |secret: Secret| Login::AppRole {
        mount: "approle".to_owned(),
        role_id: role_id.clone(),
        secret_id: Some(secret),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret-id");
    std::fs::write(&file, format!("{secret_id}\n")).unwrap();
    let client = vault.client(login(Secret::File(file.clone())));
    // Over several lives of a token: renewed, replaced, and never refused.
    let until_then = tokio::time::Instant::now() + Duration::from_secs(8);
    while tokio::time::Instant::now() < until_then {
        client.read("kv", "app", None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // After a pause in which it ended.
    tokio::time::sleep(Duration::from_secs(4)).await;
    client.read("kv", "app", None).await.unwrap();
    // What no policy allows stays refused, and is not logged in for again and again.
    let denied = client.metadata("kv", "app").await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");

    let wrong = vault.client(login(Secret::Value("wrong".into())));
    let refused = wrong.read("kv", "app", None).await;
    assert!(matches!(refused, Err(Error::Login { .. })), "{refused:?}");
    // Not again and again, until the server locks the role out; but at once with another one.
    std::fs::write(&file, "wrong").unwrap();
    let client = vault.client(login(Secret::File(file.clone())));
    for _ in 0..20 {
        assert!(matches!(client.read("kv", "app", None).await, Err(Error::Login { .. })));
    }
    std::fs::write(&file, &secret_id).unwrap();
    client.read("kv", "app", None).await.unwrap();
    std::fs::write(&file, "\n").unwrap();
    let empty = vault.client(login(Secret::File(file))).read("kv", "app", None).await;
    assert!(matches!(empty, Err(Error::File { .. })), "{empty:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_somebody_else_is_read_anew_from_its_file() {
    if is_missing(Part::OpenBao, "tokens in files") {
        return;
    }
    let vault = Vault::start().await;
    vault.put("app", json!({ "token": "t" })).await;
    vault.policy("reader", MAY_READ).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let first = vault.token("reader", "1h").await;
    std::fs::write(&file, &first).unwrap();
    let client = vault.client(Login::Token(Secret::File(file.clone())));
    client.read("kv", "app", None).await.unwrap();
    assert!(client.lease().await.unwrap().seconds.is_some_and(|left| left > 3000));
    vault.ask("POST", "auth/token/revoke", json!({ "token": first })).await;
    assert!(matches!(client.read("kv", "app", None).await, Err(Error::Denied { .. })));
    let told = client.lease().await.unwrap_err().to_string();
    let file_name = file.display();
    assert_eq!(
        told,
        format!("the token in {file_name} has expired or was revoked; create another one")
    );
    // Looked at as soon as the one before is refused.
    std::fs::write(&file, vault.token("reader", "1h").await).unwrap();
    client.read("kv", "app", None).await.unwrap();
    vault.ask("POST", "auth/token/revoke", json!({ "token": read_text(&file) })).await;
    std::fs::write(&file, vault.token("reader", "1h").await).unwrap();
    assert!(client.lease().await.is_ok());
    // A token that somebody else made stays theirs.
    client.leave().await;
    client.read("kv", "app", None).await.unwrap();
}

/// Without the policy `default`.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_look_itself_up_is_not_taken_for_one_that_has_ended() {
    if is_missing(Part::OpenBao, "tokens without the policy default") {
        return;
    }
    let vault = Vault::start().await;
    vault.put("app", json!({ "token": "t" })).await;
    vault.policy("reader", MAY_READ).await;
    let body = json!({ "policies": ["reader"], "no_default_policy": true });
    let made = vault.ask("POST", "auth/token/create", body).await;
    let token = made["auth"]["client_token"].as_str().unwrap();
    let client = vault.client(by_token(token));
    client.read("kv", "app", None).await.unwrap();
    let lease = client.lease().await;
    assert!(matches!(lease, Err(Error::Denied { .. })), "{lease:?}");
    vault.ask("POST", "auth/token/revoke", json!({ "token": token })).await;
    let lease = client.lease().await;
    assert!(matches!(lease, Err(Error::Ended { file: None })), "{lease:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_logs_in_too_and_its_token_is_gone_after_the_end() {
    if is_missing(Part::OpenBao, "logins by JWT") {
        return;
    }
    let vault = Vault::start().await;
    vault.put("app", json!({ "token": "t" })).await;
    vault.policy("reader", MAY_READ).await;
    let key = rcgen::KeyPair::generate().unwrap();
    vault.ask("POST", "sys/auth/jwt-nomad", json!({ "type": "jwt" })).await;
    let config = json!({ "jwt_validation_pubkeys": [key.public_key_pem()] });
    vault.ask("POST", "auth/jwt-nomad/config", config).await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault.io"],
        "token_policies": ["reader"], "token_ttl": "10m",
    });
    vault.ask("POST", "auth/jwt-nomad/role/roustabout", role).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwt");
    let login = |audience: &str| {
        std::fs::write(&file, signed(&key, audience)).unwrap();
        Login::Jwt {
            mount: "jwt-nomad".to_owned(),
            role: "roustabout".to_owned(),
            jwt: Secret::File(file.clone()),
        }
    };
    let stranger = vault.client(login("consul.io")).read("kv", "app", None).await;
    assert!(matches!(stranger, Err(Error::Login { .. })), "{stranger:?}");
    let client = vault.client(login("vault.io"));
    client.read("kv", "app", None).await.unwrap();
    let accessors = async || {
        let list = vault.ask("LIST", "auth/token/accessors", json!(null)).await;
        list["data"]["keys"].as_array().unwrap().len()
    };
    let before = accessors().await;
    client.leave().await;
    assert_eq!(accessors().await, before - 1);
}

/// A JWT as Nomad's servers sign them, but with ES256.
fn signed(key: &rcgen::KeyPair, audience: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let now = jiff::Timestamp::now().as_second();
    let head = BASE64.encode(json!({ "alg": "ES256", "typ": "JWT" }).to_string());
    let claims = json!({ "sub": "ci:roustabout", "aud": audience, "iat": now, "exp": now + 600 });
    let text = format!("{head}.{}", BASE64.encode(claims.to_string()));
    let pkcs8 = key.serialize_der();
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &pkcs8,
    )
    .unwrap();
    let signature = pair.sign(&random, text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64.encode(signature.as_ref()))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_judged_and_namespaces_and_seals_are_understood() {
    if is_missing(Part::OpenBao, "TLS and namespaces of Vault") {
        return;
    }
    let certificates = Certificates::make();
    let tls = certificates.of_server(false);
    let tls = Tls { ca_cert: tls.ca_cert, cert: tls.cert, key: tls.key };
    let mut vault = Vault::with(Some(tls)).await;
    vault.ask("POST", "sys/namespaces/ci", json!({})).await;
    let connection = Connection {
        address: vault.bao.address(),
        namespace: None,
        ca_cert_pem: Some(read(&certificates.ca())),
        login: by_token(&vault.root()),
    };
    let stranger = Client::new(Connection { ca_cert_pem: None, ..connection.clone() }).unwrap();
    assert!(stranger.list("kv", "").await.is_err_and(|error| error.is_away()));
    let inside = Connection { namespace: Some("ci".to_owned()), ..connection.clone() };
    let inside = Client::new(inside).unwrap();
    let client = Client::new(connection).unwrap();
    client.create("kv", "a", &fields("t"), SOON).await.unwrap();
    // Nothing is mounted in that namespace.
    assert!(matches!(inside.read("kv", "a", None).await, Err(Error::Missing { .. })));

    vault.bao.seal().await.unwrap();
    let sealed = client.read("kv", "a", None).await.unwrap_err();
    assert!(matches!(&sealed, Error::Unavailable { status: 503, .. }), "{sealed:?}");
    vault.bao.unseal().await.unwrap();
    client.read("kv", "a", None).await.unwrap();
    vault.bao.kill_hard();
    let gone = client.read("kv", "a", None).await.unwrap_err();
    assert!(matches!(&gone, Error::Unreachable { .. }), "{gone:?}");
    vault.bao.restart().await.unwrap();
    client.read("kv", "a", None).await.unwrap();
}
