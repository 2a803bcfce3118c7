//! Which call needs which right, and how it is refused without.
//!
//! One table by method and path, asked by [`Call::admit`](super::call::Call::admit) after a request
//! was read and before anything is looked at. A call that is not in it needs a management token.
//! What hangs on the object itself (an allocation's namespace, a Variable's path) is left to the
//! handlers, which have the caller. Rules: the record, scenarios `acl-…`; nomad/*_endpoint.go.
//! Read next: `../acl/callers.rs`.

use axum::http::{HeaderMap, Method, header};

use super::call::Call;
use super::refusal::Refusal;
use crate::acl::Capability::{
    self, DeregisterJob, DispatchJob, EvaluateJob, ForcePeriodicJob, ListJobs, ParseJob, PlanJob,
    PurgeJob, ReadJob, ReadJobScaling, RegisterJob, RevertJob, ScaleJob, StableJob, SubmitJob,
};
use crate::acl::{BadToken, Caller, Claim};
use crate::model::{Millis, Nomad};

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing; no token is even looked at.
    Open,
    /// No bad token. What it may see is the handler's to say.
    Known,
    /// One of these, in the request's namespace.
    InNamespace(&'static [Capability]),
    ReadAgent,
    WriteAgent,
    ReadNodes,
    WriteNodes,
    ReadOperator,
    WriteOperator,
    Management,
}

/// Who finds out that a token is bad, and so in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckedBy {
    Server,
    /// The agent itself answers, and has to ask the servers first.
    Agent,
    /// The client whose allocation it is.
    Client,
}

pub(super) fn denied() -> Refusal {
    Refusal::new(403, "Permission denied")
}

/// Who asks, if it may.
pub(super) fn admit(
    call: &Call,
    nomad: &Nomad,
    namespace: &str,
    now: Millis,
) -> Result<Caller, Refusal> {
    let purge = call.query.flag("purge").ok().flatten().unwrap_or(false);
    let (need, checked) = need(&call.method, &call.path, purge);
    if need == Need::Open {
        return Ok(Caller::Anyone);
    }
    let caller = caller(call, nomad, now).map_err(|bad| refuse(&bad, checked))?;
    let may = match need {
        Need::Open | Need::Known => true,
        Need::InNamespace(any_of) => caller.may(namespace, any_of),
        Need::ReadAgent => caller.may_read_agent(),
        Need::WriteAgent => caller.may_write_agent(),
        Need::ReadNodes => caller.may_read_nodes(),
        Need::WriteNodes => caller.may_write_nodes(),
        Need::ReadOperator => caller.may_read_operator(),
        Need::WriteOperator => caller.may_write_operator(),
        Need::Management => caller.is_management(),
    };
    if may { Ok(caller) } else { Err(denied()) }
}

/// Who asks.
///
/// # Errors
/// With a token that is no good.
pub(super) fn caller(call: &Call, nomad: &Nomad, now: Millis) -> Result<Caller, BadToken> {
    nomad.acl().caller(&token(&call.headers), now, |jwt| {
        let standing = |allocation: &str| nomad.standing(allocation);
        let claims = call.server.keys().proven(jwt, now, standing).map_err(|why| why.0)?;
        Ok(Claim {
            group: claims.group().to_owned(),
            namespace: claims.nomad_namespace,
            job: claims.nomad_job_id,
            task: claims.nomad_task,
        })
    })
}

/// The secret of a request; empty where there is none.
pub(super) fn token(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(token) = text("x-nomad-token").filter(|token| !token.is_empty()) {
        return token.to_owned();
    }
    let scheme = |text: &str| text.get(..7).is_some_and(|it| it.eq_ignore_ascii_case("bearer "));
    let bearer = text(header::AUTHORIZATION.as_str()).filter(|text| scheme(text));
    bearer.map(|text| text[7..].trim().to_owned()).unwrap_or_default()
}

fn refuse(bad: &BadToken, checked: CheckedBy) -> Refusal {
    let why = bad.why();
    match (checked, bad) {
        (CheckedBy::Server, _) | (CheckedBy::Agent, BadToken::Unknown) => denied(),
        (CheckedBy::Agent, _) => {
            Refusal::new(500, format!("ACL token not found or invalid workload identity: {why}"))
        }
        (CheckedBy::Client, _) => Refusal::new(500, format!("rpc error: {why}")),
    }
}

/// `purge`: of a job that is to be stopped.
fn need(method: &Method, path: &str, purge: bool) -> (Need, CheckedBy) {
    let path = path.strip_prefix("/v1").unwrap_or(path).trim_start_matches('/');
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let read = method == Method::GET || method == Method::HEAD;
    let agent = match (first, rest) {
        ("agent", "health") => return (Need::Open, CheckedBy::Agent),
        ("agent", "members") => Need::ReadNodes,
        ("agent", _) if read => Need::ReadAgent,
        ("agent", _) => Need::WriteAgent,
        ("jobs", "parse") => Need::InNamespace(&[ParseJob, SubmitJob]),
        ("client", _) if rest.starts_with("fs/") => return (Need::Known, CheckedBy::Client),
        ("client", _) if rest.starts_with("allocation/") => {
            return (Need::Known, CheckedBy::Client);
        }
        ("client", "stats") => return (Need::ReadNodes, CheckedBy::Client),
        ("job", _) => {
            let any_of =
                if method == Method::DELETE { end_of_job(purge) } else { of_job(rest, read) };
            return (Need::InNamespace(any_of), CheckedBy::Server);
        }
        _ => return (by_server(first, rest, read), CheckedBy::Server),
    };
    (agent, CheckedBy::Agent)
}

