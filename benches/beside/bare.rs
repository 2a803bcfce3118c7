//! The door's measure: the same axum, the same HMAC over the same bytes, and nothing else. It
//! neither parses nor keeps what it gets.

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::support::daemon::SECRET;

const MAX_BODY: usize = 25_000_000;

/// Serves on a port that it prints, until it is killed.
pub async fn serve() {
    let router =
        Router::new().route("/webhook", post(verify)).layer(DefaultBodyLimit::max(MAX_BODY));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    axum::serve(listener, router).await.unwrap();
}

async fn verify(headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
    let signature = signature.and_then(|text| text.strip_prefix("sha256="));
    let Some(Ok(signature)) = signature.map(hex::decode) else { return StatusCode::UNAUTHORIZED };
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&body);
    match mac.verify_slice(&signature) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::UNAUTHORIZED,
    }
}
