//! Which paths there are, with which methods.
//!
//! Go's multiplexer and Nomad's handlers in one: a path that is not clean is sent to the clean one, an id
//! may hold slashes, for what comes after it is found by its end. Read next: `call.rs`, then whichever
//! handler.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};

use super::call::{Call, Reply, Written};
use super::refusal::Refusal;
use super::{
    acl, agent, allocations, client, dispatch, evaluations, job_parts, jobs, keys, metrics,
    namespaces, nodes, operator, own, planning, registering, statuses, stream, variables,
};

pub(super) async fn answer(call: Call, query: &str) -> Reply {
    // A slash that is escaped belongs to a name.
    let clean = clean(&call.escaped);
    if clean != call.escaped {
        return Ok(elsewhere(&call.method, &clean, query));
    }
    let (path, method) = (call.path.clone(), call.method.clone());
    if let Some(rest) = path.strip_prefix("/v1/job/") {
        return job(call, rest).await;
    }
    if let Some(rest) = path.strip_prefix("/v1/var/") {
        return variables::answer(call, Some(rest)).await;
    }
    if let Some(name) = path.strip_prefix("/v1/node/pool/") {
        return match method {
            Method::GET => namespaces::one_pool(call, name).await,
            Method::PUT | Method::POST => namespaces::set_pool(&call, Some(name)),
            Method::DELETE => namespaces::delete_pool(&call, name),
            _ => Err(Refusal::method()),
        };
    }
    if let Some(rest) = path.strip_prefix("/v1/node/").filter(|rest| *rest != "pools") {
        return node(call, rest).await;
    }
    if let Some(id) = path.strip_prefix("/v1/evaluation/") {
        return match (method, id.strip_suffix("/allocations")) {
            (Method::GET, Some(id)) => evaluations::allocations(call, id).await,
            (Method::GET, None) => evaluations::one(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(rest) = path.strip_prefix("/v1/acl/") {
        return acl::answer(call, rest).await;
    }
    if let Some(name) = path.strip_prefix("/v1/namespace/") {
        return match method {
            Method::GET => namespaces::one(call, name).await,
            Method::PUT | Method::POST => namespaces::set(&call, Some(name)),
            Method::DELETE => namespaces::delete(&call, name),
            _ => Err(Refusal::method()),
        };
    }
    if let Some(rest) = path.strip_prefix("/v1/allocation/") {
        return allocations::answer(call, rest).await;
    }
    if let Some(rest) = path.strip_prefix("/v1/client/") {
        return client::answer(call, rest).await;
    }
    match path.as_str() {
        "/v1/allocations" => match method {
            Method::GET => allocations::list(call).await,
            _ => Err(Refusal::method()),
        },
        "/" => Ok(elsewhere(&method, "/ui/", "")),
        "/.well-known/jwks.json" => match method {
            Method::GET => keys::public(call).await,
            _ => Err(Refusal::method()),
        },
        "/.well-known/openid-configuration" => only(Method::GET, &method, keys::discovery)(&call),
        "/v1/status/leader" => only(Method::GET, &method, agent::leader)(&call),
        "/v1/status/peers" => only(Method::GET, &method, agent::peers)(&call),
        "/v1/regions" => only(Method::GET, &method, agent::regions)(&call),
        "/v1/agent/health" => only(Method::GET, &method, agent::health)(&call),
        "/v1/agent/members" => only(Method::GET, &method, agent::members)(&call),
        "/v1/agent/self" => only(Method::GET, &method, own::own)(&call),
        "/v1/nodes" => match method {
            Method::GET => nodes::list(call).await,
            _ => Err(Refusal::method()),
        },
        "/v1/jobs" => match method {
            Method::GET => jobs::list(call).await,
            Method::PUT | Method::POST => registering::register(&call, None),
            _ => Err(Refusal::method()),
        },
        "/v1/validate/job" => match method {
            Method::PUT | Method::POST => registering::validate(&call),
            _ => Err(Refusal::method()),
        },
        "/v1/namespaces" => match method {
            Method::GET => namespaces::list(call).await,
            _ => Err(Refusal::method()),
        },
        "/v1/namespace" => match method {
            Method::PUT | Method::POST => namespaces::set(&call, None),
            _ => Err(Refusal::method()),
        },
        "/v1/node/pools" => match method {
            Method::GET => namespaces::pools(call).await,
            Method::PUT | Method::POST => namespaces::set_pool(&call, None),
            _ => Err(Refusal::method()),
        },
        "/v1/operator/scheduler/configuration" => match method {
            Method::GET => operator::configuration(call).await,
            Method::PUT | Method::POST => operator::configure(&call),
            _ => Err(Refusal::method()),
        },
        "/v1/evaluations" => match method {
            Method::GET => evaluations::list(call).await,
            _ => Err(Refusal::method()),
        },
        "/v1/jobs/parse" => match method {
            Method::PUT | Method::POST => registering::parse(&call),
            _ => Err(Refusal::method()),
        },
        "/v1/jobs/statuses" => match method {
            Method::GET | Method::POST => statuses::statuses(call).await,
            _ => Err(Refusal::method()),
        },
        "/v1/vars" => variables::answer(call, None).await,
        "/v1/event/stream" => match method {
            Method::GET => stream::events(call),
            _ => Err(Refusal::method()),
        },
        "/v1/system/gc" => match method {
            Method::PUT => jobs::collect(&call),
            _ => Err(Refusal::method()),
        },
        "/v1/system/reconcile/summaries" => match method {
            // They are made anew for every answer, so there is nothing to mend.
            Method::PUT => call.write(|_, _, _| Ok(Written { index: None, body: None })),
            _ => Err(Refusal::method()),
        },
        "/v1/metrics" => only(Method::GET, &method, metrics::metrics)(&call),
        path if path.starts_with("/ui/") => Ok(ui()),
        _ => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

/// Below `/v1/job/`: an id, and perhaps what of it.
async fn job(call: Call, rest: &str) -> Reply {
    let method = call.method.clone();
    if let Some(id) = rest.strip_suffix("/dispatch") {
        return match method {
            Method::PUT | Method::POST => dispatch::dispatch(&call, id),
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/dispatch/payload") {
        return match method {
            Method::PUT | Method::POST => dispatch::payload(&call, id),
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/allocations") {
        return match method {
            Method::GET => jobs::allocations(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/evaluations") {
        return match method {
            Method::GET => evaluations::of_job(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/evaluate") {
        return match method {
            Method::PUT | Method::POST => evaluations::by_hand(&call, id),
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/plan") {
        return match method {
            Method::PUT | Method::POST => planning::plan(&call, id),
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/summary") {
        return match method {
            Method::GET => job_parts::summary(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/versions") {
        return match method {
            Method::GET => job_parts::versions(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/deployments") {
        return match method {
            Method::GET => job_parts::deployments(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/submission") {
        return match method {
            Method::GET => job_parts::submission(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/scale") {
        return match method {
            Method::GET => job_parts::scale(call, id).await,
            _ => Err(Refusal::method()),
        };
    }
    if let Some(id) = rest.strip_suffix("/periodic/force") {
        return match method {
            Method::PUT | Method::POST => job_parts::force(&call, id),
            _ => Err(Refusal::method()),
        };
    }
    match method {
        Method::GET => jobs::one(call, rest).await,
        Method::PUT | Method::POST => registering::register(&call, Some(rest)),
        Method::DELETE => jobs::deregister(&call, rest),
        _ => Err(Refusal::method()),
    }
}

/// Below `/v1/node/`: an id, and perhaps what of it.
async fn node(call: Call, rest: &str) -> Reply {
    let write = matches!(call.method, Method::PUT | Method::POST);
    let read = call.method == Method::GET;
    match rest.split_once('/') {
        None if read => nodes::one(&call, rest).await,
        Some((id, "allocations")) if read => nodes::allocations(&call, id).await,
        Some((id, "eligibility")) if write => nodes::eligibility(&call, id),
        Some((id, "drain")) if write => nodes::drain(&call, id),
        Some((id, "purge")) if write => nodes::purge(&call, id),
        _ => Err(Refusal::method()),
    }
}

fn only(wanted: Method, method: &Method, handler: fn(&Call) -> Reply) -> impl Fn(&Call) -> Reply {
    let allowed = wanted == *method;
    move |call| if allowed { handler(call) } else { Err(Refusal::method()) }
}

/// As Go cleans paths: no empty parts, no dots; an end slash stays.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

fn elsewhere(method: &Method, path: &str, query: &str) -> Response {
    let mark = if query.is_empty() { "" } else { "?" };
    let target = format!("{path}{mark}{query}");
    let text = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", target.replace('&', "&amp;"));
    let mut response = match *method {
        Method::GET | Method::HEAD => (StatusCode::TEMPORARY_REDIRECT, Html(text)).into_response(),
        _ => StatusCode::TEMPORARY_REDIRECT.into_response(),
    };
    if let Ok(target) = HeaderValue::try_from(target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
}

fn ui() -> Response {
    let page =
        "<!DOCTYPE html>\n<html>\n<p>Nomad UI is not available in this stand-in.</p>\n</html>\n";
    Html(page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        assert_eq!(clean("/v1//jobs"), "/v1/jobs");
        assert_eq!(clean("/v1/x/../jobs"), "/v1/jobs");
        assert_eq!(clean("/v1/jobs/"), "/v1/jobs/");
        assert_eq!(clean("/"), "/");
        assert_eq!(clean("/v1/./job/a/b"), "/v1/job/a/b");
    }
}
