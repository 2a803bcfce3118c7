//! `/v1/acl/…`: the first token, policies, tokens, and what a token sees of itself.
//!
//! Roles, auth methods and binding rules are not here. Read next: `rights.rs` (who may),
//! `../acl/tables.rs` (what is kept).

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::acl_bodies::{Bootstrap, Login, PutPolicy, PutToken};
use super::call::{Admitted, Call, Reply, Written};
use super::reading::Found;
use super::refusal::Refusal;
use super::rights::{self, denied};
use crate::acl::{self, Acl, Attached, BadToken, Caller, Policy, Token, TokenKind};
use crate::durations;
use crate::model::Millis;
use crate::tables::Table;

/// Below `/v1/acl/`.
pub(super) async fn answer(call: Call, rest: &str) -> Reply {
    let (read, delete) = (call.method == Method::GET, call.method == Method::DELETE);
    let put = call.method == Method::PUT || call.method == Method::POST;
    match rest {
        "bootstrap" if put => bootstrap(&call),
        "login" if put => login(&call),
        "policies" if read => policies(call).await,
        "tokens" if read => tokens(call).await,
        "token/self" if read => own(&call).await,
        "token/self" => Err(Refusal::method()),
        "token" if put => put_token(&call, ""),
        _ => match (rest.split_once('/'), read, put, delete) {
            (Some(("policy", name)), true, ..) => policy(call, name).await,
            (Some(("policy", name)), _, true, _) => put_policy(&call, name),
            (Some(("policy", name)), _, _, true) => delete_policy(&call, name),
            (Some(("token", accessor)), true, ..) => token(call, accessor).await,
            (Some(("token", accessor)), _, true, _) => put_token(&call, accessor),
            (Some(("token", accessor)), _, _, true) => delete_token(&call, accessor),
            _ => Err(Refusal::method()),
        },
    }
}

impl From<acl::Refusal> for Refusal {
    fn from(why: acl::Refusal) -> Self {
        match why {
            acl::Refusal::Invalid(text) => Self::new(400, text),
            acl::Refusal::Absent(text) => Self::new(404, text),
        }
    }
}

/// # Errors
/// There are no ACLs.
fn enabled(acl: &Acl) -> Result<(), Refusal> {
    if acl.enabled { Ok(()) } else { Err(Refusal::new(400, "ACL support disabled")) }
}

/// What of a token or a policy says whether it has changed.
fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    STANDARD.encode(hash.finalize())
}

fn time(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_string()
}

fn token_stub(token: &Token) -> Value {
    let policies: Vec<&str> = token.policies.iter().map(String::as_str).collect();
    let parts: Vec<&str> =
        [token.name.as_str(), token.kind.name()].into_iter().chain(policies).collect();
    json!({
        "AccessorID": token.accessor,
        "CreateIndex": token.create_index,
        "CreateTime": time(token.created),
        "ExpirationTime": token.expires.map(time),
        "Global": token.global,
        "Hash": hash(&parts),
        "ModifyIndex": token.modify_index,
        "Name": token.name,
        "Policies": (token.kind == TokenKind::Client).then_some(&token.policies),
        "Roles": null,
        "Type": token.kind.name(),
    })
}

fn token_json(token: &Token) -> Value {
    let mut json = token_stub(token);
    json["SecretID"] = json!(token.secret);
    json["ExpirationTTL"] =
        json!(if token.ttl == 0 { String::new() } else { durations::go_text(token.ttl) });
    json
}

/// One that nobody made: what there is without a token.
fn pseudo(accessor: &str, name: &str, policies: Option<&str>) -> Value {
    json!({
        "AccessorID": accessor, "SecretID": "", "Name": name, "Type": "client",
        "Policies": policies.map(|one| [one]), "Roles": null, "Global": false, "Hash": null,
        "CreateTime": "0001-01-01T00:00:00Z", "ExpirationTime": null, "ExpirationTTL": "",
        "CreateIndex": 0, "ModifyIndex": 0,
    })
}

fn bootstrap(call: &Call) -> Reply {
    let asked =
        if call.body.is_empty() { Bootstrap::default() } else { Bootstrap::read(&call.body)? };
    call.write(|view, _, now| {
        enabled(view.nomad.acl())?;
        let token = view.nomad.acl_bootstrap(asked.bootstrap_secret.as_deref(), now)?;
        Ok(Written::new(token.create_index, token_json(&token)))
    })
}

/// There is no auth method, so that none is found.
fn login(call: &Call) -> Reply {
    let asked = Login::read(&call.body)?;
    call.write(|view, _, _| {
        enabled(view.nomad.acl())?;
        Err(Refusal::new(400, format!("auth-method {:?} not found", asked.method)))
    })
}

/// `GET /v1/acl/token/self` says more about a bad token than any other call.
async fn own(call: &Call) -> Reply {
    let found = call.server.view(|view, now| {
        let acl = view.nomad.acl();
        match rights::caller(call, view.nomad, now) {
            Err(BadToken::Unknown) => Err(denied()),
            Err(bad) => Err(Refusal::new(500, bad.why())),
            Ok(caller) => Ok(match caller {
                Caller::Anyone => Some((0, pseudo("acls-disabled", "ACLs disabled token", None))),
                Caller::Anonymous { .. } => {
                    Some((0, pseudo("anonymous", "Anonymous Token", Some("anonymous"))))
                }
                Caller::Management { accessor } | Caller::Client { accessor, .. } => {
                    acl.token(&accessor).map(|token| (token.modify_index, token_json(token)))
                }
                // It has rights, but no token.
                Caller::Workload { .. } => None,
            }),
        }
    })?;
    call.read(|_, _, _| Ok(Found::one(found.clone(), 0, "ACL token not found"))).await
}

