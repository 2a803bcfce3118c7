//! What lies under all our clients of JSON over HTTP: one request out, one response back, and the
//! two kinds of failure. No word of any API.
//!
//! `exchange` is the seam: in life it is HTTP (`http`), in a simulation whatever takes its place.
//! `answers` reads what forges have in common. Read next: the clients' own `transport.rs`.

mod answers;
mod exchange;
mod http;
mod proxies;

pub use answers::{forge_message, misread, redirect};
pub use exchange::{
    Answering, Body, Exchange, Failure, Observer, Request, Response, Transport, Unread, Whole,
    observe,
};
pub use http::{
    NoWay, Server, builder_for, bundled_roots, cause, certificates, forge, is_loopback,
};
pub use proxies::{Proxy, any_proxy, proxy_of};

/// Of a whole call to a forge, connecting and reading included.
pub const FORGE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