fn by_server(first: &str, rest: &str, read: bool) -> Need {
    match (first, rest) {
        ("status" | "regions" | "metrics" | ".well-known", _) => Need::Open,
        ("acl", "bootstrap" | "login") => Need::Open,
        // Below, everyone sees what is its own.
        ("acl", "policies" | "token/self") => Need::Known,
        ("acl", _) if read && (rest.starts_with("policy/") || rest.starts_with("token/")) => {
            Need::Known
        }
        ("jobs", "") if read => Need::InNamespace(&[ListJobs]),
        ("jobs", "") => Need::InNamespace(&[RegisterJob, SubmitJob]),
        ("jobs", "statuses") => Need::InNamespace(&[ReadJob]),
        ("validate", "job") => Need::InNamespace(&[ReadJob]),
        ("allocations" | "evaluations" | "deployments" | "services", "") if read => {
            Need::InNamespace(&[ReadJob])
        }
        ("evaluation" | "deployment" | "service", _) if read => Need::InNamespace(&[ReadJob]),
        // By the allocation's own namespace.
        ("allocation", _) => Need::Known,
        ("nodes", _) => Need::ReadNodes,
        // By the pool's name.
        ("node", _) if read && rest.starts_with("pool") => Need::Known,
        ("node", _) if rest.starts_with("pool") && !read => Need::Management,
        ("node", _) if read => Need::ReadNodes,
        ("node", _) => Need::WriteNodes,
        ("namespaces", _) => Need::Known,
        ("namespace", _) if read => Need::Known,
        ("operator", _) if read => Need::ReadOperator,
        ("operator", _) => Need::WriteOperator,
        // By path, and by topic.
        ("vars" | "var", _) | ("event", "stream") => Need::Known,
        _ => Need::Management,
    }
}

fn end_of_job(purge: bool) -> &'static [Capability] {
    if purge { &[PurgeJob, SubmitJob] } else { &[DeregisterJob, PurgeJob, SubmitJob] }
}

/// Below `/v1/job/`: the id may hold slashes, so what of it is asked for is at the end.
fn of_job(rest: &str, read: bool) -> &'static [Capability] {
    let ends = |end: &str| rest.ends_with(end);
    match read {
        true if ends("/scale") => &[ReadJob, ReadJobScaling],
        true => &[ReadJob],
        false if ends("/dispatch") || ends("/dispatch/payload") => &[DispatchJob],
        false if ends("/plan") => &[PlanJob, SubmitJob],
        false if ends("/evaluate") => &[EvaluateJob, ReadJob],
        false if ends("/revert") => &[RevertJob, SubmitJob],
        false if ends("/stable") => &[StableJob, SubmitJob],
        false if ends("/periodic/force") => &[ForcePeriodicJob, DispatchJob, SubmitJob],
        false if ends("/scale") => &[ScaleJob, SubmitJob],
        false => &[RegisterJob, SubmitJob],
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(all: &[(&'static str, &str)]) -> String {
        let pairs = all.iter().map(|(name, value)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        });
        token(&pairs.collect())
    }

    #[test]
    fn a_token_is_in_either_head() {
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[("x-nomad-token", " a ")]), "a");
        assert_eq!(of(&[("authorization", "bearer a")]), "a");
        assert_eq!(of(&[("authorization", "Basic a")]), "");
        assert_eq!(of(&[("x-nomad-token", ""), ("authorization", "Bearer a")]), "a");
        assert_eq!(of(&[("x-nomad-token", "b"), ("authorization", "Bearer a")]), "b");
    }

    #[test]
    fn calls_need_what_they_should() {
        let of = |method: Method, path: &str| need(&method, path, false);
        for (method, path, expected) in [
            (Method::GET, "/v1/job/gha/dispatch-1-2", Need::InNamespace(&[ReadJob])),
            (Method::PUT, "/v1/job/a/b/dispatch", Need::InNamespace(&[DispatchJob])),
            (Method::POST, "/v1/job/a/plan", Need::InNamespace(&[PlanJob, SubmitJob])),
            (Method::GET, "/v1/node/pools", Need::Known),
            (Method::PUT, "/v1/node/x/drain", Need::WriteNodes),
            (Method::GET, "/v1/operator/scheduler/configuration", Need::ReadOperator),
            (Method::PUT, "/v1/acl/policy/x", Need::Management),
            (Method::GET, "/v1/acl/tokens", Need::Management),
            (Method::PUT, "/v1/namespace/ci", Need::Management),
            (Method::PUT, "/v1/system/gc", Need::Management),
            (Method::GET, "/v1/what/is/new", Need::Management),
            (Method::GET, "/.well-known/jwks.json", Need::Open),
        ] {
            assert_eq!(of(method, path), (expected, CheckedBy::Server), "{path}");
        }
        assert_eq!(of(Method::GET, "/v1/agent/self"), (Need::ReadAgent, CheckedBy::Agent));
        let purge = need(&Method::DELETE, "/v1/job/a", true).0;
        assert_eq!(purge, Need::InNamespace(&[PurgeJob, SubmitJob]));
    }
}
