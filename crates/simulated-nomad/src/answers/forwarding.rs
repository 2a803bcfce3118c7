//! Asks another agent for the answer, and gives it as its own.
//!
//! Only whole answers; nothing is followed through another agent. Read next: `leadership.rs`.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse as _;

use super::call::{Call, Reply};
use super::refusal::Refusal;

/// What belongs to one connection, or is said again by whoever sends the answer.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::DATE,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::CONTENT_ENCODING,
];

/// `to` is the `host:port` of an HTTP API.
pub(super) async fn forward(call: &Call, to: &str) -> Reply {
    let base = if to.contains("://") { to.to_owned() } else { format!("http://{to}") };
    let url = format!("{base}{}?{}", call.escaped, call.asked);
    let gone = |error: reqwest::Error| Refusal::new(500, format!("rpc error: {error}"));
    let client = reqwest::Client::builder().no_proxy().build().map_err(gone)?;
    let request = client.request(call.method.clone(), url).headers(passed_on(&call.headers));
    let answer = request.body(call.body.clone()).send().await.map_err(gone)?;
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or_default();
    let mut headers = passed_on(answer.headers());
    let vary = headers.get_all(header::VARY).iter().find(|it| *it != "Accept-Encoding").cloned();
    headers.remove(header::VARY);
    headers.extend(vary.map(|vary| (header::VARY, vary)));
    let body = answer.bytes().await.map_err(gone)?;
    let mut response = (status, body).into_response();
    *response.headers_mut() = headers;
    Ok(response)
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut left = headers.clone();
    OF_THE_CONNECTION.iter().for_each(|name| drop(left.remove(name)));
    left
}