/// The policies that it may see; None: all.
fn visible<'a>(acl: &'a Acl, caller: &Caller) -> Result<Option<&'a [String]>, Refusal> {
    match caller {
        Caller::Anyone | Caller::Management { .. } => Ok(None),
        Caller::Client { accessor, .. } => {
            Ok(Some(acl.token(accessor).map_or(&[], |token| token.policies.as_slice())))
        }
        Caller::Anonymous { .. } => Ok(Some(&[])),
        Caller::Workload { .. } => Err(Refusal::new(404, "ACL token not found")),
    }
}

async fn policies(call: Call) -> Reply {
    call.read(|view, admitted, options| {
        let acl = view.nomad.acl();
        enabled(acl)?;
        let own = visible(acl, &admitted.caller)?;
        let seen = acl.policies().filter(|policy| {
            own.is_none_or(|own| own.contains(&policy.name))
                && policy.name.starts_with(&options.prefix)
        });
        let index = view.nomad.table(Table::Policies).max(1);
        Ok(Found::list(index, seen.map(policy_stub).collect()))
    })
    .await
}

fn policy_stub(policy: &Policy) -> Value {
    json!({
        "Name": policy.name,
        "Description": policy.description,
        "JobACL": policy.attached.as_ref().map(|Attached { namespace, job, group, task }| {
            json!({"Namespace": namespace, "JobID": job, "Group": group, "Task": task})
        }),
        "Hash": hash(&[&policy.name, &policy.description, &policy.rules.raw]),
        "CreateIndex": policy.create_index,
        "ModifyIndex": policy.modify_index,
    })
}

async fn policy(call: Call, name: &str) -> Reply {
    call.read(|view, admitted, _| {
        let acl = view.nomad.acl();
        enabled(acl)?;
        let open = name == "anonymous";
        if !open
            && visible(acl, &admitted.caller)?.is_some_and(|own| !own.iter().any(|it| it == name))
        {
            return Err(denied());
        }
        let found = acl.policy(name).map(|policy| {
            let mut json = policy_stub(policy);
            json["Rules"] = json!(policy.rules.raw);
            json["RulesJSON"] = policy.rules.json();
            (policy.modify_index, json)
        });
        Ok(Found::one(found, view.nomad.table(Table::Policies), "ACL policy not found"))
    })
    .await
}

fn put_policy(call: &Call, name: &str) -> Reply {
    let asked = PutPolicy::read(&call.body)?;
    if asked.name != name {
        return Err(Refusal::new(400, "ACL policy name does not match request path"));
    }
    call.write(|view, _, _| {
        enabled(view.nomad.acl())?;
        let index = view.nomad.acl_put_policy(asked.into())?;
        Ok(Written { index: Some(index), body: None })
    })
}

fn delete_policy(call: &Call, name: &str) -> Reply {
    call.write(|view, _, _| {
        enabled(view.nomad.acl())?;
        let index = view.nomad.acl_delete_policy(name)?;
        Ok(Written { index: Some(index), body: None })
    })
}

async fn tokens(call: Call) -> Reply {
    call.read(|view, _, options| {
        let acl = view.nomad.acl();
        enabled(acl)?;
        let global = call.query.get("global").is_some_and(|it| it == "true");
        let seen = acl.tokens().filter(|token| {
            token.accessor.starts_with(&options.prefix) && (token.global || !global)
        });
        let index = view.nomad.table(Table::Tokens).max(1);
        Ok(Found::list(index, seen.map(token_stub).collect()))
    })
    .await
}

async fn token(call: Call, accessor: &str) -> Reply {
    call.read(|view, admitted, _| {
        let acl = view.nomad.acl();
        enabled(acl)?;
        if !may_see(admitted, accessor) {
            return Err(denied());
        }
        let found = acl.token(accessor).map(|token| (token.modify_index, token_json(token)));
        Ok(Found::one(found, view.nomad.table(Table::Tokens), "ACL token not found"))
    })
    .await
}

fn may_see(admitted: &Admitted, token: &str) -> bool {
    match &admitted.caller {
        Caller::Anyone | Caller::Management { .. } => true,
        Caller::Client { accessor, .. } => accessor == token,
        Caller::Anonymous { .. } | Caller::Workload { .. } => false,
    }
}

fn put_token(call: &Call, accessor: &str) -> Reply {
    let asked = PutToken::read(&call.body)?.request()?;
    if !accessor.is_empty() && asked.accessor != accessor {
        return Err(Refusal::new(400, "ACL token accessor ID does not match request path"));
    }
    call.write(|view, _, now| {
        enabled(view.nomad.acl())?;
        let token = view.nomad.acl_put_token(asked, now)?;
        Ok(Written::new(token.modify_index, token_json(&token)))
    })
}

fn delete_token(call: &Call, accessor: &str) -> Reply {
    call.write(|view, _, _| {
        enabled(view.nomad.acl())?;
        let index = view.nomad.acl_delete_token(accessor)?;
        Ok(Written { index: Some(index), body: None })
    })
}
